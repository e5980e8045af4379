"""What trials say about a quantity: averages, and intervals for them.

Every function takes one number per trial, shape (trials,); where that is said, also a
table of shape (trials, columns), whose columns are taken each for itself. Nothing is
random but through ``seed``: an integer, a ``SeedSequence`` or a ``Generator``.

The interval for a mean, :func:`mean_interval`, is on each side the wider of Student's
and the studentised bootstrap's. How many of 4,000 samples had the true mean in their
95 % interval, and in brackets below and above it:

====================  ================  ================  ================
per cent, trials      10                20                100
====================  ================  ================  ================
normal                97.5 (1.2, 1.3)   96.1 (1.8, 2.1)   95.3 (2.4, 2.3)
exponential           96.5 (0.3, 3.2)   96.5 (0.5, 3.0)   96.3 (1.2, 2.5)
Student t, 3 degrees  97.7 (1.0, 1.3)   96.2 (1.8, 1.9)   94.8 (2.9, 2.2)
log-normal            94.6 (0.1, 5.3)   94.3 (0.1, 5.5)   95.2 (0.5, 4.3)
====================  ================  ================  ================

Simpler forms do worse: on the exponential at 10 trials Student's interval holds the
mean in 89.7 % and the BCa interval in 86.9 %, on Student t data at 20 trials the
studentised bootstrap alone in 92.0 %.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from commenv.errors import MissingExtraError
from commenv.study.curves import PERCENTILES

__all__ = [
    "RESAMPLES",
    "Interval",
    "Seed",
    "apart",
    "bca_interval",
    "bootstrap_t_interval",
    "checked",
    "distributions",
    "iqm",
    "iqm_interval",
    "is_constant",
    "mean_interval",
    "percentiles",
    "probability_of_improvement",
    "share_interval",
    "student_interval",
    "studentised_resamples",
]

RESAMPLES = 9_999
ROUNDING = 1e-9
"""As a share of the numbers' size: what differs by less does not differ. There is no
absolute limit beside it, so that no result depends on the unit of measurement."""

Array: TypeAlias = NDArray[np.float64]
Seed: TypeAlias = int | np.random.SeedSequence | np.random.Generator


class Interval(NamedTuple):
    """Both ends of an interval: numbers, or one for each column."""

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


def iqm_interval(
    values: ArrayLike,
    level: float = 0.95,
    *,
    seed: Seed = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """The BCa interval of the pooled interquartile mean; whole trials are resampled."""
    return bca_interval(values, iqm, level, seed=seed, resamples=resamples)


def student_interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """Student's interval for the mean: exact for normal data; columns allowed."""
    array = checked(values)
    reach = distributions().t.ppf((1 + level) / 2, len(array) - 1) * _error(array)
    return Interval(array.mean(axis=0) - reach, array.mean(axis=0) + reach)


def bootstrap_t_interval(
    values: ArrayLike,
    level: float = 0.95,
    *,
    seed: Seed = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """The studentised bootstrap interval for the mean; columns allowed.

    Each side has its own reach, so it follows skewed data (Efron 1979; Hall 1988).
    See :func:`studentised_resamples` for how large the resamples are.
    """
    array = checked(values)
    ratios = studentised_resamples(array, seed=seed, resamples=resamples)
    edges = (1 - level) / 2, (1 + level) / 2
    below, above = np.quantile(ratios, edges, axis=0)
    center, error = array.mean(axis=0), _error(array)
    return Interval(center - above * error, center - below * error)


def mean_interval(
    values: ArrayLike,
    level: float = 0.95,
    *,
    seed: Seed = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """The interval for a mean that verdicts use; columns allowed.

    On each side the wider of :func:`student_interval` (right for symmetric data) and
    :func:`bootstrap_t_interval` (right for skewed data). Where all trials are equal it
    is a point: no trial speaks of another value. What such trials leave open is said
    by a share and its interval (:func:`share_interval`), not by a mean: without a
    bound on the values no interval for a mean is safe (Bahadur and Savage 1956).
    """
    one = student_interval(values, level)
    other = bootstrap_t_interval(values, level, seed=seed, resamples=resamples)
    return Interval(np.minimum(one.low, other.low), np.maximum(one.high, other.high))


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


def bca_interval(
    values: ArrayLike,
    statistic: Callable[..., Array],
    level: float = 0.95,
    *,
    seed: Seed = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """The bias-corrected and accelerated bootstrap interval (Efron 1987).

    For what has no error of its own to divide by, such as the interquartile mean. It
    is a point where the statistic is the same in all resamples.

    Args:
        values: Shape (trials,) or (trials, tasks); trials are resampled whole.
        statistic: ``statistic(array, axis=1)`` of an array (resamples, numbers), in
            which the numbers of all trials and tasks are pooled.
        level: How often the interval should hold the true value.
        seed: What the resamples are drawn from.
        resamples: How many.
    """
    array, normal = checked(values), distributions().norm
    count = len(array)
    picks = np.random.default_rng(seed).integers(count, size=(resamples, count))
    found = statistic(array[picks].reshape(resamples, -1), axis=1)
    estimate = statistic(array.reshape(1, -1), axis=1)[0]
    others = np.stack([np.delete(array, i, axis=0).ravel() for i in range(count)])
    left_out = statistic(others, axis=1)
    pull = left_out.mean() - left_out
    if not (spread := (pull**2).sum()):
        return Interval(*np.quantile(found, ((1 - level) / 2, (1 + level) / 2)))
    same = np.abs(found - estimate) <= 1e-12 * np.abs(array).max()  # but for rounding
    below = ((found < estimate) & ~same).mean() + same.mean() / 2
    bias = normal.ppf(np.clip(below, 1 / (resamples + 1), 1 - 1 / (resamples + 1)))
    shift = bias + normal.ppf([(1 - level) / 2, (1 + level) / 2])
    speed = (pull**3).sum() / (6 * spread**1.5)
    return Interval(*np.quantile(found, normal.cdf(bias + shift / (1 - speed * shift))))


def share_interval(successes: int, trials: int, level: float = 0.95) -> Interval:
    """The exact interval of a share (Clopper and Pearson 1934); no assumption.

    Of 100 successes in 100 trials it says .964 to 1.
    """
    beta, edge = distributions().beta, (1 - level) / 2
    failures = trials - successes
    low = beta.ppf(edge, successes, failures + 1) if successes else 0.0
    high = beta.ppf(1 - edge, successes + 1, failures) if failures else 1.0
    return Interval(np.asarray(low), np.asarray(high))


def probability_of_improvement(a: ArrayLike, b: ArrayLike) -> float:
    """The share of paired trials in which ``a`` is above ``b``; a tie counts half.

    Trials that differ by rounding only are ties; see :func:`apart`.
    """
    differences = apart(checked(a, 1), checked(b, 1))
    return float((np.sign(differences) + 1).mean() / 2)


def _error(array: Array) -> Array:
    """The standard error of the mean; 0 where all trials are equal."""
    error = array.std(axis=0, ddof=1) / len(array) ** 0.5
    return np.where(is_constant(array), 0.0, error)


def distributions() -> Any:
    """SciPy's distributions, imported when first needed."""
    try:
        from scipy import stats
    except ImportError as error:
        raise MissingExtraError("statistics", "study") from error
    return stats
