"""What all trackers have in common."""

from __future__ import annotations

import contextlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from commenv.errors import MissingExtraError, shown
from commenv.study.arm import check_count
from commenv.study.callbacks import Callback, TrialRound
from commenv.study.spec import Study
from commenv.study.storage.frame import evaluations_in

__all__ = ["Tracker"]

_MOST_SAID = 300
_logger = logging.getLogger("commenv")


class Tracker(Callback, ABC):
    """Writes a study into a tracker, each trial as a run of its own.

    A run is described by its arm (:meth:`commenv.study.Arm.describe`), trial, seed and
    gamma. Its scalars are the measured columns of a results frame by their names, and
    what the trial has spent so far as ``total/messages`` and so on; its step is the
    round. Evaluations are written whenever there is one. A run is open from the first
    round that is told of a trial to its last one. A study that is gone on with goes on
    in runs of their own, behind the round where it was.

    A tracker that is not installed, cannot be reached or fails stops no study: the log
    says so once, and nothing more is written.

    Args:
        every: A round is written after each so many, from the first one, and the last
            one of each trial.

    Attributes:
        title: What messages call the tracker.
        extra: The extra that installs it.
        cure: What to do where it fails.

    Raises:
        ValueError: ``every`` is less than 1.
    """

    title: ClassVar[str]
    extra: ClassVar[str]
    cure: ClassVar[str]

    def __init__(self, every: int = 1) -> None:
        check_count("every", every)
        self._every = every
        self._study: Study | None = None
        self._runs: dict[tuple[str, int], Any] = {}
        self._failed = False

    @abstractmethod
    def begin(self, label: str, trial: int, config: Mapping[str, Any]) -> Any:
        """Opens a run.

        Args:
            label: The arm's.
            trial: The trial's number.
            config: What describes the run: plain data, nested.

        Returns:
            What the other methods know it by.
        """

    @abstractmethod
    def log(self, run: Any, step: int, values: Mapping[str, float]) -> None:
        """Writes scalars of a round; several times for a round, of other names."""

    @abstractmethod
    def finish(self, run: Any, pruned: bool | None) -> None:
        """Closes a run.

        Args:
            run: Which.
            pruned: Whether its trial was stopped by a callback; None where the study
                ended before it did.
        """

    def on_start(self, study: Study) -> None:
        """Takes the settings that a run is described by."""
        self._study = study

    def on_round(self, measured: TrialRound) -> None:
        """Writes a round, if it is its turn."""
        if measured.round % self._every == 0:
            self._try(self._write_round, measured)

    def on_evaluation(self, measured: TrialRound) -> None:
        """Writes an evaluation."""
        self._try(self._write_evaluation, measured)

    def on_trial_end(self, measured: TrialRound) -> None:
        """Writes the last round, if it was not, and closes the run."""
        if measured.round % self._every:
            self._try(self._write_round, measured)
        self._try(self._end, measured)

    def close(self) -> None:
        """Closes the runs of trials that have not ended."""
        while self._runs:
            _, run = self._runs.popitem()
            if self._failed:  # which was said
                with contextlib.suppress(Exception):
                    self.finish(run, None)
            else:
                self._try(self.finish, run, None)

    def _write_round(self, measured: TrialRound) -> None:
        evaluated = evaluations_in(measured.values)
        columns = {
            name: value
            for name, value in measured.values.items()
            if name not in evaluated
        }
        totals = {f"total/{name}": value for name, value in measured.totals.items()}
        self.log(self._run_of(measured), measured.round, {**columns, **totals})

    def _write_evaluation(self, measured: TrialRound) -> None:
        evaluated = evaluations_in(measured.values)
        values = {name: measured.values[name] for name in evaluated}
        self.log(self._run_of(measured), measured.round, values)

    def _end(self, measured: TrialRound) -> None:
        run = self._run_of(measured)
        del self._runs[measured.arm.label, measured.trial]
        self.finish(run, measured.pruned)

    def _run_of(self, measured: TrialRound) -> Any:
        """The run of a trial, opened if it is not yet."""
        key = measured.arm.label, measured.trial
        if key not in self._runs:
            assert self._study is not None
            config = {
                **measured.arm.describe(),
                "trial": measured.trial,
                "seed": self._study.seed,
                "gamma": self._study.gamma,
            }
            self._runs[key] = self.begin(*key, config)
        return self._runs[key]

    def _try(self, action: Callable[..., None], *arguments: Any) -> None:
        """Does something, if nothing has failed yet; says it if that fails."""
        if self._failed:
            return
        try:
            action(*arguments)
        except ImportError as error:
            missing = MissingExtraError(f"tracking with {self.title}", self.extra)
            self._give_up(f"{missing} ({error})")
        except Exception as error:
            name = type(error).__name__
            self._give_up(f"{name}: {shown(error, _MOST_SAID)}; {self.cure}")

    def _give_up(self, cause: str) -> None:
        self._failed = True
        _logger.warning(
            "%s hears no more of this study, which goes on: %s", self.title, cause
        )
