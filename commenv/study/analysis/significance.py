"""Tests: how likely would these trials be if a statement were not true?

Every test is one-sided and about a mean or a share over trials. Its null hypothesis is
the opposite of what is to be shown, and p is the chance, if that opposite holds, of
trials that speak as strongly against it. Values have shape (trials,), or (trials,
columns) with each column a question of its own; p has shape () or (columns,).

A test of a mean and the interval of :mod:`commenv.study.analysis.intervals` are one
rule: with the same seed, the 95 % interval leaves out a margin where p is at most .025.
So there is no test where there is no interval.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from commenv.study.analysis.betting import capital
from commenv.study.analysis.intervals import LEAST_UNBOUNDED
from commenv.study.analysis.statistics import (
    RESAMPLES,
    Seed,
    apart,
    checked,
    distributions,
    is_constant,
    scaled,
    studentised_resamples,
)
from commenv.study.storage.frame import Bounds

__all__ = [
    "Side",
    "bootstrap_t",
    "bounded_test",
    "difference_test",
    "equivalence",
    "holm",
    "mean_test",
    "share_test",
    "student",
]

_SLACK = 1e-12  # as a share: statistics that are equal but for rounding are as extreme

Array: TypeAlias = NDArray[np.float64]
Side: TypeAlias = Literal["greater", "less"]


def student(values: ArrayLike, margin: float = 0.0, side: Side = "greater") -> Array:
    """Student's test of a mean: exact for normal data.

    Returns:
        p; 1 where all trials are equal, which have no error to compare with.
    """
    array = checked(values)
    varied, reach = _reach(array, margin, side)
    p = distributions().t.sf(reach, len(array) - 1)
    return np.where(varied, p, 1.0)


def bootstrap_t(
    values: ArrayLike,
    margin: float = 0.0,
    side: Side = "greater",
    *,
    seed: Seed = 0,
    resamples: int = RESAMPLES,
) -> Array:
    """The studentised bootstrap test of a mean; right for skewed data with time.

    It rejects where the interval of the same resamples leaves out the margin.

    Returns:
        p, at least 1 / (resamples + 1); 1 where all trials are equal, which leaves
        nothing to resample.
    """
    array = checked(values)
    sign = 1.0 if side == "greater" else -1.0
    ratios = sign * studentised_resamples(array, seed=seed, resamples=resamples)
    varied, reach = _reach(array, margin, side)
    extreme = (ratios >= reach - _SLACK * np.abs(reach)).sum(axis=0)
    return np.where(varied, (extreme + 1) / (resamples + 1), 1.0)


def bounded_test(
    values: ArrayLike,
    bounds: Bounds,
    margin: float = 0.0,
    side: Side = "greater",
) -> Array:
    """The test of the mean of a bounded quantity; it keeps its level whatever the data.

    It rejects where :func:`~commenv.study.analysis.intervals.bounded_interval` leaves
    out the margin.

    Returns:
        p, one over the capital of :func:`commenv.study.analysis.betting.capital`; 0
        where the margin is beyond the range, so that no trial is needed.

    Raises:
        ValueError: No range, or a value outside it.
    """
    _check_side(side)
    low, high = bounds
    array = scaled(values, bounds)
    distance = margin - low
    if side == "less":
        array, distance = 1 - array, high - margin
    if distance < 0 or low == high:
        return np.full(array.shape[1:], 0.0 if distance < 0 else 1.0)
    return np.minimum(1.0, 1 / capital(array, distance / (high - low)))


def mean_test(
    values: ArrayLike,
    margin: float = 0.0,
    side: Side = "greater",
    *,
    bounds: Bounds | None = None,
    seed: Seed = 0,
    resamples: int = RESAMPLES,
) -> Array:
    """The test of a mean that verdicts use.

    With ``bounds`` it is :func:`bounded_test`. Without, it is the larger p of
    :func:`student` (right for symmetric data) and :func:`bootstrap_t` (right for skewed
    data) from :data:`~commenv.study.analysis.intervals.LEAST_UNBOUNDED` trials on, and
    1 below.
    """
    array = checked(values, 1)
    if bounds is not None:
        return bounded_test(array, bounds, margin, side)
    if len(array) < LEAST_UNBOUNDED:
        return np.ones(array.shape[1:])
    drawn = bootstrap_t(array, margin, side, seed=seed, resamples=resamples)
    return np.maximum(student(array, margin, side), drawn)


def difference_test(
    values: ArrayLike,
    margin: float = 0.0,
    *,
    bounds: Bounds | None = None,
    seed: Seed = 0,
    resamples: int = RESAMPLES,
) -> Array:
    """To be shown: the mean is more than ``margin`` away from 0, on either side.

    Returns:
        Twice the smaller p of :func:`mean_test` on either side (Bonferroni).
    """
    _check_width(margin)
    how: dict[str, Any] = {"bounds": bounds, "seed": seed, "resamples": resamples}
    above = mean_test(values, margin, "greater", **how)
    below = mean_test(values, -margin, "less", **how)
    return np.minimum(1.0, 2 * np.minimum(above, below))


def equivalence(
    values: ArrayLike,
    margin: float,
    *,
    bounds: Bounds | None = None,
    seed: Seed = 0,
    resamples: int = RESAMPLES,
) -> Array:
    """To be shown: the mean is within ``margin`` of 0. Two one-sided tests, TOST.

    Both must reject, so no correction is due (Schuirmann 1987).

    Returns:
        The larger p of the tests that the mean is above -margin and below margin.
    """
    _check_width(margin)
    how: dict[str, Any] = {"bounds": bounds, "seed": seed, "resamples": resamples}
    above = mean_test(values, -margin, "greater", **how)
    below = mean_test(values, margin, "less", **how)
    return np.maximum(above, below)


def share_test(
    successes: int, trials: int, share: float, side: Side = "greater"
) -> float:
    """The exact binomial test that the chance of success is above (below) a share.

    Returns:
        P(Bin(trials, share) >= successes), or <= for ``side="less"``.
    """
    binomial = distributions().binom
    if side == "less":
        return float(binomial.cdf(successes, trials, share))
    return float(binomial.sf(successes - 1, trials, share))


def holm(p: ArrayLike) -> Array:
    """Holm's correction (1979): p-values fit for being judged together.

    Rejecting those at or below alpha then has a chance of at most alpha of one or more
    false rejections, however the tests depend on each other.

    Args:
        p: The p-values of one family, shape (tests,) or (tests, families).

    Returns:
        The adjusted ones, in the same order, at most 1.
    """
    raw = np.asarray(p, np.float64)
    if not bool(((raw >= 0) & (raw <= 1)).all()):
        raise ValueError(f"p-values must lie in 0 to 1: {raw}")
    order = np.argsort(raw, axis=0, kind="stable")
    factors = np.arange(len(raw), 0, -1).reshape(-1, *[1] * (raw.ndim - 1))
    stepped = np.maximum.accumulate(np.take_along_axis(raw, order, 0) * factors, axis=0)
    adjusted = np.empty_like(raw)
    np.put_along_axis(adjusted, order, np.minimum(stepped, 1.0), axis=0)
    return adjusted


def _reach(array: Array, margin: float, side: Side) -> tuple[NDArray[np.bool_], Array]:
    """Where trials differ; how many errors the mean is on the side asked for."""
    _check_side(side)
    varied = ~is_constant(array)
    error = array.std(axis=0, ddof=1) / len(array) ** 0.5
    away = apart(array.mean(axis=0), margin)
    reach = (away if side == "greater" else -away) / np.where(varied, error, 1.0)
    return varied, reach


def _check_side(side: str) -> None:
    if side not in ("greater", "less"):
        raise ValueError(f"side is {side!r}; it is 'greater' or 'less'")


def _check_width(margin: float) -> None:
    """A width around 0 is not negative."""
    if not margin >= 0:
        raise ValueError(f"margin is {margin}; a distance from 0 is not negative")
