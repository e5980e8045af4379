"""check_codec and check_link pass ours, and catch each kind of broken one."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from commenv.channel import (
    QSGD,
    AdditiveNoise,
    BernoulliLoss,
    BitErrors,
    Chain,
    Delay,
    Delta,
    ErrorFeedback,
    Float16,
    GilbertElliottLoss,
    Identity,
    Int8,
    PerfectLink,
    RandomK,
    Range,
    RateCap,
    RecordCodec,
    ScaledSign,
    Sparse,
    TopK,
    Uniform,
)
from commenv.testing import check_codec, check_link

CODECS = [
    Identity(),
    Float16(),
    Int8(),
    Uniform(bits=3),
    QSGD(),
    ScaledSign(),
    TopK(k=2),
    RandomK(k=2),
]
ALONE = [
    Sparse(),
    ErrorFeedback(TopK(k=2)),
    ErrorFeedback(QSGD()),
    Delta(key_every=2),
    Delta(Int8()),
]


@pytest.mark.parametrize("codec", [*CODECS, *ALONE], ids=repr)
def test_our_codecs_conform(codec):
    check_codec(codec)
    if codec in CODECS:
        check_codec(codec, records=3)


@pytest.mark.parametrize(
    "link",
    [
        PerfectLink(),
        BernoulliLoss(0.3),
        GilbertElliottLoss(0.3, 0.3, 0.1, 0.9),
        Delay(1, spread=2, bytes_per_tick=30, expiry=3),
        RateCap(30, burst=50, max_wait=2),
        Range(0.5),
        BitErrors(0.1),
        AdditiveNoise(0.5),
        Chain(BernoulliLoss(0.2), Delay(1, spread=1), BitErrors(0.05)),
    ],
    ids=repr,
)
def test_our_links_conform(link):
    check_link(link)


@dataclass(frozen=True)
class Rounded(RecordCodec):
    """To whole numbers of one byte."""

    name: ClassVar[str] = "rounded"

    def size(self, count):
        return count

    def compress(self, numbers, uniforms):
        return np.clip(np.rint(numbers), -127, 127).astype("i1").view(np.uint8)

    def expand(self, data, count, uniforms):
        return data.view("i1").astype(float)


def test_a_new_codec_is_short_and_conforms():
    check_codec(Rounded(), records=2)


class TooShort(Rounded):
    def size(self, count):
        return count - 1


class OwnRandom(Rounded):
    def compress(self, numbers, uniforms):
        noise = np.random.default_rng().normal(size=numbers.shape)
        return super().compress(numbers + noise, uniforms)


class BatchScale(Rounded):
    def compress(self, numbers, uniforms):
        return super().compress(
            numbers / np.abs(numbers).max(initial=0) * 100, uniforms
        )


class EditsRecords(Identity):
    def encode(self, messages, memory, draws):
        messages.records["gradient"] = 0
        return super().encode(messages, memory, draws)


class Indexing(Identity):
    def decode(self, incoming, dtype, memory, draws):
        incoming.data[incoming.sizes[0] - 1]
        return super().decode(incoming, dtype, memory, draws)


@pytest.mark.parametrize(
    ("codec", "words"),
    [
        (3, "3 is no Codec"),
        (TooShort(), "reads|can be cut|other sizes"),
        (OwnRandom(), "differently when asked again"),
        (BatchScale(), "differently alone"),
        (EditsRecords(), "changes its inputs"),
        (Indexing(), "with IndexError.*raise MalformedMessage"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_broken_codec_is_caught(codec, words):
    with pytest.raises((AssertionError, ValueError), match=words):
        check_codec(codec)


class Negative(PerfectLink):
    def carry(self, sending, state, draws):
        transit, _ = super().carry(sending, state, draws)
        return transit._replace(delay=np.full(len(sending.links), -1)), state


class Counting(PerfectLink):
    def start(self, num_links):
        return {"sent": np.zeros(num_links)}

    def carry(self, sending, state, draws):
        state["sent"][sending.links] += 1
        return super().carry(sending, state, draws)


class Crowded(PerfectLink):
    def carry(self, sending, state, draws):
        passage, _ = super().carry(sending, state, draws)
        return passage._replace(lost=passage.lost | (len(sending.links) > 2)), state


class Sly(PerfectLink):
    def distort(self, payloads, draws):
        return payloads.data ^ 1


@pytest.mark.parametrize(
    ("link", "words"),
    [
        (0.1, "0.1 is no Link"),
        (Negative(), "delays messages by -1"),
        (Counting(), "in place; return a new one"),
        (Crowded(), "alone|looks at other links"),
        (Sly(), "distorts = False"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_broken_link_is_caught(link, words):
    with pytest.raises(AssertionError, match=words):
        check_link(link)


@dataclass(frozen=True)
class Ternary(RecordCodec):
    """A contraction: the largest is exact, and no other number moves past itself."""

    name: ClassVar[str] = "ternary"
    bound: float | None = None
    unbiased: bool = False

    def size(self, count):
        return 8 + count

    def compress(self, numbers, uniforms):
        scale = np.abs(numbers).max(axis=1, keepdims=True)
        signs = np.rint(numbers / np.where(scale > 0, scale, 1)).astype("i1")
        return np.concatenate([scale.view("u1"), signs.view("u1")], axis=1)

    def expand(self, data, count, uniforms):
        return data[:, 8:].view("i1") * data[:, :8].copy().view("<f8")

    def relative_error(self, count):
        return 1 - 1 / count if self.bound is None else self.bound


class Doubled(Ternary):
    def expand(self, data, count, uniforms):
        return 2.5 * super().expand(data, count, uniforms)


def test_what_a_codec_says_of_its_error_is_measured():
    check_codec(Ternary(), records=2)
    check_codec(ErrorFeedback(Ternary()))
    check_codec(Doubled(bound=16.0))
    for broken, words in (
        (Ternary(bound=0.1), "relative error is at most 0.1, but it is"),
        (Doubled(), "relative error is at most"),
        (Ternary(bound=-1.0), "relative error is at most -1"),
        (Ternary(unbiased=True), "unbiased, but the mean of what is read is off by"),
    ):
        with pytest.raises(AssertionError, match=words):
            check_codec(broken)


class Expanding(ErrorFeedback):
    """Feedback around a codec that is not a contraction, without a word of it."""

    def decode(self, incoming, dtype, memory, draws):
        return self.codec.decode(incoming, dtype, {}, draws)

    def encode(self, messages, memory, draws):
        encoded, pending = super().encode(messages, memory, draws)
        numbers = messages.records["gradient"].shape[-1]
        pending["read"] = pending["read"] * (1 + self.codec.relative_error(numbers))
        return encoded, pending


def test_a_memory_that_grows_without_bound_is_found():
    check_codec(ErrorFeedback(RandomK(k=2, unbiased=True)))
    with pytest.raises(AssertionError, match=r"memory 'error' has grown to"):
        check_codec(Expanding(RandomK(k=2, unbiased=True)))
