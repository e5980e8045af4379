"""Differences from a message that the receiver has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from commenv.channel.codec import (
    Codec,
    Decoded,
    Encoded,
    Identity,
    Incoming,
    Memory,
)
from commenv.channel.codecs.inner import (
    check_inner,
    decode_inner,
    parts_of,
    read_back,
    spread,
    start_inner,
)
from commenv.channel.codecs.records import (
    check_within,
    fields_of,
)
from commenv.channel.message import Messages
from commenv.errors import MalformedMessage
from commenv.rng import MessageDraws

__all__ = ["Delta"]


_KEY = 0xFFFF_FFFF


_NUMBER_SIZE = 4


@dataclass(frozen=True)
class Delta(Codec):
    """Differences from a message that the receiver has.

    4 bytes name that message, then the codec's bytes of the difference follow. Without
    ``key_every`` it is the last message that was acknowledged, so the channel needs
    acknowledgements. With it, it is the last one that was accepted, and every so many
    messages one is sent whole; between a loss and the next whole one, messages cannot
    be read, and count as lost.

    A codec that leaves something out has to be a contraction, as in
    :class:`ErrorFeedback`, since the next difference makes up for it; an unbiased one
    is made one in the same way.

    Args:
        codec: Of the differences, a codec without a memory, which says how large its
            error is.
        key_every: Every so many messages one is whole, at least 1; None for
            acknowledgements.
        history: How many messages the receiver keeps, at least 1: what is under way
            together must not exceed it.

    Raises:
        TypeError: The codec is none, keeps a memory, or does not say.
        ValueError: A number below 1.
    """

    remembers: ClassVar[bool] = True
    codec: Codec = field(default_factory=Identity)
    key_every: int | None = None
    history: int = 4

    def __post_init__(self) -> None:
        check_inner(self.codec)
        for name in ("key_every", "history"):
            if getattr(self, name) is not None or name == "history":
                check_within(self, name, 1, 2**31 - 1)

    @property
    def name(self) -> str:  # type: ignore[override]
        """Of the codec, as differences."""
        return f"delta of {self.codec.name}"

    @property
    def needs_acknowledgements(self) -> bool:  # type: ignore[override]
        """Without whole messages in between."""
        return self.key_every is None

    def start(self, shape: tuple[int, int], dtype: np.dtype[np.void]) -> Memory:
        """No message yet: the base, its number, and messages since the last whole.

        Raises:
            TypeError: Records that the codec cannot encode.
            EncodingError: Records of so many numbers that it is not a contraction.
        """
        fields = fields_of(dtype, self.name)
        start_inner(self.codec, shape, dtype)
        return {
            "base": np.zeros((*shape, fields.count)),
            "number": np.full(shape, _KEY, dtype=np.int64),
            "since": np.zeros(shape, dtype=np.int64),
        }

    def start_receiver(
        self, shape: tuple[int, int], dtype: np.dtype[np.void]
    ) -> Memory:
        """No message yet: the last ones, newest first, and their numbers."""
        count = fields_of(dtype, self.name).count
        return {
            "values": np.zeros((*shape, self.history, count)),
            "numbers": np.full((*shape, self.history), _KEY, dtype=np.int64),
        }

    def encode(
        self, messages: Messages, memory: Memory, draws: MessageDraws
    ) -> tuple[Encoded, Memory]:
        """The base's number, and the difference from it.

        Raises:
            ValueError: A message of several records, or a number that is not finite.
        """
        fields, rest, numbers = parts_of(messages, self.name)
        senders, shape = messages.senders, memory["base"].shape
        since = memory["since"].ravel()[senders]
        base_number = memory["number"].ravel()[senders]
        whole = base_number == _KEY
        if self.key_every is not None:
            whole |= since + 1 >= self.key_every
        base = np.where(
            whole[:, None], 0.0, memory["base"].reshape(-1, fields.count)[senders]
        )
        difference = Messages(fields.join(rest, numbers - base), messages.counts)
        encoded, _ = self.codec.encode(difference, {}, draws)
        read = base + read_back(self.codec, encoded, fields, draws)
        named = np.where(whole, _KEY, base_number).astype("<u4")
        pending = {
            "base": spread(read, senders, shape),
            "number": draws.sequence.astype(np.int64).reshape(shape[:2]),
            "since": spread(np.where(whole, 0, since + 1), senders, shape[:2]),
        }
        return _prefixed(encoded, named), pending

    def commit(
        self, memory: Memory, pending: Memory, accepted: NDArray[np.bool_]
    ) -> Memory:
        """The message is the next one's base, unless it has to arrive first."""
        return (
            memory
            if self.needs_acknowledgements
            else super().commit(memory, pending, accepted)
        )

    def acknowledge(
        self,
        memory: Memory,
        pending: Memory,
        delivered: NDArray[np.bool_],
        lost: NDArray[np.bool_],
    ) -> Memory:
        """What arrived is the next one's base, unless a newer one is already."""
        if not self.needs_acknowledgements:
            return memory
        newer = (memory["number"] == _KEY) | (pending["number"] > memory["number"])
        return super().commit(memory, pending, delivered & newer)

    def decode(
        self,
        incoming: Incoming,
        dtype: np.dtype[np.void],
        memory: Memory,
        draws: MessageDraws,
    ) -> Decoded:
        """The difference and its base together.

        Raises:
            MalformedMessage: The base never arrived, or is no longer kept.
        """
        fields = fields_of(dtype, self.name)
        named, rest = _without_prefix(incoming)
        inner = decode_inner(self.codec, rest, fields, draws)
        if (inner.lengths != 1).any():
            raise MalformedMessage("a difference is one record")
        with np.errstate(invalid="ignore"):  # NaN is refused below
            others, differences = fields.split(inner.records)
        values, numbers = (
            memory[name].reshape(-1, *memory[name].shape[2:]).copy()
            for name in ("values", "numbers")
        )
        for row, (link, base) in enumerate(zip(incoming.links, named, strict=True)):
            if base != _KEY:
                found = np.flatnonzero(numbers[link] == base)
                if not len(found):
                    raise MalformedMessage(
                        f"message {incoming.sequence[row]} on link {link} is a "
                        f"difference from message {base}, which is not there"
                    )
                with np.errstate(over="ignore", invalid="ignore"):
                    differences[row] += values[link, found[0]]
            if np.isnan(differences[row]).any():
                raise MalformedMessage(f"codec {self.name!r} decoded NaN")
            values[link] = np.roll(values[link], 1, axis=0)
            numbers[link] = np.roll(numbers[link], 1)
            values[link, 0], numbers[link, 0] = differences[row], incoming.sequence[row]
        after: Memory = {
            "values": values.reshape(memory["values"].shape),
            "numbers": numbers.reshape(memory["numbers"].shape),
        }
        return Decoded(fields.join(others, differences), inner.lengths, after)

    def record_size(self, dtype: np.dtype[np.void]) -> int | None:
        """A message of one record cannot be cut."""
        return None


def _prefixed(encoded: Encoded, numbers: NDArray[np.uint32]) -> Encoded:
    """Payloads with a number before each."""
    links = np.flatnonzero(encoded.present)
    stops = np.cumsum(encoded.sizes)[links]
    starts = stops - encoded.sizes[links]
    data = np.insert(
        encoded.data,
        np.repeat(starts, _NUMBER_SIZE),
        numbers.astype("<u4").view(np.uint8),
    )
    sizes = encoded.sizes + np.where(encoded.present, _NUMBER_SIZE, 0)
    return Encoded(data, sizes, encoded.present)


def _without_prefix(incoming: Incoming) -> tuple[NDArray[np.int64], Incoming]:
    """The numbers, and the payloads behind them."""
    if (incoming.sizes < _NUMBER_SIZE).any() or incoming.sizes.sum() != len(
        incoming.data
    ):
        raise MalformedMessage("a difference names its base in 4 bytes")
    starts = np.cumsum(incoming.sizes) - incoming.sizes
    places = (starts[:, None] + np.arange(_NUMBER_SIZE)).ravel()
    numbers = np.ascontiguousarray(incoming.data[places]).view("<u4").astype(np.int64)
    rest = np.delete(incoming.data, places)
    sizes = incoming.sizes - _NUMBER_SIZE
    return numbers, incoming._replace(data=rest, sizes=sizes)
