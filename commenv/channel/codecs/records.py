"""Codecs that compress each record by itself.

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
from typing import ClassVar

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
from commenv.errors import MalformedMessage
from commenv.rng import MessageDraws

__all__ = [
    "Array",
    "Bytes",
    "Fields",
    "RecordCodec",
    "Uniforms",
    "check_finite",
    "check_single",
    "check_within",
    "fields_of",
]

Array = NDArray[np.float64]
Bytes = NDArray[np.uint8]
Uniforms = Callable[[], Array]


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
        columns = [_rows(records[name]) for name in self.numbers]
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


def _rows(field: Array) -> Array:
    """A field of many records as a table; there may be no record at all."""
    return field.reshape(len(field), math.prod(field.shape[1:]))


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
        with np.errstate(over="ignore", invalid="ignore"):  # NaN is refused below
            numbers = self.expand(
                np.ascontiguousarray(rows),
                fields.count,
                lambda: draws.uniforms(lengths, fields.count),
            )
        if np.isnan(numbers).any():
            raise MalformedMessage(f"codec {self.name!r} decoded NaN")
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


def check_single(messages: Messages, codec: str) -> None:
    """Raises ValueError unless every message is one record."""
    if (most := int(messages.counts.max(initial=0))) > 1:
        raise ValueError(
            f"codec {codec!r} takes messages of one record, such as a gradient, not of "
            f"{most}"
        )


def check_within(codec: Codec, name: str, least: int, most: int) -> None:
    """Raises ValueError unless a setting is a whole number within limits."""
    value = getattr(codec, name)
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not least <= value <= most:
        raise ValueError(
            f"{name} {value!r} of codec {codec.name!r} is not an integer from {least} "
            f"to {most}"
        )
