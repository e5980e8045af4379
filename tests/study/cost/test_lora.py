from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from commenv.study.cost import LoRa


def milliseconds(size, **settings):
    return LoRa(**settings).time_on_air(np.array([size]))[0] * 1e3


@pytest.mark.parametrize(
    ("size", "settings", "expected"),
    [
        (20, {}, 56.576),
        (51, {"spreading_factor": 12}, 2465.792),  # 75.25 of 32.768
        (13, {"spreading_factor": 9}, 164.864),
        (255, {}, 399.616),
        (
            10,
            {"spreading_factor": 11},
            577.536,
        ),  # (12.25 + 8 + 3 x 5) symbols of 16.384 ms
        (10, {"spreading_factor": 11, "bandwidth": 250e3}, 247.808),  # 30.25 of 8.192
        (20, {"crc": False, "explicit_header": False}, 46.336),
        (20, {"coding_rate": 4}, 78.08),  # 76.25 of 1.024
        (20, {"preamble": 12}, 60.672),
        (0, {"spreading_factor": 12, "explicit_header": False, "crc": False}, 663.552),
    ],
)
def test_the_time_on_air_of_known_frames(size, settings, expected):
    assert milliseconds(size, **settings) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("factor", range(7, 13))
@pytest.mark.parametrize("rate", [1, 2, 3, 4])
def test_the_time_on_air_is_semtechs_formula_in_exact_arithmetic(factor, rate):
    for bandwidth in (62_500, 125_000, 500_000):
        symbol = Fraction(2**factor, bandwidth)
        slow = symbol > Fraction(16, 1000)
        for size in (0, 1, 16, 77, 255):
            bits = 8 * size - 4 * factor + 28 + 16
            blocks = max(math.ceil(Fraction(bits, 4 * (factor - 2 * slow))), 0)
            symbols = Fraction(49, 4) + 8 + blocks * (rate + 4)
            found = milliseconds(
                size, spreading_factor=factor, coding_rate=rate, bandwidth=bandwidth
            )
            assert found == pytest.approx(float(1000 * symbols * symbol), rel=1e-12)


def test_a_large_message_is_cut_into_frames_with_a_preamble_each():
    sizes = np.array([0, 255, 256, 600])
    cost = LoRa().cost(sizes, "uplink")
    frames = [[0], [255], [255, 1], [255, 255, 90]]
    expected = [sum(milliseconds(size) for size in parts) / 1e3 for parts in frames]
    assert cost.seconds == pytest.approx(expected, rel=1e-12)


def test_lorawan_carries_less_and_adds_thirteen_bytes_to_every_frame():
    settings = {"spreading_factor": 12, "frame_payload": 51, "frame_overhead": 13}
    cost = LoRa(**settings).cost(np.array([60]), "uplink")
    parts = [milliseconds(size, spreading_factor=12) for size in (51 + 13, 9 + 13)]
    assert cost.seconds[0] == pytest.approx(sum(parts) / 1e3, rel=1e-12)


def test_joules_are_volts_times_amperes_times_seconds():
    for direction in ("uplink", "downlink"):
        cost = LoRa().cost(np.array([20]), direction)
        assert cost.sender[0] == pytest.approx(3.3 * 0.0331 * 0.056576, rel=1e-12)
        assert cost.receiver[0] == pytest.approx(3.3 * 0.0136 * 0.056576, rel=1e-12)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"spreading_factor": 6}, "spreading_factor is 6; give a whole number from 7"),
        ({"spreading_factor": 7.0}, "spreading_factor is 7.0; give a whole number"),
        ({"bandwidth": 125}, "bandwidth is 125; give a number from 7800 to 500000 Hz"),
        ({"coding_rate": 5}, "coding_rate is 5"),
        ({"coding_rate": True}, "coding_rate is True"),
        ({"volts": float("nan")}, "volts is nan"),
        ({"volts": "3"}, "volts is '3'"),
        ({"frame_overhead": 13}, "255 and frame_overhead 13 are 268 bytes together"),
    ],
)
def test_settings_outside_their_range_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        LoRa(**settings)
