"""A channel's codec at work: what both sides remember, and what senders learn."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from commenv.channel.codec import Codec, Encoded, Incoming, Memory
from commenv.channel.frames import HEADER, HEADER_SIZE, Frames
from commenv.channel.message import (
    Messages,
    Received,
    check_record_dtype,
    refuse_nan,
)
from commenv.channel.payload import unpack
from commenv.channel.randomness import MessageDraws
from commenv.draws import Draws
from commenv.errors import EncodingError, MalformedMessage, ResultsError
from commenv.snapshots import (
    Resumable,
    Snapshot,
    array_of,
    arrays_of,
    check_within,
)

__all__ = ["Coder", "Letters", "letters_of", "received"]


class Letters(NamedTuple):
    """Messages that arrived and were read.

    Attributes:
        frames: The messages.
        distinct: Records, one copy where messages of one record each are copies of one
            another; None for free-form payloads, which are unpacked when somebody asks
            for them.
        lengths: int64, shape (m,): records of each.
        which: intp, shape (m,): which of the distinct records each message holds; None
            where there are no copies.
    """

    frames: Frames
    distinct: NDArray[np.void] | None
    lengths: NDArray[np.int64]
    which: NDArray[np.intp] | None = None

    @property
    def records(self) -> NDArray[np.void] | None:
        """Of all of them, message by message."""
        if self.distinct is None or self.which is None:
            return self.distinct
        return self.distinct[self.which]


class _Awaited(NamedTuple):
    """A sending whose messages' fates the codec is still to be told.

    Attributes:
        pending: What the codec returned for it.
        sequence: The number of each sender's message.
        open: How many copies of it have a fate that is not known yet, int64.
        arrived: How many arrived, int64.
        failed: How many never will, int64.
    """

    pending: Memory
    sequence: NDArray[np.uint32]
    open: NDArray[np.int64]
    arrived: NDArray[np.int64]
    failed: NDArray[np.int64]


class Coder(Resumable):
    """Encodes and decodes the records of one direction.

    Args:
        codec: How.
        draws: Addressed random draws of the senders.
        purpose: What they are for.
        receivers: The shape of the links, which all have a receiver of their own.
        senders: Integers, shape (links,): the flat sender of each link; None where
            each has one of its own.
        suspicious: Whether a link may have damaged what arrives.

    Attributes:
        codec: As given.
        memory: The senders'.
        restored: Whether it goes on from a snapshot.
    """

    def __init__(
        self,
        codec: Codec,
        draws: Draws,
        purpose: str,
        *,
        receivers: tuple[int, int],
        senders: NDArray[np.intp] | None = None,
        suspicious: bool = False,
    ) -> None:
        self.codec = codec
        self.memory: Memory = {}
        self.restored = False
        self._receiver: Memory = {}
        self._dtype: np.dtype[np.void] | None = None
        self._purpose = purpose
        self._receivers = receivers
        self._senders = senders
        self._draws = draws
        self._everybody = np.arange(draws.shape[0] * draws.shape[1])
        self._suspicious = suspicious
        self._awaited: list[_Awaited] = []

    @property
    def may_fail(self) -> bool:
        """Whether messages may arrive that cannot be read."""
        return self._suspicious or bool(self._receiver)

    def begin(self, dtype: np.dtype[np.void]) -> None:
        """Prepares for the first message, of records of ``dtype``."""
        self._dtype = dtype
        self._awaited = []
        self.memory = self.codec.start(self._draws.shape, dtype)
        self._receiver = self.codec.start_receiver(self._receivers, dtype)

    def begin_as(self, dtype: Any) -> None:
        """Prepares for the memory of a coder that began with ``dtype``, or has not.

        Raises:
            ResultsError: It is no dtype of records.
        """
        self.restored = True
        if dtype is None:
            return
        try:
            check_record_dtype(dtype)
            self.begin(dtype)
        except (TypeError, ValueError, AttributeError, MemoryError) as error:
            raise ResultsError(f"a snapshot of a channel of {dtype!r:.60}") from error

    def encode(
        self, messages: Messages, sequence: NDArray[np.uint32]
    ) -> tuple[Encoded, Memory]:
        """The payloads, and what accepted ones would leave in memory.

        Args:
            messages: One for each sender that is not silent.
            sequence: uint32, shape (senders,): the numbers that they will have.

        Raises:
            EncodingError: A number that the codec cannot encode, and whose it is.
        """
        draws = MessageDraws(self._draws, self._purpose, self._everybody, sequence)
        try:
            return self.codec.encode(messages, self.memory, draws)
        except ValueError as error:
            unreadable = EncodingError(str(error))
            unreadable.sender = self._culprit(messages, draws)
            raise unreadable from error

    def commit(self, pending: Memory, accepted: NDArray[np.bool_]) -> None:
        """Tells the codec who was accepted: bool, one for each sender."""
        self.memory = self.codec.commit(self.memory, pending, accepted)

    def expect(
        self,
        pending: Memory,
        sequence: NDArray[np.uint32],
        copies: NDArray[np.integer] | NDArray[np.bool_],
    ) -> None:
        """Waits for the fates of accepted messages.

        Args:
            pending: What the codec returned for them.
            sequence: The number of each sender's message.
            copies: How many receivers each sender's has; 0 where none was accepted.
        """
        nothing = np.zeros(copies.size, dtype=np.int64)
        self._awaited.append(
            _Awaited(
                pending, sequence, copies.flatten().astype(np.int64), nothing, nothing
            )
        )

    def tell(self, frames: Frames, arrived: bool) -> None:
        """Tells the codec what has become of messages that it waited for.

        A message with several receivers has arrived when all of them have it, and is
        lost when none does. In between, what codecs remember fits some receivers and
        not others, whatever they are told, so they are told nothing.
        """
        senders = self._sender_of(frames.links)
        for position, awaited in enumerate(self._awaited):
            own = awaited.sequence[senders] == frames.headers["sequence"]
            counted = np.bincount(senders[own], minlength=len(awaited.open))
            counted = np.minimum(counted, awaited.open)
            awaited = awaited._replace(
                open=awaited.open - counted,
                arrived=awaited.arrived + counted * arrived,
                failed=awaited.failed + counted * (not arrived),
            )
            self._awaited[position] = awaited
            settled = (counted > 0) & (awaited.open == 0)
            self.memory = self.codec.acknowledge(
                self.memory,
                awaited.pending,
                (settled & (awaited.failed == 0)).reshape(self._draws.shape),
                (settled & (awaited.arrived == 0)).reshape(self._draws.shape),
            )
        self._awaited = [one for one in self._awaited if one.open.any()]

    def read(self, frames: Frames, dtype: np.dtype[np.void] | None) -> Letters:
        """What messages hold.

        Raises:
            MalformedMessage: One cannot be read; nothing is remembered then.
        """
        if dtype is None:
            if self._suspicious:
                for position in range(len(frames)):
                    _letter(frames, position)
            return Letters(frames, None, np.zeros(len(frames), dtype=np.int64))
        distinct, which = self._distinct(frames)
        sequence = distinct.headers["sequence"]
        decoded = self.codec.decode(
            Incoming(distinct.payload(), distinct.sizes, distinct.links, sequence),
            dtype,
            self._receiver,
            MessageDraws(
                self._draws, self._purpose, self._sender_of(distinct.links), sequence
            ),
        )
        if self._suspicious:
            try:
                refuse_nan(decoded.records)
            except ValueError as error:
                raise MalformedMessage(str(error)) from None
        self._receiver = decoded.memory
        if which is None:
            return Letters(frames, decoded.records, decoded.lengths)
        return Letters(frames, decoded.records, decoded.lengths[which], which)

    def check(self, frames: Frames, dtype: np.dtype[np.void] | None) -> None:
        """Checks that restored messages can be read, where every message can.

        Raises:
            ResultsError: One cannot, or holds NaN.
        """
        if self.may_fail:
            return
        try:
            records = self.read(frames, dtype).records
            if records is not None:
                refuse_nan(records)
        except (MalformedMessage, ValueError) as error:
            raise ResultsError(
                f"a snapshot has unreadable messages ({error})"
            ) from None

    def snapshot(self) -> Snapshot:
        """Both sides' memory, and the sendings whose fates are awaited."""
        return {
            "memory": self.memory,
            "receiver": self._receiver,
            "awaited": [one._asdict() for one in self._awaited],
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Takes over another coder's memory; after :meth:`begin`, if that one had.

        Raises:
            ResultsError: It is no snapshot of such a coder.
        """
        self.memory = arrays_of(snapshot["memory"], "the codec", self.memory)
        self._receiver = arrays_of(
            snapshot["receiver"], "the codec's receiver", self._receiver
        )
        self._awaited = [self._restored(one) for one in snapshot["awaited"]]

    def check_sending(self, pending: Any, sequence: Any) -> None:
        """Checks what a codec returned for messages, and their numbers.

        Raises:
            ResultsError: It is no such thing.
        """
        numbers = array_of(sequence, "numbers", np.uint32, len(self._everybody))
        if self._dtype is None:
            raise ResultsError("a snapshot awaits messages before the first one")
        silence = Messages.silent(self._dtype, self._draws.shape)
        _, like = self.encode(silence, numbers)
        arrays_of(pending, "the codec's messages", like)

    def _restored(self, given: Snapshot) -> _Awaited:
        one = _Awaited(**given)
        self.check_sending(one.pending, one.sequence)
        for name in ("open", "arrived", "failed"):
            values = array_of(
                getattr(one, name), f"{name} fates", np.int64, len(self._everybody)
            )
            check_within(values, f"{name} fates", 0, 1)
        return one

    def _distinct(self, frames: Frames) -> tuple[Frames, NDArray[np.intp] | None]:
        """One of the copies of each message, unless receivers differ.

        Copies stand side by side, since links are ordered by their senders, and share
        their bytes; what a link distorts or a queue holds has bytes of its own.
        """
        if self._senders is None or self._receiver:
            return frames, None
        sender = self._sender_of(frames.links)
        copy = np.zeros(len(sender), dtype=np.bool_)
        np.equal(sender[1:], sender[:-1], out=copy[1:])
        copy[1:] &= frames.starts[1:] == frames.starts[:-1]
        if not np.count_nonzero(copy):
            return frames, None
        first = ~copy
        return frames.take(first), first.cumsum() - 1

    def _culprit(self, messages: Messages, draws: MessageDraws) -> int | None:
        """Who alone cannot be encoded either."""
        for sender in np.flatnonzero(messages.counts).tolist():
            alone = np.zeros(messages.counts.size, dtype=np.bool_)
            alone[sender] = True
            one = messages.select(alone.reshape(messages.shape))
            try:
                self.codec.encode(one, self.memory, draws)
            except ValueError:
                return int(sender)
        return None

    def _sender_of(self, links: NDArray[np.intp]) -> NDArray[np.intp]:
        return links if self._senders is None else self._senders[links]


def letters_of(frames: Frames, num_links: int) -> list[list[Any]]:
    """Free-form payloads, a list for each link, in order of arrival.

    Raises:
        MalformedMessage: One cannot be read.
    """
    payloads: list[list[Any]] = [[] for _ in range(num_links)]
    for position, link in enumerate(frames.links):
        payloads[link].append(_letter(frames, position))
    return payloads


def _letter(frames: Frames, position: int) -> Any:
    """One free-form payload."""
    return unpack(frames.wire(position)[HEADER_SIZE:])


def received(
    inbox: list[Letters], dtype: np.dtype[np.void], shape: tuple[int, int]
) -> Received:
    """Everything that was read, by link and, within a link, as it came."""
    links = _joined([read.frames.links for read in inbox], np.intp)
    headers = _joined([read.frames.headers for read in inbox], HEADER)
    lengths = _joined([read.lengths for read in inbox], np.int64)
    records = _joined([read.records for read in inbox], dtype)
    if len(inbox) > 1:
        order = np.argsort(links, kind="stable")
        first = (np.cumsum(lengths) - lengths)[order]
        links, headers, lengths = links[order], headers[order], lengths[order]
        begin = np.cumsum(lengths) - lengths
        inside = np.arange(lengths.sum()) - np.repeat(begin, lengths)
        records = records[np.repeat(first, lengths) + inside]
    counts = np.zeros(shape, dtype=np.int64)
    np.add.at(counts.reshape(-1), links, lengths)
    return Received(records, counts, headers, lengths)


def _joined(parts: list[Any], dtype: Any) -> NDArray[Any]:
    if len(parts) == 1:
        return np.asarray(parts[0])  # which may be most of what a study holds
    return np.concatenate(parts) if parts else np.empty(0, dtype)
