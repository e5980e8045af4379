"""Messages on a channel's link: put on it, distorted, and taken off in their tick."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from commenv.channel.frames import HEADER_SIZE, NO_FRAMES, Frames
from commenv.channel.link import Link, Payloads, Sending
from commenv.channel.randomness import LinkDraws
from commenv.draws import Draws
from commenv.snapshots import Resumable, Snapshot, array_of, arrays_of

__all__ = ["Departed", "Transit", "UnderWay"]


class UnderWay(NamedTuple):
    """Messages on the link, at most one for each; arrays of shape (m,).

    Attributes:
        frames: The messages.
        due: The ticks in which they arrive or expire.
        expires: Whether they expire then.
    """

    frames: Frames
    due: NDArray[np.int64]
    expires: NDArray[np.bool_]

    def take(self, which: NDArray[np.bool_]) -> UnderWay:
        """The messages where a mask is true."""
        return UnderWay(self.frames.take(which), self.due[which], self.expires[which])


class Departed(NamedTuple):
    """What becomes of messages at once.

    Attributes:
        lost: Those that will never arrive.
        here: Those that are due already.
        later: Those that are in flight.
    """

    lost: Frames
    here: UnderWay
    later: Frames


class Transit(Resumable):
    """The link of one channel.

    Args:
        link: What happens on it.
        draws: Addressed draws, of shape (trials, agents).

    Attributes:
        distances: float64, shape (links,): how far senders are from receivers; None
            until somebody says.
    """

    def __init__(self, link: Link, draws: Draws) -> None:
        self.distances: NDArray[np.float64] | None = None
        self._link = link
        self._draws = LinkDraws(draws, "link")
        self._num_links = len(draws.trials) * len(draws.agents)
        self._state = link.start(self._num_links)
        self._under_way: list[UnderWay] = []

    def depart(
        self, frames: Frames, clock: int, wire: np.dtype[np.void] | None
    ) -> Departed:
        """Puts messages on the link, at most one for each.

        Args:
            frames: The messages.
            clock: The tick.
            wire: What payloads are arrays of, where they carry numbers as numbers.
        """
        distances = None if self.distances is None else self.distances[frames.links]
        sizes = frames.sizes + HEADER_SIZE
        passage, self._state = self._link.carry(
            Sending(frames.links, sizes, clock, distances), self._state, self._draws
        )
        under_way = UnderWay(
            self._distorted(frames, wire), clock + passage.wait, passage.expired
        )
        if not np.count_nonzero(passage.wait):
            if not np.count_nonzero(passage.lost):
                return Departed(NO_FRAMES, under_way, NO_FRAMES)
            lost = frames.take(passage.lost)
            return Departed(lost, under_way.take(~passage.lost), NO_FRAMES)
        lost = frames.take(passage.lost)
        later = under_way.take(~passage.lost & (passage.wait > 0))
        if len(later.due):
            self._under_way.append(later)
        here = under_way.take(~passage.lost & (passage.wait == 0))
        return Departed(lost, here, later.frames)

    def land(self, clock: int) -> Iterator[UnderWay]:
        """Takes off the link what is due, in the order in which it was put on."""
        batches, self._under_way = self._under_way, []
        for batch in batches:
            due = batch.due <= clock
            if not due.all():
                self._under_way.append(batch.take(~due))
            yield batch.take(due)

    def clear(self) -> list[Frames]:
        """Takes everything off the link, in the order in which it was put on."""
        batches, self._under_way = self._under_way, []
        return [batch.frames for batch in batches]

    @property
    def under_way(self) -> list[Frames]:
        """Everything on the link, in the order in which it was put on."""
        return [batch.frames for batch in self._under_way]

    def snapshot(self) -> Snapshot:
        """What the link remembers, how far it has drawn, and what is on it."""
        return {
            "state": self._state,
            "drawn": self._draws.snapshot(),
            "under_way": [
                {**batch._asdict(), "frames": batch.frames.snapshot()}
                for batch in self._under_way
            ],
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Takes over another link's memory, draws and messages.

        Raises:
            ResultsError: It is no snapshot of such a link.
        """
        self._state = arrays_of(snapshot["state"], "the link", self._state)
        self._draws.restore(snapshot["drawn"])
        self._under_way = [self._restored(**batch) for batch in snapshot["under_way"]]

    def _restored(self, frames: Snapshot, due: Any, expires: Any) -> UnderWay:
        own = Frames.restored(frames, self._num_links)
        return UnderWay(
            own,
            array_of(due, "ticks", np.int64, len(own)),
            array_of(expires, "expiries", np.bool_, len(own)),
        )

    def _distorted(self, frames: Frames, wire: np.dtype[np.void] | None) -> Frames:
        """The frames with the payloads that will arrive."""
        if not self._link.distorts or not len(frames):
            return frames
        own = frames.alone()
        sequence = own.headers["sequence"]
        payloads = Payloads(own.data, own.sizes, own.links, sequence, wire)
        data = self._link.distort(payloads, self._draws)
        return Frames(own.links, own.headers, data, own.starts, own.stops)
