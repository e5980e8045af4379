from __future__ import annotations

import numpy as np
import pytest

from commenv.study.cost import LTE

SIZES = np.array([0, 972, 1472, 1473])
PACKED = np.array([28, 1000, 1500, 1473 + 56])  # with the headers of their packets


def test_an_uplink_is_sent_by_the_device():
    cost = LTE().cost(SIZES, "uplink")
    assert cost.seconds == pytest.approx(8 * PACKED / 6e6, rel=1e-12)
    watts = 0.43839 * 6 + 1.2
    assert cost.sender == pytest.approx(watts * 8 * PACKED / 6e6, rel=1e-12)
    assert not cost.receiver.any()


def test_a_downlink_is_received_by_the_device():
    cost = LTE().cost(SIZES, "downlink")
    assert cost.seconds == pytest.approx(8 * PACKED / 13e6, rel=1e-12)
    watts = 0.05197 * 13 + 1.2
    assert cost.receiver == pytest.approx(watts * 8 * PACKED / 13e6, rel=1e-12)
    assert not cost.sender.any()


def test_a_kilobyte_up_takes_a_millisecond_and_a_third_and_five_millijoules():
    cost = LTE().cost(np.array([972]), "uplink")
    assert cost.seconds[0] == pytest.approx(1.3333e-3, rel=1e-4)
    assert cost.sender[0] == pytest.approx(5.1071e-3, rel=1e-4)


def test_waking_up_and_the_tail_cost_joules_for_the_share_of_messages_that_do():
    awake, half, always = (
        LTE(wakeups=share).cost(SIZES, "uplink") for share in (0, 0.5, 1)
    )
    waking = 0.26 * 1.21 + 10.12 * 1.06
    assert half.sender - awake.sender == pytest.approx(np.full(4, waking / 2))
    assert always.sender - awake.sender == pytest.approx(np.full(4, waking))
    assert (always.seconds == awake.seconds).all()
    assert not always.receiver.any()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"uplink": 0}, "uplink is 0; give a number from 1 to 1e.12 bit/s"),
        ({"wakeups": 1.5}, "wakeups is 1.5; give a number from 0 to 1"),
        ({"beta": -1.0}, "beta is -1.0; .* W"),
        ({"packet_payload": 0}, "packet_payload is 0; give a whole number"),
    ],
)
def test_settings_outside_their_range_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        LTE(**settings)
