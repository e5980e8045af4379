from __future__ import annotations

import numpy as np
import pytest

from commenv.channel import HEADER, Fate, Ledger, Unit

LINKS = np.array([0, 3])
SIZES = np.array([10, 7])
HEADERS = np.zeros(2, HEADER)


def test_an_empty_ledger_is_balanced():
    ledger = Ledger((2, 2))
    assert ledger.balanced
    assert ledger.attempted().tolist() == [[0, 0], [0, 0]]
    assert ledger.penalty.tolist() == [[0, 0], [0, 0]]
    assert ledger.journal is None


def test_attempts_count_messages_payload_and_header():
    ledger = Ledger((2, 2))
    ledger.attempt(LINKS, SIZES)
    ledger.attempt(LINKS[:1], SIZES[:1])
    assert ledger.attempted().tolist() == [[2, 0], [0, 1]]
    assert ledger.attempted(Unit.PAYLOAD).tolist() == [[20, 0], [0, 7]]
    assert ledger.attempted(Unit.HEADER).tolist() == [[32, 0], [0, 16]]
    assert not ledger.balanced


@pytest.mark.parametrize("fate", list(Fate))
def test_a_fate_balances_the_attempt(fate):
    ledger = Ledger((2, 2))
    ledger.attempt(LINKS, SIZES)
    ledger.settle(fate, LINKS, SIZES, HEADERS)
    assert ledger.balanced
    assert ledger.count(fate).tolist() == [[1, 0], [0, 1]]
    assert ledger.count(fate, Unit.PAYLOAD).tolist() == [[10, 0], [0, 7]]
    assert ledger.count(fate, Unit.HEADER).tolist() == [[16, 0], [0, 16]]


def test_what_was_sent_is_counted_apart_from_its_fate():
    ledger = Ledger((2, 2))
    ledger.send(LINKS, SIZES)
    ledger.send(LINKS[:1], SIZES[:1])
    assert ledger.sent().tolist() == [[2, 0], [0, 1]]
    assert ledger.sent(Unit.PAYLOAD).tolist() == [[20, 0], [0, 7]]
    assert ledger.sent(Unit.HEADER).tolist() == [[32, 0], [0, 16]]
    ledger.sent()[:] = 9
    assert ledger.sent().tolist() == [[2, 0], [0, 1]]


@pytest.mark.parametrize("unit", [Unit.MESSAGES, Unit.PAYLOAD])
def test_each_unit_must_balance(unit):
    ledger = Ledger((1, 1))
    ledger._counts[13 + unit] += 1  # attempted
    assert not ledger.balanced


def test_errors_on_two_links_do_not_cancel():
    ledger = Ledger((1, 2))
    ledger.attempt(np.array([0]), np.array([5]))
    ledger.settle(Fate.LOST, np.array([1]), np.array([5]), HEADERS[:1])
    assert not ledger.balanced


def test_cut_bytes_are_refused_and_the_message_delivered():
    ledger = Ledger((1, 1))
    ledger.attempt(np.array([0]), np.array([12]))
    ledger.cut(np.array([0]), np.array([4]))
    ledger.settle(Fate.DELIVERED, np.array([0]), np.array([8]), HEADERS[:1])
    assert ledger.balanced
    assert ledger.count(Fate.REFUSED).tolist() == [[0]]
    assert ledger.count(Fate.REFUSED, Unit.PAYLOAD).tolist() == [[4]]


def test_a_message_lands_before_it_meets_another_fate():
    ledger = Ledger((2, 2))
    ledger.attempt(LINKS, SIZES)
    ledger.settle(Fate.IN_FLIGHT, LINKS, SIZES, HEADERS)
    ledger.land(LINKS[1:], SIZES[1:])
    assert not ledger.balanced
    ledger.settle(Fate.EXPIRED, LINKS[1:], SIZES[1:], HEADERS[1:])
    assert ledger.balanced
    assert ledger.count(Fate.IN_FLIGHT, Unit.PAYLOAD).tolist() == [[10, 0], [0, 0]]
    assert ledger.count(Fate.EXPIRED, Unit.PAYLOAD).tolist() == [[0, 0], [0, 7]]


def test_penalties_add_up():
    ledger = Ledger((2, 2))
    ledger.charge(LINKS, np.array([0.5, 2]))
    ledger.charge(LINKS[:1], np.array([0.25]))
    assert ledger.penalty.tolist() == [[0.75, 0], [0, 2]]


def test_counts_are_copies():
    ledger = Ledger((1, 1))
    ledger.attempted()[:] = 9
    ledger.count(Fate.LOST)[:] = 9
    ledger.penalty[:] = 9
    assert ledger.attempted().tolist() == ledger.count(Fate.LOST).tolist() == [[0]]
    assert ledger.penalty.tolist() == [[0]]


def test_the_journal_has_a_line_for_messages_that_met_a_fate_together():
    ledger = Ledger((2, 2), journal=True)
    ledger.settle(Fate.LOST, LINKS, SIZES, HEADERS)
    ledger.settle(Fate.DELIVERED, LINKS[:0], SIZES[:0], HEADERS[:0])
    [entry] = ledger.journal
    assert entry.fate is Fate.LOST
    assert entry.links.tolist() == [0, 3]
    assert entry.payload.tolist() == [10, 7]
    assert entry.headers.dtype == HEADER
