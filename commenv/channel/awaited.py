"""Messages whose fates a codec is still to be told, as acknowledgements come in."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from commenv.channel.codec import Codec, Memory
from commenv.snapshots import Resumable, Snapshot

__all__ = ["Acknowledgement", "Awaited"]


class Acknowledgement(NamedTuple):
    """What became of packets, for whoever sent them; at most one for each link.

    Attributes:
        links: Integers, shape (m,): the flat links of the packets.
        headers: Their headers, shape (m,).
        arrived: Whether they were delivered, or will never be.
    """

    links: NDArray[np.intp]
    headers: NDArray[np.void]
    arrived: bool


class _Sending(NamedTuple):
    """Messages that were sent together; arrays of shape (senders,).

    Attributes:
        pending: What the codec returned for them.
        sequence: uint32: the number of each sender's message.
        open: int64: how many copies of it have a fate that is not known yet.
        arrived: int64: how many arrived.
        failed: int64: how many never will.
    """

    pending: Memory
    sequence: NDArray[np.uint32]
    open: NDArray[np.int64]
    arrived: NDArray[np.int64]
    failed: NDArray[np.int64]


class Awaited(Resumable):
    """Counts acknowledgements until the fates of whole messages are known.

    A message with several receivers has arrived when all of them have it, and is lost
    when none does. In between, what a codec remembers fits some receivers and not
    others, whatever it is told, so it is told nothing.

    Args:
        codec: Who is told.
        shape: (copies, senders).
        senders: Integers, shape (links,): the flat sender of each link; None where
            every link has a sender of its own.
    """

    def __init__(
        self, codec: Codec, shape: tuple[int, int], senders: NDArray[np.intp] | None
    ) -> None:
        self._codec = codec
        self._shape = shape
        self._senders = senders
        self._sendings: list[_Sending] = []

    def add(
        self, pending: Memory, sequence: NDArray[np.uint32], copies: NDArray[np.int64]
    ) -> None:
        """Waits for the fates of accepted messages.

        Args:
            pending: What the codec returned for them.
            sequence: uint32, shape (senders,): the number of each sender's message.
            copies: int64, shape (senders,): on how many links it left; 0 where none
                was accepted.
        """
        nothing = np.zeros_like(copies)
        self._sendings.append(_Sending(pending, sequence, copies, nothing, nothing))

    def tell(self, memory: Memory, known: Acknowledgement) -> Memory:
        """The senders' memory once an acknowledgement has come in."""
        links, headers, arrived = known
        senders = links if self._senders is None else self._senders[links]
        for position, sending in enumerate(self._sendings):
            own = sending.sequence[senders] == headers["sequence"]
            counted = np.bincount(senders[own], minlength=len(sending.open))
            counted = np.minimum(counted, sending.open)
            sending = sending._replace(
                open=sending.open - counted,
                arrived=sending.arrived + counted * arrived,
                failed=sending.failed + counted * (not arrived),
            )
            self._sendings[position] = sending
            settled = (counted > 0) & (sending.open == 0)
            memory = self._codec.acknowledge(
                memory,
                sending.pending,
                (settled & (sending.failed == 0)).reshape(self._shape),
                (settled & (sending.arrived == 0)).reshape(self._shape),
            )
        self._sendings = [one for one in self._sendings if one.open.any()]
        return memory

    def snapshot(self) -> Snapshot:
        """The messages whose fates are not known yet."""
        return {"sendings": [one._asdict() for one in self._sendings]}

    def restore(self, snapshot: Snapshot) -> None:
        """Waits on for the same messages."""
        self._sendings = [_Sending(**one) for one in snapshot["sendings"]]
