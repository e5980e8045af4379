"""What a claim is about: one number for each trial, taken from a study's frame.

An estimand has a name, for people, and a function from the frame to numbers by trial.
Those of one label come first below; then those made of two, paired by trial: the frame
must be that of one study, in which trials of equal numbers meet equal worlds. What
differs by rounding only does not differ (:func:`commenv.study.statistics.apart`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from commenv.errors import ResultsError, UnknownNameError
from commenv.study.axes import check_x, check_y, progress_along, values_of
from commenv.study.curves import labels, step_values
from commenv.study.statistics import apart, is_constant

if TYPE_CHECKING:
    import pandas as pd

    from commenv.study.ranges import Ranges
    from commenv.study.statistics import Bounds

__all__ = [
    "Estimand",
    "area",
    "area_at_equal",
    "at_equal",
    "at_optimum",
    "correlation",
    "difference",
    "final",
    "gap",
    "last_value",
    "late",
    "less",
    "messages_ratio",
    "ratio",
    "share",
    "smoothness",
    "total",
    "value_at",
]

OPTIMAL = 1e-9  # as a share of the optimum

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
        return float(recent[~np.isnan(recent)].mean()) if _any(recent) else np.nan

    name = f"{column} of {label}, last {window} episodes"
    measure = _each_trial(label, column, "episode", mean)
    return Estimand(name, measure, bounds=_of(label, column))


def final(label: str, column: str = "evaluation") -> Estimand:
    """The last value of a column."""
    name = f"last {column} of {label}"
    measure = _each_trial(label, column, "episode", last_value)
    return Estimand(name, measure, bounds=_of(label, column))


def gap(label: str, optimum: float) -> Estimand:
    """How far the last evaluation is below the exact optimum."""
    last = final(label)
    return Estimand(
        f"gap of {label} to {optimum:.6g}",
        lambda frame: {t: float(apart(optimum, x)) for t, x in last(frame).items()},
        bounds=lambda ranges: _less((optimum, optimum), last.bounds(ranges)),
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
        return {t: within or _measured(y, along) for t, (y, along) in found.items()}

    def mean(y: Points, along: Points) -> float:
        return _mean_over(y, along, *(within or _measured(y, along)))

    name = f"mean {column} of {label} over {x}"
    name += f" {within[0]:g} to {within[1]:g}" if within else ""
    measure = _each_trial(label, column, x, mean)
    return Estimand(name, measure, span=span, bounds=_of(label, column))


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
        one, other = (
            trial_curves(frame, a, column, x),
            trial_curves(frame, b, column, x),
        )
        check_paired(a, one, b, other)
        ends = {trial: min(one[trial][1][-1], other[trial][1][-1]) for trial in one}
        return {
            t: float(apart(_value(*one[t], end), _value(*other[t], end)))
            for t, end in ends.items()
        }

    return Estimand(
        f"{column} of {a} - of {b}, at equal {x}",
        measure,
        bounds=lambda ranges: _less(_of(a, column)(ranges), _of(b, column)(ranges)),
    )


def area_at_equal(
    a: str, b: str, x: str = "env_steps", column: str = "evaluation"
) -> Estimand:
    """How much higher the mean of ``a`` over the x axis is than that of ``b``.

    In each trial both means are over the stretch of the axis on which both have a
    value: from the later first one to all that the one that spent less has spent.
    """

    def measure(frame: pd.DataFrame) -> Numbers:
        one, other = (
            trial_curves(frame, a, column, x),
            trial_curves(frame, b, column, x),
        )
        check_paired(a, one, b, other)
        numbers = {}
        for t in one:
            low = max(_measured(*one[t])[0], _measured(*other[t])[0])
            high = min(one[t][1][-1], other[t][1][-1])
            if not low < high:
                raise ResultsError(
                    f"in trial {t}, {a} and {b} have no {x} in common beyond {low:g}, "
                    "so no area to compare; compare their last values, or choose "
                    "another axis"
                )
            means = (_mean_over(*each[t], low, high) for each in (one, other))
            numbers[t] = float(apart(*means))
        return numbers

    return Estimand(
        f"mean {column} of {a} - of {b}, over equal {x}",
        measure,
        bounds=lambda ranges: _less(_of(a, column)(ranges), _of(b, column)(ranges)),
    )


def difference(a: Estimand, b: Estimand) -> Estimand:
    """One number less another, trial by trial."""
    paired = _paired(f"{a.name} - {b.name}", a, b, lambda x, y: float(apart(x, y)))
    return replace(
        paired, bounds=lambda ranges: _less(a.bounds(ranges), b.bounds(ranges))
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
        lambda frame: {t: float(apart(x, number)) for t, x in estimand(frame).items()},
        remark=estimand.remark,
        bounds=lambda ranges: _less(estimand.bounds(ranges), (number, number)),
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
        check_paired(a.name, one, b.name, other)
        _check_spans(a, b, frame)
        return {trial: combine(x, other[trial]) for trial, x in one.items()}

    def remark(frame: pd.DataFrame) -> str:
        return "; ".join(one.remark(frame) for one in (a, b) if one.remark)

    return Estimand(name, measure, remark=remark if a.remark or b.remark else None)


def _check_spans(a: Estimand, b: Estimand, frame: pd.DataFrame) -> None:
    """Means over an axis are over the same stretch of it."""
    if a.span is None or b.span is None:
        return
    one, other = a.span(frame), b.span(frame)
    for trial in one:
        if np.any(apart(one[trial], other[trial])):
            (low, high), (least, most) = one[trial], other[trial]
            raise ResultsError(
                f"in trial {trial}, {a.name} is over {low:g} to {high:g} and {b.name} "
                f"over {least:g} to {most:g}: means over different ranges say little "
                "about each other; give both the same within=(LOW, HIGH), or use "
                "area_at_equal"
            )


def check_paired(
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


def _columns(label: str, column: str) -> Callable[[pd.DataFrame], dict[int, Points]]:
    """A column's values, by trial."""
    return lambda frame: {
        trial: y
        for trial, (y, _) in trial_curves(frame, label, column, "episode").items()
    }


def _correlated(x: Points, y: Points) -> float:
    if is_constant(x) or is_constant(y):
        return 0.0
    return float(np.corrcoef(x, y)[0, 1])


def last_value(y: Points, x: Points) -> float:
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


def _measured(y: Points, x: Points) -> tuple[float, float]:
    """Where the first and where the last value was measured; NaN without any."""
    known = x[~np.isnan(y)]
    return (float(known[0]), float(known[-1])) if len(known) else (np.nan, np.nan)


def _mean_over(y: Points, x: Points, low: float, high: float) -> float:
    """The mean of a step function over a stretch; NaN where it is not known there."""
    known = ~np.isnan(y)
    x, y = x[known], y[known]
    if not high > low:
        return np.nan
    edges = np.array([low, *x[(x > low) & (x < high)], high])
    return float((step_values(x, y, edges[:-1]) * np.diff(edges)).sum() / (high - low))


def _any(y: Points) -> bool:
    """Whether anything was measured."""
    return not bool(np.isnan(y).all())


def _at_least(name: str, value: int, least: int) -> None:
    """Refuse a number that is too small."""
    if value < least:
        raise ValueError(f"{name} is {value}; it must be at least {least}")
