"""Codecs that send some of a record's numbers, with their positions or without."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from commenv.channel.codec import Codec, Decoded, Encoded, Incoming, Memory
from commenv.channel.codecs.records import (
    Array,
    Bytes,
    RecordCodec,
    Uniforms,
    check_single,
    check_within,
    fields_of,
)
from commenv.channel.message import Messages
from commenv.errors import MalformedMessage
from commenv.rng import MessageDraws

__all__ = ["RandomK", "Sparse", "TopK"]

_PAIR = np.dtype([("index", "<i4"), ("value", "<f8")])


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
        check_within(self, "k", 1, 2**31 - 1)

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
        _check_positions(pairs["index"], count)
        numbers = np.zeros((len(data), count))
        np.put_along_axis(numbers, pairs["index"].astype(np.intp), pairs["value"], 1)
        return numbers

    def relative_error(self, count: int) -> float | None:
        """1 - k / n, when all numbers are of one size."""
        return _left_out(self.k, count)


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
        check_within(self, "k", 1, 2**31 - 1)

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

    def relative_error(self, count: int) -> float | None:
        """1 - k / n on average over the positions; unbiased n / k - 1."""
        if self.unbiased:
            return max(count / self.k, 1.0) - 1
        return _left_out(self.k, count)

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
            _check_positions(pairs["index"][None], fields.count)
            numbers[row, pairs["index"]] = pairs["value"]
        if np.isnan(numbers).any():
            raise MalformedMessage(f"codec {self.name!r} decoded NaN")
        ones = np.ones(len(numbers), dtype=np.int64)
        return Decoded(fields.join(rest, numbers), ones, memory)

    def relative_error(self, count: int) -> float | None:
        """Nothing is lost."""
        return 0.0


def _left_out(k: int, count: int) -> float:
    """The share of a record's numbers that is not sent."""
    return max(1 - k / count, 0.0)


def _check_positions(index: NDArray[np.signedinteger[Any]], count: int) -> None:
    """Raises MalformedMessage unless rows of positions rise within 0 ... count - 1."""
    outside = (index < 0).any() or (index >= count).any()
    if outside or (np.diff(index, axis=1) <= 0).any():
        raise MalformedMessage(
            f"positions in a payload do not rise within 0 ... {count - 1}"
        )
