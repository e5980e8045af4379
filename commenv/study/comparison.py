"""Two labels of a study side by side, paired by trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from commenv.errors import ResultsError, UnknownNameError
from commenv.study.curves import X_AXES
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
            f"to {self.high:.4g}, {p}, {self.trials} paired trials); {self.a} is above "
            f"{self.b} in {self.improvement:.0%} of them"
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
            ``{"env_steps": 1e4}``. Past a trial's end its last value is held.
        y: The column to compare.
        seed: What the resamples of the interval and the test are drawn from.
        resamples: How many.

    Raises:
        UnknownNameError: There is no such label, column or axis.
        ResultsError: The labels have different trials, fewer than 2 of them, or no
            value at that place.
    """
    pair = difference(_place(a, at, y), _place(b, at, y))
    values = np.array(list(pair(frame).values()))
    if len(values) < 2:
        raise ResultsError("1 trial has no interval; run at least 2 (10 for a verdict)")
    interval = mean_interval(values, seed=seed, resamples=resamples)
    return Comparison(
        a,
        b,
        _words(at, y),
        estimate=float(values.mean()),
        low=float(interval.low),
        high=float(interval.high),
        p=float(difference_test(values, seed=seed, resamples=resamples)),
        improvement=probability_of_improvement(values, np.zeros_like(values)),
        trials=len(values),
    )


def _place(label: str, at: int | Mapping[str, float] | None, y: str) -> Estimand:
    """The value of one label at the place asked for."""
    if at is None:
        return final(label, y)
    x, amount = _axis(at)
    return value_at(label, x, amount, y)


def _axis(at: int | Mapping[str, float]) -> tuple[str, float]:
    """The axis and how far along it."""
    if not isinstance(at, Mapping):
        return "episode", at
    if len(at) != 1:
        raise ValueError(f"at is {dict(at)}; name one axis, as in {{'env_steps': 1e4}}")
    [(x, amount)] = at.items()
    if x not in X_AXES:
        raise UnknownNameError("x axis", x, X_AXES)
    return x, amount


def _words(at: int | Mapping[str, float] | None, y: str) -> str:
    """What is compared, and where."""
    if at is None:
        return f"last {y}"
    x, amount = _axis(at)
    return f"{y} at {x} {amount:g}"
