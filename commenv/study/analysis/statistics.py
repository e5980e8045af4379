"""Averages of trials, what their differences are, and resamples of them.

Every function takes one number per trial, shape (trials,); where that is said, also a
table of shape (trials, columns), whose columns are taken each for itself. Nothing is
random but through ``seed``: an integer, a ``SeedSequence`` or a ``Generator``.
Intervals for what is averaged are in :mod:`commenv.study.analysis.intervals`.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from commenv.errors import MissingExtraError
from commenv.study.analysis.curves import PERCENTILES
from commenv.study.storage.frame import Bounds

__all__ = [
    "RESAMPLES",
    "Array",
    "Interval",
    "Seed",
    "apart",
    "checked",
    "distributions",
    "iqm",
    "is_constant",
    "percentiles",
    "probability_of_improvement",
    "scaled",
    "studentised_resamples",
]


RESAMPLES = 9_999
ROUNDING = 1e-9
"""As a share of the numbers' size: what differs by less does not differ. There is no
absolute limit beside it, so that no result depends on the unit of measurement."""

Array: TypeAlias = NDArray[np.float64]


Seed: TypeAlias = int | np.random.SeedSequence | np.random.Generator


class Interval(NamedTuple):
    """Both ends of an interval: numbers, or one for each column; NaN: there is none."""

    low: Array
    high: Array


def checked(values: ArrayLike, least: int = 2) -> Array:
    """The values as float64, if they are whole.

    Args:
        values: Shape (trials,) or (trials, columns).
        least: How many trials there must be.

    Raises:
        ValueError: Too few trials, other dimensions, or a number that is not finite.
    """
    array = np.asarray(values, np.float64)
    if array.ndim not in (1, 2):
        raise ValueError(
            f"values have shape {array.shape}; give (trials,) or (trials, columns)"
        )
    if len(array) < least:
        raise ValueError(f"{len(array)} trials; this needs at least {least}")
    if not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).sum())
        raise ValueError(
            f"{bad} of {array.size} values are NaN or infinite; a trial without a "
            "value cannot be left out, say what it counts as"
        )
    return array


def apart(a: ArrayLike, b: ArrayLike) -> Array:
    """``a`` less ``b``, number by number; 0 where they differ by rounding only.

    Subtract here wherever a difference is to be tested, counted or printed: afterwards
    nothing can tell a rounding error from a small difference.
    """
    one, other = np.asarray(a, np.float64), np.asarray(b, np.float64)
    with np.errstate(invalid="ignore"):  # equal infinities
        difference = one - other
        size = np.minimum(np.abs(one), np.abs(other))
        alike = (one == other) | (np.abs(difference) <= ROUNDING * size)
    return np.where(alike, 0.0, difference)


def is_constant(values: Array) -> NDArray[np.bool_]:
    """Whether trials differ by rounding only: the largest from the smallest."""
    return apart(values.max(axis=0), values.min(axis=0)) == 0


def percentiles(values: ArrayLike) -> Interval:
    """The 10th and the 90th percentile over trials, interpolated; columns allowed."""
    low, high = np.percentile(checked(values, 1), PERCENTILES, axis=0)
    return Interval(low, high)


def iqm(values: ArrayLike, axis: int | None = None) -> Array:
    """The interquartile mean: the mean without the lowest and the highest quarter.

    A quarter is rounded down to whole numbers, as in ``scipy.stats.trim_mean``.

    Args:
        values: Any shape; the usual one is (trials, tasks), all pooled (Agarwal et
            al. 2021, "Deep reinforcement learning at the edge of the statistical
            precipice").
        axis: Along which to take it; None pools everything.
    """
    array = np.asarray(values, np.float64)
    if axis is None:
        array, axis = array.ravel(), 0
    ordered = np.sort(array, axis=axis)
    count = ordered.shape[axis]
    return np.take(ordered, range(count // 4, count - count // 4), axis).mean(axis)


def scaled(values: ArrayLike, bounds: Bounds) -> Array:
    """The values from 0 to 1, the ends of their range; all 0 if that is one value.

    Raises:
        ValueError: Bounds that are not a range, or a value outside them by more than
            rounding.
    """
    low, high = bounds
    array = checked(values, 1)
    if not -np.inf < low <= high < np.inf:
        raise ValueError(f"bounds are {bounds}; give two finite numbers, low to high")
    slack = ROUNDING * max(abs(low), abs(high))
    outside = (array < low - slack) | (array > high + slack)
    if outside.any():
        raise ValueError(
            f"{array[outside][0]:g} lies outside the range {low:g} to {high:g}; give "
            "the least and the greatest value that a trial can have"
        )
    width = high - low
    return np.clip((array - low) / width, 0.0, 1.0) if width else np.zeros_like(array)


def studentised_resamples(
    values: ArrayLike, *, seed: Seed = 0, resamples: int = RESAMPLES
) -> Array:
    """The studentised means of bootstrap resamples: (mean* - mean) / error*.

    Two precautions for few trials. A resample has only m = n - 1.5 sqrt(n) trials
    (Bickel, Götze and van Zwet 1997): a small sample looks less skewed than what it
    comes from, and smaller resamples make up for that. And its variance is not taken
    as below 1/n of the sample's: one without the few trials that differ has none.

    Args:
        values: Shape (trials,) or (trials, columns); columns share the resamples.
        seed: What the resamples are drawn from.
        resamples: How many.

    Returns:
        Shape (resamples,) or (resamples, columns); 0 where all trials are equal.
    """
    array = checked(values)
    count = len(array)
    size = max(2, count - round(1.5 * count**0.5))
    generator = np.random.default_rng(seed)
    weights = generator.multinomial(size, np.full(count, 1 / count), resamples) / size
    centered = array - array.mean(axis=0)
    means = weights @ centered
    variances = (weights @ centered**2 - means**2) * size / (size - 1)
    least = array.var(axis=0, ddof=1) / count
    errors = np.sqrt(np.maximum(variances, least) / size)
    known = ~is_constant(array) & (errors > 0)
    return np.divide(means, errors, out=np.zeros_like(means), where=known)


def probability_of_improvement(a: ArrayLike, b: ArrayLike) -> float:
    """The share of paired trials in which ``a`` is above ``b``; a tie counts half.

    Trials that differ by rounding only are ties; see :func:`apart`.
    """
    differences = apart(checked(a, 1), checked(b, 1))
    return float((np.sign(differences) + 1).mean() / 2)


def distributions() -> Any:
    """SciPy's distributions, imported when first needed."""
    try:
        from scipy import stats
    except ImportError as error:
        raise MissingExtraError("statistics", "study") from error
    return stats
