"""How large the messages were: a histogram for each trial, cheap to keep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from commenv.snapshots import Resumable, Snapshot

__all__ = ["SizeCounts", "Sizes"]


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

    Args:
        shape: (trials, agents).
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self._shape = shape
        # A trial and a size as one number: payload * trials + trial.
        self._keys = np.zeros(0, dtype=np.int64)
        self._counts = np.zeros(0, dtype=np.int64)

    def add(
        self, entries: Sequence[tuple[NDArray[np.intp], NDArray[np.int64]]]
    ) -> None:
        """Counts messages.

        Args:
            entries: Flat links and payload bytes, both of shape (m,), of messages that
                were sent together.
        """
        if not entries:
            return
        trials, agents = self._shape
        links = np.concatenate([links for links, _ in entries])
        payload = np.concatenate([payload for _, payload in entries])
        key = payload.astype(np.int64) * trials + links // agents
        new, count = np.unique(key, return_counts=True)
        keys, where = np.unique(np.concatenate([self._keys, new]), return_inverse=True)
        counts = np.zeros(len(keys), dtype=np.int64)
        counts[where[: len(self._keys)]] = self._counts
        counts[where[len(self._keys) :]] += count
        self._keys, self._counts = keys, counts

    def counts(self) -> SizeCounts:
        """Everything that was counted."""
        payload, trials = np.divmod(self._keys, self._shape[0])
        order = np.lexsort((payload, trials))
        return SizeCounts(
            trials[order].astype(np.intp), payload[order], self._counts[order]
        )

    def snapshot(self) -> Snapshot:
        """The counts so far."""
        return {"keys": self._keys, "counts": self._counts}

    def restore(self, snapshot: Snapshot) -> None:
        """Counts on from there."""
        self._keys, self._counts = snapshot["keys"], snapshot["counts"]
