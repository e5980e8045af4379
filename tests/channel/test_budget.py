from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commenv.channel import Budget
from commenv.channel.meter import BudgetMeter
from commenv.errors import BudgetExceededError, UnknownNameError
from tests.channel.budgets import budgets

POLICIES = ["refuse", "truncate", "queue", "penalize", "terminate", "raise"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"messages": -1}, "budget messages -1 is negative; give 0 or more"),
        ({"bytes": -8}, "budget bytes -8 is negative"),
        ({"max_wait": -1}, "budget max_wait -1 is negative"),
        ({"messages": 1.5}, "budget messages must be an integer of 0 or more, got 1.5"),
        ({"bytes": True}, "budget bytes must be an integer of 0 or more, got True"),
        ({"bytes": "8"}, "budget bytes must be an integer of 0 or more, got '8'"),
        ({"max_wait": 0.5}, "budget max_wait must be an integer .*, got 0.5"),
        ({"price": -1}, "budget price must be a number of 0 or more, got -1"),
        ({"price": "1"}, "budget price must be a number of 0 or more, got '1'"),
        ({"price": float("nan")}, "budget price .* got nan"),
        ({"price": float("inf")}, "budget price .* got inf"),
        ({"per": "weak"}, "unknown budget per 'weak'"),
        ({"per": "episodes"}, "did you mean 'episode'"),
        ({"scope": "all"}, "unknown budget scope 'all'"),
        ({"exceed": "penalise"}, "did you mean 'penalize'"),
    ],
)
def test_bad_settings_name_value_and_cure(settings, message):
    with pytest.raises(ValueError, match=message):
        Budget(**settings)


@pytest.mark.parametrize("exceed", POLICIES)
def test_settings_that_their_policy_does_not_use_are_refused(exceed):
    for name, value, policy in (("price", 1.0, "penalize"), ("max_wait", 1, "queue")):
        given = {"messages": 1, "exceed": exceed, name: value}
        if exceed == policy:
            assert Budget(**given) == Budget(messages=1, exceed=exceed)  # the default
            continue
        words = f"{name}={value} has no effect with exceed='{exceed}'.*'{policy}'"
        with pytest.raises(ValueError, match=words):
            Budget(**given)


@pytest.mark.parametrize(
    "settings", [{"per": "step"}, {"scope": "team"}, {"exceed": "raise"}]
)
def test_settings_of_a_budget_without_a_limit_are_refused(settings):
    with pytest.raises(ValueError, match="limits nothing; give messages="):
        Budget(**settings)


def test_numpy_integers_are_whole_numbers():
    assert Budget(bytes=np.int64(8)) == Budget(bytes=8)


def test_parse_reads_every_setting():
    text = "messages=1, bytes=1e3,per=step,scope=team,exceed=queue,max_wait=2"
    assert Budget.parse(text) == Budget(1, 1000, "step", "team", "queue", 2)
    text = "bytes=2,exceed=penalize,price=.5"
    assert Budget.parse(text) == Budget(bytes=2, exceed="penalize", price=0.5)
    assert Budget.parse("") == Budget()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("message=1", "did you mean 'messages'"),
        ("messages", "has no value; write messages="),
        ("messages=", "messages '' is not a number"),
        ("messages=one", "messages 'one' is not a number"),
        ("messages=1.5", "must be an integer of 0 or more, got 1.5"),
        ("bytes=-1", "bytes -1 is negative"),
        ("bytes=inf", "bytes 'inf' is not a number"),
        ("bytes=nan", "bytes 'nan' is not a number"),
        ("price=nan", "price must be a number of 0 or more, got nan"),
        ("per=step", "limits nothing; give messages=, bytes= or both"),
        ("per=week", "unknown budget per 'week'"),
        ("messages=1;bytes=2", "messages '1;bytes=2' is not a number"),
    ],
)
def test_parse_refuses(text, message):
    with pytest.raises(ValueError, match=message):
        Budget.parse(text)


def test_an_unknown_setting_is_an_unknown_name():
    with pytest.raises(UnknownNameError):
        Budget.parse("limit=1")


def test_only_a_budget_without_limits_is_unlimited():
    assert Budget().unlimited
    assert not Budget(messages=0).unlimited
    assert not Budget(bytes=0).unlimited


def admit(meter: BudgetMeter, *sizes: int, record_size: int | None = 4, turns=None):
    return meter.admit(
        np.arange(len(sizes)),
        np.array(sizes),
        record_size,
        None if turns is None else np.array(turns),
    )


def test_refuse_takes_what_fits():
    meter = BudgetMeter(Budget(bytes=8), (1, 3), 0)
    first = admit(meter, 8, 12, 4)
    assert first.accepted.tolist() == [True, False, True]
    assert not first.queued.any()
    assert meter.left().bytes.tolist() == [[0, 8, 4]]
    assert meter.left().messages.tolist() == [[np.inf, np.inf, np.inf]]
    assert admit(meter, 4, 8, 8).accepted.tolist() == [False, True, False]
    meter.renew()
    assert meter.left().bytes.tolist() == [[8, 8, 8]]


def test_truncate_cuts_after_the_last_whole_record_that_fits():
    meter = BudgetMeter(Budget(bytes=10, exceed="truncate"), (1, 4), 0)
    verdict = admit(meter, 12, 8, 3, 400)
    assert verdict.accepted.all()
    assert verdict.granted.tolist() == [8, 8, 3, 8]
    assert meter.left().bytes.tolist() == [[2, 2, 7, 2]]
    assert admit(meter, 4, 4, 8, 4).accepted.tolist() == [False, False, True, False]


def test_truncate_refuses_what_cannot_be_cut_and_messages_too_many():
    whole = BudgetMeter(Budget(bytes=10, exceed="truncate"), (1, 2), 0)
    assert admit(whole, 12, 8, record_size=None).accepted.tolist() == [False, True]
    counted = BudgetMeter(Budget(messages=1, exceed="truncate"), (1, 1), 0)
    assert admit(counted, 400).granted.tolist() == [400]
    assert admit(counted, 4).accepted.tolist() == [False]


def test_headers_cost_16_bytes_of_the_budget():
    meter = BudgetMeter(Budget(bytes=30, exceed="truncate"), (1, 3), 16)
    verdict = admit(meter, 16, 12, 4)
    assert verdict.granted.tolist() == [12, 12, 4]  # 30 - 16 = 14 hold 3 records of 4
    assert meter.left().bytes.tolist() == [[2, 2, 10]]
    assert not admit(meter, 4, 4, 4).accepted.any()


def test_a_penalty_is_the_price_of_all_that_lies_beyond():
    budget = Budget(messages=1, bytes=10, exceed="penalize", price=0.5)
    meter = BudgetMeter(budget, (1, 2), 0)
    verdict = admit(meter, 12, 4)
    assert verdict.accepted.all()
    assert verdict.penalty.tolist() == [1.0, 0.0]  # 2 bytes
    verdict = admit(meter, 8, 8)
    assert verdict.penalty.tolist() == [4.5, 1.5]  # 1 message and 8; 1 and 2 bytes
    assert meter.left().bytes.tolist() == [[0, 0]]


def test_a_penalty_with_headers_charges_them_too():
    budget = Budget(bytes=10, exceed="penalize", price=1)
    assert admit(BudgetMeter(budget, (1, 1), 16), 12).penalty.tolist() == [18]


def test_raise_names_the_message_and_what_is_left_and_books_nothing():
    meter = BudgetMeter(Budget(messages=2, bytes=10, exceed="raise"), (1, 2), 0)
    admit(meter, 4, 4)
    with pytest.raises(
        BudgetExceededError, match=r"message of 8 bytes exceeds .*10 by"
    ):
        admit(meter, 4, 8)
    with pytest.raises(BudgetExceededError, match=r"\(1 left\) .* \(6 left\)"):
        admit(meter, 4, 8)
    assert meter.left().bytes.tolist() == [[6, 6]]
    assert meter.left().messages.tolist() == [[1, 1]]


def test_a_team_that_raises_books_nothing_for_those_who_were_served_before():
    meter = BudgetMeter(Budget(bytes=10, scope="team", exceed="raise"), (1, 2), 0)
    with pytest.raises(BudgetExceededError, match=r"\(2 left\); send less"):
        admit(meter, 8, 8, turns=[0.1, 0.2])
    assert meter.left().bytes.tolist() == [[10, 10]]


def test_a_team_is_served_in_the_order_of_its_turns():
    meter = BudgetMeter(Budget(bytes=8, scope="team"), (2, 3), 0)
    verdict = admit(meter, 4, 4, 8, 4, 4, 8, turns=[0.9, 0.5, 0.1, 0.1, 0.5, 0.9])
    assert verdict.accepted.tolist() == [False, False, True, True, True, False]
    assert meter.left().bytes.tolist() == [[0, 0, 0], [0, 0, 0]]


def test_a_team_queue_lets_nobody_overtake_within_a_send():
    budget = Budget(bytes=8, scope="team", exceed="queue")
    verdict = admit(BudgetMeter(budget, (1, 3), 0), 4, 12, 4, turns=[0.1, 0.2, 0.3])
    assert verdict.accepted.tolist() == [True, False, False]
    assert verdict.queued.tolist() == [False, True, True]


@pytest.mark.parametrize("exceed", POLICIES)
@pytest.mark.parametrize("limits", [{"messages": 0}, {"bytes": 0}])
def test_a_budget_of_nothing(exceed, limits):
    meter = BudgetMeter(Budget(**limits, exceed=exceed), (1, 1), 0)
    if exceed == "raise":
        with pytest.raises(BudgetExceededError, match=r"\(0 left\)"):
            admit(meter, 4)
        return
    verdict = admit(meter, 4)
    assert verdict.accepted.tolist() == [exceed == "penalize"]
    assert verdict.queued.tolist() == [exceed == "queue"]


class OneAccount:
    """The rules of a budget once more: one account, one message at a time."""

    def __init__(self, budget: Budget, overhead: int) -> None:
        self.budget = budget
        self.overhead = overhead
        self.waiting: list[tuple[int, int]] = []
        self.renew()

    def renew(self) -> None:
        self.messages = self.bytes = 0

    def fits(self, payload: int) -> bool:
        budget = self.budget
        if budget.messages is not None and self.messages + 1 > budget.messages:
            return False
        total = self.bytes + payload + self.overhead
        return budget.bytes is None or total <= budget.bytes

    def take(self, payload: int) -> int:
        self.messages += 1
        self.bytes += payload + self.overhead
        return payload

    def offer(self, link: int, payload: int, record_size: int | None):
        """(accepted, queued, granted or None where nothing is sent, penalty)."""
        exceed = self.budget.exceed
        if exceed == "queue" and (self.waiting or not self.fits(payload)):
            self.waiting.append((link, payload))
            return False, True, payload, 0
        if self.fits(payload):
            return True, False, self.take(payload), 0
        if exceed == "raise":
            raise BudgetExceededError
        if exceed == "penalize":
            before = self.excess()
            self.take(payload)
            return True, False, payload, (self.excess() - before) * self.budget.price
        if exceed == "truncate" and record_size is not None:
            for size in range(payload // record_size * record_size, 0, -record_size):
                if self.fits(size):
                    return True, False, self.take(size), 0
        return False, False, None, 0

    def excess(self) -> int:
        budget, excess = self.budget, 0
        if budget.messages is not None:
            excess += max(self.messages - budget.messages, 0)
        if budget.bytes is not None:
            excess += max(self.bytes - budget.bytes, 0)
        return excess

    def left(self) -> tuple[float, float]:
        pairs = (self.budget.messages, self.messages), (self.budget.bytes, self.bytes)
        messages, size = (
            np.inf if limit is None else max(limit - used, 0) for limit, used in pairs
        )
        return messages, size


@st.composite
def stories(draw):
    """A shape, and what its links do: a renewal, or (payloads, turns) in records."""
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    links = shape[0] * shape[1]
    sizes = st.lists(st.none() | st.integers(0, 6), min_size=links, max_size=links)
    event = st.just("renew") | st.tuples(sizes, st.permutations(range(links)))
    return shape, draw(st.lists(event, max_size=12))


@settings(deadline=None, derandomize=True, max_examples=400, database=None)
@given(
    budgets(5, 60, per=["episode"]),
    stories(),
    st.sampled_from([0, 16]),
    st.sampled_from([4, None]),
)
def test_accounts_agree_with_one_account_at_a_time(budget, story, overhead, record):
    shape, events = story
    links = shape[0] * shape[1]
    meter = BudgetMeter(budget, shape, overhead)
    count = shape[0] if budget.scope == "team" else links
    models = [OneAccount(budget, overhead) for _ in range(count)]

    def model_of(link: int) -> OneAccount:
        return models[link // shape[1] if budget.scope == "team" else link]

    for event in events:
        if event == "renew":
            meter.renew()
            for model in models:
                model.renew()
                serve_both(model, meter)
        else:
            sizes, turns = event
            senders = [link for link in range(links) if sizes[link] is not None]
            compare_one_send(
                meter,
                model_of,
                senders,
                [4 * (s or 0) for s in sizes],
                turns,
                record,
            )
        left = meter.left()
        for link in range(links):
            here = divmod(link, shape[1])
            assert (left.messages[here], left.bytes[here]) == model_of(link).left()


def serve_both(model: OneAccount, meter: BudgetMeter) -> None:
    """Serves the oldest while they fit, and gives the one after them up."""
    while model.waiting:
        link, payload = model.waiting.pop(0)
        fits = model.fits(payload)
        assert meter.serve(link, payload) == fits
        if not fits:
            meter.give_up(link)
            return
        model.take(payload)


def compare_one_send(meter, model_of, senders, sizes, turns, record) -> None:
    before = {link: vars(model_of(link)).copy() for link in senders}
    expected = {}
    try:
        for link in sorted(senders, key=lambda link: turns[link]):
            expected[link] = model_of(link).offer(link, sizes[link], record)
    except BudgetExceededError:
        for link, state in before.items():
            vars(model_of(link)).update(state)
        expected = None
    arguments = (
        np.array(senders, dtype=np.intp),
        np.array([sizes[link] for link in senders], dtype=np.int64),
        record,
        np.array([turns[link] for link in senders], dtype=float)
        if meter.budget.scope == "team"
        else None,
    )
    if expected is None:
        with pytest.raises(BudgetExceededError):
            meter.admit(*arguments)
        return
    verdict = meter.admit(*arguments)
    for position, link in enumerate(senders):
        accepted, queued, granted, penalty = expected[link]
        assert verdict.accepted[position] == accepted
        assert verdict.queued[position] == queued
        assert granted is None or verdict.granted[position] == granted
        assert verdict.penalty[position] == penalty
