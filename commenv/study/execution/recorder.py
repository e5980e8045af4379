"""What is measured and learned in a block, round by round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from commenv.learning import Learner
from commenv.snapshots import Resumable, Snapshot, arrays_of, entry
from commenv.study.spec import Study
from commenv.study.storage.frame import COLUMNS, EVALUATIONS, HELD

__all__ = ["FinalWeights", "Recorder"]

_COSTS = {
    "env_steps": "episode_length",
    "messages": "messages",
    "uplink_bytes": "size",
    "total_bytes": "total_size",
}

_MEASURED = [column.name for column in COLUMNS if column.dtype == "float64"]


class Recorder(Resumable):
    """What is measured in each round, for every trial of a block.

    Args:
        study: The settings.
        num_trials: Trials of the block.
        worlds: The columns of evaluations in agents' own worlds, if there are any.

    Attributes:
        worlds: As given.
        columns: All that is measured.
        running: Which trials go on: (trials,).
        pruned: Which were stopped from outside: (trials,).
        totals: What each trial has spent so far, by stop quantity: (trials,).
        rows: What was measured in each round, by column: (trials,).
        taken: Which trials have played each round: (trials,).
    """

    _remembered: ClassVar[tuple[str, ...]] = ("running", "pruned", "totals")

    def __init__(
        self, study: Study, num_trials: int, worlds: Sequence[str] = ()
    ) -> None:
        self.worlds = tuple(worlds)
        self._evaluations = [*EVALUATIONS, *worlds]
        self.columns = (*_MEASURED, *worlds)
        self._stop = dict(study.stop or {})
        self._num_episodes = study.num_episodes
        self.totals = {name: np.zeros(num_trials) for name in _COSTS}
        self.running = np.ones(num_trials, dtype=np.bool_)
        self.pruned = np.zeros(num_trials, dtype=np.bool_)
        self.rows: list[dict[str, NDArray[np.float64]]] = []
        self.taken: list[NDArray[np.bool_]] = []

    def add(self, measured: dict[str, NDArray[np.float64]]) -> None:
        """Takes a round, and finds out who has reached a limit."""
        for name, source in _COSTS.items():
            self.totals[name] = self.totals[name] + measured[source]
        measured["env_steps"] = self.totals["env_steps"]
        for name in self._evaluations:
            measured[name] = np.full(len(self.running), np.nan)
        self.rows.append(measured)
        self.taken.append(self.running)
        self.running = self.running & self._below(len(self.rows))

    def prune(self, stopped: NDArray[np.bool_]) -> None:
        """Stops trials that are running after the last round."""
        self.running = self.running & ~stopped
        self.pruned = self.pruned | stopped

    def evaluate(
        self, which: NDArray[np.bool_], found: Mapping[str, NDArray[np.float64]]
    ) -> None:
        """Enters evaluations of the last round for some of the trials.

        NaN stands for a round that was not evaluated, so a policy whose value is not
        finite gets -inf.

        Args:
            which: bool, shape (trials,).
            found: Values by column: of what the learner has, in agents' own worlds too,
                and of what agents hold, which are NaN where that was not evaluated.
        """
        for name, values in found.items():
            if name != HELD:
                values = np.where(np.isfinite(values), values, -np.inf)
            self.rows[-1][name][which] = values[which]

    def column(self, name: str) -> NDArray[np.float64]:
        """A measured column, trial by trial, of the rounds that each has played."""
        stacked = np.stack([row[name] for row in self.rows], axis=1)
        return stacked[self.mask]

    def snapshot(self) -> Snapshot:
        """Everything that was measured so far, a column in an array."""
        names = self.rows[0] if self.rows else ()
        columns = {name: np.stack([row[name] for row in self.rows]) for name in names}
        return {**super().snapshot(), "columns": columns, "taken": np.array(self.taken)}

    def restore(self, snapshot: Snapshot) -> None:
        """Goes on measuring behind it.

        Raises:
            ResultsError: It is not a snapshot of such a series.
        """
        super().restore(snapshot)
        self.taken = list(entry(snapshot, "taken"))
        like = np.zeros((len(self.taken), len(self.running)))
        columns = arrays_of(
            entry(snapshot, "columns"), "the series", dict.fromkeys(self.columns, like)
        )
        self.rows = [
            {name: values[position] for name, values in columns.items()}
            for position in range(len(self.taken))
        ]

    def _below(self, num_rounds: int) -> NDArray[np.bool_]:
        """Which trials have reached no limit after so many rounds."""
        below = np.full(len(self.running), num_rounds < self._num_episodes)
        for name, limit in self._stop.items():
            below &= self.totals[name] < limit
        return below

    @property
    def mask(self) -> NDArray[np.bool_]:
        """bool, shape (trials, episodes): which rounds each trial has played."""
        return np.stack(self.taken, axis=1)


class FinalWeights(Resumable):
    """A copy of the learner's memory, each trial's from the round in which it stopped.

    The batch plays on after that, for as long as any of its trials does.
    """

    _remembered: ClassVar[tuple[str, ...]] = ("memory",)

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self.memory = {name: one.copy() for name, one in learner.memory.items()}

    def keep(self, stopped: NDArray[np.bool_]) -> None:
        """Takes the present memory of some trials."""
        if stopped.any():
            for name, values in self._learner.memory.items():
                self.memory[name][stopped] = values[stopped]
