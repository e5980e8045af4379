"""Estimands made of two labels, or of two estimands, paired by trial.

The frame must be that of one study, in which trials of equal numbers meet equal worlds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from commenv.errors import ResultsError
from commenv.study.analysis.estimands import (
    Estimand,
    range_of,
    range_of_difference,
    total,
)
from commenv.study.analysis.statistics import apart
from commenv.study.analysis.trial_values import (
    Numbers,
    check_paired,
    latest_value,
    mean_over,
    measured_span,
    trial_curves,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["area_at_equal", "at_equal", "difference", "messages_ratio", "ratio"]


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
            t: float(apart(latest_value(*one[t], end), latest_value(*other[t], end)))
            for t, end in ends.items()
        }

    return Estimand(
        f"{column} of {a} - of {b}, at equal {x}",
        measure,
        bounds=lambda ranges: range_of_difference(
            range_of(a, column)(ranges), range_of(b, column)(ranges)
        ),
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
            low = max(measured_span(*one[t])[0], measured_span(*other[t])[0])
            high = min(one[t][1][-1], other[t][1][-1])
            if not low < high:
                raise ResultsError(
                    f"in trial {t}, {a} and {b} have no {x} in common beyond {low:g}, "
                    "so no area to compare; compare their last values, or choose "
                    "another axis"
                )
            means = (mean_over(*each[t], low, high) for each in (one, other))
            numbers[t] = float(apart(*means))
        return numbers

    return Estimand(
        f"mean {column} of {a} - of {b}, over equal {x}",
        measure,
        bounds=lambda ranges: range_of_difference(
            range_of(a, column)(ranges), range_of(b, column)(ranges)
        ),
    )


def difference(a: Estimand, b: Estimand) -> Estimand:
    """One number less another, trial by trial."""
    paired = _paired(f"{a.name} - {b.name}", a, b, lambda x, y: float(apart(x, y)))
    return replace(
        paired,
        bounds=lambda ranges: range_of_difference(a.bounds(ranges), b.bounds(ranges)),
    )


def ratio(a: Estimand, b: Estimand) -> Estimand:
    """One number over another, trial by trial; a trial with 0 below is an error."""
    return _paired(f"{a.name} / {b.name}", a, b, lambda x, y: x / y if y else np.nan)


def messages_ratio(a: str, b: str) -> Estimand:
    """The messages per agent of ``a`` over those of ``b``, all episodes."""
    paired = ratio(total(a, "messages"), total(b, "messages"))
    return Estimand(f"messages of {a} / of {b}", paired.measure)


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
