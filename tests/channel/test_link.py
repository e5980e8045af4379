from __future__ import annotations

import numpy as np
import pytest

from commenv.channel import BernoulliLoss, Channel, Messages, PerfectLink
from commenv.channel.ledger import Fate, Unit
from commenv.channel.live import LiveChannel
from commenv.draws import Draws

REPORT = np.dtype([("value", "<f8")])
ROUNDS = 400


def live(trials, agents, probability: float) -> LiveChannel:
    channel = LiveChannel(
        Channel(link=BernoulliLoss(probability)), "uplink", Draws(3, trials, agents)
    )
    channel.tick(new_episode=True)
    return channel


def losses(channel: LiveChannel, speaking: np.ndarray) -> np.ndarray:
    """Which messages are lost, bool of shape (rounds, trials, agents)."""
    lost = []
    for mask in speaking:
        before = channel.ledger.count(Fate.LOST)
        channel.send(Messages(np.zeros(mask.sum(), REPORT), mask.astype(int)))
        channel.tick()
        lost.append(channel.ledger.count(Fate.LOST) - before)
    return np.array(lost, dtype=bool)


def test_a_perfect_link_loses_nothing_and_draws_nothing():
    sending = np.array([True, False, True])
    assert PerfectLink().lost(sending, None).tolist() == [False, False, False]


@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan")])
def test_a_probability_lies_between_0_and_1(probability):
    with pytest.raises(ValueError, match=r"outside \[0, 1\]"):
        BernoulliLoss(probability)


@pytest.mark.parametrize(("probability", "rate"), [(0, 0), (1, 1)])
def test_certainties(probability, rate):
    channel = live([0], 3, probability)
    assert losses(channel, np.ones((50, 1, 3), bool)).mean() == rate


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.8])
def test_the_loss_rate_is_the_probability(probability):
    lost = losses(live(range(3), 4, probability), np.ones((ROUNDS, 3, 4), bool))
    error = (probability * (1 - probability) / lost.size) ** 0.5
    assert abs(lost.mean() - probability) < 4 * error


def test_agents_lose_independently():
    lost = losses(live([0], 2, 0.5), np.ones((ROUNDS, 1, 2), bool))[:, 0]
    both = (lost[:, 0] & lost[:, 1]).mean()
    assert abs(both - 0.25) < 4 * (0.25 * 0.75 / ROUNDS) ** 0.5


def test_a_trial_alone_has_the_losses_that_it_has_in_a_batch():
    together = losses(live([0, 1, 2], 3, 0.4), np.ones((ROUNDS, 3, 3), bool))
    alone = losses(live([1], 3, 0.4), np.ones((ROUNDS, 1, 3), bool))
    single = losses(live([1], [2], 0.4), np.ones((ROUNDS, 1, 1), bool))
    assert (together[:, 1] == alone[:, 0]).all()
    assert (together[:, 1, 2] == single[:, 0, 0]).all()
    assert (together[:, 0] != together[:, 1]).any()


def test_anothers_silence_changes_no_loss_of_mine():
    everybody = np.ones((ROUNDS, 1, 3), bool)
    some = everybody.copy()
    some[:, 0, 0] = np.arange(ROUNDS) % 3 == 0
    some[:, 0, 2] = False
    reference = losses(live([0], 3, 0.4), everybody)
    assert (losses(live([0], 3, 0.4), some)[:, 0, 1] == reference[:, 0, 1]).all()


def test_the_nth_message_meets_the_nth_draw_whenever_it_is_sent():
    speaking = np.zeros((ROUNDS, 1, 2), bool)
    speaking[::4, 0, 0] = True
    often = losses(live([0], 2, 0.4), np.ones((ROUNDS, 1, 2), bool))
    seldom = losses(live([0], 2, 0.4), speaking)
    assert (seldom[::4, 0, 0] == often[: ROUNDS // 4, 0, 0]).all()


def test_lost_messages_were_accepted_and_sent():
    channel = live([0], 2, 1.0)
    receipt = channel.send(Messages(np.zeros(3, REPORT), np.array([[1, 2]])))
    assert receipt.accepted.tolist() == [[True, True]]
    assert channel.ledger.count(Fate.LOST, Unit.PAYLOAD).tolist() == [[8, 16]]
    assert channel.ledger.sent(Unit.PAYLOAD).tolist() == [[8, 16]]
    assert channel.ledger.sent().tolist() == [[1, 1]]
    received = channel.receive()
    assert received.counts.tolist() == [[0, 0]]
    assert len(received.headers) == 0


def test_gaps_in_the_sequence_are_the_losses():
    channel = live([0], 1, 0.5)
    lost = losses(channel, np.ones((20, 1, 1), bool))[:, 0, 0]
    assert (
        channel.receive().headers["sequence"].tolist() == np.flatnonzero(~lost).tolist()
    )
