"""What a job reports of a round of its block, for whoever listens to the study."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from commenv.study.execution.recorder import Recorder
from commenv.study.storage.names import words_for

__all__ = ["NOTHING", "Played", "Wanted", "played_by"]


class Wanted(NamedTuple):
    """What anybody listens to; nothing else is reported.

    Attributes:
        rounds: Every round.
        evaluations: Rounds with an evaluation.
        ends: The last round of each trial.
    """

    rounds: bool = False
    evaluations: bool = False
    ends: bool = False


NOTHING = Wanted()
"""Where nobody listens."""


@dataclass(frozen=True, eq=False)
class Played:
    """A round of some trials of a block.

    Attributes:
        block: The block's name.
        episode: The round, from 0.
        trials: Their numbers.
        values: What was measured of each, by column: (trials,).
        totals: What each has spent so far, by stop quantity, per agent: (trials,).
        evaluated: Which of them were evaluated, bool: (trials,).
        ended: Which of them have ended with it, bool: (trials,).
        pruned: Whether these are the trials that whoever heard of the round before this
            had stopped; they are told of their evaluation and of their end alone.
        stops: Takes the numbers of the trials that are to stop; None in a copy that
            came from another process, where nobody would see them.
    """

    block: str
    episode: int
    trials: tuple[int, ...]
    values: dict[str, NDArray[np.float64]]
    totals: dict[str, NDArray[np.float64]]
    evaluated: NDArray[np.bool_]
    ended: NDArray[np.bool_]
    pruned: bool
    stops: set[int] | None

    def __reduce__(self) -> tuple[Any, ...]:
        own = (getattr(self, name) for name in self.__match_args__[:-1])
        return type(self), (*own, None)


def played_by(
    label: str,
    trials: NDArray[np.int64],
    series: Recorder,
    which: NDArray[np.bool_],
    evaluated: NDArray[np.bool_],
    pruned: bool,
) -> Played:
    """The last round that was measured, of some trials of a block.

    Args:
        label: The arm's.
        trials: Of the whole block, like all that follows.
        series: What was measured.
        which: The trials that it is about.
        evaluated: Those that were evaluated.
        pruned: As in :class:`Played`.
    """
    row = series.rows[-1]
    return Played(
        words_for(label, trials.tolist()),
        len(series.rows) - 1,
        tuple(trials[which].tolist()),
        {name: row[name][which] for name in series.columns},
        {name: total[which] for name, total in series.totals.items()},
        evaluated[which],
        ~series.running[which],
        pruned,
        set(),
    )
