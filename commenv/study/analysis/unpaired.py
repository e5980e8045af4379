"""Two labels whose trials are not pairs, such as trials on other seeds."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from commenv.study.analysis.statistics import (
    RESAMPLES,
    Array,
    Interval,
    Seed,
    apart,
    checked,
)

__all__ = ["permutation_test", "superiority", "unpaired_interval"]

_SLACK = 1e-12  # as a share: statistics that are equal but for rounding are as extreme


def unpaired_interval(
    a: float, interval_a: Interval, b: float, interval_b: Interval
) -> Interval:
    """The interval for the difference of two independent means.

    It is made of an interval for each (MOVER: Zou and Donner 2008), so it is as
    lopsided as they are, and at least as careful: where they hold their means in 95 %
    of samples, it holds the difference in 95 % to 99 %.

    Args:
        a: The mean of the one label.
        interval_a: Its interval.
        b: The mean of the other.
        interval_b: Its interval.
    """
    below = np.hypot(a - interval_a.low, interval_b.high - b)
    above = np.hypot(interval_a.high - a, b - interval_b.low)
    return Interval(a - b - below, a - b + above)


def permutation_test(
    a: ArrayLike, b: ArrayLike, *, seed: Seed = 0, resamples: int = RESAMPLES
) -> float:
    """The permutation test of two independent samples, by Welch's t (Janssen 1997).

    Exact if the labels do not differ at all. If only their means do not, it is right
    with many trials: of 10 against 20, normal ones, the 10 with ten times the spread,
    p is at most .05 in 8 % of samples.

    Returns:
        p, two-sided: (c + 1) / (m + 1), where c of m random divisions of all trials
        into two groups of these sizes lie as far apart as the labels do.
    """
    one, other = checked(a), checked(b)
    pooled = _level(np.concatenate([one, other]))
    generator = np.random.default_rng(seed)
    orders = np.tile(np.arange(len(pooled)), (resamples, 1))
    found = _distance(pooled[generator.permuted(orders, axis=1)], len(one))
    observed = _distance(pooled[None], len(one))[0]
    extreme = int((found >= observed * (1 - _SLACK)).sum())
    return (extreme + 1) / (resamples + 1)


def superiority(a: ArrayLike, b: ArrayLike) -> float:
    """How often a trial of ``a`` is above one of ``b``, of all pairs; ties count half.

    Mann and Whitney's statistic, as a share.
    """
    one, other = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return float((np.sign(apart(one[:, None], other)) + 1).mean() / 2)


def _distance(values: Array, count: int) -> Array:
    """Welch's t without its sign, between the first so many and the others, by row."""
    one, other = values[:, :count], values[:, count:]
    gap = np.abs(one.mean(axis=1) - other.mean(axis=1))
    gap[gap <= _SLACK * np.abs(values).max(axis=1)] = 0.0
    error = np.sqrt(
        one.var(axis=1, ddof=1) / count + other.var(axis=1, ddof=1) / other.shape[1]
    )
    # Groups without any spread are infinitely far apart, or not at all.
    far = np.where(gap > 0, np.inf, 0.0)
    return np.divide(gap, error, out=far, where=error > _SLACK * gap)


def _level(values: Array) -> Array:
    """The values, those that differ by rounding only made equal."""
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    for place, (below, above) in enumerate(pairwise(ranked.tolist()), 1):
        if apart(above, below) == 0:
            ranked[place] = ranked[place - 1]
    level = np.empty_like(values)
    level[order] = ranked
    return level
