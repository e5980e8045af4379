"""What happens to accepted messages: the link, the ledger, the receivers' inbox."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from commenv.channel.coding import Coder, Letters
from commenv.channel.frames import Frames
from commenv.channel.ledger import Fate, Ledger
from commenv.channel.transit import Transit, UnderWay
from commenv.errors import MalformedMessage

__all__ = ["Carriage"]


class Carriage:
    """Carries frames over links, and sees to it that each meets one fate.

    Args:
        transit: The links.
        ledger: Where fates are entered.
        coder: Reads what arrives.
        acknowledgements: Whether receivers confirm what arrives.

    Attributes:
        deaf: bool, shape (links,): whose receiver is no longer there, so that what
            would arrive is lost; None where all are.
    """

    def __init__(
        self, transit: Transit, ledger: Ledger, coder: Coder, acknowledgements: bool
    ) -> None:
        self.deaf: NDArray[np.bool_] | None = None
        self._transit = transit
        self._ledger = ledger
        self._coder = coder
        self._acknowledgements = acknowledgements
        self._inbox: list[Letters] = []
        self._known: list[tuple[Frames, bool]] = []

    def launch(
        self, frames: Frames, clock: int, dtype: np.dtype[np.void] | None
    ) -> None:
        """Puts accepted frames on the link, at most one for each.

        Args:
            frames: The messages.
            clock: The tick.
            dtype: Of their records; None for free-form payloads.
        """
        self._ledger.send(frames.links, frames.sizes)
        wire = None if dtype is None else self._coder.codec.wire(dtype)
        departed = self._transit.depart(frames, clock, wire)
        self.fail(Fate.LOST, departed.lost)
        self.settle(Fate.IN_FLIGHT, departed.later)
        self._arrive(departed.here, dtype)

    def land(self, clock: int, dtype: np.dtype[np.void] | None) -> None:
        """Takes off the link what is due."""
        for batch in self._transit.land(clock):
            self._ledger.land(batch.frames.links, batch.frames.sizes)
            self._arrive(batch, dtype)

    def abandon(self) -> None:
        """Lets everything that is under way expire."""
        for frames in self._transit.clear():
            self._ledger.land(frames.links, frames.sizes)
            self.fail(Fate.EXPIRED, frames)

    def collect(self) -> list[Letters]:
        """What arrived since the last call, in order of arrival."""
        inbox, self._inbox = self._inbox, []
        return inbox

    def verdicts(self) -> list[tuple[Frames, bool]]:
        """Acknowledged messages since the last call, and whether they arrived."""
        known, self._known = self._known, []
        return known

    @property
    def idle(self) -> bool:
        """Whether nothing that arrived waits to be asked for."""
        return not (self._inbox or self._known)

    def settle(self, fate: Fate, frames: Frames) -> None:
        """Enters the fate of messages, at most one for each link."""
        if not len(frames):
            return
        self._ledger.settle(fate, frames.links, frames.sizes, frames.headers)

    def fail(self, fate: Fate, frames: Frames) -> None:
        """Enters messages that left and will never arrive."""
        if not len(frames):
            return
        self.settle(fate, frames)
        if self._acknowledgements:
            self._known.append((frames, False))

    def _arrive(self, batch: UnderWay, dtype: np.dtype[np.void] | None) -> None:
        """Delivers messages, but for those that expire or cannot be read."""
        arrived = batch.frames
        if np.count_nonzero(batch.expires):
            self.fail(Fate.EXPIRED, arrived.take(batch.expires))
            arrived = arrived.take(~batch.expires)
        if self.deaf is not None and (unheard := self.deaf[arrived.links]).any():
            self.fail(Fate.LOST, arrived.take(unheard))
            arrived = arrived.take(~unheard)
        if not len(arrived):
            return
        try:
            self._deliver(arrived, dtype)
        except MalformedMessage:
            if not self._coder.may_fail:
                raise  # nothing on the way can have caused it
            for position in range(len(arrived)):
                alone = arrived.take(np.array([position]))
                try:
                    self._deliver(alone, dtype)
                except MalformedMessage:
                    self.fail(Fate.LOST, alone)

    def _deliver(self, frames: Frames, dtype: np.dtype[np.void] | None) -> None:
        """Reads messages, and puts them into the inbox.

        Raises:
            MalformedMessage: One cannot be read; nothing has happened then.
        """
        letters = self._coder.read(frames, dtype)
        self.settle(Fate.DELIVERED, frames)
        self._inbox.append(letters)
        if self._acknowledgements:
            self._ledger.acknowledge(frames.links)
            self._known.append((frames, True))
