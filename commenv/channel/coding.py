"""Packets, and a channel's codec at work: an encoder makes them, a decoder reads them.

The two share nothing, so that they can stand on different machines: the codec's memory
of the senders is the encoder's, that of the receivers the decoder's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from commenv.channel.awaited import Acknowledgement, Awaited
from commenv.channel.channel import Channel
from commenv.channel.codec import Encoded, Incoming, Memory
from commenv.channel.message import FreeForm, Messages, refuse_nan
from commenv.channel.payload import pack, unpack
from commenv.channel.wire import HEADER_SIZE
from commenv.channel.wiring import Wiring
from commenv.errors import EncodingError, MalformedMessage
from commenv.rng import MessageDraws
from commenv.snapshots import Resumable, Snapshot, array_of, arrays_of

__all__ = ["Decoder", "Delivered", "Encoder", "Packets", "unpacked"]

_LAST_NUMBER = 2**32 - 1


class Packets(NamedTuple):
    """Encoded messages with their headers, at most one for each link.

    Payloads stand in one buffer and may share bytes, as the copies of a broadcast do.

    Attributes:
        links: Integers, shape (m,), ascending: the flat (trial-major) link of each.
        headers: ``HEADER`` array, shape (m,).
        data: uint8, shape (bytes,): the payloads' buffer.
        starts: int64, shape (m,): where each payload begins in ``data``.
        sizes: int64, shape (m,): bytes of each payload.
    """

    links: NDArray[np.intp]
    headers: NDArray[np.void]
    data: NDArray[np.uint8]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]

    def take(self, which: NDArray[Any]) -> Packets:
        """The packets at the given positions, or where a mask is true."""
        if which.dtype == np.bool_:
            which = which.nonzero()[0]  # once, not for each array
        return Packets(
            self.links[which],
            self.headers[which],
            self.data,
            self.starts[which],
            self.sizes[which],
        )

    def alone(self) -> Packets:
        """The same in a buffer that holds nothing else, so that it can be kept."""
        starts = np.cumsum(self.sizes) - self.sizes
        return self._replace(data=self.payload(), starts=starts)

    def wire(self, position: int) -> bytes:
        """One whole message as it travels: header and payload."""
        start = self.starts[position]
        payload = self.data[start : start + self.sizes[position]]
        return self.headers[position].tobytes() + payload.tobytes()

    def payload(self) -> NDArray[np.uint8]:
        """The payloads one after the other; not copied where they already stand so."""
        stops = self.starts + self.sizes
        whole = len(stops) and self.starts[0] == 0 and stops[-1] == len(self.data)
        if whole and not np.count_nonzero(self.starts[1:] != stops[:-1]):
            return self.data
        parts = [
            self.data[start:stop]
            for start, stop in zip(self.starts, stops, strict=True)
        ]
        return np.concatenate(parts) if parts else np.empty(0, np.uint8)


class Encoder(Resumable):
    """The sending end: numbers messages and turns them into payloads.

    After each :meth:`encode` that was followed by a sending, :meth:`on_receipt` says
    who was accepted; without it, as after an error, nothing has happened.

    Args:
        channel: Whose codec it is.
        wiring: Who the senders are.

    Attributes:
        sequence: uint32, shape (senders,): the number of each sender's next message.
        dtype: Of the records; None before them, and for free form.
        memory: What the codec remembers of the senders.
    """

    def __init__(self, channel: Channel, wiring: Wiring) -> None:
        draws = wiring.senders
        self.sequence = np.zeros(draws.shape[0] * draws.shape[1], dtype=np.uint32)
        self.dtype: np.dtype[np.void] | None = None
        self.memory: Memory = {}
        self._codec = channel.codec
        self._awaited = Awaited(channel.codec, draws.shape, wiring.flat_senders)
        self._awaits = channel.acknowledgements
        self._draws = draws
        self._wiring = wiring
        self._everyone = np.arange(len(self.sequence))
        self._begun = False
        self._most = 0  # an upper bound on the sequence numbers
        self._pending: Memory | None = None  # of messages without a receipt yet
        self._present = np.zeros(len(self.sequence), dtype=np.bool_)

    def encode(self, messages: Messages | FreeForm) -> Encoded:
        """The payloads of one sending.

        Args:
            messages: One for each sender that is not silent.

        Raises:
            EncodingError: A number that the codec cannot encode, and whose it is.
            TypeError: A payload that cannot be encoded, or records that this codec
                cannot.
            ValueError: Another form than before, or a header cannot count any further.
        """
        if isinstance(messages, FreeForm):
            self._check_form(None)
            encoded, self._pending, self.dtype = _packed(messages), None, None
        else:
            dtype = messages.records.dtype
            if not (self._begun and dtype == self.dtype):
                self.begin(dtype)
            draws = MessageDraws(self._draws, "codec", self._everyone, self.sequence)
            try:
                encoded, self._pending = self._codec.encode(
                    messages, self.memory, draws
                )
            except ValueError as error:
                unreadable = EncodingError(str(error))
                unreadable.sender = self._culprit(messages, draws)
                self._wiring.blame(unreadable)
                raise unreadable from error
        if self._most >= _LAST_NUMBER:
            self._check_numbers(encoded.present)
        self._present = encoded.present
        return encoded

    def number_all(self, number: int) -> None:
        """Gives every sender's next message this number."""
        self.sequence = np.full(len(self.sequence), number, dtype=np.uint32)
        self._most = number

    def on_receipt(
        self,
        accepted: NDArray[np.bool_],
        copies: NDArray[np.integer] | NDArray[np.bool_] | None = None,
    ) -> None:
        """Learns who was accepted.

        Args:
            accepted: bool, shape (copies, senders).
            copies: On how many links each sender's message has left, shape (senders,);
                on one if left out.
        """
        self._begun = True
        sequence, self._most = self.sequence, self._most + 1
        self.sequence = sequence + self._present
        pending, self._pending = self._pending, None
        if pending is None:
            return
        if self.memory:
            self.memory = self._codec.commit(self.memory, pending, accepted)
        if self._awaits:
            sent = accepted.ravel() if copies is None else accepted.ravel() * copies
            self._awaited.add(pending, sequence, sent.astype(np.int64))

    def acknowledge(self, known: list[Acknowledgement]) -> None:
        """Learns what became of messages, where the channel has acknowledgements.

        Args:
            known: Since the last call, in order.
        """
        for one in known:
            self.memory = self._awaited.tell(self.memory, one)

    def snapshot(self) -> Snapshot:
        """Numbers, memory, messages without a receipt, and those whose fate is open."""
        return {
            "sequence": self.sequence,
            "most": self._most,
            "dtype": self.dtype,
            "begun": self._begun,
            "memory": self.memory,
            "pending": self._pending,
            "present": self._present,
            "awaited": self._awaited.snapshot(),
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Goes on where another one was.

        Raises:
            ResultsError: It is not a snapshot of such an encoder.
        """
        if (dtype := snapshot["dtype"]) is not None:
            self.begin(dtype)
        self.memory = arrays_of(snapshot["memory"], "the codec", self.memory)
        self.sequence = array_of(
            snapshot["sequence"], "numbers", np.uint32, len(self.sequence)
        )
        self._most, self._begun = snapshot["most"], snapshot["begun"]
        self._pending, self._present = snapshot["pending"], snapshot["present"]
        self._awaited.restore(snapshot["awaited"])

    def begin(self, dtype: np.dtype[np.void]) -> None:
        """Prepares for the first message, of records of ``dtype``.

        Raises:
            TypeError: Records that the codec cannot encode.
        """
        self._check_form(dtype)
        self.memory = self._codec.start(self._draws.shape, dtype)
        self.dtype = dtype

    def _check_form(self, dtype: np.dtype[np.void] | None) -> None:
        """Holds senders to the form of the first message that was sent."""
        if self._begun and dtype != self.dtype:
            raise ValueError(
                f"a message of {dtype or 'free form'} on a channel of "
                f"{self.dtype or 'free form'}; keep to one form throughout"
            )

    def _check_numbers(self, present: NDArray[np.bool_]) -> None:
        """Raises ValueError where a header cannot count any further."""
        self._most = int(self.sequence.max())
        if (self.sequence[present] == _LAST_NUMBER).any():
            raise ValueError(
                f"{_LAST_NUMBER:,} messages were sent on one link, the most that the "
                "header's 32-bit sequence number can count; reset the environment with "
                "a seed to begin a new channel"
            )

    def _culprit(self, messages: Messages, draws: MessageDraws) -> int | None:
        """Who alone cannot be encoded either."""
        for sender in np.flatnonzero(messages.counts).tolist():
            alone = np.zeros(messages.counts.size, dtype=np.bool_)
            alone[sender] = True
            one = messages.select(alone.reshape(messages.shape))
            try:
                self._codec.encode(one, self.memory, draws)
            except ValueError:
                return int(sender)
        return None


class Delivered(NamedTuple):
    """Messages that arrived together and were read, at most one on each link.

    Attributes:
        packets: The messages.
        distinct: Their records; copies of a message of one record are stored once.
            None for free-form payloads, which are unpacked when they are asked for.
        lengths: int64, shape (m,): records of each.
        which: intp, shape (m,): which of the distinct records each message holds; None
            where there are no copies.
    """

    packets: Packets
    distinct: NDArray[np.void] | None
    lengths: NDArray[np.int64]
    which: NDArray[np.intp] | None = None

    @property
    def records(self) -> NDArray[np.void] | None:
        """Of all of them, message by message."""
        if self.distinct is None or self.which is None:
            return self.distinct
        return self.distinct[self.which]


class Decoder(Resumable):
    """The receiving end: reads payloads. Every link has a receiver of its own.

    Args:
        channel: Whose codec it is, and whose link may damage payloads.
        wiring: Who the receivers' senders are.

    Attributes:
        dtype: Of the records; None before them, and for free form.
    """

    def __init__(self, channel: Channel, wiring: Wiring) -> None:
        self.dtype: np.dtype[np.void] | None = None
        self._codec = channel.codec
        self._damaged = channel.link.distorts
        self._draws = wiring.senders
        self._shape = wiring.links.shape
        self._senders = wiring.flat_senders
        self._memory: Memory = {}

    @property
    def may_fail(self) -> bool:
        """Whether messages may arrive that cannot be read."""
        return self._damaged or bool(self._memory)

    def begin(self, dtype: np.dtype[np.void] | None) -> None:
        """Prepares for messages of records of ``dtype``; None for free form."""
        self.dtype = dtype
        if dtype is not None:
            self._memory = self._codec.start_receiver(self._shape, dtype)

    def decode(self, packets: Packets) -> Delivered:
        """What messages hold.

        Raises:
            MalformedMessage: One cannot be read; nothing is remembered then.
        """
        if self.dtype is None:
            if self._damaged:
                for position in range(len(packets.links)):
                    unpacked(packets, position)
            return Delivered(packets, None, np.zeros(len(packets.links), np.int64))
        distinct, which, senders = packets, None, packets.links
        if self._senders is not None:
            senders = self._senders[senders]
            if not self._memory and (copy := _copies(packets, senders)) is not None:
                first = ~copy
                distinct, senders = packets.take(first), senders[first]
                which = first.cumsum() - 1
        sequence = distinct.headers["sequence"]
        decoded = self._codec.decode(
            Incoming(distinct.payload(), distinct.sizes, distinct.links, sequence),
            self.dtype,
            self._memory,
            MessageDraws(self._draws, "codec", senders, sequence),
        )
        if self._damaged:
            try:
                refuse_nan(decoded.records)
            except ValueError as error:
                raise MalformedMessage(str(error)) from None
        self._memory = decoded.memory
        lengths = decoded.lengths if which is None else decoded.lengths[which]
        return Delivered(packets, decoded.records, lengths, which)

    def snapshot(self) -> Snapshot:
        """The codec's memory of the receivers."""
        return {"dtype": self.dtype, "memory": self._memory}

    def restore(self, snapshot: Snapshot) -> None:
        """Goes on where another one was.

        Raises:
            ResultsError: It is not a snapshot of such a decoder.
        """
        self.begin(snapshot["dtype"])
        self._memory = arrays_of(snapshot["memory"], "the decoder", self._memory)


def _copies(packets: Packets, senders: NDArray[np.intp]) -> NDArray[np.bool_] | None:
    """Which packets are copies of the one before; None if none is.

    Copies stand side by side, since links are ordered by their senders, and share
    their bytes; what a link distorts or a queue holds has bytes of its own.
    """
    copy = np.zeros(len(senders), dtype=np.bool_)
    np.equal(senders[1:], senders[:-1], out=copy[1:])
    copy[1:] &= packets.starts[1:] == packets.starts[:-1]
    return copy if np.count_nonzero(copy) else None


def _packed(messages: FreeForm) -> Encoded:
    """Free-form payloads as bytes."""
    packed = [
        b"" if payload is None else pack(payload) for payload in messages.payloads
    ]
    return Encoded(
        np.frombuffer(b"".join(packed), np.uint8),
        np.array([len(data) for data in packed], dtype=np.int64),
        np.array([payload is not None for payload in messages.payloads]),
    )


def unpacked(packets: Packets, position: int) -> Any:
    """One free-form payload."""
    return unpack(packets.wire(position)[HEADER_SIZE:])
