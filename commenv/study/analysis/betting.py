"""Betting on a mean: what tests and intervals of bounded quantities rest on.

Somebody says that the mean is m. A gambler starts with a capital of 1 and stakes some
of it, before each trial, on that trial's value being above m. Were the mean m or less,
the capital would not grow on average, whatever the distribution, and would come to 40
with a chance of at most 1/40 (Markov). So a large capital speaks against m, and nothing
is assumed but the range of the values and independent trials, taken in order.

The stakes are those of Waudby-Smith and Ramdas (2024, "Estimating means of bounded
random variables by betting"; the hedged capital with predictable plug-in stakes for a
fixed number of trials): the smaller the variance so far, the more is staked, but at
most 3/4 of the capital can be lost on a trial.

Values are scaled to 0 to 1 here, shape (trials,) or (trials, columns), each column a
game of its own.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["capital", "lower_end"]

_ALPHA = 0.05  # what the stakes are best for; the guarantee does not depend on it
_MOST_LOST = 0.75  # of the capital, on one trial
_HALVINGS = 50

Array: TypeAlias = NDArray[np.float64]


def capital(values: Array, mean: ArrayLike) -> Array:
    """The capital after all trials of a gambler who bets that the mean is higher.

    Args:
        values: Numbers in 0 to 1.
        mean: The mean that is bet against, at least 0; one for each column, or for all.

    Returns:
        Shape () or (columns,).
    """
    return np.exp(_log_capital(values, _stakes(values), np.asarray(mean, np.float64)))


def lower_end(values: Array, needed: float) -> Array:
    """The largest mean against which the capital reaches what is needed; else 0.

    The capital falls as the mean rises, since every single win does. The end is never
    above the mean of the values.
    """
    stakes = _stakes(values)
    low, high = np.zeros(values.shape[1:]), values.mean(axis=0)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        enough = _log_capital(values, stakes, middle) >= np.log(needed)
        low, high = np.where(enough, middle, low), np.where(enough, high, middle)
    return low


def _log_capital(values: Array, stakes: Array, mean: Array) -> Array:
    # Against a mean of 0 nothing can be lost.
    safe = np.divide(_MOST_LOST, mean, out=np.full(mean.shape, np.inf), where=mean > 0)
    gains = np.minimum(stakes, safe) * (values - mean)
    return np.asarray(np.log1p(gains).sum(axis=0))


def _stakes(values: Array) -> Array:
    """What is staked before each trial, from the variance of those before it."""
    count = len(values)
    places = np.arange(2, count + 2).reshape(-1, *[1] * (values.ndim - 1))
    # Mean and variance begin as if a first trial had been at 1/2, 1/2 from its mean.
    means = (0.5 + np.cumsum(values, axis=0)) / places
    variances = (0.25 + np.cumsum((values - means) ** 2, axis=0)) / places
    before = np.concatenate([np.full_like(variances[:1], 0.25), variances[:-1]])
    return np.sqrt(2 * np.log(2 / _ALPHA) / (count * before))
