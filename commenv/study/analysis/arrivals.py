"""When a column first reaches a threshold, and what to do with trials that never do.

A trial that ended before it got there has no time, only a bound for it: it is censored.
Counting its end as its time would reward whoever stops early. So times are either cut
at a common end (:func:`time_to`, the restricted mean), or only their order counts, with
never as the last (:func:`sooner`), or they are turned into shares (:func:`reaches`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from commenv.errors import ResultsError
from commenv.study.analysis.curves import labels
from commenv.study.analysis.estimands import Estimand
from commenv.study.analysis.intervals import mean_interval
from commenv.study.analysis.statistics import apart
from commenv.study.analysis.trial_values import (
    Numbers,
    Points,
    check_paired,
    trial_curves,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["arrivals", "common_end", "reaches", "sooner", "time_to", "times"]


def arrivals(
    frame: pd.DataFrame,
    label: str,
    threshold: float,
    column: str = "evaluation",
    x: str = "episode",
) -> dict[int, tuple[float, float]]:
    """Where on the x axis each trial reaches a threshold, and where it ends.

    A trial that never does has arrived at infinity: all that is known is that it had
    not when it ended.
    """

    def first(y: Points, along: Points) -> float:
        reached = np.flatnonzero(apart(y, threshold) >= 0)
        return float(along[reached[0]]) if len(reached) else np.inf

    found = trial_curves(frame, label, column, x)
    return {
        trial: (first(y, along), float(along[-1]))
        for trial, (y, along) in found.items()
    }


def time_to(
    label: str,
    threshold: float,
    column: str = "evaluation",
    x: str = "episode",
    *,
    within: float,
) -> Estimand:
    """Where on the x axis a column first reaches a threshold, but at most ``within``.

    A trial that comes later or never counts as ``within``; so the mean is the
    restricted mean (Irwin 1949), which needs to know nothing of later times.

    Raises:
        ResultsError: When measured: a trial ended before ``within`` without having
            reached it, so that its number is not known.
    """
    if not 0 <= within < np.inf:
        raise ValueError(f"within is {within}; give a number of 0 or more")

    def measure(frame: pd.DataFrame) -> Numbers:
        found = arrivals(frame, label, threshold, column, x)
        for trial, (arrival, end) in found.items():
            if arrival > end and apart(end, within) < 0:
                raise ResultsError(
                    f"trial {trial} of {label!r} ended at {x} {end:g} and had not "
                    f"reached {column} {threshold:g}: nobody knows whether it would "
                    f"have within {within:g}; give within={end:g} or less, run it for "
                    "longer, or ask who comes sooner (sooner), where never is the worst"
                )
        return {trial: min(arrival, within) for trial, (arrival, _) in found.items()}

    def remark(frame: pd.DataFrame) -> str:
        times = [
            one for one, _ in arrivals(frame, label, threshold, column, x).values()
        ]
        late = sum(time > within for time in times)
        return f"not within {within:g}: {late} of {len(times)} trials of {label}"

    name = f"{x} until {label} has {column} {threshold:g}, at most {within:g}"
    bounds = 0.0, float(within)
    return Estimand(name, measure, remark=remark, bounds=lambda ranges: bounds)


def reaches(
    label: str,
    threshold: float,
    column: str = "evaluation",
    x: str = "episode",
    *,
    within: float = np.inf,
) -> Estimand:
    """Whether a column reaches a threshold in time, or at all; a share."""
    words = f" within {x} {within:g}" if within < np.inf else ""

    def measure(frame: pd.DataFrame) -> Numbers:
        found = arrivals(frame, label, threshold, column, x)
        return {
            t: float(time < np.inf and time <= within) for t, (time, _) in found.items()
        }

    name = f"{label} has {column} {threshold:g}{words}"
    return Estimand(name, measure, is_share=True)


def sooner(
    a: str,
    b: str,
    threshold: float,
    column: str = "evaluation",
    x: str = "episode",
) -> Estimand:
    """1 where ``a`` reaches a threshold before ``b``, -1 where after it, else 0.

    Never is later than every time, and as late as never. So the mean is the chance
    that ``a`` comes first less that of ``b``, and 0 where they are alike.
    """

    def measure(frame: pd.DataFrame) -> Numbers:
        one, other = (arrivals(frame, name, threshold, column, x) for name in (a, b))
        check_paired(a, one, b, other)
        return {t: float(np.sign(apart(other[t][0], one[t][0]))) for t in one}

    def remark(frame: pd.DataFrame) -> str:
        parts = []
        for name in (a, b):
            found = arrivals(frame, name, threshold, column, x).values()
            never = sum(time == np.inf for time, _ in found)
            parts.append(f"{never} of {len(found)} trials of {name}")
        return f"never: {', '.join(parts)}"

    name = f"{a} has {column} {threshold:g} at less {x} than {b} (1) or more (-1)"
    return Estimand(name, measure, remark=remark, bounds=lambda ranges: (-1.0, 1.0))


def common_end(
    frame: pd.DataFrame,
    names: list[str],
    threshold: float,
    column: str = "evaluation",
    x: str = "episode",
) -> float:
    """How far along x all labels can be compared: to the first end without arrival.

    Where all trials arrive, it is the latest arrival.
    """
    found = [
        pair
        for name in names
        for pair in arrivals(frame, name, threshold, column, x).values()
    ]
    ends = [end for time, end in found if time == np.inf]
    return min(ends) if ends else max(time for time, _ in found)


def times(
    frame: pd.DataFrame,
    threshold: float,
    column: str = "evaluation",
    x: str = "episode",
    *,
    within: float | None = None,
) -> pd.DataFrame:
    """When each label reaches a threshold, as a table.

    Args:
        frame: A study's frame.
        threshold: Reached from below: the first value of at least this counts.
        column: What is to reach it.
        x: What the time is counted in.
        within: How far along x is looked; to :func:`common_end` when left out.

    Returns:
        One row for each label: ``label``, ``trials``, ``never`` (how many have not
        come there ``within``) and ``never_share``; ``median``, when half of all trials
        have (Kaplan and Meier 1958), inf where fewer have; ``mean``, in which those
        that have not count as ``within``, with its 95 % interval ``low`` to ``high``
        (NaN for a single trial); ``within``.
    """
    import pandas as pd

    names = labels(frame)
    end = common_end(frame, names, threshold, column, x) if within is None else within
    rows = []
    for name in names:
        cut = time_to(name, threshold, column, x, within=end)(frame)
        pairs = arrivals(frame, name, threshold, column, x).values()
        known = np.array([time if time <= end else np.inf for time, _ in pairs])
        values = np.array(list(cut.values()))
        ends = np.full(2, np.nan)
        if len(values) > 1:
            ends = np.array(mean_interval(values, bounds=(0.0, float(end))))
        never = int(np.isinf(known).sum())
        rows.append(
            {
                "label": name,
                "trials": len(known),
                "never": never,
                "never_share": never / len(known),
                "median": float(np.sort(known)[(len(known) - 1) // 2]),
                "mean": float(values.mean()),
                "low": float(ends[0]),
                "high": float(ends[1]),
                "within": end,
            }
        )
    return pd.DataFrame(rows)
