from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from commenv import Budget, Channel, Messages
from commenv.channel import BernoulliLoss, Ledger, Unit
from commenv.channel import ledger as ledger_module
from commenv.rng import Draws
from tests.channel.networks import opened

RECORD = np.dtype([("word", "<i4")])


def counted(ledger):
    trials, payload, messages = ledger.sizes
    keys = zip(trials.tolist(), payload.tolist(), strict=True)
    return dict(zip(keys, messages.tolist(), strict=True))


def live(trials, agents, direction="uplink", **parts):
    channel = opened(
        Channel(**parts), direction, Draws(0, range(trials), range(agents))
    )
    channel.tick(new_episode=True)
    return channel


def words(counts):
    counts = np.array(counts)
    return Messages(np.zeros(counts.sum(), RECORD), counts)


def test_an_empty_ledger_has_no_sizes():
    assert counted(Ledger((2, 2))) == {}


def test_sizes_are_counted_by_trial():
    ledger = Ledger((2, 2))
    ledger.send(np.array([0, 1, 3]), np.array([8, 8, 4]))
    ledger.send(np.array([2]), np.array([0]))
    assert counted(ledger) == {(0, 8): 2, (1, 0): 1, (1, 4): 1}
    ledger.send(np.array([0]), np.array([8]))
    assert counted(ledger) == {(0, 8): 3, (1, 0): 1, (1, 4): 1}


@pytest.mark.parametrize(("messages", "entries"), [(1, 10**6), (10**6, 1), (7, 3)])
def test_folding_in_between_changes_nothing_and_bounds_memory(
    monkeypatch, messages, entries
):
    monkeypatch.setattr(ledger_module, "_MOST_MESSAGES", messages)
    monkeypatch.setattr(ledger_module, "_MOST_ENTRIES", entries)
    random, ledger, expected = np.random.default_rng(3), Ledger((4, 5)), Counter()
    for _ in range(50):
        links = np.flatnonzero(random.random(20) < 0.7)
        payload = random.integers(0, 6, len(links)) * 10**6
        ledger.send(links, payload)
        expected.update(zip((links // 5).tolist(), payload.tolist(), strict=True))
        assert ledger._num_unsized <= messages
        assert len(ledger._unsized) <= entries
    assert counted(ledger) == dict(expected)
    trials, payload, _ = ledger.sizes
    assert list(zip(trials, payload, strict=True)) == sorted(expected)


def test_lost_messages_were_sent_and_refused_ones_were_not():
    lossy = live(1, 3, link=BernoulliLoss(1.0))
    lossy.send(words([[1, 2, 2]]))
    assert counted(lossy.ledger) == {(0, 4): 1, (0, 8): 2}
    refusing = live(1, 3, budget=Budget(bytes=4))
    refusing.send(words([[1, 2, 0]]))  # the third is silent
    assert counted(refusing.ledger) == {(0, 4): 1}


def test_a_cut_message_counts_with_what_went_out():
    channel = live(1, 1, budget=Budget(bytes=10, exceed="truncate"))
    channel.send(words([[5]]))
    assert counted(channel.ledger) == {(0, 8): 1}


def test_a_queued_message_counts_once_it_leaves():
    channel = live(1, 1, budget=Budget(messages=1, exceed="queue"))
    channel.send(words([[1]]))
    channel.send(words([[2]]))
    assert counted(channel.ledger) == {(0, 4): 1}
    channel.tick(new_episode=True)
    assert counted(channel.ledger) == {(0, 4): 1, (0, 8): 1}


@pytest.mark.parametrize(("medium", "times"), [("unicast", 3), ("broadcast", 1)])
def test_a_transmission_that_all_hear_counts_once(medium, times):
    channel = live(2, 3, "downlink", medium=medium)
    channel.broadcast(np.zeros(2, RECORD))
    channel.charge_shared(np.zeros(2, RECORD))
    assert counted(channel.ledger) == {(0, 4): 2 * times, (1, 4): 2 * times}
    assert channel.ledger.sent(Unit.PAYLOAD).sum() == 2 * 2 * times * 4
