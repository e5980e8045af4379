"""Random numbers of a channel, addressed by link and by message."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from commenv.draws import Draws
from commenv.snapshots import Resumable, Snapshot, array_of

__all__ = ["LinkDraws", "MessageDraws"]


class MessageDraws:
    """Random numbers for messages, which the sender and the receiver both know.

    Args:
        draws: The batch's draws.
        purpose: What they are for.
        links: Integers, shape (m,): the flat link of each message.
        sequence: Integers, shape (m,): the number of each message on its link.

    Attributes:
        sequence: As given.
    """

    def __init__(
        self,
        draws: Draws,
        purpose: str,
        links: NDArray[np.intp],
        sequence: NDArray[np.uint32],
    ) -> None:
        self.sequence = sequence
        self._draws = draws
        self._purpose = purpose
        self._links = links

    def take(self, which: NDArray[np.intp]) -> MessageDraws:
        """The numbers of some of the messages."""
        return MessageDraws(
            self._draws, self._purpose, self._links[which], self.sequence[which]
        )

    def uniforms(self, lengths: NDArray[np.integer], width: int) -> NDArray[np.float64]:
        """Numbers in [0, 1) for every record of every message.

        Args:
            lengths: Shape (m,): records of each message.
            width: Numbers for each record.

        Returns:
            float64, shape (sum of lengths, width).
        """
        out = np.empty((int(lengths.sum()), width))
        first = np.cumsum(lengths) - lengths
        alike = np.stack([self.sequence.astype(np.int64), lengths], axis=1)
        for sequence, length in np.unique(alike[lengths > 0], axis=0):
            which = np.flatnonzero((alike == (sequence, length)).all(axis=1))
            numbers = self._draws.uniforms(
                self._purpose, int(sequence), length * width, rows=self._links[which]
            )
            rows = first[which, None] + np.arange(length)
            out[rows] = numbers.reshape(len(which), length, width)
        return out

    def normals(self, lengths: NDArray[np.integer], width: int) -> NDArray[np.float64]:
        """The same from the standard normal distribution (Box and Muller 1958)."""
        pairs = self.uniforms(lengths, 2 * width)
        radius = np.sqrt(-2 * np.log1p(-pairs[:, :width]))
        return radius * np.cos(2 * np.pi * pairs[:, width:])


class LinkDraws(Resumable):
    """Random numbers for a link.

    Args:
        draws: The batch's draws.
        purpose: What they are for; different purposes never share numbers.
    """

    def __init__(self, draws: Draws, purpose: str) -> None:
        self._draws = draws
        self._purpose = purpose
        self._stream = draws.stream(purpose, 0)
        self._parts: dict[int, LinkDraws] = {}

    def uniforms(self, links: NDArray[np.intp]) -> NDArray[np.float64]:
        """The next number in [0, 1) of each of these links, shape (m,)."""
        asked = np.zeros(len(self._draws.trials) * len(self._draws.agents), np.bool_)
        asked[links] = True
        return self._stream.next(asked)[links]

    def snapshot(self) -> Snapshot:
        """How many numbers each link has drawn, and those of the parts of a chain."""
        parts = {str(position): one.snapshot() for position, one in self._parts.items()}
        return {"used": self._stream.used, "parts": parts}

    def restore(self, snapshot: Snapshot) -> None:
        """Goes on behind the numbers that were drawn."""
        used = array_of(snapshot["used"], "used", np.int64, len(self._stream.used))
        self._stream.skip(used)
        for position, one in snapshot["parts"].items():
            self.part(int(position)).restore(one)

    def of(self, links: NDArray[np.intp], sequence: NDArray[np.uint32]) -> MessageDraws:
        """Numbers for the contents of messages, by their number on their link."""
        purpose = f"{self._purpose} contents"
        return MessageDraws(self._draws, purpose, links, sequence)

    def part(self, position: int) -> LinkDraws:
        """The draws of one part of a chain."""
        if position not in self._parts:
            purpose = f"{self._purpose} {position}"
            self._parts[position] = LinkDraws(self._draws, purpose)
        return self._parts[position]
