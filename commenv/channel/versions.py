"""Parameters that many agents hold: one copy of each version, not of each agent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Versions"]


class Versions(NamedTuple):
    """The versions of the parameters that agents hold, and who holds which.

    After a broadcast that everybody heard there is one version for each trial; where
    some are lost or late, older ones stay for as long as somebody holds them.

    Attributes:
        records: Structured array, shape (versions,).
        held: intp, shape (trials, agents): which of them each agent holds.
    """

    records: NDArray[np.void]
    held: NDArray[np.intp]

    @classmethod
    def of_trials(cls, records: NDArray[np.void], num_agents: int) -> Versions:
        """Every agent of a trial holds the trial's record: shape (trials,)."""
        held = np.repeat(np.arange(len(records))[:, None], num_agents, axis=1)
        return cls(records, held)

    @classmethod
    def of_agents(cls, records: NDArray[np.void]) -> Versions:
        """Every agent holds a record of its own: shape (trials, agents)."""
        return cls(records.ravel(), np.arange(records.size).reshape(records.shape))

    def replaced(
        self,
        links: NDArray[np.intp],
        records: NDArray[np.void],
        which: NDArray[np.intp],
    ) -> Versions:
        """The same after some agents have received newer ones.

        Args:
            links: Their flat (trial-major) positions, shape (m,).
            records: What arrived, shape (n,).
            which: Which of it each of them received, shape (m,).
        """
        if len(links) == self.held.size:  # in order, since no link stands twice
            return Versions(records, which.reshape(self.held.shape))
        held = self.held.flatten()
        held[links] = len(self.records) + which
        everything = np.concatenate([self.records, records])
        used = np.bincount(held, minlength=len(everything)) > 0
        held = (np.cumsum(used) - 1)[held]
        return Versions(everything[used], held.reshape(self.held.shape))

    def mean_of(
        self, value: Callable[[NDArray[np.void]], NDArray[np.float64]]
    ) -> NDArray[np.float64]:
        """A number for what each agent holds, mean over the agents: (trials,).

        Args:
            value: The numbers of one record for each trial: (trials,) to float64,
                (trials,). It is called as often as some trial's agents hold records
                that differ, with its last one again for trials of fewer.
        """
        first, same = _distinct(self.records)
        held = np.sort(same[self.held], axis=1)
        rank = np.cumsum(np.diff(held, axis=1, prepend=held[:, :1]) > 0, axis=1)
        mean = np.zeros(len(held))
        for number in range(int(rank.max()) + 1):
            share = (rank == number).mean(axis=1)
            place = (rank < number).sum(axis=1).clip(max=held.shape[1] - 1)
            records = self.records[first[np.take_along_axis(held, place[:, None], 1)]]
            values = value(records[:, 0])
            nothing = np.zeros(len(held))  # 0 times an infinite value
            mean += np.multiply(share, values, out=nothing, where=share > 0)
        return mean

    def expanded(self) -> NDArray[np.void]:
        """A copy for each agent: structured array, shape (trials, agents)."""
        return self.records[self.held]


def _distinct(records: NDArray[np.void]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The positions of records that differ in a bit, and for each which it is like."""
    whole = np.ascontiguousarray(records).view(f"V{records.dtype.itemsize}")
    _, first, same = np.unique(whole, return_index=True, return_inverse=True)
    return first, same
