"""Listening to a study while it runs, and stopping trials that come to nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from commenv.study.arm import Arm
from commenv.study.spec import Study

if TYPE_CHECKING:
    from commenv.study.results import Results

__all__ = ["Callback", "StopTrial", "TrialRound"]


class StopTrial(Exception):  # noqa: N818 - an order, and no error
    """Raise it in ``on_round`` or ``on_evaluation``: that trial ends with this round.

    It ends as if a limit of ``stop`` had been reached: it is evaluated, if it was not
    in this round, and its policy and sizes are kept as they are now. The others go on,
    and no number of theirs depends on it. In a trial's last round it changes nothing.
    """


@dataclass(frozen=True)
class TrialRound:
    """A round of a trial.

    Attributes:
        arm: What the trial is of; ``arm.label`` is its label.
        trial: Its number.
        round: The number of the round, from 0; the column ``episode``.
        values: The measured columns of :data:`commenv.study.storage.frame.COLUMNS`,
            means over agents, exactly as :attr:`commenv.Results.frame` has them. An
            evaluation is there in rounds that have one.
        totals: What the trial has spent so far, per agent: ``env_steps``, ``messages``,
            ``uplink_bytes`` and ``total_bytes``, as ``stop`` counts them.
        pruned: In ``on_trial_end``, whether :class:`StopTrial` has ended the trial.
    """

    arm: Arm
    trial: int
    round: int
    values: Mapping[str, float]
    totals: Mapping[str, float]
    pruned: bool = False


class Callback:
    """Listens to a study; derive from it, and override what you listen to.

    Everything is called in the process that called :func:`commenv.run`, wherever the
    trials run, and of a trial in the order of its rounds: ``on_round``, then
    ``on_evaluation`` where the round has an evaluation, then ``on_trial_end`` after its
    last round. Trials of a block come one after the other in each round. No round is
    told twice within a run, even if what played it was lost and has played it again.

    A study that is gone on with is told from where it goes on: from the last state that
    was kept of each block. Rounds after that state may have been told before.

    An exception other than :class:`StopTrial` ends the study. The block whose round is
    told, if it runs in this process, keeps its state as of that round under ``out``,
    and so do blocks in other processes of this machine as of the round that they are
    in, if they come to its end within 5 seconds. The same command goes on from there
    and gives the bits of one run. What lies before such a state is not told again, and
    rounds of other processes that were not told yet are told to nobody. On Ray's tasks,
    with agents that are not resumable and with a trace, the last state that was kept
    before counts.
    """

    def on_start(self, study: Study) -> None:
        """Before the first round of this run."""

    def on_round(self, measured: TrialRound) -> None:
        """After each round of each trial."""

    def on_evaluation(self, measured: TrialRound) -> None:
        """After each evaluation of each trial."""

    def on_trial_end(self, measured: TrialRound) -> None:
        """After the last round of each trial."""

    def on_end(self, results: Results) -> None:
        """After the last round of all; not where the study fails or is interrupted."""

    def close(self) -> None:
        """Called last of all, however the study has ended: release what you hold."""
