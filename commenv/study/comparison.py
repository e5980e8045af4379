"""Two labels of a study side by side, paired by trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from commenv.errors import ResultsError, UnknownNameError
from commenv.study.curves import X_AXES, progress_along
from commenv.study.estimands import Estimand, difference, final, value_at
from commenv.study.significance import difference_test
from commenv.study.statistics import (
    RESAMPLES,
    mean_interval,
    probability_of_improvement,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True)
class Comparison:
    """How much higher one label is than another; printed, it is a sentence.

    The interval is that of :func:`~commenv.study.statistics.mean_interval`, p that of
    :func:`~commenv.study.significance.difference_test`. With few trials the test is
    the more careful: n trials alone can give no p below 2**(1 - n).

    Args:
        a: The one label.
        b: The other.
        what: What was compared, and where.
        estimate: The mean over trials of ``a`` less ``b``.
        low: The lower end of its 95 % interval.
        high: The upper end.
        p: Two-sided, of the hypothesis that the labels do not differ.
        improvement: The share of trials in which ``a`` is above ``b``; ties count half.
        trials: How many trials were paired.
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

    def __str__(self) -> str:
        """One sentence with all numbers in it."""
        way = "lower" if self.estimate < 0 else "higher"
        p = f"p = {self.p:.2g}" if self.p >= 1e-3 else "p < 0.001"
        return (
            f"{self.what} of {self.a} is {abs(self.estimate):.4g} {way} than of "
            f"{self.b} (difference {self.estimate:.4g}, 95 % interval {self.low:.4g} "
            f"to {self.high:.4g}, {p} by sign flips and bootstrap, {self.trials} "
            f"paired trials); {self.a} is above {self.b} in {self.improvement:.0%} of "
            "them, ties counting half"
        )


def compare(
    frame: pd.DataFrame,
    a: str,
    b: str,
    at: int | Mapping[str, float] | None = None,
    y: str = "evaluation",
    *,
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
        seed: What the resamples of the interval and the test are drawn from.
        resamples: How many.

    Raises:
        UnknownNameError: There is no such label, column or axis.
        ResultsError: The labels have different trials, fewer than 2 of them, or no
            value at that place.
        ValueError: A place that is no number of 0 or more, or one label twice.
    """
    if a == b:
        raise ValueError(f"{a!r} is compared with itself; give two labels")
    pair = difference(_place(a, at, y), _place(b, at, y))
    values = np.array(list(pair(frame).values()))
    if len(values) < 2:
        raise ResultsError("1 trial has no interval; run at least 2 (10 for a verdict)")
    interval = mean_interval(values, seed=seed, resamples=resamples)
    return Comparison(
        a,
        b,
        _words(at, y, frame, (a, b)),
        estimate=float(values.mean()),
        low=float(interval.low),
        high=float(interval.high),
        p=float(difference_test(values, seed=seed, resamples=resamples)),
        improvement=probability_of_improvement(values, np.zeros_like(values)),
        trials=len(values),
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
