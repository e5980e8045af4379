"""What a claim is about: one number for each trial, taken from a study's frame.

An estimand has a name, for people, and a function from the frame to numbers by trial.
Those of one label come first below; then those made of two, paired by trial.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from commenv.errors import ResultsError, UnknownNameError
from commenv.study.curves import X_AXES, labels, progress_along, step_values

if TYPE_CHECKING:
    import pandas as pd

    from commenv.study.ranges import Ranges
    from commenv.study.statistics import Bounds

__all__ = [
    "Estimand",
    "area",
    "at_equal",
    "at_optimum",
    "correlation",
    "difference",
    "final",
    "gap",
    "late",
    "less",
    "messages_ratio",
    "ratio",
    "share",
    "smoothness",
    "time_to",
    "total",
    "value_at",
]

OPTIMAL = 1e-9

Points = NDArray[np.float64]
Numbers = dict[int, float]

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
        bounds: From the ranges of a study's columns to the least and the greatest
            value that the number can have; to None where that is not known.
    """

    name: str
    measure: Callable[[pd.DataFrame], Numbers]
    is_share: bool = False
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
        return float(recent[~np.isnan(recent)].mean()) if _any(recent) else np.nan

    name = f"{column} of {label}, last {window} episodes"
    measure = _each_trial(label, column, "episode", mean)
    return Estimand(name, measure, bounds=_of(label, column))


def final(label: str, column: str = "evaluation") -> Estimand:
    """The last value of a column."""
    name = f"last {column} of {label}"
    measure = _each_trial(label, column, "episode", _last)
    return Estimand(name, measure, bounds=_of(label, column))


def gap(label: str, optimum: float) -> Estimand:
    """How far the last evaluation is below the exact optimum."""
    last = final(label)
    return Estimand(
        f"gap of {label} to {optimum:.6g}",
        lambda frame: {trial: optimum - x for trial, x in last(frame).items()},
        bounds=lambda ranges: _less((optimum, optimum), last.bounds(ranges)),
    )


def at_optimum(label: str, optimum: float, within: float = OPTIMAL) -> Estimand:
    """Whether the last evaluation is the exact optimum; a share."""
    off = gap(label, optimum)
    return Estimand(
        f"{label} within {within:g} of {optimum:.6g}",
        lambda frame: {t: float(abs(x) <= within) for t, x in off(frame).items()},
        is_share=True,
    )


def total(label: str, column: str) -> Estimand:
    """The sum of a column over all episodes, such as messages or size, per agent."""
    name = f"{column} of {label} in all"
    return Estimand(
        name, _each_trial(label, column, "episode", lambda y, x: float(y.sum()))
    )


def smoothness(label: str, column: str = "evaluation") -> Estimand:
    """The standard deviation of the steps from one value to the next; 0 is smooth."""

    def spread(y: Points, x: Points) -> float:
        steps = np.diff(y[~np.isnan(y)])
        return float(steps.std()) if len(steps) else np.nan

    def widest(ranges: Ranges) -> Bounds | None:
        known = _of(label, column)(ranges)
        return known and (0.0, known[1] - known[0])

    name = f"steps of {label}'s {column}, standard deviation"
    return Estimand(name, _each_trial(label, column, "episode", spread), bounds=widest)


def correlation(label: str, a: str, b: str) -> Estimand:
    """Pearson's correlation of two columns over a trial's episodes.

    A column that does not change follows nothing: 0.
    """
    one, other = _columns(label, a), _columns(label, b)

    def measure(frame: pd.DataFrame) -> Numbers:
        x, y = one(frame), other(frame)
        return {trial: _correlated(x[trial], y[trial]) for trial in x}

    name = f"correlation of {a} and {b} of {label}"
    return Estimand(name, measure, bounds=lambda ranges: (-1.0, 1.0))


def area(label: str, column: str = "evaluation", x: str = "episode") -> Estimand:
    """The area under a curve over its length: a mean over the x axis.

    The curve is a step function; the last value measured has no length.
    """

    def mean(y: Points, along: Points) -> float:
        known = ~np.isnan(y)
        lengths = np.diff(along[known])
        if not lengths.sum() > 0:
            return np.nan
        return float((y[known][:-1] * lengths).sum() / lengths.sum())

    name = f"mean {column} of {label} over {x}"
    measure = _each_trial(label, column, x, mean)
    return Estimand(name, measure, bounds=_of(label, column))


def time_to(
    label: str, threshold: float, column: str = "evaluation", x: str = "episode"
) -> Estimand:
    """Where on the x axis a column first reaches a threshold.

    A trial that never does counts as its own end: its true number is larger.
    """

    def first(y: Points, along: Points) -> float:
        reached = np.flatnonzero(y >= threshold)
        return float(along[reached[0] if len(reached) else -1])

    name = f"{x} at which {label} has {column} {threshold:g}"
    return Estimand(name, _each_trial(label, column, x, first))


def value_at(label: str, x: str, amount: float, column: str = "evaluation") -> Estimand:
    """The latest value of a column when so much has been spent on an axis.

    Past a trial's end its last value is held. Before its first value there is none,
    which is an error.
    """
    name = f"{column} of {label} at {x} {amount:g}"

    def value(y: Points, along: Points) -> float:
        return _value(y, along, amount)

    measure = _each_trial(label, column, x, value)
    return Estimand(name, measure, bounds=_of(label, column))


def at_equal(
    a: str, b: str, x: str = "env_steps", column: str = "evaluation"
) -> Estimand:
    """How much higher ``a`` is than ``b``, where both have spent equally much.

    In each trial that is all that the one that spent less has spent.
    """

    def measure(frame: pd.DataFrame) -> Numbers:
        one, other = _curves(frame, a, column, x), _curves(frame, b, column, x)
        _check_paired(a, one, b, other)
        ends = {trial: min(one[trial][1][-1], other[trial][1][-1]) for trial in one}
        return {t: _value(*one[t], e) - _value(*other[t], e) for t, e in ends.items()}

    return Estimand(
        f"{column} of {a} - of {b}, at equal {x}",
        measure,
        bounds=lambda ranges: _less(_of(a, column)(ranges), _of(b, column)(ranges)),
    )


def difference(a: Estimand, b: Estimand) -> Estimand:
    """One number less another, trial by trial."""
    apart = _paired(f"{a.name} - {b.name}", a, b, lambda x, y: x - y)
    return replace(
        apart, bounds=lambda ranges: _less(a.bounds(ranges), b.bounds(ranges))
    )


def ratio(a: Estimand, b: Estimand) -> Estimand:
    """One number over another, trial by trial; a trial with 0 below is an error."""
    return _paired(f"{a.name} / {b.name}", a, b, lambda x, y: x / y if y else np.nan)


def messages_ratio(a: str, b: str) -> Estimand:
    """The messages per agent of ``a`` over those of ``b``, all episodes."""
    paired = ratio(total(a, "messages"), total(b, "messages"))
    return Estimand(f"messages of {a} / of {b}", paired.measure)


def less(estimand: Estimand, number: float) -> Estimand:
    """An estimand less a fixed number, for claims that it equals that number."""
    return Estimand(
        f"{estimand.name} - {number:g}",
        lambda frame: {trial: x - number for trial, x in estimand(frame).items()},
        bounds=lambda ranges: _less(estimand.bounds(ranges), (number, number)),
    )


def share(
    estimand: Estimand, *, above: float = -np.inf, below: float = np.inf
) -> Estimand:
    """Whether a number lies strictly between two others; a share."""
    if not above < below or (above, below) == (-np.inf, np.inf):
        raise ValueError(f"nothing to be counted above {above} and below {below}")
    bounds = [f"> {above:g}"] * bool(above > -np.inf)
    bounds += [f"< {below:g}"] * bool(below < np.inf)
    return Estimand(
        f"{estimand.name} {' and '.join(bounds)}",
        lambda frame: {t: float(above < x < below) for t, x in estimand(frame).items()},
        is_share=True,
    )


def _of(label: str, column: str) -> Callable[[Ranges], Bounds | None]:
    """The range of a label's column, where it is known."""
    return lambda ranges: ranges.get(label, {}).get(column, _OF_ALL.get(column))


def _less(one: Bounds | None, other: Bounds | None) -> Bounds | None:
    """The range of one number less another."""
    return one and other and (one[0] - other[1], one[1] - other[0])


def _paired(
    name: str, a: Estimand, b: Estimand, combine: Callable[[float, float], float]
) -> Estimand:
    """An estimand made of two, whose trials must be the same."""

    def measure(frame: pd.DataFrame) -> Numbers:
        one, other = a(frame), b(frame)
        _check_paired(a.name, one, b.name, other)
        return {trial: combine(x, other[trial]) for trial, x in one.items()}

    return Estimand(name, measure)


def _check_paired(
    a: str, one: Mapping[int, object], b: str, other: Mapping[int, object]
) -> None:
    """Both have the same trials."""
    if alone := sorted(one.keys() ^ other.keys()):
        raise ResultsError(
            f"{a} has {len(one)} trials and {b} has {len(other)}; they differ in trial "
            f"{alone[0]}: trials are compared pair by pair, so run the same for both"
        )


def _each_trial(
    label: str, column: str, x: str, number: Callable[[Points, Points], float]
) -> Callable[[pd.DataFrame], Numbers]:
    """A measure that takes each trial's y and x, in order of episodes, to a number."""
    if x not in X_AXES:
        raise UnknownNameError("x axis", x, X_AXES)
    return lambda frame: {
        trial: number(y, along)
        for trial, (y, along) in _curves(frame, label, column, x).items()
    }


def _curves(
    frame: pd.DataFrame, label: str, column: str, x: str
) -> dict[int, tuple[Points, Points]]:
    """Each trial's column and its x axis, in order of episodes."""
    if column not in frame.columns:
        raise UnknownNameError("column", column, [str(name) for name in frame.columns])
    if x not in X_AXES:
        raise UnknownNameError("x axis", x, X_AXES)
    rows = frame[frame["label"] == label].sort_values(["trial", "episode"])
    if rows.empty:
        raise UnknownNameError("label", label, labels(frame))
    y, along = rows[column].to_numpy(np.float64), progress_along(rows, x)
    trials, starts = np.unique(rows["trial"].to_numpy(), return_index=True)
    parts = zip(np.split(y, starts[1:]), np.split(along, starts[1:]), strict=True)
    return {int(trial): part for trial, part in zip(trials, parts, strict=True)}


def _columns(label: str, column: str) -> Callable[[pd.DataFrame], dict[int, Points]]:
    """A column's values, by trial."""
    return lambda frame: {
        trial: y for trial, (y, _) in _curves(frame, label, column, "episode").items()
    }


def _correlated(x: Points, y: Points) -> float:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    return float(np.corrcoef(x, y)[0, 1])


def _last(y: Points, x: Points) -> float:
    """The last value measured."""
    return float(y[~np.isnan(y)][-1]) if _any(y) else np.nan


def _value(y: Points, x: Points, amount: float) -> float:
    """The latest value not beyond an amount."""
    known = ~np.isnan(y)
    return (
        float(step_values(x[known], y[known], np.array([amount]))[0])
        if _any(y)
        else np.nan
    )


def _any(y: Points) -> bool:
    """Whether anything was measured."""
    return not bool(np.isnan(y).all())


def _at_least(name: str, value: int, least: int) -> None:
    """Refuse a number that is too small."""
    if value < least:
        raise ValueError(f"{name} is {value}; it must be at least {least}")
