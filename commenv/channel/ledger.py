"""The ledger: every message, every byte, and what became of it."""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from commenv.channel.frames import HEADER_SIZE
from commenv.channel.sizes import SizeCounts, Sizes
from commenv.errors import ResultsError
from commenv.snapshots import Resumable, Snapshot

__all__ = ["Entry", "Fate", "Ledger", "Unit"]


class Fate(IntEnum):
    """What became of a message. Each has exactly one fate at any time."""

    DELIVERED = 0
    REFUSED = 1
    LOST = 2
    EXPIRED = 3
    IN_FLIGHT = 4


class Unit(IntEnum):
    """What the ledger counts: messages, bytes of payload, bytes of header."""

    MESSAGES = 0
    PAYLOAD = 1
    HEADER = 2


class Entry(NamedTuple):
    """One line of the journal: messages that met a fate together.

    Attributes:
        links: The flat (trial-major) links of the messages, shape (m,).
        headers: Their headers, shape (m,).
        fate: What became of them.
        payload: Their payload bytes, shape (m,).
    """

    links: NDArray[np.intp]
    headers: NDArray[np.void]
    fate: Fate
    payload: NDArray[np.int64]


class Ledger(Resumable):
    """Counts for every link, so that ``attempted`` is the sum over the fates.

    A message that a budget cuts counts as delivered, and its cut bytes as refused.

    Args:
        shape: (trials, agents).
        journal: Keep every single message's entry too, in ``journal``; it is no part
            of snapshots.

    Attributes:
        revision: Another number after every entry, so that readers need not look again
            where nothing has been entered.
    """

    _remembered: ClassVar[tuple[str, ...]] = (
        "_attempted",
        "_sent",
        "_fates",
        "_penalty",
        "_acknowledged",
        "_sizes",
    )

    def __init__(self, shape: tuple[int, int], *, journal: bool = False) -> None:
        self.shape = shape
        self.revision = 0
        links = shape[0] * shape[1]
        # Messages and their payload; every message has one header.
        self._attempted = np.zeros((2, links), dtype=np.int64)
        self._sent = np.zeros((2, links), dtype=np.int64)
        self._fates = np.zeros((len(Fate), 2, links), dtype=np.int64)
        self._penalty = np.zeros(links)
        self._acknowledged = np.zeros(links, dtype=np.int64)
        self._sizes = Sizes(shape)
        self.journal: list[Entry] | None = [] if journal else None

    def restore(self, snapshot: Snapshot) -> None:
        """Counts on from there.

        Raises:
            ResultsError: The counts do not add up.
        """
        super().restore(snapshot)
        self.revision += 1
        sizes, found = self.sizes, np.zeros((2, self.shape[0]), dtype=np.int64)
        np.add.at(found[Unit.MESSAGES], sizes.trials, sizes.messages)
        np.add.at(found[Unit.PAYLOAD], sizes.trials, sizes.messages * sizes.payload)
        sent = self._sent.reshape(2, *self.shape).sum(axis=2)
        if not self.balanced or (found != sent).any():
            raise ResultsError("a snapshot has a ledger that does not add up")

    def attempt(self, links: NDArray[np.intp], payload: NDArray[np.int64]) -> None:
        """Enters messages that are about to be sent, at most one for each link."""
        self.revision += 1
        _add(self._attempted, links, 1, payload)

    def send(self, links: NDArray[np.intp], payload: NDArray[np.int64]) -> None:
        """Enters messages that leave their senders, at most one for each link."""
        self.revision += 1
        _add(self._sent, links, 1, payload)
        self._sizes.add(links, payload)

    def settle(
        self,
        fate: Fate,
        links: NDArray[np.intp],
        payload: NDArray[np.int64],
        headers: NDArray[np.void],
    ) -> None:
        """Enters the fate of messages, at most one for each link."""
        if not len(links):
            return
        self.revision += 1
        _add(self._fates[fate], links, 1, payload)
        if self.journal is not None:
            self.journal.append(Entry(links, headers, fate, payload))

    def cut(self, links: NDArray[np.intp], payload: NDArray[np.int64]) -> None:
        """Enters the bytes that a budget cut from messages that went on."""
        self.revision += 1
        self._fates[Fate.REFUSED, Unit.PAYLOAD, links] += payload

    def land(self, links: NDArray[np.intp], payload: NDArray[np.int64]) -> None:
        """Takes messages out of flight, because they are about to meet another fate.

        At most one for each link.
        """
        self.revision += 1
        _add(self._fates[Fate.IN_FLIGHT], links, -1, -payload)

    def charge(self, links: NDArray[np.intp], penalty: NDArray[np.float64]) -> None:
        """Enters the price of messages beyond a budget, at most one for each link."""
        self.revision += 1
        self._penalty[links] += penalty

    def acknowledge(self, links: NDArray[np.intp]) -> None:
        """Enters confirmations by the receiver, at most one for each link."""
        self.revision += 1
        self._acknowledged[links] += 1

    def attempted(self, unit: Unit = Unit.MESSAGES) -> NDArray[np.int64]:
        """What was handed to the channel: int64, shape (trials, agents)."""
        return _in_unit(self._attempted, unit).reshape(self.shape)

    def count(self, fate: Fate, unit: Unit = Unit.MESSAGES) -> NDArray[np.int64]:
        """What met a fate: int64, shape (trials, agents)."""
        return _in_unit(self._fates[fate], unit).reshape(self.shape)

    def sent(self, unit: Unit = Unit.MESSAGES) -> NDArray[np.int64]:
        """What left the sender, and was paid for, whatever became of it then.

        That is attempted less refused; a queued message counts once it leaves.
        """
        return _in_unit(self._sent, unit).reshape(self.shape)

    @property
    def sizes(self) -> SizeCounts:
        """How many messages of each size were sent, trial by trial."""
        return self._sizes.counts()

    @property
    def acknowledgements(self) -> NDArray[np.int64]:
        """Headers that came back to confirm messages: int64, (trials, agents)."""
        return self._acknowledged.reshape(self.shape).copy()

    @property
    def penalty(self) -> NDArray[np.float64]:
        """The price of all messages beyond a budget: float64, (trials, agents)."""
        return self._penalty.reshape(self.shape).copy()

    @property
    def balanced(self) -> bool:
        """Whether the fates add up to what was attempted, on every link."""
        return bool((self._attempted == self._fates.sum(axis=0)).all())


def _add(
    counts: NDArray[np.int64],
    links: NDArray[np.intp],
    messages: int,
    payload: NDArray[np.int64],
) -> None:
    """Adds messages and their payload to counts of shape (2, links)."""
    # Rows are indexed by themselves, which takes NumPy half as long as both at once.
    counts[Unit.MESSAGES][links] += messages
    counts[Unit.PAYLOAD][links] += payload


def _in_unit(counts: NDArray[np.int64], unit: Unit) -> NDArray[np.int64]:
    """Counts of shape (2, links) in one unit: a copy of shape (links,)."""
    if unit == Unit.HEADER:
        return HEADER_SIZE * counts[Unit.MESSAGES]
    return counts[unit].copy()
