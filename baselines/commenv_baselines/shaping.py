"""What evolution strategies make of returns before they weigh the noise with them.

All functions take the returns of many trials in one flat array, with the trial of
each; a trial's result does not depend on the others.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["SHAPINGS", "centered", "centered_ranks", "raw", "with_worst"]

Array = NDArray[np.float64]
Trials = NDArray[np.intp]


def raw(returns: Array, trials: Trials) -> Array:
    """The returns as they are."""
    return returns


def centered(returns: Array, trials: Trials) -> Array:
    """The returns less their trial's mean."""
    count = np.maximum(np.bincount(trials), 1)
    return returns - (np.bincount(trials, weights=returns) / count)[trials]


def centered_ranks(returns: Array, trials: Trials) -> Array:
    """Ranks within each trial, mapped to [-1/2, 1/2].

    Equal returns get the mean of their ranks (``method="average"`` of
    :func:`scipy.stats.rankdata`); a return that is alone in its trial gets 0.
    """
    order = np.lexsort((returns, trials))
    value, trial = returns[order], trials[order]
    count = np.bincount(trials)
    rank = np.arange(len(order)) - (np.cumsum(count) - count)[trial]
    differs = np.ones(len(order), dtype=np.bool_)
    differs[1:] = (np.diff(value) != 0) | (np.diff(trial) != 0)
    tie = np.cumsum(differs) - 1
    mean_rank = (np.bincount(tie, weights=rank) / np.bincount(tie))[tie]
    others = count[trial] - 1
    shaped = np.empty(len(order))
    shaped[order] = np.where(others > 0, mean_rank / np.maximum(others, 1) - 0.5, 0.0)
    return shaped


def with_worst(returns: Array, trials: Trials) -> Array:
    """The returns, those that are not finite replaced by their trial's worst finite.

    A trial without a finite return keeps infinities.
    """
    finite = np.isfinite(returns)
    worst = np.full(trials.max(initial=-1) + 1, np.inf)
    np.minimum.at(worst, trials[finite], returns[finite])
    return np.where(finite, returns, worst[trials])


SHAPINGS: dict[str, Callable[[Array, Trials], Array]] = {
    "centered_rank": centered_ranks,
    "raw": raw,
    "centered": centered,
}
"""Shapings by the name of the setting."""
