"""Codecs that say numbers with fewer bytes, each record by itself.

A record's real numbers are compressed together, as one row; its other fields (states,
actions, flags) travel as they are. So a payload can be cut between records, and a
gradient is one record with one row.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from commenv.channel.codec import (
    Codec,
    Decoded,
    Encoded,
    Incoming,
    Memory,
    whole_records,
)
from commenv.channel.message import Messages, check_record_dtype
from commenv.channel.randomness import MessageDraws
from commenv.errors import MalformedMessage

__all__ = [
    "QSGD",
    "Fields",
    "Float16",
    "Int8",
    "RandomK",
    "RecordCodec",
    "ScaledSign",
    "Sparse",
    "TopK",
    "Uniform",
    "fields_of",
]

Array = NDArray[np.float64]
Bytes = NDArray[np.uint8]
Uniforms = Callable[[], Array]
_PAIR = np.dtype([("index", "<i4"), ("value", "<f8")])


@dataclass(frozen=True)
class Fields:
    """Which fields of a record are real numbers, and which are not.

    Attributes:
        dtype: The record's.
        numbers: Names of the fields of real numbers.
        rest: The other fields, as a dtype of their own; None where there are none.
        count: How many real numbers a record holds.
    """

    dtype: np.dtype[np.void]
    numbers: tuple[str, ...]
    rest: np.dtype[np.void] | None
    count: int

    @property
    def rest_size(self) -> int:
        """Bytes of the other fields."""
        return 0 if self.rest is None else self.rest.itemsize

    def split(self, records: NDArray[np.void]) -> tuple[Bytes, Array]:
        """The other fields as bytes (records, rest_size), and the numbers."""
        rest = np.empty((len(records), self.rest_size), np.uint8)
        if self.rest is not None:
            kept = np.empty(len(records), self.rest)
            for name in self.rest.names or ():
                kept[name] = records[name]
            rest = kept.view(np.uint8).reshape(rest.shape)
        columns = [records[name].reshape(len(records), -1) for name in self.numbers]
        return rest, np.concatenate(columns, axis=1, dtype=np.float64)

    def join(self, rest: Bytes, numbers: Array) -> NDArray[np.void]:
        """Records of what :meth:`split` returned."""
        records = np.empty(len(numbers), self.dtype)
        if self.rest is not None:
            kept = np.ascontiguousarray(rest).view(self.rest).reshape(-1)
            for name in self.rest.names or ():
                records[name] = kept[name]
        at = 0
        with np.errstate(over="ignore"):  # a smaller field holds infinity then
            for name in self.numbers:
                field = records[name]
                width = math.prod(field.shape[1:])
                records[name] = numbers[:, at : at + width].reshape(field.shape)
                at += width
        return records


@lru_cache(maxsize=256)
def fields_of(dtype: np.dtype[np.void], codec: str) -> Fields:
    """The fields of a record.

    Raises:
        TypeError: There are no real numbers for this codec to compress.
    """
    check_record_dtype(dtype)
    names = dtype.names or ()
    numbers = tuple(name for name in names if dtype[name].base.kind == "f")
    if not numbers:
        raise TypeError(
            f"codec {codec!r} compresses real numbers, and records of {dtype} hold "
            "none; use Identity()"
        )
    others = [(name, dtype[name]) for name in names if name not in numbers]
    count = sum(math.prod(dtype[name].shape) for name in numbers)
    return Fields(dtype, numbers, np.dtype(others) if others else None, count)


class RecordCodec(Codec):
    """Compresses the real numbers of each record, as rows of a table.

    A subclass says how many bytes a row takes, and how rows become bytes and back.

    Attributes:
        finite: Whether it can encode finite numbers only.
    """

    finite: ClassVar[bool] = True

    @abstractmethod
    def size(self, count: int) -> int:
        """Bytes of a row of ``count`` numbers."""

    @abstractmethod
    def compress(self, numbers: Array, uniforms: Uniforms) -> Bytes:
        """Rows as bytes.

        Args:
            numbers: float64, shape (rows, count).
            uniforms: When called: numbers in [0, 1) of the same shape, which the
                receiver can draw too.

        Returns:
            uint8, shape (rows, size(count)).
        """

    @abstractmethod
    def expand(self, data: Bytes, count: int, uniforms: Uniforms) -> Array:
        """Rows of ``count`` numbers from what :meth:`compress` returned.

        Raises:
            MalformedMessage: Bytes that it cannot have returned.
        """

    def start(self, shape: tuple[int, int], dtype: np.dtype[np.void]) -> Memory:
        """No memory; checks that records hold real numbers."""
        fields_of(dtype, self.name)
        return {}

    def encode(
        self, messages: Messages, memory: Memory, draws: MessageDraws
    ) -> tuple[Encoded, Memory]:
        """Each record: its other fields, and its numbers compressed."""
        fields = fields_of(messages.records.dtype, self.name)
        rest, numbers = fields.split(messages.records)
        if self.finite:
            check_finite(numbers, messages, self.name)
        counts = messages.counts.ravel()
        rows = self.compress(numbers, lambda: draws.uniforms(counts, fields.count))
        data = np.concatenate([rest, rows], axis=1)
        return Encoded(data.reshape(-1), counts * data.shape[1], counts > 0), memory

    def decode(
        self,
        incoming: Incoming,
        dtype: np.dtype[np.void],
        memory: Memory,
        draws: MessageDraws,
    ) -> Decoded:
        """Each record: its other fields, and its numbers expanded."""
        fields = fields_of(dtype, self.name)
        size = fields.rest_size + self.size(fields.count)
        lengths = whole_records(incoming, size)
        data = incoming.data.reshape(-1, size)
        rest, rows = data[:, : fields.rest_size], data[:, fields.rest_size :]
        numbers = self.expand(
            np.ascontiguousarray(rows),
            fields.count,
            lambda: draws.uniforms(lengths, fields.count),
        )
        if np.isnan(numbers).any():
            raise MalformedMessage(f"codec {self.name!r} read what is no number")
        return Decoded(fields.join(rest, numbers), lengths, memory)

    def record_size(self, dtype: np.dtype[np.void]) -> int | None:
        """A payload can be cut between any two records."""
        fields = fields_of(dtype, self.name)
        return fields.rest_size + self.size(fields.count)


def check_finite(numbers: Array, messages: Messages, codec: str) -> None:
    """Raises ValueError naming the first number that is not finite, and its agent."""
    if np.isfinite(numbers).all():
        return
    row, column = np.argwhere(~np.isfinite(numbers))[0]
    trial, agent = divmod(int(messages.senders[row]), messages.shape[1])
    raise ValueError(
        f"codec {codec!r} cannot encode {numbers[row, column]}, number {column} of a "
        f"record of agent {agent} in trial {trial} of the batch; send finite numbers"
    )


@dataclass(frozen=True)
class Float16(RecordCodec):
    """Half precision: 2 bytes a number, a relative error of up to 2**-11.

    Numbers beyond 65504 become 65504, those below 6e-8 become 0.
    """

    name: ClassVar[str] = "float16"
    finite: ClassVar[bool] = False

    def size(self, count: int) -> int:
        """2 bytes a number."""
        return 2 * count

    def compress(self, numbers: Array, uniforms: Uniforms) -> Bytes:
        """Rounds to the nearest."""
        most = float(np.finfo(np.float16).max)
        kept = np.where(np.isfinite(numbers), numbers.clip(-most, most), numbers)
        return kept.astype("<f2").view(np.uint8)

    def expand(self, data: Bytes, count: int, uniforms: Uniforms) -> Array:
        """The half-precision numbers."""
        return data.view("<f2").astype(np.float64)

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
        scale = single(high / 255 - low / 255, self.name)
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
        _check_within(self, "bits", 1, 16)

    def size(self, count: int) -> int:
        """4 bytes each for the least and the largest, and the levels."""
        return 8 + _packed_size(count, self.bits)

    def compress(self, numbers: Array, uniforms: Uniforms) -> Bytes:
        """Rounds to the nearest level."""
        low = single(numbers.min(axis=1, keepdims=True), self.name)
        high = single(numbers.max(axis=1, keepdims=True), self.name)
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
    levels: int = 7

    def __post_init__(self) -> None:
        _check_within(self, "levels", 1, 2**15 - 1)

    @property
    def _bits(self) -> int:
        return 1 + self.levels.bit_length()

    def size(self, count: int) -> int:
        """4 bytes of norm, and a sign and a level a number."""
        return 4 + _packed_size(count, self._bits)

    def compress(self, numbers: Array, uniforms: Uniforms) -> Bytes:
        """Rounds at random."""
        norm = single(np.linalg.norm(numbers, axis=1, keepdims=True), self.name)
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


@dataclass(frozen=True)
class TopK(RecordCodec):
    """The k numbers of largest size, with their positions: 12 k bytes.

    Of equal sizes those that come first are kept.

    Args:
        k: At least 1; a record of fewer numbers is sent whole.

    Raises:
        ValueError: k below 1.
    """

    name: ClassVar[str] = "top_k"
    k: int = 1

    def __post_init__(self) -> None:
        _check_within(self, "k", 1, 2**31 - 1)

    def size(self, count: int) -> int:
        """4 bytes of position and 8 of value for each number kept."""
        return _PAIR.itemsize * min(self.k, count)

    def compress(self, numbers: Array, uniforms: Uniforms) -> Bytes:
        """Keeps the largest."""
        order = np.argsort(-np.abs(numbers), axis=1, kind="stable")
        index = np.sort(order[:, : self.k], axis=1)
        pairs = np.empty(index.shape, _PAIR)
        pairs["index"] = index
        pairs["value"] = np.take_along_axis(numbers, index, axis=1)
        return pairs.view(np.uint8)

    def expand(self, data: Bytes, count: int, uniforms: Uniforms) -> Array:
        """The numbers kept, and zeros."""
        pairs = data.view(_PAIR)
        check_positions(pairs["index"], count)
        numbers = np.zeros((len(data), count))
        np.put_along_axis(numbers, pairs["index"].astype(np.intp), pairs["value"], 1)
        return numbers


@dataclass(frozen=True)
class RandomK(RecordCodec):
    """k numbers at random positions, which both sides draw: 8 k bytes.

    Args:
        k: At least 1; a record of fewer numbers is sent whole.
        unbiased: Whether numbers are multiplied by n / k, so that the mean is right.

    Raises:
        ValueError: k below 1.
    """

    name: ClassVar[str] = "random_k"
    k: int = 1
    unbiased: bool = False

    def __post_init__(self) -> None:
        _check_within(self, "k", 1, 2**31 - 1)

    def size(self, count: int) -> int:
        """8 bytes for each number kept."""
        return 8 * min(self.k, count)

    def compress(self, numbers: Array, uniforms: Uniforms) -> Bytes:
        """Keeps the numbers at the positions drawn."""
        kept = np.take_along_axis(numbers, self._positions(uniforms), axis=1)
        return kept.astype("<f8").view(np.uint8)

    def expand(self, data: Bytes, count: int, uniforms: Uniforms) -> Array:
        """The numbers kept, where they were, and zeros."""
        kept = data.view("<f8")
        if self.unbiased:
            kept = kept * (count / kept.shape[1])
        numbers = np.zeros((len(data), count))
        np.put_along_axis(numbers, self._positions(uniforms), kept, axis=1)
        return numbers

    def _positions(self, uniforms: Uniforms) -> NDArray[np.intp]:
        return np.argsort(uniforms(), axis=1, kind="stable")[:, : self.k]


@dataclass(frozen=True)
class Sparse(Codec):
    """The numbers that are not 0, with their positions: 12 bytes each, without loss.

    For messages of one record, such as a gradient, whose length says how many.
    """

    name: ClassVar[str] = "sparse"

    def start(self, shape: tuple[int, int], dtype: np.dtype[np.void]) -> Memory:
        """No memory; checks that records hold real numbers."""
        fields_of(dtype, self.name)
        return {}

    def encode(
        self, messages: Messages, memory: Memory, draws: MessageDraws
    ) -> tuple[Encoded, Memory]:
        """Positions and values.

        Raises:
            ValueError: A message of several records.
        """
        check_single(messages, self.name)
        fields = fields_of(messages.records.dtype, self.name)
        rest, numbers = fields.split(messages.records)
        payloads = []
        for others, row in zip(rest, numbers, strict=True):
            index = np.flatnonzero(row)
            pairs = np.empty(len(index), _PAIR)
            pairs["index"], pairs["value"] = index, row[index]
            payloads.append(others.tobytes() + pairs.tobytes())
        present = messages.counts.ravel() > 0
        sizes = np.zeros(len(present), dtype=np.int64)
        sizes[present] = [len(payload) for payload in payloads]
        data = np.frombuffer(b"".join(payloads), np.uint8)
        return Encoded(data, sizes, present), memory

    def decode(
        self,
        incoming: Incoming,
        dtype: np.dtype[np.void],
        memory: Memory,
        draws: MessageDraws,
    ) -> Decoded:
        """The numbers, and zeros between them."""
        fields = fields_of(dtype, self.name)
        rest = np.empty((len(incoming.sizes), fields.rest_size), np.uint8)
        numbers = np.zeros((len(incoming.sizes), fields.count))
        stops = np.cumsum(incoming.sizes)
        if len(stops) and stops[-1] != len(incoming.data):
            raise MalformedMessage(
                f"{len(incoming.data)} bytes for payloads of {stops[-1]}"
            )
        for row, (stop, size) in enumerate(zip(stops, incoming.sizes, strict=True)):
            payload = incoming.data[stop - size : stop]
            body = payload[fields.rest_size :]
            if size < fields.rest_size or len(body) % _PAIR.itemsize:
                raise MalformedMessage(f"a sparse payload of {size} bytes")
            rest[row] = payload[: fields.rest_size]
            pairs = np.ascontiguousarray(body).view(_PAIR)
            check_positions(pairs["index"][None], fields.count)
            numbers[row, pairs["index"]] = pairs["value"]
        if np.isnan(numbers).any():
            raise MalformedMessage(f"codec {self.name!r} read what is no number")
        ones = np.ones(len(numbers), dtype=np.int64)
        return Decoded(fields.join(rest, numbers), ones, memory)


def single(values: Array, codec: str) -> NDArray[np.float32]:
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


def check_single(messages: Messages, codec: str) -> None:
    """Raises ValueError unless every message is one record."""
    if (most := int(messages.counts.max(initial=0))) > 1:
        raise ValueError(
            f"codec {codec!r} takes messages of one record, such as a gradient, not of "
            f"{most}"
        )


def check_positions(index: NDArray[np.signedinteger[Any]], count: int) -> None:
    """Raises MalformedMessage unless rows of positions rise within 0 ... count - 1."""
    outside = (index < 0).any() or (index >= count).any()
    if outside or (np.diff(index, axis=1) <= 0).any():
        raise MalformedMessage(
            f"positions in a payload do not rise within 0 ... {count - 1}"
        )


def _packed_size(count: int, bits: int) -> int:
    return -(-count * bits // 8)


def _pack(values: NDArray[Any], bits: int) -> Bytes:
    """Whole numbers of (rows, count), of so many bits each, as bytes of each row."""
    whole = values.astype(np.uint32)[..., None]
    digits = (whole >> np.arange(bits, dtype=np.uint32)) & 1
    return np.packbits(
        digits.reshape(len(values), -1).astype(np.uint8), axis=1, bitorder="little"
    )


def _unpack(data: Bytes, count: int, bits: int) -> NDArray[np.int64]:
    """What :func:`_pack` packed."""
    digits = np.unpackbits(data, axis=1, count=count * bits, bitorder="little")
    weights = 2 ** np.arange(bits, dtype=np.int64)
    return digits.reshape(len(data), count, bits) @ weights


def _check_within(codec: Codec, name: str, least: int, most: int) -> None:
    value = getattr(codec, name)
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not least <= value <= most:
        raise ValueError(
            f"{name} {value!r} of codec {codec.name!r} is no whole number of {least} "
            f"to {most}"
        )
