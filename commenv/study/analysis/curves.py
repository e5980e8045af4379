"""From episodes to curves: a mean and a 10th to 90th percentile band over trials.

A trial is a step function of whatever stands on the x axis: it has its latest value
until the next one is measured. On a cost axis (steps, messages, bytes) trials reach
different x, so they are put on a common grid; past a trial's end its last value is
held, and the curve says from where on that is so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from commenv.errors import ResultsError, UnknownNameError
from commenv.study.analysis.axes import check_x, check_y, progress_along, values_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Curve",
    "band",
    "curve",
    "curves",
    "curves_of",
    "labels",
    "rows_by_label",
    "step_values",
]

PERCENTILES = (10.0, 90.0)


@dataclass(frozen=True, eq=False)
class Curve:
    """One label's curve; all arrays are float64 of the same length, without NaN.

    Args:
        label: What the curve is called.
        x: Where it is known, strictly increasing.
        mean: The mean over trials.
        low: The 10th percentile over trials.
        high: The 90th percentile over trials.
        trials: How many trials there are; each counts at every x.
        held_from: The x beyond which at least one trial has ended and its last value
            is held (a member of ``x``); None where every trial lasts to the end.
    """

    label: str
    x: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    trials: int
    held_from: float | None


@dataclass(frozen=True, eq=False)
class _Trial:
    """One trial's measured points, and the x at which it ended."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    end: float


def labels(frame: pd.DataFrame) -> list[str]:
    """The frame's labels, in the order in which they first occur."""
    return [str(label) for label in frame["label"].unique()]


def step_values(
    x: NDArray[np.float64], y: NDArray[np.float64], grid: NDArray[np.float64]
) -> NDArray[np.float64]:
    """A step function's values: at each grid point, y at the latest x not beyond it.

    Args:
        x: Where y was measured, not decreasing; of equal ones the last counts.
        y: The values measured.
        grid: Where to read the function.

    Returns:
        One value for each grid point; NaN before the first measurement, and the last
        value from the last measurement on.
    """
    latest = np.searchsorted(x, grid, side="right") - 1
    return np.where(latest >= 0, y[np.maximum(latest, 0)], np.nan)


def band(values: ArrayLike) -> tuple[NDArray[np.float64], ...]:
    """The mean, the 10th and the 90th percentile of each column.

    Args:
        values: Shape (trials, points), -inf where a value is no number; percentiles
            interpolate linearly.

    Returns:
        Three arrays of shape (points,).
    """
    table = np.asarray(values, np.float64)
    with np.errstate(invalid="ignore"):
        edges = np.percentile(table, PERCENTILES, axis=0)
    low, high = np.where(np.isnan(edges), -np.inf, edges)  # next to an infinite value
    return table.mean(axis=0), low, high


def curve(
    frame: pd.DataFrame,
    label: str,
    x: str = "episode",
    y: str = "evaluation",
    *,
    points: int = 400,
    until: float | None = None,
) -> Curve:
    """The curve of one label.

    Args:
        frame: A study's frame, its rows in any order.
        label: Which label to take.
        x: One of :data:`commenv.study.analysis.axes.X_AXES`.
        y: One of :func:`commenv.study.analysis.axes.y_axes`; episodes in which it is
            missing are left out.
        points: How many grid points a cost axis has; the episode axis has as many as
            there are measured episodes.
        until: Hold the last value to this x, if it lies beyond the curve's own end.

    Returns:
        The curve, from the first x at which every trial has a value.

    Raises:
        UnknownNameError: An unknown label or axis.
        ResultsError: A trial has no value at all on the y axis.
        ValueError: ``points`` is below 2.
    """
    check_x(x)
    check_y(frame, [y])
    return _curve(_rows(frame, label), label, x, y, points, until)


def _curve(
    rows: pd.DataFrame, label: str, x: str, y: str, points: int, until: float | None
) -> Curve:
    """The curve of the rows of one label, which are in order of trial and episode."""
    if points < 2:
        raise ValueError(f"points is {points}; a curve needs at least 2")
    trials = _trials(rows, label, x, y)
    grid, held_from = _grid(trials, None if x == "episode" else points, until)
    values = np.stack([step_values(trial.x, trial.y, grid) for trial in trials])
    mean, low, high = band(values)
    return Curve(label, grid, mean, low, high, len(trials), held_from)


def curves(
    frame: pd.DataFrame, x: str = "episode", y: str = "evaluation", *, points: int = 400
) -> list[Curve]:
    """The curves of all labels, in the order of `labels`.

    On a cost axis every curve is held to the end of the dearest one: what a label
    reached at a small cost it still has at a larger one. On the episode axis a curve
    ends with its own last episode.

    Args:
        frame: A study's frame.
        x: One of :data:`commenv.study.analysis.axes.X_AXES`.
        y: One of :func:`commenv.study.analysis.axes.y_axes`.
        points: How many grid points each curve has on a cost axis.

    Returns:
        One curve for each label.

    Raises:
        UnknownNameError: An unknown axis.
        ResultsError: The frame is empty, or a trial has no value on the y axis.
        ValueError: ``points`` is below 2.
    """
    check_x(x)
    check_y(frame, [y])
    return curves_of(rows_by_label(frame), x, y, points=points)


def rows_by_label(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of each label in order of trial and episode, cut once for all curves.

    Raises:
        ResultsError: The frame is empty.
    """
    if frame.empty:
        raise ResultsError("the frame has no rows, so no curves: run a study first")
    ordered = frame.sort_values(["trial", "episode"])
    groups = ordered.groupby("label", sort=False, observed=True)
    cut = {str(label): rows for label, rows in groups}
    return {label: cut[label] for label in labels(frame)}


def curves_of(
    rows: Mapping[str, pd.DataFrame], x: str, y: str, *, points: int = 400
) -> list[Curve]:
    """As :func:`curves`, of what :func:`rows_by_label` gave for all labels or some."""
    drawn = [_curve(own, label, x, y, points, None) for label, own in rows.items()]
    if x == "episode":
        return drawn
    until = max(float(one.x[-1]) for one in drawn)
    return [
        one
        if one.x[-1] == until
        else _curve(rows[one.label], one.label, x, y, points, until)
        for one in drawn
    ]


def _rows(frame: pd.DataFrame, label: str) -> pd.DataFrame:
    """One label's rows, in order of trial and episode."""
    rows = frame[frame["label"] == label]
    if rows.empty:
        raise UnknownNameError("label", label, labels(frame))
    return rows.sort_values(["trial", "episode"])


def _trials(rows: pd.DataFrame, label: str, x: str, y: str) -> list[_Trial]:
    """Each trial's measured points; a trial without any is an error."""
    along, value = progress_along(rows, x), values_of(rows, y)
    numbers = rows["trial"].to_numpy()
    starts = np.flatnonzero(np.diff(numbers)) + 1
    cut: list[_Trial] = []
    for first, last in zip([0, *starts], [*starts, len(numbers)], strict=True):
        part = slice(first, last)
        known = ~np.isnan(value[part])
        if not known.any():
            raise ResultsError(
                f"label {label!r} has no {y} in any episode of trial {numbers[first]}; "
                "run it with evaluations often enough (evaluate_every)"
            )
        end = float(along[last - 1])
        cut.append(_Trial(along[part][known], value[part][known], end))
    return cut


def _grid(
    trials: Sequence[_Trial], points: int | None, until: float | None
) -> tuple[NDArray[np.float64], float | None]:
    """Where to read the trials, and the x from which at least one of them is held.

    The grid begins where the last trial to start has its first value: a mean over
    only some trials would jump whenever another one joins.
    """
    start = max(float(trial.x[0]) for trial in trials)
    end = max(trial.end for trial in trials)
    if points is None:
        grid = np.unique(np.concatenate([trial.x for trial in trials]))
        grid = grid[grid >= start]
    else:
        grid = np.linspace(start, max(start, end), points)
    extra: list[Any] = [] if until is None or until <= grid[-1] else [until]
    held_from = max(start, min(trial.end for trial in trials))
    if held_from < max([float(grid[-1]), *extra]):
        return np.unique([*grid, held_from, *extra]), held_from
    return np.unique(grid), None
