"""Uniform numbers one after the other, and the numbers of links and of messages.

Blocks are drawn ahead and handed out one by one, so that a batch draws exactly what its
members would draw alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from commenv.snapshots import Resumable, Snapshot, array_of

if TYPE_CHECKING:
    from commenv.rng.draws import Draws

__all__ = [
    "WORDS_PER_BLOCK",
    "AddressedUniforms",
    "LinkDraws",
    "MessageDraws",
    "UniformStream",
    "take_from_blocks",
]

WORDS_PER_BLOCK = 4
# To address a row costs as much as some hundred numbers of it.
_UNIFORMS_AT_A_TIME = 100


def take_from_blocks(block, position, end, rows, numbers, late, used_up):  # type: ignore[no-untyped-def]
    """Hands out the next numbers of some rows, for compilation.

    Args:
        block: Of the stream, like its ``position`` and ``end``, which index it flat.
        position: Written to, but for the rows whose blocks end too soon.
        end: Where the blocks end.
        rows: intp, each at most once.
        numbers: float64, shape (len(rows), count), written to.
        late: intp, shape (len(rows),), written to: places of the rows that get none.
        used_up: intp, shape (len(rows),), written to: rows whose blocks end with these.

    Returns:
        How many are late, and how many used up.
    """
    flat, count = block.ravel(), numbers.shape[1]
    num_late = num_used_up = 0
    for place in range(len(rows)):
        row = rows[place]
        first, after = position[row], position[row] + count
        if after > end[row]:
            late[num_late] = place
            num_late += 1
            continue
        for index in range(count):
            numbers[place, index] = flat[first + index]
        position[row] = after
        if after == end[row]:
            used_up[num_used_up] = row
            num_used_up += 1
    return num_late, num_used_up


class UniformStream(ABC):
    """Uniform numbers for a flat batch of instances, each with its own position.

    Blocks are drawn ahead and handed out one by one, so that a batched environment
    draws exactly what its scalar form would draw one at a time.

    Args:
        num_instances: How many instances there are.
        ahead: How many numbers to draw ahead for each, a multiple of 4.
    """

    def __init__(self, num_instances: int, ahead: int = _UNIFORMS_AT_A_TIME) -> None:
        self._block = np.empty((num_instances, ahead))
        self._end = np.arange(1, num_instances + 1) * ahead
        self._position = self._end.copy()
        self._drawn = np.zeros(num_instances, dtype=np.int64)
        self._calls_until_empty = 0

    def next(self, active: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """The next number of every active instance.

        Args:
            active: bool, shape (num_instances,). The others' positions stay. All are
                active when left out.

        Returns:
            float64 in [0, 1), shape (num_instances,); meaningless where not active.
        """
        if self._calls_until_empty == 0:
            self._refill()
        self._calls_until_empty -= 1
        numbers = self._block.take(self._position)
        self._position += 1 if active is None else active
        return numbers

    @property
    def used(self) -> NDArray[np.int64]:
        """How many numbers each instance was given: shape (num_instances,)."""
        return self._drawn - (self._end - self._position)

    def next_of(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """The next number of a few instances, for less than what a mask costs.

        Args:
            rows: The instances, each at most once. The others' positions stay.

        Returns:
            float64 in [0, 1), shape (len(rows),).
        """
        if not len(rows):
            return np.zeros(0)
        if self._calls_until_empty == 0:
            self._refill()
        positions = self._position[rows]
        self._position[rows] = positions + 1
        left = self._end[rows] - positions
        fewest = int(left[left.argmin()]) - 1
        self._calls_until_empty = min(self._calls_until_empty, fewest)
        return self._block.take(positions)

    def several_of(self, rows: NDArray[np.intp], count: int) -> NDArray[np.float64]:
        """The next ``count`` numbers of some instances; the others' positions stay.

        Args:
            rows: The instances, each at most once.
            count: How many numbers for each.

        Returns:
            float64 in [0, 1), shape (len(rows), count).
        """
        first = self._position.take(rows)
        short = first + count > self._end.take(rows)
        if np.count_nonzero(short):
            used = rows[short]
            within = (self._position[used] < self._end[used]).any()
            if within or count > self._block.shape[1]:  # blocks end amid the numbers
                active = np.zeros(len(self._position), dtype=np.bool_)
                active[rows] = True
                return np.stack([self.next(active)[rows] for _ in range(count)], axis=1)
            self._fill(used)
            first = self._position.take(rows)
        self._position[rows] = first + count
        self._calls_until_empty = max(0, self._calls_until_empty - count)
        return self._block.take(first[:, None] + np.arange(count))

    def take_into(
        self,
        rows: NDArray[np.intp],
        numbers: NDArray[np.float64],
        take: Callable[..., tuple[int, int]],
    ) -> None:
        """The same as :meth:`several_of`, for the price of one compiled call.

        Args:
            rows: The instances, each at most once.
            numbers: float64, shape (len(rows), count), written to.
            take: :func:`take_from_blocks`, compiled.
        """
        late, used_up = np.empty((2, len(rows)), dtype=np.intp)
        position, end = self._position, self._end
        num_late, num_used_up = take(
            self._block, position, end, rows, numbers, late, used_up
        )
        self._calls_until_empty = max(0, self._calls_until_empty - numbers.shape[1])
        if num_late:
            places = late[:num_late]
            numbers[places] = self.several_of(rows[places], numbers.shape[1])
        if num_used_up:
            self._fill(used_up[:num_used_up])  # now, so that none is late

    def part(self, rows: Sequence[int]) -> UniformStream:
        """A stream of the numbers of some instances, from their first one on.

        It keeps positions of its own; the numbers are the same whoever else is in it.

        Args:
            rows: The instances.
        """
        return _PartOfStream(self, rows)

    def _refill(self) -> None:
        """Draws for the rows that are used up, and counts the calls all rows can meet.

        No row uses more than one number a call, so the next look is that many calls
        away; this keeps the common call down to a gather and an addition.
        """
        rows = np.flatnonzero(self._position == self._end)
        if len(rows):
            self._fill(rows)
        self._calls_until_empty = int((self._end - self._position).min())

    def _fill(self, rows: NDArray[np.intp]) -> None:
        """Draws the next block of rows whose last one is used up."""
        ahead = self._block.shape[1]
        self._block[rows] = self._draw(rows, self._drawn[rows])
        self._drawn[rows] += ahead
        self._position[rows] -= ahead

    @abstractmethod
    def _draw(
        self, rows: NDArray[np.intp], drawn: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """A block for each of ``rows``, which have drawn ``drawn`` numbers so far."""


class _PartOfStream(UniformStream):
    """The numbers of some instances of another stream."""

    def __init__(self, stream: UniformStream, rows: Sequence[int]) -> None:
        super().__init__(len(rows), stream._block.shape[1])
        self._stream = stream
        self._rows = np.asarray(rows, dtype=np.intp)

    def _draw(
        self, rows: NDArray[np.intp], drawn: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        return self._stream._draw(self._rows[rows], drawn)


class AddressedUniforms(UniformStream):
    """The stream of one (purpose, episode) for every agent of ``draws``."""

    def __init__(self, draws: Draws, purpose: str, episode: int) -> None:
        super().__init__(len(draws.trials) * len(draws.agents))
        self._draws = draws
        self._purpose = purpose
        self._episode = episode

    def skip(self, used: NDArray[np.int64]) -> None:
        """Goes on as if each instance had been given so many numbers already.

        Args:
            used: Shape (num_instances,), 0 or more.
        """
        ahead = self._block.shape[1]
        inside = used % WORDS_PER_BLOCK  # an address is a whole block
        self._block = self._draw(np.arange(len(used)), used - inside)
        self._drawn = used - inside + ahead
        self._position = self._end - ahead + inside
        self._calls_until_empty = 0

    def _draw(
        self, rows: NDArray[np.intp], drawn: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        ahead = self._block.shape[1]
        block = np.empty((len(rows), ahead))
        for start in np.unique(drawn):
            mine = drawn == start
            block[mine] = self._draws.uniforms(
                self._purpose,
                self._episode,
                ahead,
                start=int(start),
                rows=rows[mine],
            )
        return block


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
        return self._stream.next_of(links)

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
