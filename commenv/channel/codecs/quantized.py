"""Codecs that say every number of a record with fewer bits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from commenv.channel.codecs.records import (
    Array,
    Bytes,
    RecordCodec,
    Uniforms,
    check_within,
    fields_of,
)
from commenv.errors import MalformedMessage

__all__ = ["QSGD", "Float16", "Int8", "ScaledSign", "Uniform"]


@dataclass(frozen=True)
class Float16(RecordCodec):
    """Half precision: 2 bytes a number, a relative error of up to 2**-11.

    Numbers beyond 65504 become 65504, those below 6e-8 become 0.
    """

    name: ClassVar[str] = "float16"
    finite: ClassVar[bool] = False
    largest: ClassVar[float] = float(np.finfo(np.float16).max)

    def size(self, count: int) -> int:
        """2 bytes a number."""
        return 2 * count

    def compress(self, numbers: Array, uniforms: Uniforms) -> Bytes:
        """Rounds to the nearest."""
        cut = numbers.clip(-self.largest, self.largest)
        kept = np.where(np.isfinite(numbers), cut, numbers)
        return kept.astype("<f2").view(np.uint8)

    def expand(self, data: Bytes, count: int, uniforms: Uniforms) -> Array:
        """The half-precision numbers."""
        return data.view("<f2").astype(np.float64)

    def relative_error(self, count: int) -> float | None:
        """2**-22, for numbers from 6.1e-5 to 65504."""
        return 2.0**-22

    def wire(self, dtype: np.dtype[np.void]) -> np.dtype[np.void] | None:
        """The other fields, and the numbers in half precision."""
        fields = fields_of(dtype, self.name)
        numbers = ("numbers", "<f2", (fields.count,))
        rest = [("rest", "u1", (fields.rest_size,))] if fields.rest_size else []
        return np.dtype([*rest, numbers])


@dataclass(frozen=True)
class Int8(RecordCodec):
    """Affine 8-bit numbers: one scale and one zero point a record, 5 + n bytes.

    x is sent as round(x / scale) + zero; 0 is exact. The error is at most half the
    scale, that is 1/510 of the range of the record's numbers and 0.
    """

    name: ClassVar[str] = "int8"

    def size(self, count: int) -> int:
        """4 bytes of scale, 1 of zero point, 1 a number."""
        return 5 + count

    def compress(self, numbers: Array, uniforms: Uniforms) -> Bytes:
        """Rounds to the nearest of 256 levels."""
        low = np.minimum(numbers.min(axis=1, keepdims=True), 0.0)
        high = np.maximum(numbers.max(axis=1, keepdims=True), 0.0)
        scale = _single(high / 255 - low / 255, self.name)
        step = np.where(scale > 0, scale, 1.0).astype(np.float64)
        zero = np.clip(np.rint(-low / step) - 128, -128, 127)
        levels = np.clip(np.rint(numbers / step) + zero, -128, 127)
        parts = (scale.view(np.uint8), zero.astype("i1"), levels.astype("i1"))
        return np.concatenate([part.view(np.uint8) for part in parts], axis=1)

    def expand(self, data: Bytes, count: int, uniforms: Uniforms) -> Array:
        """(level - zero) * scale."""
        scale = np.ascontiguousarray(data[:, :4]).view("<f4").astype(np.float64)
        numbers = np.ascontiguousarray(data[:, 4:]).view("i1").astype(np.float64)
        return (numbers[:, 1:] - numbers[:, :1]) * scale

    def relative_error(self, count: int) -> float | None:
        """Below 1 for any number n of numbers: n / (n + 255^2 - 1).

        Let m be the largest size, so that the scale s is at most 2 m / 255. No number's
        error exceeds s / 2, nor, since 0 is a level, its own size: |error|^2 is at most
        n m^2 / 255^2, and at most |x|^2 - m^2 + m^2 / 255^2. The two meet there.
        """
        return count / (count + 255**2 - 1)


@dataclass(frozen=True)
class Uniform(RecordCodec):
    """Evenly spaced levels between a record's least and largest number.

    8 + ceil(n bits / 8) bytes; the error is at most half the distance of two levels.

    Args:
        bits: Of each number, 1 to 16.

    Raises:
        ValueError: Fewer or more bits.
    """

    name: ClassVar[str] = "uniform"
    bits: int = 4

    def __post_init__(self) -> None:
        check_within(self, "bits", 1, 16)

    def size(self, count: int) -> int:
        """4 bytes each for the least and the largest, and the levels."""
        return 8 + _packed_size(count, self.bits)

    def compress(self, numbers: Array, uniforms: Uniforms) -> Bytes:
        """Rounds to the nearest level."""
        low = _single(numbers.min(axis=1, keepdims=True), self.name)
        high = _single(numbers.max(axis=1, keepdims=True), self.name)
        width = high.astype(np.float64) - low
        share = (numbers - low) / np.where(width > 0, width, 1.0)
        levels = np.rint(np.clip(share, 0.0, 1.0) * (2**self.bits - 1))
        ends = np.concatenate([low, high], axis=1).view(np.uint8)
        return np.concatenate([ends, _pack(levels, self.bits)], axis=1)

    def expand(self, data: Bytes, count: int, uniforms: Uniforms) -> Array:
        """The levels' values."""
        ends = np.ascontiguousarray(data[:, :8]).view("<f4").astype(np.float64)
        levels = _unpack(data[:, 8:], count, self.bits) / (2**self.bits - 1)
        return ends[:, :1] + levels * (ends[:, 1:] - ends[:, :1])

    def relative_error(self, count: int) -> float | None:
        """(n - 2) / (2 L^2) for L = 2**bits - 1 steps between the levels.

        The two ends are exact and at least their distance / sqrt(2) long together; all
        others are off by half a step at most, which is 0 in the middle of two levels.
        """
        return max(count - 2, 0) / (2 * (2**self.bits - 1) ** 2)


@dataclass(frozen=True)
class QSGD(RecordCodec):
    """Random rounding that is right on average: the norm, signs and few levels.

    |x| / norm is rounded up or down to one of ``levels`` steps, with the chance that
    makes the mean x. 4 + ceil(n (1 + b) / 8) bytes, b the bits that ``levels`` needs;
    Alistarh et al. further code the levels by their frequency, which is left out.

    Source: D. Alistarh, D. Grubic, J. Li, R. Tomioka and M. Vojnovic, *QSGD:
    Communication-Efficient SGD via Gradient Quantization and Encoding* (2017).

    Args:
        levels: s in the paper, 1 to 32767.

    Raises:
        ValueError: Fewer or more levels.
    """

    name: ClassVar[str] = "qsgd"
    unbiased = True
    levels: int = 7

    def __post_init__(self) -> None:
        check_within(self, "levels", 1, 2**15 - 1)

    @property
    def _bits(self) -> int:
        return 1 + self.levels.bit_length()

    def size(self, count: int) -> int:
        """4 bytes of norm, and a sign and a level a number."""
        return 4 + _packed_size(count, self._bits)

    def compress(self, numbers: Array, uniforms: Uniforms) -> Bytes:
        """Rounds at random."""
        norm = _single(np.linalg.norm(numbers, axis=1, keepdims=True), self.name)
        exact = np.abs(numbers) / np.where(norm > 0, norm, 1.0) * self.levels
        rounded = np.floor(exact + uniforms()).clip(0, self.levels)
        codes = 2 * rounded + (numbers < 0)
        return np.concatenate([norm.view(np.uint8), _pack(codes, self._bits)], axis=1)

    def expand(self, data: Bytes, count: int, uniforms: Uniforms) -> Array:
        """Norm * sign * level / levels."""
        norm = np.ascontiguousarray(data[:, :4]).view("<f4").astype(np.float64)
        codes = _unpack(data[:, 4:], count, self._bits)
        level, negative = codes // 2, codes % 2 == 1
        if (level > self.levels).any():
            raise MalformedMessage(f"level {level.max()} of {self.levels} in a payload")
        return np.where(negative, -level, level) / self.levels * norm

    def relative_error(self, count: int) -> float | None:
        """min(n / s^2, sqrt(n) / s), their Lemma 3.1."""
        return min(count / self.levels**2, math.sqrt(count) / self.levels)


@dataclass(frozen=True)
class ScaledSign(RecordCodec):
    """The signs, times the mean size: 8 + ceil(n / 8) bytes.

    (||x||_1 / n) sign(x), a contraction (Karimireddy et al. 2019).
    """

    name: ClassVar[str] = "sign"

    def size(self, count: int) -> int:
        """8 bytes of scale and a bit a number."""
        return 8 + _packed_size(count, 1)

    def compress(self, numbers: Array, uniforms: Uniforms) -> Bytes:
        """Keeps signs and the mean of the absolute values."""
        scale = np.abs(numbers).mean(axis=1, keepdims=True).astype("<f8")
        return np.concatenate([scale.view(np.uint8), _pack(numbers >= 0, 1)], axis=1)

    def expand(self, data: Bytes, count: int, uniforms: Uniforms) -> Array:
        """Plus or minus the scale."""
        scale = np.ascontiguousarray(data[:, :8]).view("<f8")
        return np.where(_unpack(data[:, 8:], count, 1) == 1, scale, -scale)

    def relative_error(self, count: int) -> float | None:
        """1 - 1 / n: |C(x) - x|^2 = |x|^2 - |x|_1^2 / n, and |x|_1 >= |x|."""
        return 1 - 1 / count


def _single(values: Array, codec: str) -> NDArray[np.float32]:
    """Values in single precision.

    Raises:
        ValueError: One is beyond its range.
    """
    with np.errstate(over="ignore"):
        small = values.astype("<f4")
    if not np.isfinite(small).all():
        worst = np.abs(values[~np.isfinite(small)]).max()
        raise ValueError(
            f"codec {codec!r} scales in single precision, and {worst:g} is beyond its "
            "3.4e38; send smaller numbers"
        )
    return small


def _packed_size(count: int, bits: int) -> int:
    return -(-count * bits // 8)


def _pack(values: NDArray[Any], bits: int) -> Bytes:
    """Whole numbers of (rows, count), of so many bits each, as bytes of each row."""
    whole = values.astype(np.uint32)[..., None]
    digits = (whole >> np.arange(bits, dtype=np.uint32)) & 1
    rows = digits.reshape(len(values), values.shape[1] * bits)
    return np.packbits(rows.astype(np.uint8), axis=1, bitorder="little")


def _unpack(data: Bytes, count: int, bits: int) -> NDArray[np.int64]:
    """What :func:`_pack` packed."""
    digits = np.unpackbits(data, axis=1, count=count * bits, bitorder="little")
    weights = 2 ** np.arange(bits, dtype=np.int64)
    return digits.reshape(len(data), count, bits) @ weights
