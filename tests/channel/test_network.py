from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commenv.channel import (
    HEADER_SIZE,
    QSGD,
    BernoulliLoss,
    Budget,
    Chain,
    Channel,
    Delay,
    Delta,
    Fate,
    FreeForm,
    GilbertElliottLoss,
    Identity,
    Messages,
    Network,
    PerfectLink,
    RateCap,
    Unit,
    decode_packet,
    pack,
    shapes,
)
from commenv.channel.wire import LEARNER, TRUNCATED
from commenv.errors import BudgetExceededError, EncodingError, NotResetError
from commenv.rng import Draws
from tests.channel.budgets import budgets
from tests.channel.networks import live, opened

WORD = np.dtype([("value", "<u4")])
WINDOWS = ["step", "episode", "lifetime"]
SCOPES = ["agent", "team"]
POLICIES = ["refuse", "truncate", "queue", "penalize", "terminate", "raise"]


def words(counts, first: int = 0) -> Messages:
    """Messages of so many words, numbered from ``first``."""
    counts = np.atleast_2d(counts)
    records = np.zeros(counts.sum(), WORD)
    records["value"] = first + np.arange(len(records))
    return Messages(records, counts)


# One trial of two agents with 8 bytes, two words, per window. In ticks 1 to 5 begin
# episode 0, nothing, episode 1, episode 2, episode 3; agent 0 sends before agent 1.
EPISODE_BEGINS = [True, False, True, True, True]
SENT = [(3, 1), (1, 2), (2, 2), (0, 0), (0, 0)]
# Words delivered in each tick (those in the tick itself included) to agents 0 and 1.
DELIVERED = {
    ("refuse", "step", "agent"): [(0, 1), (1, 2), (2, 2), (0, 0), (0, 0)],
    ("refuse", "episode", "agent"): [(0, 1), (1, 0), (2, 2), (0, 0), (0, 0)],
    ("refuse", "lifetime", "agent"): [(0, 1), (1, 0), (0, 0), (0, 0), (0, 0)],
    ("refuse", "step", "team"): [(0, 1), (1, 0), (2, 0), (0, 0), (0, 0)],
    ("refuse", "episode", "team"): [(0, 1), (1, 0), (2, 0), (0, 0), (0, 0)],
    ("refuse", "lifetime", "team"): [(0, 1), (1, 0), (0, 0), (0, 0), (0, 0)],
    ("truncate", "step", "agent"): [(2, 1), (1, 2), (2, 2), (0, 0), (0, 0)],
    ("truncate", "episode", "agent"): [(2, 1), (0, 1), (2, 2), (0, 0), (0, 0)],
    ("truncate", "lifetime", "agent"): [(2, 1), (0, 1), (0, 0), (0, 0), (0, 0)],
    ("truncate", "step", "team"): [(2, 0), (1, 1), (2, 0), (0, 0), (0, 0)],
    ("truncate", "episode", "team"): [(2, 0), (0, 0), (2, 0), (0, 0), (0, 0)],
    ("truncate", "lifetime", "team"): [(2, 0), (0, 0), (0, 0), (0, 0), (0, 0)],
    ("queue", "step", "agent"): [(0, 1), (0, 2), (1, 2), (2, 0), (0, 0)],
    ("queue", "episode", "agent"): [(0, 1), (0, 0), (0, 2), (2, 2), (0, 0)],
    ("queue", "lifetime", "agent"): [(0, 1), (0, 0), (0, 0), (0, 0), (0, 0)],
    ("queue", "step", "team"): [(0, 0), (0, 0), (1, 0), (2, 0), (0, 0)],
    ("queue", "episode", "team"): [(0, 0), (0, 0), (0, 0), (2, 0), (0, 0)],
    ("queue", "lifetime", "team"): [(0, 0), (0, 0), (0, 0), (0, 0), (0, 0)],
}
# Words that expired, that are still in flight, and the penalty at .5 a byte.
EXPIRED = {
    ("step", "agent"): (3, 0),
    ("episode", "agent"): (4, 0),
    ("step", "team"): (3, 5),
    ("episode", "team"): (4, 5),
}
IN_FLIGHT = {("lifetime", "agent"): (6, 4), ("lifetime", "team"): (6, 5)}
PENALTY = {
    ("step", "agent"): (2, 0),
    ("episode", "agent"): (4, 2),
    ("lifetime", "agent"): (8, 6),
    ("step", "team"): (2, 8),
    ("episode", "team"): (4, 10),
    ("lifetime", "team"): (8, 10),
}


@pytest.mark.parametrize("exceed", POLICIES)
@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("per", WINDOWS)
def test_every_window_scope_and_policy(per, scope, exceed):
    price = 0.5 if exceed == "penalize" else None
    budget = Budget(bytes=8, per=per, scope=scope, exceed=exceed, price=price)
    channel = live(started=False, budget=budget)
    delivered, raised, ended = [], [0, 0], [0, 0]
    for begins, counts in zip(EPISODE_BEGINS, SENT, strict=True):
        channel.tick(new_episode=begins)
        for agent, count in enumerate(counts):
            try:
                receipt = channel.send(words([[0, count] if agent else [count, 0]]))
                ended[agent] += receipt.ended[0, agent]
                assert receipt.ended.sum() <= receipt.ended[0, agent]
            except BudgetExceededError:
                raised[agent] += count
        delivered.append(tuple(channel.receive().counts[0].tolist()))

    same_as = {"terminate": "refuse", "raise": "refuse"}.get(exceed, exceed)
    assert delivered == DELIVERED.get((same_as, per, scope), SENT)
    nothing = (0, 0)
    expected = {
        Fate.DELIVERED: np.sum(delivered, axis=0),
        Fate.EXPIRED: EXPIRED.get((per, scope), nothing),
        Fate.IN_FLIGHT: IN_FLIGHT.get((per, scope), nothing),
        Fate.LOST: nothing,
    }
    if exceed != "queue":
        expected[Fate.EXPIRED] = expected[Fate.IN_FLIGHT] = nothing
    attempted = np.sum(SENT, axis=0) - raised
    expected[Fate.REFUSED] = attempted - sum(np.array(n) for n in expected.values())
    ledger = channel.ledger
    for fate, count in expected.items():
        assert (ledger.count(fate, Unit.PAYLOAD)[0] == 4 * np.array(count)).all()
    assert ledger.balanced
    penalty = PENALTY[per, scope] if exceed == "penalize" else nothing
    assert ledger.penalty[0].tolist() == list(penalty)
    refused = ledger.count(Fate.REFUSED)[0].tolist()
    assert ended == (refused if exceed == "terminate" else [0, 0])
    assert any(raised) == (exceed == "raise")


def test_a_cut_message_is_delivered_and_flagged_and_its_cut_bytes_refused():
    channel = live(budget=Budget(bytes=10, exceed="truncate"))
    assert channel.send(words([3, 2])).accepted.tolist() == [[True, True]]
    received = channel.receive()
    assert received.records["value"].tolist() == [0, 1, 3, 4]
    assert received.headers["flags"].tolist() == [TRUNCATED, 0]
    ledger = channel.ledger
    assert ledger.count(Fate.DELIVERED).tolist() == [[1, 1]]
    assert ledger.count(Fate.DELIVERED, Unit.PAYLOAD).tolist() == [[8, 8]]
    assert ledger.count(Fate.REFUSED).tolist() == [[0, 0]]
    assert ledger.count(Fate.REFUSED, Unit.PAYLOAD).tolist() == [[4, 0]]
    assert ledger.sent(Unit.PAYLOAD).tolist() == [[8, 8]]


def test_headers_count_against_byte_budgets_where_the_channel_says_so():
    budget = Budget(bytes=24)
    assert live(budget=budget).send(words([3, 2])).accepted.tolist() == [[True, True]]
    receipt = live(budget=budget, headers=True).send(words([3, 2]))
    assert receipt.accepted.tolist() == [[False, True]]
    assert receipt.left.bytes.tolist() == [[24, 0]]


def test_a_queue_is_first_in_first_out_and_never_overtaken():
    budget = Budget(bytes=8, per="step", exceed="queue", max_wait=9)
    channel = live(agents=1, budget=budget)
    for count, first in ((2, 0), (2, 10), (1, 20), (1, 30)):
        assert channel.send(words([count], first)).accepted.all()
    arrived = [channel.receive().records["value"].tolist()]
    for _ in range(3):
        channel.tick()
        arrived.append(channel.receive().records["value"].tolist())
    assert arrived == [[0, 1], [10, 11], [20, 30], []]


@pytest.mark.parametrize("max_wait", [0, 1, 2, 3])
def test_a_message_expires_max_wait_ticks_after_its_windows_end(max_wait):
    budget = Budget(bytes=4, per="episode", exceed="queue", max_wait=max_wait)
    channel = live(agents=1, budget=budget)
    channel.send(words([2]))
    waiting = []
    for new_episode in (False, False, True, False, False, True):
        channel.tick(new_episode=new_episode)
        waiting.append(int(channel.ledger.count(Fate.IN_FLIGHT)[0, 0]))
        assert channel.ledger.balanced
    assert waiting == [1, 1] + [1] * max_wait + [0] * (4 - max_wait)
    assert channel.ledger.count(Fate.EXPIRED, Unit.PAYLOAD).tolist() == [[8]]


def test_a_waiting_message_outlives_the_others_payloads():
    channel = live(agents=3, budget=Budget(bytes=8, per="step", exceed="queue"))
    channel.send(words([1, 1, 1]))
    channel.send(words([500, 2, 500]))
    assert [
        waiting.packets.data.nbytes for waiting in channel._gate._queue.waiting
    ] == [
        2000,
        8,
        2000,
    ]


def test_raise_changes_nothing():
    channel = live(budget=Budget(bytes=8, exceed="raise"))
    with pytest.raises(BudgetExceededError, match="a message of 12 bytes"):
        channel.send(words([1, 3]))
    assert channel.receive() is None
    assert channel.ledger.attempted().tolist() == [[0, 0]]
    assert channel.left.bytes.tolist() == [[8, 8]]
    half = np.zeros(3, [("value", "<f2")])  # nor is the form of the message settled
    assert channel.send(Messages(half, np.array([[0, 3]]))).accepted.any()
    assert channel.receive().headers["sequence"].tolist() == [0]


def winners(channel: Network, ticks: int) -> np.ndarray:
    """Who is served, (ticks, trials), where each tick has room for one message."""
    served = []
    for _ in range(ticks):
        accepted = channel.send(words(np.ones(channel.shape, int))).accepted
        assert (accepted.sum(axis=1) == 1).all()
        served.append(accepted.argmax(axis=1))
        channel.tick()
    return np.array(served)


def test_a_teams_order_is_drawn_in_each_tick_and_belongs_to_the_trial():
    budget = Budget(messages=1, per="step", scope="team")
    together = winners(live(3, 3, budget=budget), 300)
    for trial in range(3):
        alone = winners(live([trial], 3, budget=budget), 300)
        assert (together[:, trial] == alone[:, 0]).all()
    shares = np.bincount(together.ravel()) / together.size
    assert (abs(shares - 1 / 3) < 4 * (2 / 9 / 900) ** 0.5).all()
    assert (together[:, 0] != together[:, 1]).any()


def test_those_who_wait_stand_in_the_order_of_their_team():
    budget = Budget(messages=1, per="step", scope="team", exceed="queue", max_wait=9)
    orders = Counter()
    channel = live(agents=3, budget=budget)
    for _ in range(120):
        channel.send(words([1, 1, 1]))
        order = [int(channel.receive().senders[0])]
        for _ in range(2):
            channel.tick()
            order.append(int(channel.receive().senders[0]))
        orders[tuple(order)] += 1
        channel.tick()
    assert len(orders) == 6
    assert min(orders.values()) >= 8


def test_within_a_send_a_small_message_does_not_overtake_a_large_one():
    budget = Budget(bytes=8, per="step", scope="team", exceed="queue", max_wait=0)
    channel = live(budget=budget)
    for _ in range(40):
        channel.send(words([3, 1]))
        channel.tick()
    delivered = channel.ledger.count(Fate.DELIVERED)[0].tolist()
    assert delivered[0] == 0
    assert 8 <= delivered[1] <= 32  # only where its turn came first


def test_size_is_the_length_of_what_was_encoded():
    channel = live(2, 2)
    messages = words([[3, 0], [1, 2]], first=7)
    channel.send(messages)
    [read] = channel.deliveries()
    packets = read.packets
    payload = channel.ledger.sent(Unit.PAYLOAD).ravel()
    begin = 0
    for position, link in enumerate(packets.links):
        wire = packets.wire(position)
        assert len(wire) - HEADER_SIZE == payload[link]
        head, records = decode_packet(wire, WORD)
        assert head["sender"] == link % 2
        end = begin + messages.counts.ravel()[link]
        assert (records == messages.records[begin:end]).all()
        begin = end


def test_headers_name_sender_episode_and_sequence():
    channel = live([4, 9], [3, 8], budget=Budget(messages=2))
    channel.send(words([[1, 0], [1, 1]]))
    channel.tick()
    channel.send(words([[1, 1], [0, 1]]))
    channel.tick(new_episode=True)
    channel.send(words([[1, 0], [0, 2]]))
    received = channel.receive()
    headers = received.headers
    assert headers["sender"].tolist() == [3, 3, 3, 8, 3, 8, 8, 8]
    assert headers["episode"].tolist() == [0, 0, 1, 0, 0, 0, 0, 1]
    assert headers["sequence"].tolist() == [0, 1, 2, 0, 0, 0, 1, 2]
    assert headers["flags"].tolist() == [0] * 8
    assert received.lengths.tolist() == [1, 1, 1, 1, 1, 1, 1, 2]
    assert received.counts.tolist() == [[3, 1], [1, 4]]


def test_a_refused_message_uses_up_its_number():
    channel = live(agents=1, budget=Budget(messages=1, per="step"))
    for _ in range(2):
        channel.send(words([1]))
        channel.send(words([1]))
        channel.tick()
    assert channel.receive().headers["sequence"].tolist() == [0, 2]


def test_receive_hands_out_each_message_once():
    channel = live()
    assert channel.receive() is None
    channel.send(words([1, 2], first=5))
    assert channel.receive().records["value"].tolist() == [5, 6, 7]
    assert channel.receive().counts.tolist() == [[0, 0]]


def test_silence_is_no_message():
    channel = live()
    receipt = channel.send(words([0, 1]))
    assert receipt.accepted.tolist() == [[False, True]]
    assert channel.ledger.attempted().tolist() == [[0, 1]]


def test_free_form_payloads_arrive_in_order():
    channel = live(1, 2)
    channel.send(FreeForm([{"w": np.arange(3)}, None], (1, 2)))
    channel.send(FreeForm([None, "late"], (1, 2)))
    channel.send(FreeForm([[1, 2], "later"], (1, 2)))
    first, second = channel.receive()
    assert first[0]["w"].tolist() == [0, 1, 2]
    assert first[1:] == [[1, 2]]
    assert second == ["late", "later"]
    assert channel.receive() == [[], []]
    sizes = [len(pack({"w": np.arange(3)})) + len(pack([1, 2]))]
    sizes.append(len(pack("late")) + len(pack("later")))
    assert channel.ledger.sent(Unit.PAYLOAD).tolist() == [sizes]


def test_a_free_form_payload_is_never_cut():
    channel = live(agents=1, budget=Budget(bytes=4, exceed="truncate"))
    assert not channel.send(FreeForm(["12345"], (1, 1))).accepted.any()
    assert channel.send(FreeForm(["123"], (1, 1))).accepted.all()
    assert channel.receive() == [["123"]]


def test_forms_do_not_mix():
    channel = live()
    channel.send(words([1, 1]))
    with pytest.raises(ValueError, match="message of free form on a channel of"):
        channel.send(FreeForm([1, 2], (1, 2)))
    other = Messages(np.zeros(1, [("other", "<u4")]), np.array([[1, 0]]))
    with pytest.raises(ValueError, match="keep to one form"):
        channel.send(other)
    free = live()
    free.send(FreeForm([1, 2], (1, 2)))
    with pytest.raises(ValueError, match="on a channel of free form"):
        free.send(words([1, 1]))
    assert channel.ledger.attempted().tolist() == [[1, 1]]


def test_a_message_that_fails_settles_no_form():
    channel = live()
    with pytest.raises(TypeError, match="payload is a 'object'"):
        channel.send(FreeForm([object(), None], (1, 2)))
    assert channel.receive() is None
    assert channel.send(words([1, 1])).accepted.all()
    down = live(direction="downlink")
    with pytest.raises(TypeError, match="structured dtype"):
        down.broadcast(np.zeros(1))
    assert down.broadcast(parameters(1)).accepted.all()


def test_messages_of_another_shape_are_refused():
    with pytest.raises(
        ValueError, match=r"\(2, 1\) \(trials, agents\) on a channel of"
    ):
        live(1, 2).send(words([[1], [1]]))


def test_nothing_is_sent_before_the_first_episode():
    channel = live(started=False)
    with pytest.raises(NotResetError, match="before the first episode"):
        channel.send(words([1, 1]))
    with pytest.raises(NotResetError, match="before the first episode"):
        live(direction="downlink", started=False).broadcast(np.zeros(1, WORD))
    assert channel.ledger.attempted().tolist() == [[0, 0]]


def parameters(*values: int) -> np.ndarray:
    records = np.zeros(len(values), WORD)
    records["value"] = values
    return records


def heard(channel: Network) -> list[list[tuple[int, int]]]:
    return [
        list(zip(links.tolist(), records["value"].tolist(), strict=True))
        for links, records in channel.heard()
    ]


def test_a_broadcast_is_charged_for_each_receiver():
    channel = live(2, 3, direction="downlink")
    assert channel.broadcast(parameters(7, 8)).accepted.all()
    channel.broadcast(parameters(9, 8))
    assert channel.ledger.sent(Unit.PAYLOAD).tolist() == [[8, 8, 8], [8, 8, 8]]
    assert heard(channel) == [
        [(0, 7), (1, 7), (2, 7), (3, 8), (4, 8), (5, 8)],
        [(0, 9), (1, 9), (2, 9), (3, 8), (4, 8), (5, 8)],
    ]
    assert heard(channel) == []


def test_one_transmission_that_all_hear_is_charged_once():
    channel = live(2, 3, direction="downlink", medium="broadcast")
    assert channel.broadcast(parameters(7, 8)).accepted.all()
    assert channel.ledger.sent(Unit.PAYLOAD).tolist() == [[4, 0, 0], [4, 0, 0]]
    assert channel.ledger.sent(Unit.HEADER).tolist() == [[16, 0, 0], [16, 0, 0]]
    assert heard(channel) == [[(0, 7), (1, 7), (2, 7), (3, 8), (4, 8), (5, 8)]]


@pytest.mark.parametrize("scope", SCOPES)
def test_a_transmission_that_all_hear_is_heard_by_all_or_none(scope):
    budget = Budget(messages=1, scope=scope)
    channel = live(2, 2, direction="downlink", medium="broadcast", budget=budget)
    assert channel.broadcast(parameters(1, 2)).accepted.all()
    assert not channel.broadcast(parameters(3, 4)).accepted.any()
    assert heard(channel) == [[(0, 1), (1, 1), (2, 2), (3, 2)]]
    assert channel.ledger.count(Fate.REFUSED).tolist() == [[1, 0], [1, 0]]
    lossy = live(
        9, 2, direction="downlink", medium="broadcast", link=BernoulliLoss(0.5)
    )
    lossy.broadcast(parameters(*range(9)))
    lost = lossy.ledger.count(Fate.LOST)[:, 0]
    assert 0 < lost.sum() < 9
    [pairs] = heard(lossy)
    expected = [(2 * t + a, t) for t in range(9) if not lost[t] for a in range(2)]
    assert pairs == expected


def test_a_broadcast_that_waits_is_heard_later():
    budget = Budget(messages=1, per="step", exceed="queue")
    channel = live(2, 2, direction="downlink", budget=budget)
    channel.broadcast(parameters(1, 2))
    channel.broadcast(parameters(3, 4))
    assert heard(channel) == [[(0, 1), (1, 1), (2, 2), (3, 2)]]
    channel.tick()
    assert heard(channel) == [[(0, 3)], [(1, 3)], [(2, 4)], [(3, 4)]]


def test_a_broadcast_comes_from_the_learner():
    channel = live(1, 2, direction="downlink")
    channel.broadcast(parameters(1))
    assert channel.receive().headers["sender"].tolist() == [LEARNER, LEARNER]


def test_a_broadcast_takes_one_record_for_each_trial():
    channel = live(2, 2, direction="downlink")
    with pytest.raises(ValueError, match=r"shape \(3,\); give one record for each of"):
        channel.broadcast(parameters(1, 2, 3))
    nan = np.full(2, np.nan).view([("value", "<f8")])
    with pytest.raises(ValueError, match="holds NaN"):
        channel.broadcast(nan)


class Remembering(Identity):
    """Counts each sender's messages that were accepted."""

    def start(self, shape, dtype):
        return {"accepted": np.zeros(shape, int)}

    def encode(self, messages, memory, draws):
        encoded, _ = super().encode(messages, {}, draws)
        return encoded, {"accepted": memory["accepted"] + (messages.counts > 0)}


def test_a_codecs_memory_learns_of_acceptance_and_not_of_loss():
    parts = {"budget": Budget(bytes=8), "link": BernoulliLoss(1)}
    channel = live(codec=Remembering(), **parts)
    channel.send(words([3, 2]))
    channel.send(words([1, 0]))
    assert channel.encoder.memory["accepted"].tolist() == [[1, 1]]
    down = live(2, 2, direction="downlink", codec=Remembering(), **parts)
    down.broadcast(parameters(1, 2))
    assert down.encoder.memory["accepted"].tolist() == [[1], [1]]


LINKS = [
    PerfectLink(),
    BernoulliLoss(0.3),
    GilbertElliottLoss(0.3, 0.4, 0.1, 0.8),
    Delay(1, expiry=3),
    Delay(1, spread=3, bytes_per_tick=30, expiry=3),
    RateCap(30, burst=50),
    RateCap(20, max_wait=1),
    Chain(BernoulliLoss(0.2), Delay(0, spread=2), RateCap(40, max_wait=2)),
]
OVERTAKING = (LINKS[4], LINKS[7])


def schedules(links: int):
    """Ticks: whether an episode begins, and the words that each link sends."""
    counts = st.lists(st.integers(0, 5), min_size=links, max_size=links)
    ticks = st.tuples(st.booleans(), st.lists(counts, max_size=3))
    return ticks.flatmap(
        lambda first: st.lists(ticks, max_size=8).map(
            lambda others: [(True, first[1]), *others]
        )
    )


class Tally:
    """What each account sent in each window."""

    def __init__(self, channel: Network) -> None:
        self.channel = channel
        self.before = np.zeros((2, *channel.shape), int)
        self.windows: Counter = Counter()

    def update(self) -> None:
        """Books what has been sent since the last call in the current window."""
        channel, ledger = self.channel, self.channel.ledger
        budget = channel.channel.budget
        window = {"step": channel.clock, "episode": channel.episode, "lifetime": 0}
        size = ledger.sent(Unit.PAYLOAD)
        if channel.channel.headers:
            size = size + ledger.sent(Unit.HEADER)
        now = np.array([ledger.sent(), size])
        for unit, trial, agent in np.argwhere(now != self.before):
            account = (trial,) if budget.scope == "team" else (trial, agent)
            key = ("messages", "bytes")[unit], account, window[budget.per]
            self.windows[key] += now[unit, trial, agent]
            self.windows[key] -= self.before[unit, trial, agent]
        self.before = now

    def check(self) -> None:
        for (unit, *_), used in self.windows.items():
            limit = getattr(self.channel.channel.budget, unit)
            assert limit is None or used <= limit


def check_ledger(channel: Network) -> None:
    ledger = channel.ledger
    for unit in Unit:
        fates = np.array([ledger.count(fate, unit) for fate in Fate])
        assert (fates >= 0).all()
        assert (fates.sum(axis=0) == ledger.attempted(unit)).all()
        sent = ledger.sent(unit)
        assert (sent >= fates[Fate.DELIVERED] + fates[Fate.LOST]).all()
        assert (sent <= ledger.attempted(unit) - fates[Fate.REFUSED]).all()


@settings(deadline=None, derandomize=True, max_examples=400, database=None)
@given(st.data(), budgets(4, 24), st.sampled_from(LINKS), st.booleans())
def test_whatever_is_sent_the_ledger_adds_up(data, budget, link, headers):
    shape = data.draw(st.sampled_from([(1, 1), (1, 3), (2, 2)]))
    channel = live(*shape, budget=budget, link=link, headers=headers)
    tally, sent, number = Tally(channel), {}, 0
    sequence = np.zeros(shape, int)
    arrived: dict[int, list[int]] = {}
    for begins, sends in data.draw(schedules(shape[0] * shape[1])):
        channel.tick(new_episode=begins)
        tally.update()
        check_ledger(channel)
        for counts in sends:
            messages = words(np.reshape(counts, shape), first=number)
            try:
                channel.send(messages)
            except BudgetExceededError:
                continue
            finally:
                tally.update()
                check_ledger(channel)
            number += len(messages.records)
            for flat in np.flatnonzero(counts):
                values = messages.records["value"][messages.senders == flat]
                sent[flat, sequence.flat[flat]] = values.tolist()
            sequence += messages.counts > 0
        received = channel.receive()
        if received is None:
            continue
        stops = np.cumsum(received.lengths)
        flats = received.senders[stops - received.lengths]
        parts = np.split(received.records["value"], stops[:-1])[: len(stops)]
        for flat, head, part in zip(flats, received.headers, parts, strict=True):
            whole = sent[flat, head["sequence"]]
            cut = bool(head["flags"] & np.uint16(TRUNCATED))
            assert part.tolist() == whole[: len(part)]
            assert cut == (len(part) < len(whole))
            arrived.setdefault(int(flat), []).append(int(head["sequence"]))
    assert all(len(set(order)) == len(order) for order in arrived.values())
    if link not in OVERTAKING:
        assert all(order == sorted(order) for order in arrived.values())
    delivered = channel.ledger.count(Fate.DELIVERED).ravel()
    assert delivered.tolist() == [len(arrived.get(i, [])) for i in range(sequence.size)]
    if budget.exceed != "penalize":
        tally.check()


def outcome(channel: Network, schedule) -> list:
    """All that senders, the receiver and the ledger see, one list for each trial."""
    seen: list[list] = [[] for _ in range(channel.shape[0])]
    for begins, sends in schedule:
        channel.tick(new_episode=begins)
        for counts in sends:
            records = np.zeros(counts.sum(), WORD)
            records["value"] = np.concatenate([np.arange(n) for n in counts.ravel()])
            receipt = channel.send(Messages(records, counts))
            for trial, part in enumerate(seen):
                part += [
                    receipt.accepted[trial].tolist(),
                    receipt.ended[trial].tolist(),
                ]
                part += [receipt.left.bytes[trial].tolist()]
        received = channel.receive()
        for trial, part in enumerate(seen):
            part.append(received.records["value"][received.trials == trial].tolist())
    for trial, part in enumerate(seen):
        part += [channel.ledger.count(f, u)[trial].tolist() for f in Fate for u in Unit]
        part.append(channel.ledger.penalty[trial].tolist())
    return seen


@pytest.mark.parametrize("exceed", POLICIES)
@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("per", WINDOWS)
@pytest.mark.parametrize("link", [LINKS[1], LINKS[2], LINKS[7]])
def test_a_trial_fares_alone_as_in_a_batch(link, per, scope, exceed):
    limit = 10_000 if exceed == "raise" else 16
    wait = 2 if exceed == "queue" else None
    budget = Budget(bytes=limit, per=per, scope=scope, exceed=exceed, max_wait=wait)
    parts = {"budget": budget, "link": link}
    rng = np.random.default_rng(1)
    schedule = [
        (tick % 3 == 0, [rng.integers(0, 5, (3, 3)) for _ in range(2)])
        for tick in range(12)
    ]
    together = outcome(live([2, 5, 11], 3, started=False, **parts), schedule)
    for position, trial in enumerate([2, 5, 11]):
        mine = [
            (begins, [counts[position : position + 1] for counts in sends])
            for begins, sends in schedule
        ]
        alone = outcome(live([trial], 3, started=False, **parts), mine)
        assert alone == [together[position]]


@pytest.mark.parametrize("exceed", POLICIES)
def test_with_budgets_of_their_own_agents_fare_alone_as_in_a_batch(exceed):
    limit = 10_000 if exceed == "raise" else 16
    parts = {"budget": Budget(bytes=limit, exceed=exceed), "link": BernoulliLoss(0.3)}
    rng = np.random.default_rng(2)
    schedule = [(tick % 3 == 0, [rng.integers(0, 5, (1, 3))]) for tick in range(12)]
    channel = live([7], 3, started=False, **parts)
    outcome(channel, schedule)
    for agent in range(3):
        mine = [(begins, [sends[0][:, [agent]]]) for begins, sends in schedule]
        single = live([7], [agent], started=False, **parts)
        outcome(single, mine)
        for fate in Fate:
            for unit in Unit:
                together = channel.ledger.count(fate, unit)[0, agent]
                assert single.ledger.count(fate, unit)[0, 0] == together


def test_errors_name_the_agent_and_the_link():
    vector = np.dtype([("gradient", "<f8", (2,))])
    records = np.zeros(4, vector)
    records["gradient"][3] = np.inf
    messages = Messages(records, np.ones((2, 2), dtype=np.int64))
    draws = Draws(0, [5, 7], [3, 4])
    uplink = opened(Channel(codec=QSGD(4)), "uplink", draws)
    uplink.tick(new_episode=True)
    with pytest.raises(EncodingError, match="agent 4 of trial 7 on the uplink: "):
        uplink.send(messages)
    strict = Budget(messages=0, exceed="raise")
    poor = Channel(budget=strict)
    up, down = (opened(poor, way, draws) for way in ("uplink", "downlink"))
    for channel in (up, down):
        channel.tick(new_episode=True)
    with pytest.raises(BudgetExceededError, match="agent 3 of trial 5 on the uplink: "):
        up.send(messages)
    with pytest.raises(BudgetExceededError, match="the downlink of trial 5: "):
        down.broadcast(records[:2])
    down = opened(Channel(codec=QSGD(4)), "downlink", draws)
    down.tick(new_episode=True)
    with pytest.raises(EncodingError, match="the downlink of trial 7: "):
        down.broadcast(records[2:])


def test_a_message_beyond_the_last_sequence_number_is_refused_and_changes_nothing():
    channel = live()
    channel.encoder.number_all(2**32 - 2)
    channel.encoder.sequence[0] = 7
    channel.send(words((1, 1)))
    with pytest.raises(ValueError, match="32-bit sequence number"):
        channel.send(words((1, 1)))
    assert channel.ledger.attempted().tolist() == [[1, 1]]
    channel.send(words((1, 0)))
    assert channel.receive().headers["sequence"].tolist() == [7, 8, 2**32 - 2]


def test_every_change_is_a_revision_and_silence_is_none():
    channel = live(budget=Budget(messages=1, per="step"), link=Delay(2))
    changes = [
        lambda: channel.send(words((1, 2))),
        lambda: channel.tick(),  # the budget is renewed
        lambda: channel.tick(),  # the messages land
        lambda: channel.tick(new_episode=True),
        lambda: channel.enter(WORD),
        lambda: channel.abandon(),
    ]
    for change in changes:
        before = channel.revision
        change()
        assert channel.revision > before
    silent = live()
    before = silent.revision
    silent.tick()
    assert (silent.revision, silent.clock) == (before, 2)


def test_free_form_payloads_and_acknowledgements_go_down_as_well():
    draws = Draws(0, [0, 1], 3)
    down = shapes.downlink(Channel(acknowledgements=True), draws)
    down.tick(new_episode=True)
    receipt = down.send(FreeForm([{"a": 1}, None], (2, 1)))
    assert receipt.accepted.tolist() == [[True] * 3, [False] * 3]
    assert down.receive() == [[{"a": 1}]] * 3 + [[]] * 3
    assert down.ledger.acknowledgements.tolist() == [[1, 1, 1], [0, 0, 0]]


@pytest.mark.parametrize("medium", ["unicast", "broadcast"])
def test_differences_go_down_from_what_all_agents_have(medium):
    """Without whole messages in between, since the agents confirm what arrives."""
    gradient = np.dtype([("gradient", "<f8", (4,))])
    link = BernoulliLoss(0.3)
    parts = {"codec": Delta(), "acknowledgements": True, "medium": medium}
    down = live(2, 3, direction="downlink", link=link, **parts)
    current, heard = np.zeros((2, 4)), 0
    for number in range(30):
        current = current + number
        records = np.zeros(2, gradient)
        records["gradient"] = current
        down.broadcast(records)
        for links, arrived in down.heard():
            heard += len(links)
            np.testing.assert_allclose(arrived["gradient"], current[links // 3])
    assert 60 < heard < 180
    received = down.ledger.count(Fate.DELIVERED).sum() * (3 if medium[0] == "b" else 1)
    assert down.ledger.acknowledgements.sum() == heard == received
