"""Parameters that many agents hold: one copy of each version, not of each agent."""

from __future__ import annotations

from typing import NamedTuple

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

    def expanded(self) -> NDArray[np.void]:
        """A copy for each agent: structured array, shape (trials, agents)."""
        return self.records[self.held]
