"""What codecs say of their error, and what error feedback owes around each of them.

Bounds are held against their formulas and against numbers that attain them.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from commenv.channel import (
    QSGD,
    Channel,
    Delta,
    ErrorFeedback,
    Float16,
    Identity,
    Int8,
    Messages,
    RandomK,
    RecordCodec,
    ScaledSign,
    Sparse,
    TopK,
    Uniform,
)
from commenv.errors import EncodingError
from commenv.rng import Draws
from tests.channel.networks import opened

CODECS = [
    Identity(),
    Sparse(),
    Float16(),
    Int8(),
    Uniform(bits=8),
    QSGD(),
    QSGD(levels=1),
    ScaledSign(),
    TopK(k=2),
    RandomK(k=2),
    RandomK(k=2, unbiased=True),
]
SENDERS = 4


def delta_of(codec, count) -> float:
    """How much of a contraction a codec is once an unbiased one has been scaled."""
    bound = codec.relative_error(count)
    return 1 / (1 + bound) if codec.unbiased else 1 - bound


class Wire:
    """Records of ``count`` numbers on a channel, and what became of them."""

    def __init__(self, codec, count, **parts):
        self.dtype = np.dtype([("g", "<f8", (count,))])
        self.channel = opened(
            Channel(codec, **parts), "uplink", Draws(3, range(SENDERS), 1)
        )
        self.channel.tick(new_episode=True)

    def __call__(self, values):
        """What is read of values of shape (senders, count)."""
        records = np.zeros(len(values), self.dtype)
        records["g"] = values
        self.channel.send(Messages(records, np.ones((len(values), 1), int)))
        return self.channel.receive().records["g"]


def streams(count):
    """Messages of size 1: what is sent again and again, or drawn anew each time."""
    random = np.random.default_rng(count)

    def unit(values):
        return values / np.linalg.norm(values, axis=1, keepdims=True)

    ends = np.zeros((SENDERS, count))
    ends[:, 0], ends[:, -1] = -1.0, 2.0
    return {
        "normal": lambda: unit(random.normal(size=(SENDERS, count))),
        "heavy": lambda: unit(random.standard_cauchy(size=(SENDERS, count))),
        "constant": lambda: unit(np.ones((SENDERS, count))),
        "ends": lambda: unit(ends),
        "zero": lambda: np.zeros((SENDERS, count)),
    }


@pytest.mark.parametrize("codec", CODECS, ids=repr)
@pytest.mark.parametrize("count", [1, 20, 600, 10_000])
def test_what_is_owed_stays_within_the_bound_of_a_contraction(codec, count):
    delta = delta_of(codec, count)
    bound = 4 * (1 - delta) / delta**2  # E|e|^2 / G^2, Karimireddy et al. 2019
    for make in streams(count).values():
        wire, owed = Wire(ErrorFeedback(codec), count), np.zeros((SENDERS, count))
        for _ in range(40 if count < 10_000 else 10):
            values = make()
            owed += values - wire(values)
        memory = wire.channel.encoder.memory["error"].reshape(owed.shape)
        np.testing.assert_allclose(memory, owed, atol=1e-9)
        # Numbers that underflow, and single precision, are not in the account.
        assert (owed**2).sum(axis=1).mean() <= bound + 1e-6


@pytest.mark.parametrize(
    ("codec", "count", "vector", "bound"),
    [
        (TopK(k=3), 12, np.ones(12), 3 / 4),
        (TopK(k=30), 12, np.ones(12), 0.0),
        (ScaledSign(), 12, np.eye(12)[4], 11 / 12),
        (Uniform(bits=1), 3, np.array([-1.0, 0.0, 1.0]), 1 / 2),
        (Uniform(bits=4), 400, np.r_[-1.0, np.zeros(398), 1.0], 398 / 450),
        (Identity(), 5, np.ones(5), 0.0),
        (Sparse(), 5, np.ones(5), 0.0),
    ],
    ids=str,
)
def test_bounds_are_attained(codec, count, vector, bound):
    read = Wire(codec, count)(np.tile(vector, (SENDERS, 1)))
    error = ((read - vector) ** 2).sum(axis=1) / (vector**2).sum()
    np.testing.assert_allclose(error, bound, atol=1e-12)
    assert codec.relative_error(count) == pytest.approx(bound)


@pytest.mark.parametrize("count", [1, 2, 300, 65_000, 500_000])
def test_int8_is_a_contraction_of_any_number_of_numbers(count):
    bound = Int8().relative_error(count)
    step = 1 / 255
    for share in (0.0, 0.3, 0.5 - 1e-9):  # all others just before they round up
        vector = np.full(count, share * step)
        vector[0] = 1.0
        read = Wire(Int8(), count)(np.tile(vector, (SENDERS, 1)))
        error = ((read - vector) ** 2).sum(axis=1) / (vector**2).sum()
        assert error.max() <= bound + 1e-6 < 1


def test_random_codecs_state_the_mean_error():
    assert RandomK(k=3).relative_error(12) == pytest.approx(0.75)
    assert RandomK(k=3, unbiased=True).relative_error(12) == pytest.approx(3.0)
    assert RandomK(k=30, unbiased=True).relative_error(12) == 0
    assert QSGD(levels=7).relative_error(600) == pytest.approx(600**0.5 / 7)
    assert QSGD(levels=7).relative_error(10) == pytest.approx(10 / 49)


def test_scaled_random_k_is_the_biased_one():
    values = np.random.default_rng(0).normal(size=(SENDERS, 20))
    scaled, biased = (
        Wire(ErrorFeedback(RandomK(k=3, unbiased=unbiased)), 20)
        for unbiased in (True, False)
    )
    for _ in range(5):
        np.testing.assert_allclose(scaled(values), biased(values))


def test_an_unbiased_codec_is_divided_by_one_plus_its_error():
    values = np.random.default_rng(1).normal(size=(SENDERS, 600))
    plain = Wire(QSGD(levels=2), 600)(values)
    scaled = Wire(ErrorFeedback(QSGD(levels=2)), 600)(values)
    np.testing.assert_allclose(scaled, plain / (1 + 600**0.5 / 2))


@pytest.mark.parametrize("make", [ErrorFeedback, lambda codec: Delta(codec, 1000)])
@pytest.mark.parametrize("codec", [QSGD(), RandomK(k=2, unbiased=True)])
def test_what_is_remembered_of_an_unbiased_codec_does_not_grow(make, codec):
    random, wire = np.random.default_rng(2), Wire(make(codec), 600)
    for _ in range(300):
        read = wire(random.normal(size=(SENDERS, 600)))
    assert np.abs(read).max() < 300


@pytest.mark.parametrize("make", [ErrorFeedback, lambda codec: Delta(codec, 5)])
@pytest.mark.parametrize(
    ("bits", "count"), [(1, 4), (2, 20), (3, 100), (4, 452), (5, 1924)]
)
def test_too_few_bits_for_so_many_numbers_are_refused(make, bits, count):
    Wire(make(Uniform(bits)), count - 1)(np.zeros((SENDERS, count - 1)))
    words = rf"not a contraction of {count:,} numbers.*more bits"
    with pytest.raises(EncodingError, match=words):
        Wire(make(Uniform(bits)), count)(np.zeros((SENDERS, count)))


class Silent(RecordCodec):
    """Says nothing of its error."""

    name: ClassVar[str] = "silent"

    def size(self, count):
        return 0

    def compress(self, numbers, uniforms):
        return np.zeros((len(numbers), 0), np.uint8)

    def expand(self, data, count, uniforms):
        return np.zeros((len(data), count))


@pytest.mark.parametrize("make", [ErrorFeedback, lambda codec: Delta(codec, 5)])
def test_a_codec_that_does_not_say_how_large_its_error_is_is_refused(make):
    with pytest.raises(TypeError, match=r"'silent' does not say.*relative_error"):
        make(Silent())


def test_feedback_refuses_what_half_precision_would_cut_off():
    wire = Wire(ErrorFeedback(Float16()), 3)
    assert (wire(np.full((SENDERS, 3), 65504.0)) == 65504).all()
    with pytest.raises(EncodingError, match=r"carries numbers up to 65504.*70000"):
        wire(np.full((SENDERS, 3), 7e4))
    assert (Wire(Float16(), 3)(np.full((SENDERS, 3), 7e4)) == 65504).all()
