"""How large the messages were: a histogram for each trial, cheap to keep."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from commenv.snapshots import Resumable, Snapshot

__all__ = ["SizeCounts", "Sizes"]

_MOST_MESSAGES = 2**18
_MOST_ENTRIES = 2**10


class SizeCounts(NamedTuple):
    """A histogram of sizes; each trial and size stands once, ordered by trial and size.

    Attributes:
        trials: intp, shape (k,): the trials' positions in the batch.
        payload: int64, shape (k,): payload bytes of a message.
        messages: int64, shape (k,): how many messages of that size, at least 1.
    """

    trials: NDArray[np.intp]
    payload: NDArray[np.int64]
    messages: NDArray[np.int64]


class Sizes(Resumable):
    """Counts messages by trial and payload.

    What is entered is put aside, and counted once there is enough of it, so that an
    entry costs next to nothing and memory stays bounded by the number of different
    sizes.

    Args:
        shape: (trials, agents).
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self._shape = shape
        self._aside: list[tuple[NDArray[np.intp], NDArray[np.int64]]] = []
        self._num_aside = 0
        # A trial and a size as one number: payload * trials + trial.
        self._keys = np.zeros(0, dtype=np.int64)
        self._counts = np.zeros(0, dtype=np.int64)

    def add(self, links: NDArray[np.intp], payload: NDArray[np.int64]) -> None:
        """Enters messages: their flat links and payload bytes, both of shape (m,)."""
        self._aside.append((links, payload))
        self._num_aside += len(links)
        if self._num_aside > _MOST_MESSAGES or len(self._aside) > _MOST_ENTRIES:
            self._fold()

    def counts(self) -> SizeCounts:
        """Everything that was entered."""
        self._fold()
        payload, trials = np.divmod(self._keys, self._shape[0])
        order = np.lexsort((payload, trials))
        return SizeCounts(
            trials[order].astype(np.intp), payload[order], self._counts[order]
        )

    def snapshot(self) -> Snapshot:
        """The counts so far."""
        self._fold()
        return {"keys": self._keys, "counts": self._counts}

    def restore(self, snapshot: Snapshot) -> None:
        """Counts on from there."""
        self._keys, self._counts = snapshot["keys"], snapshot["counts"]

    def _fold(self) -> None:
        """Counts what was put aside."""
        if not self._aside:
            return
        trials, agents = self._shape
        links = np.concatenate([links for links, _ in self._aside])
        payload = np.concatenate([payload for _, payload in self._aside])
        key = payload.astype(np.int64) * trials + links // agents
        new, count = np.unique(key, return_counts=True)
        keys, where = np.unique(np.concatenate([self._keys, new]), return_inverse=True)
        counts = np.zeros(len(keys), dtype=np.int64)
        counts[where[: len(self._keys)]] = self._counts
        counts[where[len(self._keys) :]] += count
        self._keys, self._counts = keys, counts
        self._aside, self._num_aside = [], 0
