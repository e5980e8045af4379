"""What a claim is about: one number for each trial, taken from a study's frame.

An estimand has a name, for people, and a function from the frame to numbers by trial.
Those of one label stand here, those made of two in
:mod:`commenv.study.analysis.paired_estimands`. What differs by rounding only does not
differ (:func:`commenv.study.analysis.statistics.apart`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from commenv.errors import ResultsError
from commenv.study.analysis.statistics import apart
from commenv.study.analysis.trial_values import (
    Numbers,
    Points,
    any_measured,
    columns_of,
    correlated,
    each_trial,
    last_value,
    latest_value,
    mean_over,
    measured_span,
    trial_curves,
)

if TYPE_CHECKING:
    import pandas as pd

    from commenv.study.storage.frame import Bounds, Ranges

__all__ = [
    "Estimand",
    "area",
    "at_optimum",
    "correlation",
    "final",
    "gap",
    "late",
    "less",
    "range_of",
    "range_of_difference",
    "share",
    "smoothness",
    "total",
    "value_at",
]

OPTIMAL = 1e-9  # as a share of the optimum


_OF_ALL = {"frequency": (0.0, 1.0)}
"""The ranges of columns that are the same whatever is run."""


def _unknown(ranges: Ranges) -> Bounds | None:
    """No range is known."""
    return None


@dataclass(frozen=True)
class Estimand:
    """A number for each trial.

    Args:
        name: What the number is, for people.
        measure: From the frame to the number of each trial.
        is_share: The numbers are 0 and 1, no and yes; their mean is a share.
        span: The stretch of the x axis that each trial's number is a mean over, where
            it is one; two of them are compared over equal stretches only.
        remark: What has to be said beside the numbers, such as how many trials never
            reached a threshold.
        bounds: From the ranges of a study's columns to the least and the greatest
            value that the number can have; to None where that is not known.
    """

    name: str
    measure: Callable[[pd.DataFrame], Numbers]
    is_share: bool = False
    span: Callable[[pd.DataFrame], dict[int, tuple[float, float]]] | None = None
    remark: Callable[[pd.DataFrame], str] | None = None
    bounds: Callable[[Ranges], Bounds | None] = _unknown

    def __call__(self, frame: pd.DataFrame) -> Numbers:
        """The number of each trial, in order of trials.

        Raises:
            ResultsError: A trial has no finite number.
        """
        numbers = dict(sorted(self.measure(frame).items()))
        if bad := [trial for trial, x in numbers.items() if not np.isfinite(x)]:
            raise ResultsError(
                f"{self.name} is {numbers[bad[0]]} in trial {bad[0]} "
                f"({len(bad)} of {len(numbers)} trials); say what that counts as"
            )
        return numbers


def late(label: str, column: str, window: int) -> Estimand:
    """The mean of a column over the last episodes; rounds without a value are passed.

    Raises:
        ResultsError: When measured: a trial has fewer episodes, or no value in them.
    """
    _at_least("window", window, 1)

    def mean(y: Points, x: Points) -> float:
        if len(y) < window:
            raise ResultsError(f"{label!r} has {len(y)} episodes, not {window}")
        recent = y[-window:]
        return (
            float(recent[~np.isnan(recent)].mean()) if any_measured(recent) else np.nan
        )

    name = f"{column} of {label}, last {window} episodes"
    measure = each_trial(label, column, "episode", mean)
    return Estimand(name, measure, bounds=range_of(label, column))


def final(label: str, column: str = "evaluation") -> Estimand:
    """The last value of a column."""
    name = f"last {column} of {label}"
    measure = each_trial(label, column, "episode", last_value)
    return Estimand(name, measure, bounds=range_of(label, column))


def gap(label: str, optimum: float) -> Estimand:
    """How far the last evaluation is below the exact optimum."""
    last = final(label)
    return Estimand(
        f"gap of {label} to {optimum:.6g}",
        lambda frame: {t: float(apart(optimum, x)) for t, x in last(frame).items()},
        bounds=lambda ranges: range_of_difference(
            (optimum, optimum), last.bounds(ranges)
        ),
    )


def at_optimum(label: str, optimum: float, within: float = OPTIMAL) -> Estimand:
    """Whether the last evaluation is the exact optimum; a share.

    Args:
        label: Which label.
        optimum: The exact value.
        within: How far off still counts, as a share of the optimum.
    """
    off = gap(label, optimum)
    reach = within * abs(optimum)
    return Estimand(
        f"{label} within {reach:.3g} of {optimum:.6g}",
        lambda frame: {t: float(abs(x) <= reach) for t, x in off(frame).items()},
        is_share=True,
    )


def total(label: str, column: str) -> Estimand:
    """The sum of a column over all episodes, such as messages or size, per agent."""
    name = f"{column} of {label} in all"
    return Estimand(
        name, each_trial(label, column, "episode", lambda y, x: float(y.sum()))
    )


def smoothness(label: str, column: str = "evaluation") -> Estimand:
    """The standard deviation of the steps from one value to the next; 0 is smooth."""

    def spread(y: Points, x: Points) -> float:
        steps = np.diff(y[~np.isnan(y)])
        return float(steps.std()) if len(steps) else np.nan

    def widest(ranges: Ranges) -> Bounds | None:
        known = range_of(label, column)(ranges)
        return known and (0.0, known[1] - known[0])

    name = f"steps of {label}'s {column}, standard deviation"
    return Estimand(name, each_trial(label, column, "episode", spread), bounds=widest)


def correlation(label: str, a: str, b: str) -> Estimand:
    """Pearson's correlation of two columns over a trial's episodes.

    A column that does not change follows nothing: 0.
    """
    one, other = columns_of(label, a), columns_of(label, b)

    def measure(frame: pd.DataFrame) -> Numbers:
        x, y = one(frame), other(frame)
        return {trial: correlated(x[trial], y[trial]) for trial in x}

    name = f"correlation of {a} and {b} of {label}"
    return Estimand(name, measure, bounds=lambda ranges: (-1.0, 1.0))


def area(
    label: str,
    column: str = "evaluation",
    x: str = "episode",
    *,
    within: tuple[float, float] | None = None,
) -> Estimand:
    """The area under a curve over its length: a mean over the x axis.

    The curve is a step function; the last value measured has no length. Areas of two
    labels can be compared where they are over the same stretch of the axis, and are
    refused elsewhere; :func:`area_at_equal` takes what both have in common.

    Args:
        label: Which label.
        column: What stands on the y axis.
        x: What stands on the x axis.
        within: From where to where on the x axis, the same for every trial; past a
            trial's end its last value is held. Each trial's own length, from its first
            value to its last, when left out.
    """
    if within is not None and not 0 <= within[0] < within[1] < np.inf:
        raise ValueError(f"within is {within}; give two numbers of 0 or more, (1, 5)")

    def span(frame: pd.DataFrame) -> dict[int, tuple[float, float]]:
        found = trial_curves(frame, label, column, x)
        return {t: within or measured_span(y, along) for t, (y, along) in found.items()}

    def mean(y: Points, along: Points) -> float:
        return mean_over(y, along, *(within or measured_span(y, along)))

    name = f"mean {column} of {label} over {x}"
    name += f" {within[0]:g} to {within[1]:g}" if within else ""
    measure = each_trial(label, column, x, mean)
    return Estimand(name, measure, span=span, bounds=range_of(label, column))


def value_at(label: str, x: str, amount: float, column: str = "evaluation") -> Estimand:
    """The latest value of a column when so much has been spent on an axis.

    Past a trial's end its last value is held. Before its first value there is none,
    which is an error.
    """
    name = f"{column} of {label} at {x} {amount:g}"

    def value(y: Points, along: Points) -> float:
        return latest_value(y, along, amount)

    measure = each_trial(label, column, x, value)
    return Estimand(name, measure, bounds=range_of(label, column))


def less(estimand: Estimand, number: float) -> Estimand:
    """An estimand less a fixed number, for claims that it equals that number."""
    return Estimand(
        f"{estimand.name} - {number:g}",
        lambda frame: {t: float(apart(x, number)) for t, x in estimand(frame).items()},
        remark=estimand.remark,
        bounds=lambda ranges: range_of_difference(
            estimand.bounds(ranges), (number, number)
        ),
    )


def share(
    estimand: Estimand, *, above: float = -np.inf, below: float = np.inf
) -> Estimand:
    """Whether a number lies strictly between two others; a share.

    One that differs from a bound by rounding only is not beyond it.
    """
    if not above < below or (above, below) == (-np.inf, np.inf):
        raise ValueError(f"nothing to be counted above {above} and below {below}")
    bounds = [f"> {above:g}"] * bool(above > -np.inf)
    bounds += [f"< {below:g}"] * bool(below < np.inf)

    def between(x: float) -> float:
        return float(apart(x, above) > 0 and apart(x, below) < 0)

    return Estimand(
        f"{estimand.name} {' and '.join(bounds)}",
        lambda frame: {t: between(x) for t, x in estimand(frame).items()},
        is_share=True,
    )


def range_of(label: str, column: str) -> Callable[[Ranges], Bounds | None]:
    """The range of a label's column, where it is known."""
    return lambda ranges: ranges.get(label, {}).get(column, _OF_ALL.get(column))


def range_of_difference(one: Bounds | None, other: Bounds | None) -> Bounds | None:
    """The range of one number less another."""
    return one and other and (one[0] - other[1], one[1] - other[0])


def _at_least(name: str, value: int, least: int) -> None:
    """Refuse a number that is too small."""
    if value < least:
        raise ValueError(f"{name} is {value}; it must be at least {least}")
