"""The ledger: every message, every byte, and what became of it."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from commenv.channel.sizes import SizeCounts, Sizes
from commenv.channel.wire import HEADER_SIZE
from commenv.channel.wiring import Wiring
from commenv.snapshots import Resumable, Snapshot, array_of

__all__ = ["Entry", "Fate", "Ledger", "Unit"]


class Fate(IntEnum):
    """What became of a message. Each copy has exactly one fate at any time."""

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


# The rows of the counts: messages and their payload, every message having one header.
# What :attr:`Ledger.traffic` shows stands in front.
_SENT = (0, 1)
_REFUSED = (2, 3)
_TRANSMITTED = 4
_ACKNOWLEDGED = 6
_TRAFFIC = 7
_FATES = {
    Fate.DELIVERED: (9, 10),
    Fate.REFUSED: _REFUSED,
    Fate.LOST: (4, 7),
    Fate.EXPIRED: (5, 8),
    Fate.IN_FLIGHT: (11, 12),
}
_ATTEMPTED = (13, 14)
_ROWS = 15

_MOST_MESSAGES = 2**18
_MOST_ENTRIES = 2**10


class Ledger(Resumable):
    """Counts for every link, so that ``attempted`` is the sum over the fates.

    Copies of a message on several links have a fate each. What leaves a sender is a
    *transmission*, which may be heard on many links: it is counted for whoever pays
    for it, the link itself unless ``payers`` says otherwise.

    A message that a budget cuts counts as delivered, and its cut bytes as refused.

    Args:
        shape: (copies, links): the links, all of them and of each copy of a network.
        wiring: Who pays for what leaves on each link; None where every link does.
        journal: Keep every single message's entry too, in ``journal``; it is no part
            of snapshots.

    Attributes:
        shape: As given.
        payers: (copies, payers).
    """

    def __init__(
        self,
        shape: tuple[int, int],
        wiring: Wiring | None = None,
        *,
        journal: bool = False,
    ) -> None:
        self.shape = shape
        self.payers = shape if wiring is None else wiring.payers
        self._num_links = shape[0] * shape[1]
        self._num_payers = paying = self.payers[0] * self.payers[1]
        self._counts = np.zeros((_ROWS, self._num_links), dtype=np.int64)
        self._payer_of = None if wiring is None else wiring.flat_payers
        self._transmitted = np.zeros((_TRANSMITTED, paying), dtype=np.int64)
        self._look()
        self._penalty = np.zeros(paying)
        self._sizes = Sizes(self.payers)
        self._unsized: list[tuple[NDArray[np.intp], NDArray[np.int64]]] = []
        self._num_unsized = 0
        self.journal: list[Entry] | None = [] if journal else None

    def _look(self) -> None:
        """Makes the views of the counts, which copies need anew."""
        self._rows = list(self._counts)
        # Where links pay for themselves, what is transmitted and refused stands in the
        # first rows of the counts; else what payers transmit is counted apart.
        own = self._payer_of is None
        self._paid = self._counts[:_TRANSMITTED] if own else self._transmitted

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._look()

    def attempt(self, links: NDArray[np.intp], payload: NDArray[np.int64]) -> None:
        """Enters copies that are about to be sent, at most one for each link."""
        self._add(_ATTEMPTED, links, payload)

    def send(self, payers: NDArray[np.intp], payload: NDArray[np.int64]) -> None:
        """Enters transmissions that leave their senders.

        Args:
            payers: Flat positions of who pays, at most once each where every link pays
                for itself.
            payload: Bytes of each transmission.
        """
        # What was sent is counted by size once there is enough of it, so that an entry
        # costs next to nothing, and memory stays bounded.
        self._unsized.append((payers, payload))
        self._num_unsized += len(payers)
        if self._num_unsized > _MOST_MESSAGES or len(self._unsized) > _MOST_ENTRIES:
            self._count_sizes()
        if self._payer_of is None:
            self._add(_SENT, payers, payload)
        else:
            self._transmit(_SENT, payers, payload)

    def refuse(self, payers: NDArray[np.intp], payload: NDArray[np.int64]) -> None:
        """Enters transmissions that a budget refused.

        The fates of their copies are entered by :meth:`settle`, which is all that there
        is to do where every link pays for itself.

        Args:
            payers: Flat positions of who would have paid.
            payload: Bytes of each transmission.
        """
        if self._payer_of is not None:
            self._transmit(_REFUSED, payers, payload)

    def settle(
        self,
        fate: Fate,
        links: NDArray[np.intp],
        payload: NDArray[np.int64],
        headers: NDArray[np.void],
    ) -> None:
        """Enters the fate of copies, at most one for each link."""
        if not len(links):
            return
        self._add(_FATES[fate], links, payload)
        if self.journal is not None:
            self.journal.append(Entry(links, headers, fate, payload))

    def cut(self, links: NDArray[np.intp], payload: NDArray[np.int64]) -> None:
        """Enters the bytes that a budget cut from messages that went on."""
        self._counts[_FATES[Fate.REFUSED][Unit.PAYLOAD], links] += payload

    def land(self, links: NDArray[np.intp], payload: NDArray[np.int64]) -> None:
        """Takes copies out of flight, because they are about to meet another fate.

        At most one for each link.
        """
        messages, size = _FATES[Fate.IN_FLIGHT]
        self._counts[messages][links] -= 1
        self._counts[size][links] -= payload

    def charge(self, payers: NDArray[np.intp], penalty: NDArray[np.float64]) -> None:
        """Enters the price of messages beyond a budget, at most one for each payer."""
        self._penalty[payers] += penalty

    def acknowledge(self, links: NDArray[np.intp], receivers: int) -> None:
        """Enters confirmations by receivers, at most one copy for each link.

        Args:
            links: The links of the copies.
            receivers: How many hear what is on a link, and confirm it.
        """
        self._counts[_ACKNOWLEDGED][links] += receivers

    def attempted(self, unit: Unit = Unit.MESSAGES) -> NDArray[np.int64]:
        """What was handed to the links: int64, shape (copies, links)."""
        return _in_unit(self._counts, _ATTEMPTED, unit).reshape(self.shape)

    def count(self, fate: Fate, unit: Unit = Unit.MESSAGES) -> NDArray[np.int64]:
        """What met a fate: int64, shape (copies, links)."""
        return _in_unit(self._counts, _FATES[fate], unit).reshape(self.shape)

    def sent(self, unit: Unit = Unit.MESSAGES) -> NDArray[np.int64]:
        """What left a sender, and was paid for, whatever became of it then.

        A queued message counts once it leaves.

        Returns:
            int64, shape (copies, payers).
        """
        return _in_unit(self._paid, _SENT, unit).reshape(self.payers)

    @property
    def traffic(self) -> NDArray[np.int64]:
        """What passed, by who paid for it: int64, shape (7, copies, payers).

        Transmissions sent, and their payload; transmissions that a budget refused, and
        the payload that it refused or cut off; copies lost; copies expired; copies
        acknowledged.
        """
        counts = self._counts[:_TRAFFIC].copy()
        if self._payer_of is not None:
            counts = np.zeros((_TRAFFIC, self._num_payers), dtype=np.int64)
            counts[:_TRANSMITTED] = self._paid
            for row in range(_TRANSMITTED, _TRAFFIC):
                np.add.at(counts[row], self._payer_of, self._counts[row])
        return counts.reshape(_TRAFFIC, *self.payers)

    @property
    def sizes(self) -> SizeCounts:
        """How many transmissions of each size there were, copy by copy."""
        self._count_sizes()
        return self._sizes.counts()

    @property
    def acknowledgements(self) -> NDArray[np.int64]:
        """Headers that came back to confirm copies: int64, (copies, links)."""
        return self._counts[_ACKNOWLEDGED].reshape(self.shape).copy()

    @property
    def penalty(self) -> NDArray[np.float64]:
        """The price of all messages beyond a budget: float64, (copies, payers)."""
        return self._penalty.reshape(self.payers).copy()

    @property
    def balanced(self) -> bool:
        """Whether the fates add up to what was attempted, on every link."""
        fates = self._counts[np.array(list(_FATES.values()))].sum(axis=0)
        return bool((self._counts[list(_ATTEMPTED)] == fates).all())

    def snapshot(self) -> Snapshot:
        """All counts."""
        self._count_sizes()
        return {
            "counts": self._counts,
            "paid": self._paid,
            "penalty": self._penalty,
            "sizes": self._sizes.snapshot(),
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Counts on from there.

        Raises:
            ResultsError: It is not a snapshot of such a ledger.
        """
        for name in ("counts", "paid", "penalty"):
            own = getattr(self, f"_{name}")
            own[:] = array_of(snapshot[name], name, own.dtype, *own.shape)
        self._sizes.restore(snapshot["sizes"])

    def _count_sizes(self) -> None:
        self._sizes.add(self._unsized)
        self._unsized, self._num_unsized = [], 0

    def _add(
        self,
        rows: tuple[int, int],
        links: NDArray[np.intp],
        payload: NDArray[np.int64],
    ) -> None:
        """Adds copies and their payload, at most one for each link."""
        messages, size = self._rows[rows[0]], self._rows[rows[1]]
        if len(links) == self._num_links:  # in order, so they need no index
            messages += 1
            size += payload
            return
        messages[links] += 1
        size[links] += payload

    def _transmit(
        self,
        rows: tuple[int, int],
        payers: NDArray[np.intp],
        payload: NDArray[np.int64],
    ) -> None:
        """Adds transmissions and their payload, many of one payer perhaps."""
        self._paid[rows[0]] += np.bincount(payers, minlength=self._num_payers)
        np.add.at(self._paid[rows[1]], payers, payload)


def _in_unit(
    counts: NDArray[np.int64], rows: tuple[int, int], unit: Unit
) -> NDArray[np.int64]:
    """Rows of messages and of payload in one unit: a copy of shape (n,)."""
    if unit == Unit.HEADER:
        return HEADER_SIZE * counts[rows[Unit.MESSAGES]]
    return counts[rows[unit]].copy()
