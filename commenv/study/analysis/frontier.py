"""The arms that no other beats: what can be had for what is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from commenv.errors import ResultsError
from commenv.study.analysis.axes import check_x, check_y
from commenv.study.analysis.comparability import (
    ENVIRONMENT,
    Settings,
    settings_of_frame,
)
from commenv.study.analysis.curves import labels
from commenv.study.analysis.intervals import mean_interval
from commenv.study.analysis.statistics import apart
from commenv.study.analysis.trial_values import last_value, trial_curves
from commenv.study.storage.frame import Ranges

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["frontier", "render"]


def frontier(
    frame: pd.DataFrame,
    x: str = "uplink_bytes",
    y: str = "evaluation",
    *,
    settings: Mapping[str, Settings] | None = None,
    ranges: Ranges | None = None,
    every: bool = False,
) -> pd.DataFrame:
    """The arms that no other beats at the end of their trials.

    An arm beats another in the same environment and with the same discount if its
    mean ``y`` is at least as high for at most as much ``x``, and one of the two is
    better. Means are compared, whatever their intervals are: where those overlap, more
    trials may draw another frontier. Arms in different environments are not compared.

    Args:
        frame: A study's frame.
        x: What is spent, to the end of each trial: one of the axes of a plot.
        y: What is had for it, its last value in each trial; more is better.
        settings: What each label was run with.
        ranges: The least and the greatest value of columns, by label.
        every: Whether arms that are beaten are listed, too.

    Returns:
        One row for each arm, from the cheapest: ``label``, ``environment``, ``trials``;
        the means ``x`` and ``y`` with their 95 % intervals ``x_low`` to ``x_high`` and
        ``y_low`` to ``y_high``, NaN where there are too few trials for one; and
        ``beaten_by``, the label of the best arm that does, missing on the frontier.

    Raises:
        UnknownNameError: An unknown axis, or an unknown column.
        ResultsError: An arm has no value of ``y``.
    """
    import pandas as pd

    check_x(x)
    check_y(frame, [y])
    known = {
        label: (settings or {}).get(label) or settings_of_frame(frame, label)
        for label in labels(frame)
    }
    rows = [
        _row(frame, label, x, y, (ranges or {}).get(label, {}).get(y))
        for label in known
    ]
    worlds = {label: _world(own) for label, own in known.items()}
    for row in rows:
        row["environment"] = known[row["label"]].get("environment")
        better = [
            one
            for one in rows
            if worlds[one["label"]] == worlds[row["label"]] and _beats(one, row)
        ]
        best = max(better, key=lambda one: one["y"], default={"label": None})
        row["beaten_by"] = best["label"]
    rows.sort(key=lambda row: (row["x"], -row["y"]))
    table = pd.DataFrame(rows, columns=[*_COLUMNS])
    return table if every else table[table["beaten_by"].isna()].reset_index(drop=True)


def render(table: pd.DataFrame, x: str, y: str) -> str:
    """A frontier as plain text; a star stands before the arms on it.

    Args:
        table: What :func:`frontier` gave.
        x: What is spent.
        y: What is had for it.
    """
    import pandas as pd

    columns = {
        "": ["*" if best else "" for best in table["beaten_by"].isna()],
        "label": table["label"].tolist(),
    }
    for name, axis in (("x", x), ("y", y)):
        columns[axis] = [f"{mean:,.4f}" for mean in table[name]]
        columns[f"95 % of {axis}"] = [
            "-" if np.isnan(low) else f"{low:,.4f} to {high:,.4f}"
            for low, high in zip(
                table[f"{name}_low"], table[f"{name}_high"], strict=True
            )
        ]
    text = pd.DataFrame(columns).to_string(index=False)
    return (
        f"{text}\n\n*: no other arm in the same environment beats it, with at least as "
        f"much {y} for no more {x}"
    )


_COLUMNS = (
    *("label", "environment", "trials", "x", "x_low", "x_high"),
    *("y", "y_low", "y_high", "beaten_by"),
)


def _row(
    frame: pd.DataFrame,
    label: str,
    x: str,
    y: str,
    bounds: tuple[float, float] | None,
) -> dict[str, Any]:
    curves = trial_curves(frame, label, y, x).values()
    row: dict[str, Any] = {"label": label, "trials": len(curves)}
    for name, values, known in (
        ("x", [along[-1] for _, along in curves], None),
        ("y", [last_value(*curve) for curve in curves], bounds),
    ):
        array = np.array(values, np.float64)
        if np.isnan(array).any():
            raise ResultsError(f"{label} has trials without any value of {y}")
        ends = np.full(2, np.nan)
        if len(array) > 1:
            ends = np.array(mean_interval(array, bounds=known))
        row |= {name: float(array.mean()), f"{name}_low": ends[0]}
        row[f"{name}_high"] = ends[1]
    return row


def _beats(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether an arm has at least as much for at most as much, and not both alike."""
    cheaper = float(apart(other["x"], one["x"]))
    better = float(apart(one["y"], other["y"]))
    return cheaper >= 0 and better >= 0 and (cheaper > 0 or better > 0)


def _world(settings: Settings) -> list[tuple[str, Any]]:
    """All that must be alike for two arms to compete."""
    return sorted(
        (name, repr(value))
        for name, value in settings.items()
        if name.startswith(ENVIRONMENT) or name in ("time limit", "gamma")
    )
