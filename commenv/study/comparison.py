"""Two labels of a study side by side, paired by trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from commenv.errors import ResultsError, UnknownNameError
from commenv.study.curves import X_AXES, progress_along
from commenv.study.estimands import Estimand, difference, final, value_at
from commenv.study.significance import difference_test
from commenv.study.statistics import (
    RESAMPLES,
    Bounds,
    least_trials,
    mean_interval,
    percentiles,
    probability_of_improvement,
)

if TYPE_CHECKING:
    import pandas as pd

    from commenv.study.ranges import Ranges

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True)
class Comparison:
    """How much higher one label is than another; printed, it is a sentence.

    The interval is that of :func:`~commenv.study.statistics.mean_interval`, p that of
    :func:`~commenv.study.significance.difference_test`, from the same resamples: p is
    at most .05 where the interval leaves out 0. Where the range of what is compared is
    known, they rest on it. Where it is not, there are none below
    :data:`~commenv.study.statistics.LEAST_UNBOUNDED` trials, nor where no two trials
    differ.

    Args:
        a: The one label.
        b: The other.
        what: What was compared, and where.
        estimate: The mean over trials of ``a`` less ``b``.
        low: The lower end of its 95 % interval; NaN where there is none.
        high: The upper end.
        p: Two-sided, of the hypothesis that the labels do not differ; NaN without an
            interval.
        improvement: The share of trials in which ``a`` is above ``b``; ties count half.
        trials: How many trials were paired.
        spread: The 10th and the 90th percentile over trials of ``a`` less ``b``.
        bounds: The least and the greatest value that this can have; None if unknown.
    """

    a: str
    b: str
    what: str
    estimate: float
    low: float
    high: float
    p: float
    improvement: float
    trials: int
    spread: tuple[float, float]
    bounds: Bounds | None

    def __str__(self) -> str:
        """One sentence with all numbers in it."""
        way = "lower" if self.estimate < 0 else "higher"
        return (
            f"{self.what} of {self.a} is {abs(self.estimate):.4g} {way} than of "
            f"{self.b} (difference {self.estimate:.4g}, {self._interval()}, "
            f"{self.trials} paired trials); {self.a} is above {self.b} in "
            f"{self.improvement:.0%} of them, ties counting half"
        )

    def _interval(self) -> str:
        """The interval and p in words, or why there are none and what trials show."""
        if np.isnan(self.low):
            spread = "10th to 90th percentile {:.4g} to {:.4g}".format(*self.spread)
            why = "equal trials give none"
            if self.trials < (least := least_trials(self.bounds)):
                why = f"it takes {least} trials"
            return f"{spread}, no interval: as the range is not known, {why}"
        if self.low == self.high:
            return "exactly: it can have no other value"
        p = f"p = {self.p:.2g}" if self.p >= 1e-3 else "p < 0.001"
        by = "Student's test and bootstrap"
        if self.bounds is not None:
            by = "the known range {:.4g} to {:.4g}".format(*self.bounds)
        return f"95 % interval {self.low:.4g} to {self.high:.4g}, {p} by {by}"


def compare(
    frame: pd.DataFrame,
    a: str,
    b: str,
    at: int | Mapping[str, float] | None = None,
    y: str = "evaluation",
    *,
    ranges: Ranges | None = None,
    bounds: Bounds | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Compare two labels, trial by trial.

    Args:
        frame: A study's frame.
        a: The one label.
        b: The other.
        at: Where: None for the last value of each; an episode; or one of the x axes
            and how much has been spent on it, per agent: ``{"uplink_bytes": 1e5}``,
            ``{"env_steps": 1e4}``. Past a trial's end its last value is held, and the
            sentence says so where that is true of all.
        y: The column to compare.
        ranges: The ranges of the frame's columns, as in
            :attr:`commenv.study.results.Results.ranges`.
        bounds: The least and the greatest value that ``y`` can have, where you know it
            and ``ranges`` do not.
        seed: What the resamples of the interval and the test are drawn from.
        resamples: How many.

    Raises:
        UnknownNameError: There is no such label, column or axis.
        ResultsError: The labels have different trials, fewer than 2 of them, or no
            value at that place.
        ValueError: A place that is no number of 0 or more, or values outside
            ``bounds``.
    """
    pair = difference(_place(a, at, y), _place(b, at, y))
    values = np.array(list(pair(frame).values()))
    if len(values) < 2:
        raise ResultsError("1 trial has no interval; run at least 2 (10 for a verdict)")
    if bounds is not None:
        ranges = {label: {y: bounds} for label in (a, b)}
    known = pair.bounds(ranges or {})
    how: dict[str, Any] = {"bounds": known, "seed": seed, "resamples": resamples}
    low, high = map(float, mean_interval(values, **how))
    p = np.nan if np.isnan(low) else float(difference_test(values, **how))
    least, most = map(float, percentiles(values))
    return Comparison(
        a,
        b,
        _words(at, y, frame, (a, b)),
        estimate=float(values.mean()),
        low=low,
        high=high,
        p=p,
        improvement=probability_of_improvement(values, np.zeros_like(values)),
        trials=len(values),
        spread=(least, most),
        bounds=known,
    )


def _end(frame: pd.DataFrame, pair: tuple[str, str], x: str) -> float:
    """How far the longest trial of either label goes."""
    rows = frame[frame["label"].isin(pair)].sort_values(["label", "trial", "episode"])
    parts = [part for _, part in rows.groupby("label", observed=True)]
    return max((float(progress_along(part, x).max()) for part in parts), default=np.inf)


def _place(label: str, at: int | Mapping[str, float] | None, y: str) -> Estimand:
    """The value of one label at the place asked for."""
    if at is None:
        return final(label, y)
    x, amount = _axis(at)
    return value_at(label, x, amount, y)


def _axis(at: int | Mapping[str, float]) -> tuple[str, float]:
    """The axis and how far along it."""
    places = at if isinstance(at, Mapping) else {"episode": at}
    if len(places) != 1:
        raise ValueError(f"at is {at}; name one axis, as in {{'env_steps': 1e4}}")
    [(x, amount)] = places.items()
    if x not in X_AXES:
        raise UnknownNameError("x axis", x, X_AXES)
    if not isinstance(amount, Real) or not amount >= 0:
        raise ValueError(f"{x} {amount!r} is no place; give a number of 0 or more")
    return x, amount


def _words(
    at: int | Mapping[str, float] | None,
    y: str,
    frame: pd.DataFrame,
    pair: tuple[str, str],
) -> str:
    """What is compared, and where."""
    if at is None:
        return f"last {y}"
    x, amount = _axis(at)
    end = _end(frame, pair, x)
    held = f" (held from {end:g}, where the trials end)" if amount > end else ""
    return f"{y} at {x} {amount:g}{held}"
