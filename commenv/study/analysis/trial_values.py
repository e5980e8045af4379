"""The curves of a study's trials, and the numbers that can be taken from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from commenv.errors import ResultsError, UnknownNameError
from commenv.study.analysis.axes import check_x, check_y, progress_along, values_of
from commenv.study.analysis.curves import labels, step_values
from commenv.study.analysis.statistics import is_constant

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Numbers",
    "Points",
    "any_measured",
    "check_paired",
    "columns_of",
    "correlated",
    "each_trial",
    "last_value",
    "latest_value",
    "mean_over",
    "measured_span",
    "trial_curves",
]


Points = NDArray[np.float64]


Numbers = dict[int, float]


def check_paired(
    a: str, one: Mapping[int, object], b: str, other: Mapping[int, object]
) -> None:
    """Both have the same trials."""
    if alone := sorted(one.keys() ^ other.keys()):
        raise ResultsError(
            f"{a} has {len(one)} trials and {b} has {len(other)}; they differ in trial "
            f"{alone[0]}: trials are compared pair by pair, so run the same for both"
        )


def each_trial(
    label: str, column: str, x: str, number: Callable[[Points, Points], float]
) -> Callable[[pd.DataFrame], Numbers]:
    """A measure that takes each trial's y and x, in order of episodes, to a number."""
    check_x(x)
    return lambda frame: {
        trial: number(y, along)
        for trial, (y, along) in trial_curves(frame, label, column, x).items()
    }


def trial_curves(
    frame: pd.DataFrame, label: str, column: str, x: str
) -> dict[int, tuple[Points, Points]]:
    """Each trial's column and its x axis, in order of episodes."""
    check_y(frame, [column])
    check_x(x)
    rows = frame[frame["label"] == label].sort_values(["trial", "episode"])
    if rows.empty:
        raise UnknownNameError("label", label, labels(frame))
    y, along = values_of(rows, column), progress_along(rows, x)
    trials, starts = np.unique(rows["trial"].to_numpy(), return_index=True)
    parts = zip(np.split(y, starts[1:]), np.split(along, starts[1:]), strict=True)
    return {int(trial): part for trial, part in zip(trials, parts, strict=True)}


def columns_of(label: str, column: str) -> Callable[[pd.DataFrame], dict[int, Points]]:
    """A column's values, by trial."""
    return lambda frame: {
        trial: y
        for trial, (y, _) in trial_curves(frame, label, column, "episode").items()
    }


def correlated(x: Points, y: Points) -> float:
    """The correlation of two; 0 where one of them does not vary."""
    if is_constant(x) or is_constant(y):
        return 0.0
    return float(np.corrcoef(x, y)[0, 1])


def last_value(y: Points, x: Points) -> float:
    """The last value measured."""
    return float(y[~np.isnan(y)][-1]) if any_measured(y) else np.nan


def latest_value(y: Points, x: Points, amount: float) -> float:
    """The latest value not beyond an amount."""
    known = ~np.isnan(y)
    return (
        float(step_values(x[known], y[known], np.array([amount]))[0])
        if any_measured(y)
        else np.nan
    )


def measured_span(y: Points, x: Points) -> tuple[float, float]:
    """Where the first and where the last value was measured; NaN without any."""
    known = x[~np.isnan(y)]
    return (float(known[0]), float(known[-1])) if len(known) else (np.nan, np.nan)


def mean_over(y: Points, x: Points, low: float, high: float) -> float:
    """The mean of a step function over a stretch; NaN where it is not known there."""
    known = ~np.isnan(y)
    x, y = x[known], y[known]
    if not high > low:
        return np.nan
    edges = np.array([low, *x[(x > low) & (x < high)], high])
    return float((step_values(x, y, edges[:-1]) * np.diff(edges)).sum() / (high - low))


def any_measured(y: Points) -> bool:
    """Whether anything was measured."""
    return not bool(np.isnan(y).all())
