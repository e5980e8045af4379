"""Codecs with a memory: error feedback around another codec, and differences.

They take messages of one record, such as a gradient or a vector of parameters.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

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
from commenv.channel.codecs.records import (
    Fields,
    check_finite,
    check_single,
    check_within,
    fields_of,
)
from commenv.channel.message import Messages
from commenv.channel.parts import wrong_part
from commenv.errors import EncodingError, MalformedMessage
from commenv.rng import MessageDraws

__all__ = ["Delta", "ErrorFeedback"]

_KEY = 0xFFFF_FFFF
_NUMBER_SIZE = 4


@dataclass(frozen=True)
class ErrorFeedback(Codec):
    """Adds to each message what the codec left out of earlier ones.

    With memory e and a message x, e + x is encoded; what the receiver will read of it
    is taken off, and the rest stays in memory. A refused message stays whole. A lost
    one is gone, unless the channel has acknowledgements: then it returns.

    What is left out stays bounded if the codec is a contraction, that is, if
    E|C(x) - x|^2 <= (1 - delta) |x|^2 with a delta above 0: for messages of a size up
    to G, E|e|^2 <= 4 (1 - delta) / delta^2 G^2 (Karimireddy et al. 2019). An unbiased
    codec with E|C(x) - x|^2 <= omega |x|^2 is made one: both sides divide what is read
    by 1 + omega, which costs no byte and gives delta = 1 / (1 + omega) (Beznosikov et
    al., *On Biased Compression for Distributed Learning*, 2020). What the codec says of
    its error is :meth:`Codec.relative_error`.

    Args:
        codec: A codec without a memory of its own, which says how large its error is.

    Raises:
        TypeError: It is not a codec, keeps a memory, or does not say.

    Source: A. Mitra, G. Pappas and H. Hassani, *Temporal Difference Learning with
    Compressed Updates: Error-Feedback Meets Reinforcement Learning* (2023).
    """

    codec: Codec

    def __post_init__(self) -> None:
        _check_inner(self.codec)

    @property
    def name(self) -> str:  # type: ignore[override]
        """The codec's name, with feedback."""
        return f"{self.codec.name} with feedback"

    def start(self, shape: tuple[int, int], dtype: np.dtype[np.void]) -> Memory:
        """Nothing left out yet: ``error``, float64 of shape (trials, agents, n).

        Raises:
            TypeError: Records that the codec cannot encode.
            EncodingError: Records of so many numbers that it is not a contraction.
        """
        fields = fields_of(dtype, self.name)
        _start_inner(self.codec, shape, dtype)
        return {"error": np.zeros((*shape, fields.count))}

    def encode(
        self, messages: Messages, memory: Memory, draws: MessageDraws
    ) -> tuple[Encoded, Memory]:
        """The payloads of e + x.

        Raises:
            ValueError: A message of several records, a number that is not finite, or
                one of e + x that is larger than the codec carries.
        """
        fields, rest, numbers = _parts(messages, self.name)
        senders = messages.senders
        wanted = numbers + memory["error"].reshape(-1, fields.count)[senders]
        _check_carried(self.codec, wanted)
        corrected = Messages(fields.join(rest, wanted), messages.counts)
        encoded, _ = self.codec.encode(corrected, {}, draws)
        read = _read(self.codec, encoded, fields, draws)
        shape = memory["error"].shape
        return encoded, {
            "wanted": _spread(wanted, senders, shape),
            "read": _spread(read, senders, shape),
            "present": encoded.present.reshape(shape[:2]),
        }

    def commit(
        self, memory: Memory, pending: Memory, accepted: NDArray[np.bool_]
    ) -> Memory:
        """What was not read stays; of a refused message that is everything."""
        sent = np.where(accepted[..., None], pending["read"], 0.0)
        present = pending["present"][..., None]
        return {"error": np.where(present, pending["wanted"] - sent, memory["error"])}

    def acknowledge(
        self,
        memory: Memory,
        pending: Memory,
        delivered: NDArray[np.bool_],
        lost: NDArray[np.bool_],
    ) -> Memory:
        """What was lost returns."""
        returned = np.where(lost[..., None], pending["read"], 0.0)
        return {"error": memory["error"] + returned}

    def decode(
        self,
        incoming: Incoming,
        dtype: np.dtype[np.void],
        memory: Memory,
        draws: MessageDraws,
    ) -> Decoded:
        """As the codec does, as a contraction."""
        return _decoded(self.codec, incoming, fields_of(dtype, self.name), draws)

    def record_size(self, dtype: np.dtype[np.void]) -> int | None:
        """As the codec's; a message of one record cannot be cut."""
        return self.codec.record_size(dtype)

    def wire(self, dtype: np.dtype[np.void]) -> np.dtype[np.void] | None:
        """As the codec's."""
        return self.codec.wire(dtype)


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

    codec: Codec = field(default_factory=Identity)
    key_every: int | None = None
    history: int = 4

    def __post_init__(self) -> None:
        _check_inner(self.codec)
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
        _start_inner(self.codec, shape, dtype)
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
        fields, rest, numbers = _parts(messages, self.name)
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
        read = base + _read(self.codec, encoded, fields, draws)
        named = np.where(whole, _KEY, base_number).astype("<u4")
        pending = {
            "base": _spread(read, senders, shape),
            "number": draws.sequence.astype(np.int64).reshape(shape[:2]),
            "since": _spread(np.where(whole, 0, since + 1), senders, shape[:2]),
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
        inner = _decoded(self.codec, rest, fields, draws)
        if (inner.lengths != 1).any():
            raise MalformedMessage("a difference is one record")
        with np.errstate(invalid="ignore"):  # what is no number is refused below
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
                raise MalformedMessage(f"codec {self.name!r} read what is no number")
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


def _check_inner(codec: object) -> None:
    """Checks what another codec is put around.

    Raises:
        TypeError: It is not a codec, remembers by itself, or does not say how large its
            error is.
    """
    if not isinstance(codec, Codec) or isinstance(codec, (ErrorFeedback, Delta)):
        wrong = f"{codec!r} remembers by itself"
        if not isinstance(codec, Codec):
            wrong = wrong_part(codec, Codec)
        raise TypeError(f"a codec without a memory is needed inside; {wrong}")
    if codec.relative_error(1) is None:
        raise TypeError(
            f"codec {codec.name!r} does not say how large its error is, and what it "
            "leaves out could grow without bound; define relative_error(count)"
        )


def _start_inner(
    codec: Codec, shape: tuple[int, int], dtype: np.dtype[np.void]
) -> None:
    """Lets a codec check its records.

    Raises:
        TypeError: It keeps a memory.
        EncodingError: It is not a contraction of so many numbers.
    """
    if codec.start(shape, dtype) or codec.start_receiver(shape, dtype):
        raise TypeError(f"{codec!r} is not a codec without a memory")
    _factor(codec, fields_of(dtype, codec.name).count)


def _factor(codec: Codec, count: int) -> float:
    """What is read is multiplied by it, so that the codec is a contraction.

    Raises:
        EncodingError: No factor is known for records of ``count`` numbers.
    """
    bound = codec.relative_error(count)
    if bound is not None and codec.unbiased:
        return 1 / (1 + bound)
    if bound is None or not bound < 1:
        size = "unknown" if bound is None else f"up to {bound:.3g} times its square"
        raise EncodingError(
            f"{codec!r} is not a contraction of {count:,} numbers: the squared error "
            f"of a message is {size}, so what is left out could grow without bound; "
            "send fewer numbers, give the codec more bits, or use one that is a "
            "contraction of any number of them (int8, sign, top_k)"
        )
    return 1.0


def _check_carried(codec: Codec, wanted: NDArray[np.float64]) -> None:
    """Raises ValueError for numbers that a codec would cut off.

    What was cut off would be owed, and grow for as long as messages are as large.
    """
    most = np.abs(wanted).max(initial=0.0)
    if most > codec.largest:
        raise ValueError(
            f"codec {codec.name!r} carries numbers up to {codec.largest:g}, but with "
            f"what earlier messages left out one is {most:g}; send smaller numbers, or "
            "use a codec that scales them (int8, top_k)"
        )


def _parts(
    messages: Messages, codec: str
) -> tuple[Fields, NDArray[np.uint8], NDArray[np.float64]]:
    """The fields of messages of one record, their other bytes, and their numbers."""
    check_single(messages, codec)
    fields = fields_of(messages.records.dtype, codec)
    rest, numbers = fields.split(messages.records)
    check_finite(numbers, messages, codec)
    return fields, rest, numbers


def _read(
    codec: Codec, encoded: Encoded, fields: Fields, draws: MessageDraws
) -> NDArray[np.float64]:
    """What the receiver will read of payloads: float64, shape (messages, n)."""
    links = np.flatnonzero(encoded.present)
    incoming = Incoming(
        encoded.data, encoded.sizes[links], links, draws.sequence[links]
    )
    decoded = _decoded(codec, incoming, fields, draws.take(links))
    return fields.split(decoded.records)[1]


def _decoded(
    codec: Codec, incoming: Incoming, fields: Fields, draws: MessageDraws
) -> Decoded:
    """What payloads hold, read so that the codec is a contraction.

    Raises:
        MalformedMessage: Bytes that the codec did not write.
    """
    decoded = codec.decode(incoming, fields.dtype, {}, draws)
    factor = _factor(codec, fields.count)
    if factor == 1:
        return decoded
    rest, numbers = fields.split(decoded.records)
    return decoded._replace(records=fields.join(rest, numbers * factor))


def _spread(
    values: NDArray[Any], senders: NDArray[np.intp], shape: tuple[int, ...]
) -> NDArray[Any]:
    """Values of messages at their senders' places; 0 elsewhere."""
    flat = np.zeros((shape[0] * shape[1], *shape[2:]), values.dtype)
    flat[senders] = values
    return flat.reshape(shape)


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
