from __future__ import annotations

import numpy as np
import pytest

from commenv.channel import (
    BernoulliLoss,
    Chain,
    Channel,
    Delay,
    GilbertElliottLoss,
    Messages,
    Network,
    PerfectLink,
    Range,
    RateCap,
    Sending,
    shapes,
)
from commenv.channel.ledger import Fate, Unit
from commenv.channel.wire import HEADER_SIZE
from commenv.rng import Draws

REPORT = np.dtype([("value", "<f8")])
ROUNDS = 400


def live(trials, agents, link) -> Network:
    """A channel over a link, or over one that loses with this probability."""
    link = BernoulliLoss(link) if isinstance(link, (int, float)) else link
    channel = shapes.uplink(Channel(link=link), Draws(3, trials, agents))
    channel.tick(new_episode=True)
    return channel


def losses(channel: Network, speaking: np.ndarray) -> np.ndarray:
    """Which messages are lost, bool of shape (rounds, trials, agents)."""
    lost = []
    for mask in speaking:
        before = channel.ledger.count(Fate.LOST)
        channel.send(Messages(np.zeros(mask.sum(), REPORT), mask.astype(int)))
        channel.tick()
        lost.append(channel.ledger.count(Fate.LOST) - before)
    return np.array(lost, dtype=bool)


def test_a_perfect_link_loses_nothing_and_draws_nothing():
    sending = Sending(np.array([0, 2]), np.array([24, 24]), clock=1)
    transit, _ = PerfectLink().carry(sending, {}, None)
    assert transit.lost.tolist() == [False, False]
    assert transit.delay is None
    assert transit.expired is None


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


def burst_lengths(lost: np.ndarray) -> list[int]:
    """The lengths of runs of losses, without those at either end."""
    edges = np.flatnonzero(np.diff(lost.astype(int)))
    runs = np.diff(edges)
    return runs[int(lost[0]) :: 2].tolist() if len(runs) else []


def test_bursts_have_the_lengths_and_the_share_of_the_chain():
    link = GilbertElliottLoss(to_bad=0.05, to_good=0.25)
    lost = losses(live(range(20), 5, link), np.ones((ROUNDS, 20, 5), bool))
    flat = lost.reshape(ROUNDS, -1)
    runs = [run for column in flat.T for run in burst_lengths(column)]
    assert abs(lost.mean() - 1 / 6) < 0.01
    assert abs(np.mean(runs) - 4) < 4 * np.std(runs) / len(runs) ** 0.5
    assert abs(flat[0].mean() - 1 / 6) < 4 * (5 / 36 / 100) ** 0.5  # from the start


def test_a_link_changes_its_state_while_nothing_is_sent():
    link = GilbertElliottLoss(to_bad=0.1, to_good=0.2, loss_good=0.0, loss_bad=1.0)
    speaking = np.zeros((ROUNDS, 20, 5), bool)
    speaking[::3] = True
    lost = losses(live(range(20), 5, link), speaking)[::3].reshape(-1, 100)
    again = lost[1:][lost[:-1]].mean()  # still bad three ticks later
    expected = 1 / 3 + 2 / 3 * 0.7**3
    error = (expected * (1 - expected) / lost[:-1].sum()) ** 0.5
    assert abs(again - expected) < 4 * error


def test_messages_of_one_tick_meet_one_state():
    channel = live([0], 1, GilbertElliottLoss(0.5, 0.5))
    message = Messages(np.zeros(1, REPORT), np.array([[1]]))
    for _ in range(50):
        before = channel.ledger.count(Fate.LOST)[0, 0]
        for _ in range(3):
            channel.send(message)
        assert channel.ledger.count(Fate.LOST)[0, 0] - before in (0, 3)
        channel.tick()


def arrivals(link, sizes, ticks: int) -> list[int | None]:
    """When messages arrive that are sent in tick 0, 1, ..., of so many bytes in all.

    None where one expires; a size of 0 sends nothing.
    """
    channel = live([0], 1, link)
    arrived: list[int | None] = [None] * sum(size > 0 for size in sizes)
    for tick in range(ticks):
        if tick < len(sizes) and sizes[tick]:
            count = sizes[tick] - HEADER_SIZE
            bytes_ = np.zeros(count, [("value", "u1")])
            channel.send(Messages(bytes_, np.array([[count]])))
        for batch in channel.deliveries():
            for sequence in batch.packets.headers["sequence"]:
                assert arrived[sequence] is None
                arrived[sequence] = tick
        channel.tick()
    assert channel.ledger.balanced
    assert channel.ledger.count(Fate.IN_FLIGHT).sum() == 0
    assert channel.ledger.count(Fate.EXPIRED).sum() == arrived.count(None)
    return arrived


def test_a_fixed_delay():
    assert arrivals(Delay(2), [20, 0, 20, 20], 8) == [2, 4, 5]
    assert arrivals(Delay(), [20, 20], 3) == [0, 1]


def test_large_messages_take_longer():
    link = Delay(1, bytes_per_tick=20)
    assert arrivals(link, [17, 20, 39, 40], 9) == [1, 3, 4, 6]


def test_what_waits_too_long_expires():
    link = Delay(bytes_per_tick=20, expiry=2)
    assert arrivals(link, [20, 59, 60, 100, 20], 9) == [1, 3, None, None, 5]
    assert arrivals(Delay(3, expiry=3), [20], 9) == [3]
    assert arrivals(Delay(3, expiry=0), [20], 9) == [None]


def test_a_random_delay_is_uniform():
    sent = 3000
    waits = np.subtract(
        arrivals(Delay(2, spread=3), [20] * sent, sent + 9), range(sent)
    )
    counts = np.bincount(waits, minlength=7)
    assert counts[[0, 1, 6]].tolist() == [0, 0, 0]
    assert (abs(counts[2:6] - sent / 4) < 4 * (sent * 3 / 16) ** 0.5).all()


def token_bucket(link: RateCap, sizes) -> list[int | None]:
    """When messages arrive, from the bucket's content tick by tick."""
    most = link.bytes_per_tick if link.burst is None else link.burst
    departures: list[int | None] = []
    events: list[tuple[int, int]] = []  # ticks at which so many tokens are taken
    for sent, size in enumerate(sizes):
        tokens, tick = most, 0
        while True:
            tokens -= sum(taken for when, taken in events if when == tick)
            after_all = all(when <= tick for when, _ in events)
            if tick >= sent and after_all and tokens >= min(size, most):
                break
            tokens, tick = min(tokens + link.bytes_per_tick, most), tick + 1
        if link.max_wait is not None and tick - sent > link.max_wait:
            departures.append(None)
        else:
            departures.append(tick)
            events.append((tick, size))
    return departures


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "link",
    [RateCap(30), RateCap(20, burst=50), RateCap(25, max_wait=1), RateCap(7, 45, 6)],
)
def test_a_rate_cap_is_a_token_bucket(link, seed):
    sizes = np.random.default_rng(seed).integers(17, 60, 12).tolist()
    assert arrivals(link, sizes, 120) == token_bucket(link, sizes)


def test_a_chain_adds_waits_and_loses_with_each_part():
    assert arrivals(Chain(Delay(1), Delay(2)), [20, 20], 9) == [3, 4]
    link = Chain(Delay(1, expiry=0), Delay(2))
    assert arrivals(link, [20], 9) == [None]
    lost = losses(
        live(range(3), 4, Chain(BernoulliLoss(0.3), BernoulliLoss(0.5))),
        np.ones((ROUNDS, 3, 4), bool),
    )
    assert abs(lost.mean() - 0.65) < 4 * (0.65 * 0.35 / lost.size) ** 0.5


def test_what_one_part_loses_takes_no_tokens_of_the_next():
    link = Chain(BernoulliLoss(1.0), RateCap(20))
    channel = live([0], 1, link)
    for _ in range(3):
        channel.send(Messages(np.zeros(1, REPORT), np.array([[1]])))
    assert channel._transport._state["1.tokens"].tolist() == [20]
    assert channel.ledger.count(Fate.LOST).tolist() == [[3]]


def test_a_range_is_a_distance():
    channel = live([0, 1], 2, Range(1.5))
    message = Messages(np.zeros(4, REPORT), np.ones((2, 2), int))
    with pytest.raises(ValueError, match="where agents are"):
        channel.send(message)
    channel.set_distances(np.array([[0.0, 1.5], [1.6, 9.0]]))
    channel.send(message)
    assert channel.ledger.count(Fate.LOST).tolist() == [[0, 0], [1, 1]]
    assert channel.receive().counts.tolist() == [[1, 1], [0, 0]]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: BernoulliLoss(1.5), "probability 1.5 of BernoulliLoss"),
        (lambda: GilbertElliottLoss(-0.1, 0.5), "to_bad -0.1 of GilbertElliottLoss"),
        (lambda: GilbertElliottLoss(0.1, 0.5, loss_bad=2), "loss_bad 2"),
        (lambda: Delay(-1), "ticks -1 of Delay is not an integer"),
        (lambda: Delay(1.5), "ticks 1.5"),
        (lambda: Delay(None), "ticks None"),
        (lambda: Delay(expiry=-1), "expiry -1"),
        (lambda: Delay(bytes_per_tick=0), "bytes_per_tick 0 of Delay is not above 0"),
        (lambda: RateCap(0), "bytes_per_tick 0 of RateCap"),
        (lambda: RateCap(5, burst=-1), "burst -1"),
        (lambda: RateCap(5, max_wait=0.5), "max_wait 0.5"),
        (lambda: Range(-1), "radius -1 is negative"),
        (lambda: Chain(), "a chain of no links"),
    ],
)
def test_settings_out_of_range_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_chain_takes_links_only():
    with pytest.raises(TypeError, match=r"made of links.*; 0.1 is not a Link"):
        Chain(0.1)
