"""Codecs with a memory on live channels: nothing that was not accepted is forgotten."""

from __future__ import annotations

import numpy as np
import pytest

from commenv.channel import (
    AdditiveNoise,
    BernoulliLoss,
    BitErrors,
    Budget,
    Chain,
    Channel,
    Delay,
    Delta,
    ErrorFeedback,
    Fate,
    Float16,
    FreeForm,
    Int8,
    Messages,
    Network,
    RandomK,
    ScaledSign,
    Sparse,
    TopK,
    Unit,
)
from commenv.rng import Draws
from tests.channel.networks import opened

COUNT = 9
GRADIENT = np.dtype([("gradient", "<f8", (COUNT,))])
SHAPE = (2, 3)


def live(direction="uplink", shape=SHAPE, **parts) -> Network:
    draws = Draws(6, range(shape[0]), shape[1])
    channel = opened(Channel(**parts), direction, draws)
    channel.tick(new_episode=True)
    return channel


def gradients(random, speaking) -> tuple[Messages, np.ndarray]:
    """Messages of those who speak, and what everybody has to say, 0 if silent."""
    values = random.normal(size=(*speaking.shape, COUNT)) * speaking[..., None]
    records = np.zeros(speaking.sum(), GRADIENT)
    records["gradient"] = values[speaking]
    return Messages(records, speaking.astype(int)), values


def received(channel) -> np.ndarray:
    """The sum of what arrived from each agent since the last call."""
    total = np.zeros((*channel.shape, COUNT))
    found = channel.receive()
    np.add.at(total.reshape(-1, COUNT), found.senders, found.records["gradient"])
    return total


@pytest.mark.parametrize(
    "inner", [TopK(k=2), RandomK(k=2), ScaledSign(), Int8(), Float16(), Sparse()]
)
@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"budget": Budget(messages=1, per="step", scope="team")},
        {"budget": Budget(bytes=25, per="step", scope="team", exceed="truncate")},
        {"link": BernoulliLoss(0.4), "acknowledgements": True},
        {
            "link": Chain(BernoulliLoss(0.3), Delay(0, spread=3, expiry=2)),
            "acknowledgements": True,
            "budget": Budget(messages=3, per="episode"),
        },
    ],
    ids=["perfect", "refusals", "bytes", "losses", "all"],
)
def test_what_was_not_read_is_still_in_the_memory(inner, parts):
    channel = live(codec=ErrorFeedback(inner), **parts)
    random = np.random.default_rng(0)
    offered, read = np.zeros((2, *SHAPE, COUNT))
    for episode in range(12):
        messages, values = gradients(random, random.random(SHAPE) < 0.7)
        offered += values
        channel.send(messages)
        read += received(channel)
        channel.tick(new_episode=episode % 3 == 0)
        in_flight = channel.ledger.count(Fate.IN_FLIGHT).sum()
        if not in_flight:
            error = channel.encoder.memory["error"]
            np.testing.assert_allclose(read + error, offered, atol=1e-12)
    for _ in range(4):
        channel.tick()
        read += received(channel)
    assert channel.ledger.count(Fate.IN_FLIGHT).sum() == 0
    np.testing.assert_allclose(
        read + channel.encoder.memory["error"], offered, atol=1e-12
    )
    assert channel.ledger.balanced
    if parts:
        failed = channel.ledger.count(Fate.REFUSED) + channel.ledger.count(Fate.LOST)
        assert failed.sum() > 5


def test_without_acknowledgements_what_is_lost_is_gone():
    channel = live(codec=ErrorFeedback(TopK(k=2)), link=BernoulliLoss(1.0))
    messages, values = gradients(np.random.default_rng(1), np.ones(SHAPE, bool))
    channel.send(messages)
    largest = np.sort(np.abs(values))[..., :-2]
    kept = np.sort(np.abs(channel.encoder.memory["error"]))[..., 2:]
    np.testing.assert_allclose(kept, largest)


def test_everything_gets_through_in_the_end():
    channel = live(codec=ErrorFeedback(TopK(k=1)), shape=(1, 1))
    messages, values = gradients(np.random.default_rng(2), np.ones((1, 1), bool))
    channel.send(messages)
    silent = Messages(np.zeros(1, GRADIENT), np.ones((1, 1), int))
    for _ in range(COUNT - 1):
        channel.send(silent)
    np.testing.assert_allclose(received(channel), values)
    assert np.abs(channel.encoder.memory["error"]).max() == 0
    assert channel.ledger.sent(Unit.PAYLOAD).tolist() == [[12 * COUNT]]


def test_a_difference_needs_to_know_what_arrived():
    with pytest.raises(ValueError, match=r"key_every.*let receivers confirm"):
        Channel(codec=Delta())


@pytest.mark.parametrize(
    ("link", "key_every"),
    [
        (BernoulliLoss(0.4), None),
        (Chain(BernoulliLoss(0.3), Delay(0, spread=2)), None),
        (Delay(2), None),
        (BernoulliLoss(0.0), 100),
        (BernoulliLoss(0.3), 4),
    ],
)
def test_differences_are_read_as_what_was_meant(link, key_every):
    codec = Delta(Sparse(), key_every=key_every)
    channel = live(codec=codec, link=link, acknowledgements=key_every is None)
    random = np.random.default_rng(3)
    meant, arrived = {}, 0
    current = random.normal(size=(*SHAPE, COUNT))
    for number in range(30):
        current[..., number % COUNT] += 1.0  # a sparse change
        records = np.zeros(6, GRADIENT)
        records["gradient"] = current.reshape(-1, COUNT)
        meant[number] = current.reshape(-1, COUNT).copy()
        channel.send(Messages(records, np.ones(SHAPE, int)))
        channel.tick()
        found = channel.receive()
        senders = found.senders
        for row, header in enumerate(found.headers):
            expected = meant[header["sequence"]][senders[row]]
            values = found.records["gradient"][row]
            np.testing.assert_allclose(values, expected, atol=1e-12)
        arrived += len(found.headers)
    assert channel.ledger.balanced
    assert channel.ledger.count(Fate.DELIVERED).sum() == arrived
    size = channel.ledger.sent(Unit.PAYLOAD).sum() / channel.ledger.sent().sum()
    assert size < 8 * COUNT  # the sparse differences are shorter
    if key_every == 4:  # after a loss the next whole message helps
        lost = channel.ledger.count(Fate.LOST).sum()
        assert 30 * 6 * 0.3 < lost < 30 * 6 * 0.75


def test_broadcasts_are_differences_from_whole_ones():
    channel = live("downlink", codec=Delta(key_every=3), link=BernoulliLoss(0.3))
    current = np.zeros((2, COUNT))
    for number in range(20):
        current = current + number
        records = np.zeros(2, GRADIENT)
        records["gradient"] = current
        channel.broadcast(records)
        for links, heard in channel.heard():
            np.testing.assert_allclose(heard["gradient"], current[links // 3])
    assert channel.ledger.balanced
    assert channel.ledger.count(Fate.DELIVERED).sum() > 40


def test_acknowledgements_are_headers_of_what_arrived():
    channel = live(link=BernoulliLoss(0.5), acknowledgements=True)
    for _ in range(20):
        channel.send(gradients(np.random.default_rng(0), np.ones(SHAPE, bool))[0])
    delivered = channel.ledger.count(Fate.DELIVERED)
    assert (channel.ledger.acknowledgements == delivered).all()
    assert 0 < delivered.sum() < 120
    assert not live().ledger.acknowledgements.any()


def test_bits_are_flipped_at_the_rate_and_never_in_the_header():
    sent, words = 200, 4
    channel = live(link=BitErrors(0.1), shape=(1, 2))
    dtype = np.dtype([("words", "<u4", (words,))])
    for number in range(sent):
        channel.send(Messages(np.zeros(2, dtype), np.ones((1, 2), int)))
        found = channel.receive()
        assert found.headers["sequence"].tolist() == [number] * 2
        if not number:
            flips = np.zeros(0, np.uint8)
        flips = np.concatenate([flips, np.unpackbits(found.records.view(np.uint8))])
    error = (0.1 * 0.9 / len(flips)) ** 0.5
    assert abs(flips.mean() - 0.1) < 4 * error
    assert len(flips) == sent * 2 * words * 32


def test_what_cannot_be_read_is_lost():
    channel = live(link=BitErrors(1.0))
    records = np.full(6, -0.0).view([("value", "<f8")])  # all bits but one are 0
    channel.send(Messages(records, np.ones(SHAPE, int)))
    assert channel.ledger.count(Fate.LOST).sum() == 6  # NaN: all bits but one are 1
    assert channel.receive().counts.sum() == 0
    letters = live(link=BitErrors(1.0), shape=(1, 1))
    letters.send(FreeForm([{"a": 1}], (1, 1)))
    assert letters.ledger.count(Fate.LOST).tolist() == [[1]]
    assert letters.ledger.balanced
    assert letters.receive() == [[]]


def test_flipped_bits_of_one_message_do_not_depend_on_others():
    dtype = np.dtype([("words", "<u4", (4,))])

    def heard(trials, agents):
        draws = Draws(6, trials, agents)
        channel = opened(Channel(link=BitErrors(0.2)), "uplink", draws)
        channel.tick(new_episode=True)
        records = np.zeros(len(trials) * len(draws.agents), dtype)
        channel.send(Messages(records, np.ones(draws.shape, int)))
        return channel.receive().records["words"].reshape(*draws.shape, 4)

    together, alone = heard([0, 1], 3), heard([1], [2])
    assert (together[1, 2] == alone[0, 0]).all()
    assert (together[0] != together[1]).any()


@pytest.mark.parametrize("codec", [None, Float16()])
def test_noise_is_added_to_real_numbers_alone(codec):
    dtype = np.dtype([("state", "<i4"), ("value", "<f8", (3,)), ("small", "<f4")])
    parts = {} if codec is None else {"codec": codec}
    channel = live(link=AdditiveNoise(0.5), shape=(1, 4), **parts)
    noise = []
    for _ in range(300):
        records = np.zeros(8, dtype)
        records["state"] = 7
        channel.send(Messages(records, np.full((1, 4), 2)))
        found = channel.receive().records
        assert (found["state"] == 7).all()
        noise.append(np.concatenate([found["value"].ravel(), found["small"]]))
    numbers = np.concatenate(noise)
    assert abs(numbers.mean()) < 4 * 0.5 / len(numbers) ** 0.5
    assert abs(numbers.std() - 0.5) < 0.02
    assert len(np.unique(numbers)) > len(numbers) * 0.1


def test_noise_needs_numbers():
    channel = live(link=AdditiveNoise(0.5), codec=Int8())
    messages, _ = gradients(np.random.default_rng(0), np.ones(SHAPE, bool))
    with pytest.raises(ValueError, match=r"additive noise needs payloads of plain num"):
        channel.send(messages)
    letters = live(link=AdditiveNoise(0.5), shape=(1, 1))
    with pytest.raises(ValueError, match="use BitErrors with other codecs and free"):
        letters.send(FreeForm([{"a": 1.0}], (1, 1)))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: BitErrors(1.5), "rate 1.5 of BitErrors"),
        (lambda: AdditiveNoise(-1), "deviation -1 of AdditiveNoise"),
    ],
)
def test_settings_out_of_range_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
