from __future__ import annotations

import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commenv.channel import (
    QSGD,
    Delta,
    ErrorFeedback,
    Float16,
    Identity,
    Int8,
    Messages,
    RandomK,
    ScaledSign,
    Sparse,
    TopK,
    Uniform,
)
from commenv.channel.codec import Incoming
from commenv.errors import MalformedMessage
from commenv.rng import Draws, MessageDraws

COUNT = 13
GRADIENT = np.dtype([("gradient", "<f8", (COUNT,))])
STEP = np.dtype([("state", "<i4"), ("reward", "<f8"), ("pair", "<f4", (2,))])
CODECS = [
    Float16(),
    Int8(),
    Uniform(),
    Uniform(bits=1),
    Uniform(bits=16),
    QSGD(),
    QSGD(levels=1),
    ScaledSign(),
    TopK(k=3),
    TopK(k=99),
    RandomK(k=3),
    RandomK(k=3, unbiased=True),
    Sparse(),
]
ONE_RECORD = (Sparse(),)
SIZES = [26, 18, 15, 10, 34, 11, 8, 10, 36, 156, 24, 24]


def gradients(shape, seed=0, scale=1.0) -> Messages:
    random = np.random.default_rng(seed)
    records = np.zeros(shape[0] * shape[1], GRADIENT)
    records["gradient"] = scale * random.normal(size=(len(records), COUNT))
    return Messages(records, np.ones(shape, int))


def steps(counts, seed=0) -> Messages:
    counts = np.atleast_2d(counts)
    random = np.random.default_rng(seed)
    records = np.zeros(counts.sum(), STEP)
    records["state"] = random.integers(0, 99, len(records))
    records["reward"] = random.normal(size=len(records))
    records["pair"] = random.normal(size=(len(records), 2))
    return Messages(records, counts)


def draws_of(shape, sequence=0) -> MessageDraws:
    draws = Draws(4, range(shape[0]), shape[1])
    links = np.arange(shape[0] * shape[1])
    numbers = np.full(len(links), sequence, np.uint32)
    return MessageDraws(draws, "codec", links, numbers)


def incoming(encoded, sequence=0) -> Incoming:
    links = np.flatnonzero(encoded.present)
    numbers = np.full(len(links), sequence, np.uint32)
    return Incoming(encoded.data, encoded.sizes[links], links, numbers)


def round_trip(codec, messages, sequence=0):
    """The payloads' sizes, and what is read of them."""
    draws = draws_of(messages.shape, sequence)
    dtype = messages.records.dtype
    memory = codec.start(messages.shape, dtype)
    encoded, _ = codec.encode(messages, memory, draws)
    arrived = incoming(encoded, sequence)
    receiver = codec.start_receiver(messages.shape, dtype)
    decoded = codec.decode(arrived, dtype, receiver, draws.take(arrived.links))
    assert len(encoded.data) == encoded.sizes.sum()
    assert decoded.lengths.tolist() == messages.counts.ravel()[arrived.links].tolist()
    return encoded.sizes, decoded.records


@pytest.mark.parametrize(("codec", "size"), list(zip(CODECS, SIZES, strict=False)))
def test_a_gradient_takes_the_bytes_that_are_promised(codec, size):
    sizes, read = round_trip(codec, gradients((2, 3)))
    assert sizes.tolist() == [size] * 6
    assert codec.record_size(GRADIENT) == size
    assert (read.dtype, read.shape) == (GRADIENT, (6,))


@pytest.mark.parametrize("codec", CODECS, ids=repr)
def test_other_fields_arrive_as_they_are_and_silence_is_silence(codec):
    messages = steps([[1, 0], [1, 1]] if codec in ONE_RECORD else [[2, 0], [1, 3]])
    sizes, read = round_trip(codec, messages)
    assert sizes[1] == 0
    assert (read["state"] == messages.records["state"]).all()


@pytest.mark.parametrize("codec", CODECS, ids=repr)
def test_a_message_is_encoded_alone_as_in_a_batch(codec):
    messages = gradients((3, 2), seed=1)
    _, together = round_trip(codec, messages, sequence=7)
    for trial in range(3):
        own_records = messages.records[2 * trial : 2 * trial + 2]
        part = Messages(own_records, np.ones((1, 2), int))
        draws = Draws(4, [trial], 2)
        links, numbers = np.arange(2), np.full(2, 7, np.uint32)
        own = MessageDraws(draws, "codec", links, numbers)
        encoded, _ = codec.encode(part, {}, own)
        arrived = Incoming(encoded.data, encoded.sizes, links, numbers)
        alone = codec.decode(arrived, GRADIENT, {}, own).records
        np.testing.assert_array_equal(alone, together[2 * trial : 2 * trial + 2])


def errors(codec, messages):
    _, read = round_trip(codec, messages)
    return np.abs(read["gradient"] - messages.records["gradient"])


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_errors_stay_within_what_is_promised(scale):
    messages = gradients((4, 5), scale=scale)
    numbers = messages.records["gradient"]
    low = np.minimum(numbers.min(axis=1), 0)
    high = np.maximum(numbers.max(axis=1), 0)
    assert (errors(Int8(), messages).max(axis=1) <= (high - low) / 510 * 1.001).all()
    width = np.ptp(numbers, axis=1)
    for bits in (1, 4, 12):
        found = errors(Uniform(bits=bits), messages).max(axis=1)
        assert (found <= width / (2**bits - 1) / 2 + 1e-6 * np.abs(numbers).max()).all()
    if scale == 1.0:
        assert (errors(Float16(), messages) <= np.abs(numbers) * 2**-11 + 6e-8).all()
    assert errors(Sparse(), messages).max() == 0
    assert errors(TopK(k=COUNT), messages).max() == 0
    assert errors(RandomK(k=COUNT), messages).max() == 0


def test_zero_is_exact_and_so_are_constants():
    for value in (0.0, 2.5, -3.0):
        records = np.full((1, COUNT), value).view(GRADIENT).reshape(1)
        messages = Messages(records, np.ones((1, 1), int))
        for codec in (Uniform(), Int8(), ScaledSign(), Float16()):
            np.testing.assert_allclose(errors(codec, messages), 0, atol=1e-6)
    mixed = np.zeros(1, GRADIENT)
    mixed["gradient"][0, :2] = -1.0, 3.0
    _, read = round_trip(Int8(), Messages(mixed, np.ones((1, 1), int)))
    assert (read["gradient"][0, 2:] == 0).all()


def test_top_k_keeps_the_largest():
    messages = gradients((2, 2))
    _, read = round_trip(TopK(k=3), messages)
    for row, kept in zip(messages.records["gradient"], read["gradient"], strict=True):
        largest = sorted(range(COUNT), key=lambda i: -abs(row[i]))[:3]
        assert sorted(np.flatnonzero(kept)) == sorted(largest)
        assert (kept[largest] == row[largest]).all()


def test_the_sign_is_scaled_by_the_mean_size():
    messages = gradients((1, 2))
    _, read = round_trip(ScaledSign(), messages)
    rows = messages.records["gradient"]
    expected = np.sign(rows) * np.abs(rows).mean(axis=1, keepdims=True)
    np.testing.assert_allclose(read["gradient"], expected)


@pytest.mark.parametrize("codec", [QSGD(levels=2), RandomK(k=4, unbiased=True)])
def test_random_rounding_is_right_on_average(codec):
    messages = gradients((1, 1))
    rounds = 4000
    reads = np.array(
        [round_trip(codec, messages, k)[1]["gradient"][0] for k in range(rounds)]
    )
    error = reads.std(axis=0) / rounds**0.5
    assert (abs(reads.mean(axis=0) - messages.records["gradient"]) < 4.5 * error).all()


def test_random_positions_differ_between_messages_and_agents():
    messages = gradients((1, 3))
    kept = {
        tuple(np.flatnonzero(row))
        for sequence in range(10)
        for row in round_trip(RandomK(k=3), messages, sequence)[1]["gradient"]
    }
    assert len(kept) > 20


def test_half_precision_saturates_and_keeps_infinity():
    records = np.zeros(1, GRADIENT)
    records["gradient"][0, :4] = 1e6, -1e6, np.inf, -np.inf
    _, read = round_trip(Float16(), Messages(records, np.ones((1, 1), int)))
    assert read["gradient"][0, :4].tolist() == [65504, -65504, np.inf, -np.inf]


@pytest.mark.parametrize("codec", CODECS[1:12], ids=repr)
def test_what_is_not_finite_is_refused_with_the_agent_named(codec):
    messages = gradients((2, 2))
    messages.records["gradient"][3, 5] = -np.inf
    with pytest.raises(
        ValueError, match=r"encode -inf, number 5 .* agent 1 in trial 1"
    ):
        round_trip(codec, messages)


@pytest.mark.parametrize("codec", [Int8(), Uniform(), QSGD()], ids=repr)
def test_what_is_too_large_for_a_scale_is_refused(codec):
    with pytest.raises(ValueError, match=r"beyond its 3.4e38"):
        round_trip(codec, gradients((1, 1), scale=1e60))


@pytest.mark.parametrize("codec", [*CODECS, ErrorFeedback(TopK()), Delta(key_every=2)])
def test_records_without_real_numbers_are_refused(codec):
    with pytest.raises(TypeError, match=r"compresses real numbers, and records of"):
        codec.start((1, 1), np.dtype([("state", "<i4")]))


@pytest.mark.parametrize(
    "codec", [Sparse(), ErrorFeedback(TopK()), Delta(key_every=2)], ids=repr
)
def test_messages_of_several_records_are_refused(codec):
    with pytest.raises(ValueError, match="takes messages of one record"):
        round_trip(codec, steps([[1, 2]]))


@pytest.mark.parametrize("codec", [*CODECS, ErrorFeedback(Int8()), Delta(key_every=3)])
def test_codecs_survive_pickling(codec):
    assert pickle.loads(pickle.dumps(codec)) == codec


@settings(deadline=None, derandomize=True, max_examples=60, database=None)
@given(st.data(), st.sampled_from(CODECS), st.booleans())
def test_bytes_from_outside_are_read_or_refused(data, codec, damaged):
    """Never anything but MalformedMessage, and never much memory."""
    if damaged:
        encoded, _ = codec.encode(gradients((1, 2)), {}, draws_of((1, 2)))
        payload = bytearray(encoded.data.tobytes())
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(payload) - 1))
            payload[at] = data.draw(st.integers(0, 255))
        sizes = encoded.sizes
    else:
        payload = data.draw(st.binary(max_size=200))
        cut = data.draw(st.integers(0, len(payload)))
        sizes = np.array([cut, len(payload) - cut])
    links = np.arange(2)
    arrived = Incoming(
        np.frombuffer(bytes(payload), np.uint8), sizes, links, links.astype(np.uint32)
    )
    tracemalloc.start()
    try:
        decoded = codec.decode(arrived, GRADIENT, {}, draws_of((1, 2)))
        assert not np.isnan(decoded.records["gradient"]).any()
        assert len(decoded.records) == decoded.lengths.sum()
    except MalformedMessage:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 200_000 + 200 * COUNT * len(payload)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Uniform(bits=0), "bits 0 of codec 'uniform' is not an integer from 1"),
        (lambda: Uniform(bits=17), "bits 17"),
        (lambda: QSGD(levels=0), "levels 0 of codec 'qsgd'"),
        (lambda: TopK(k=0), "k 0 of codec 'top_k'"),
        (lambda: TopK(k=1.5), "k 1.5"),
        (lambda: RandomK(k=0), "k 0 of codec 'random_k'"),
        (lambda: Delta(key_every=0), "key_every 0 of codec 'delta of identity'"),
        (lambda: Delta(key_every=2, history=0), "history 0"),
        (lambda: Delta(key_every="many"), "key_every 'many'"),
    ],
)
def test_settings_out_of_range_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("inner", [1, ErrorFeedback(TopK()), Delta(key_every=2)])
def test_a_codec_with_a_memory_holds_none_with_a_memory(inner):
    with pytest.raises(TypeError, match="codec without a memory is needed inside"):
        ErrorFeedback(inner)
    with pytest.raises(TypeError, match="codec without a memory is needed inside"):
        Delta(inner, key_every=2)


def test_identity_and_float16_say_what_their_payloads_are():
    assert Identity().wire(STEP) == STEP
    wire = Float16().wire(STEP)
    assert (wire.itemsize, wire["numbers"].shape) == (4 + 6, (3,))
    assert Int8().wire(STEP) is None
    assert ErrorFeedback(Float16()).wire(STEP) == wire


class Counting(Identity):
    def start(self, shape, dtype):
        return {"sent": np.zeros(shape)}


@pytest.mark.parametrize("make", [ErrorFeedback, lambda inner: Delta(inner, 2)])
def test_anothers_codec_with_a_memory_is_refused_at_the_start(make):
    with pytest.raises(TypeError, match="not a codec without a memory"):
        make(Counting()).start((1, 1), GRADIENT)
