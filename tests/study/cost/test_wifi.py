from __future__ import annotations

import numpy as np
import pytest

from commenv.study.cost import WiFi

PERFECT = WiFi(loss=0.0)
BACKOFF = 15 / 2 * 9


def microseconds(profile, *sizes):
    return profile.cost(np.array(sizes), "uplink").seconds * 1e6


def test_a_full_packet_at_54_mbits_without_loss():
    # 1472 + 64 bytes: 248 us (57 symbols); acknowledgement: 28 us (2 symbols).
    expected = 34 + BACKOFF + 248 + 16 + 28
    assert microseconds(PERFECT, 1472)[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("rate", "lasts"), [(6, 2072), (9, 1388), (12, 1048), (24, 536), (54, 248)]
)
def test_the_time_of_a_frame_at_each_rate(rate, lasts):
    overheads = 34 + BACKOFF + 16 + 28
    found = microseconds(WiFi(loss=0.0, rate=rate), 1472)[0]
    assert found == pytest.approx(overheads + lasts, rel=1e-12)


def test_a_large_message_is_several_exchanges():
    one, two, tail = microseconds(PERFECT, 1472, 1473, 1)
    assert two == pytest.approx(one + tail, rel=1e-12)


def test_lost_frames_are_repeated_until_the_limit():
    assert PERFECT.expected_attempts == 1
    for loss in (0.1, 0.5, 0.9):
        for attempts in (1, 2, 7):
            found = WiFi(loss=loss, attempts=attempts).expected_attempts
            expected = (1 - loss**attempts) / (1 - loss)
            assert found == pytest.approx(expected, rel=1e-12)
    assert WiFi(loss=0.5, attempts=60).expected_attempts == pytest.approx(2)


def test_the_backoff_doubles_with_every_repetition():
    halves = np.array([15, 31, 63, 127, 255, 511, 1023, 1023]) / 2 * 9e-6
    for attempts in (1, 3, 8):
        found = WiFi(loss=0.5, attempts=attempts).expected_backoff
        chances = 0.5 ** np.arange(attempts)
        assert found == pytest.approx((chances * halves[:attempts]).sum(), rel=1e-12)


def test_expected_costs_are_the_means_of_simulated_exchanges():
    profile, random = WiFi(loss=0.4, attempts=4), np.random.default_rng(7)
    tries = np.minimum(random.geometric(1 - 0.4, size=200_000), 4)
    windows = np.array([15, 31, 63, 127])
    slots = [windows[:count].sum() / 2 for count in range(5)]
    lasts = tries * (34 + 248 + 16 + 28) + 9 * np.array(slots)[tries]
    assert microseconds(profile, 1472)[0] == pytest.approx(lasts.mean(), rel=5e-3)


def test_each_side_draws_what_it_does():
    cost = PERFECT.cost(np.array([1472]), "downlink")
    idle = (34 + BACKOFF + 16) * 0.819
    assert cost.sender[0] * 1e6 == pytest.approx(248 * 1.14 + 28 * 0.939 + idle)
    assert cost.receiver[0] * 1e6 == pytest.approx(248 * 0.939 + 28 * 1.14 + idle)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"rate": 11}, "rate is 11; give one of 6, 9, 12, 18, 24, 36, 48, 54 Mbit/s"),
        ({"acknowledgement_rate": 0}, "acknowledgement_rate is 0"),
        ({"loss": 1.0}, "loss is 1.0"),
        ({"attempts": 0}, "attempts is 0; give a whole number from 1 to 255"),
    ],
)
def test_settings_outside_their_range_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        WiFi(**settings)
