"""A study in a few numbers: one row for each label, and how to print them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from commenv.errors import ResultsError
from commenv.study.analysis.curves import labels
from commenv.study.analysis.intervals import mean_interval
from commenv.study.analysis.statistics import apart
from commenv.study.storage.frame import Bounds, Ranges

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["render", "summary"]

REWARD_WINDOW = 100
DEFAULT_WIDTH = 100

_SETTINGS = ("environment", "algorithm", "scheme", "agents", "trials", "episodes")
_NUMBERS = {
    "evaluation": "last",
    "held": "last",
    "optimum": "exact",
    "gap": "to optimum",
    "reward": "last {window}",
    "messages": "per ep.",
    "bytes": "B/ep.",
    "header": "B/ep.",
    "downlink": "B/ep.",
}
# Shown where a label has other numbers than 0: name of the column, unit, meaning.
_WHERE_NOT_ZERO = {
    "refused": ("refused", "per ep.", "messages that the budget refused"),
    "refused_bytes": ("unsent", "B/ep.", "payload that the budget refused or cut off"),
    "lost": ("lost", "per ep.", "messages that the link lost"),
    "expired": ("expired", "per ep.", "messages that waited in vain"),
    "invalid": ("invalid", "per ep.", "messages with numbers that could not be used"),
    "penalty": (
        "penalty",
        "per ep.",
        "cost of exceeding the budget, in units of reward, and not taken off it",
    ),
    "downlink_refused": ("downlink", "refused", "broadcasts that its budget refused"),
    "downlink_lost": ("downlink", "lost", "broadcasts that its link lost"),
    "downlink_penalty": ("downlink", "penalty", "cost of exceeding its budget"),
}
_FOOTNOTE = """\
evaluation: discounted return of the greedy (unperturbed) policy, each trial's last one.
optimum: the exact value where it is known (- where not); gap: optimum less evaluation.
reward: discounted return of the behaviour policy, last {window} episodes of each trial.
messages, bytes (uplink payload), header (uplink headers), downlink (payload): sent per
agent and episode, mean over all episodes. All are means over agents and trials."""


_HELD_FOOTNOTE = """
held: the same as evaluation, of the policies that agents hold, which last reached them;
evaluation and gap are about the learner's."""


_INTERVAL_FOOTNOTE = """
interval: of 95 % for the mean evaluation (- where trials are too few for one)."""


def summary(
    frame: pd.DataFrame,
    optimum: Mapping[str, float | None] | None = None,
    ranges: Ranges | None = None,
) -> list[dict[str, Any]]:
    """What each label of a study came to.

    Args:
        frame: A study's frame.
        optimum: The exact optimum of each label, where it is known.
        ranges: The least and the greatest value of columns, by label; intervals rest
            on it.

    Returns:
        One row for each label, in order of appearance, with the keys ``label``,
        ``environment``, ``algorithm``, ``scheme`` (str); ``agents``, ``trials``,
        ``episodes`` (the longest trial's), ``episodes_least`` (the shortest trial's),
        ``reward_window`` (episodes, int); ``evaluation`` (mean over trials of each
        trial's last one, NaN if there is none) with its 95 % interval
        ``evaluation_low`` and ``evaluation_high`` (NaN if there is none), ``held`` (as
        ``evaluation``, of what agents hold), ``optimum`` and ``gap`` (float or None),
        ``reward`` (mean over trials of the mean over the window) and, per agent and
        episode, ``messages``, ``bytes``,
        ``header``, ``downlink``, ``refused``, ``refused_bytes``, ``lost``,
        ``expired``, ``invalid``, ``penalty``, ``downlink_refused``,
        ``downlink_lost``, ``downlink_penalty`` (float).

    Raises:
        ResultsError: The frame is empty.
    """
    if frame.empty:
        raise ResultsError("the frame has no rows to sum up: run a study first")
    ordered = frame.sort_values(["trial", "episode"])
    groups = dict(iter(ordered.groupby("label", sort=False, observed=True)))
    best, known = optimum or {}, ranges or {}
    with np.errstate(over="ignore", invalid="ignore"):  # a mean may be infinite
        return [
            _row(
                name,
                groups[name],
                best.get(name),
                known.get(name, {}).get("evaluation"),
            )
            for name in labels(frame)
        ]


def _row(
    label: str, rows: pd.DataFrame, optimum: float | None, bounds: Bounds | None
) -> dict[str, Any]:
    """The summary of one label's rows, which are in order of trial and episode."""
    by_trial, first = rows.groupby("trial"), rows.iloc[0]
    lengths = by_trial.size()
    evaluation = _last(by_trial, "evaluation")
    low, high = _interval(by_trial["evaluation"].last().to_numpy(), bounds)
    recent = by_trial.tail(REWARD_WINDOW).groupby("trial")["reward"].mean()
    return {
        "label": label,
        **{name: str(first[name]) for name in ("environment", "algorithm", "scheme")},
        "agents": int(first["num_agents"]),
        "trials": len(lengths),
        "episodes": int(lengths.max()),
        "episodes_least": int(lengths.min()),
        "reward_window": min(REWARD_WINDOW, int(lengths.max())),
        "evaluation": evaluation,
        "evaluation_low": low,
        "evaluation_high": high,
        "held": _last(by_trial, "held_evaluation"),
        "optimum": optimum,
        "gap": None if optimum is None else float(apart(optimum, evaluation)),
        "reward": float(recent.mean()),
        "messages": float(rows["messages"].mean()),
        "bytes": float(rows["size"].mean()),
        "header": float(rows["header_size"].mean()),
        "downlink": float(rows["downlink_size"].mean()),
        **{name: float(rows[name].mean()) for name in _WHERE_NOT_ZERO},
    }


def _last(by_trial: Any, name: str) -> float:
    """Mean over trials of each one's latest value; NaN if there is none."""
    if name not in by_trial.obj:
        return math.nan
    return float(by_trial[name].last().mean())  # passes over missing values


def _interval(values: Any, bounds: Bounds | None) -> tuple[float, float]:
    """Of the mean of all trials' values; NaN where there is none."""
    if len(values) < 2 or not np.isfinite(values).all():
        return math.nan, math.nan
    low, high = mean_interval(values, bounds=bounds)
    return float(low), float(high)


def render(rows: Sequence[Mapping[str, Any]], width: int | None = None) -> str:
    """A plain-text table of `summary`'s rows.

    What budgets and links did to messages is shown where it is not zero.
    Settings that all rows share stand in one line above it. A table that is too wide
    goes on below itself, with the labels repeated; nothing is ever cut off.

    Args:
        rows: What `summary` returned.
        width: How many characters a line may have, 100 if None; a label and one
            column are always kept on a line.

    Returns:
        Lines without a newline at the end; empty without rows.
    """
    if not rows:
        return ""
    window = _window(rows)
    shared = [name for name in _SETTINGS if len(_distinct(rows, name)) == 1]
    own = [n for n in _SETTINGS if n not in shared and not _is_in_labels(rows, n)]
    columns = [_column("label", "", [str(row["label"]) for row in rows])]
    columns += [_column(name, "", [_setting(r, name) for r in rows]) for name in own]
    others_held = any(map(_holds_others, rows))
    with_intervals = any(math.isfinite(_ends(row)[0]) for row in rows)
    for name, unit in _NUMBERS.items():
        if name == "held" and not others_held:
            continue
        cells = _cells(name, [row.get(name) for row in rows])
        columns.append(_column(name, unit.format(window=window), cells))
        if name == "evaluation" and with_intervals:
            columns.append(_column("interval", "95 %", _intervals(rows)))
    unusual = [name for name in _WHERE_NOT_ZERO if any(row[name] for row in rows)]
    for key in unusual:
        name, unit, _ = _WHERE_NOT_ZERO[key]
        columns.append(_column(name, unit, _cells(name, [row[key] for row in rows])))
    parts = [", ".join(_phrase(rows[0], name) for name in shared)] if shared else []
    parts += _blocks(columns, width or DEFAULT_WIDTH)
    footnote = _footnote(window, unusual)
    footnote += _INTERVAL_FOOTNOTE * with_intervals + _HELD_FOOTNOTE * others_held
    return "\n\n".join([*parts, footnote])


def _holds_others(row: Mapping[str, Any]) -> bool:
    """Whether agents are known to hold policies of another value than the learner's."""
    held = row.get("held", math.nan)
    return not math.isnan(held) and bool(apart(held, row["evaluation"]))


def _ends(row: Mapping[str, Any]) -> tuple[float, float]:
    """Both ends of the evaluation's interval; NaN where there is none."""
    low, high = (row.get(f"evaluation_{end}", math.nan) for end in ("low", "high"))
    return low, high


def _intervals(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The evaluations' intervals, with as many decimals as a column has."""
    ends = _cells("interval", [end for row in rows for end in _ends(row)])
    return [
        low if low == "-" else f"{low} to {high}"
        for low, high in zip(ends[::2], ends[1::2], strict=True)
    ]


def _footnote(window: str, unusual: Iterable[str]) -> str:
    """What the columns mean."""
    lines = [_FOOTNOTE.format(window=window)]
    for key in unusual:
        name, unit, meaning = _WHERE_NOT_ZERO[key]
        which = f"{name} {unit}" if name == "downlink" else name
        lines.append(f"{which}: {meaning}.")
    return "\n".join(lines)


def _distinct(rows: Sequence[Mapping[str, Any]], name: str) -> set[str]:
    """The different values that a setting has."""
    return {_setting(row, name) for row in rows}


def _is_in_labels(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    """Whether every label already says, as a word of its own, what the setting is."""
    return all(
        str(row[name]) in {row["label"], *re.split(r"[\s,;:/+|]+", row["label"])}
        for row in rows
    )


def _setting(row: Mapping[str, Any], name: str) -> str:
    """A setting as text; a range where trials differ in length."""
    if name == "episodes" and row["episodes_least"] != row["episodes"]:
        return f"{row['episodes_least']:,}-{row['episodes']:,}"
    return f"{row[name]:,}" if isinstance(row[name], int) else str(row[name])


def _phrase(row: Mapping[str, Any], name: str) -> str:
    """A setting as it stands in the line above the table."""
    text = _setting(row, name)
    if not isinstance(row[name], int):
        return f"{name} {text}"
    return f"{text} {name.removesuffix('s') if text == '1' else name}"


def _window(rows: Iterable[Mapping[str, Any]]) -> str:
    """How many last episodes the reward is a mean of."""
    windows = {row["reward_window"] for row in rows}
    windows |= {min(REWARD_WINDOW, row["episodes_least"]) for row in rows}
    least, most = min(windows), max(windows)
    return f"{most}" if least == most else f"{least}-{most}"


def _cells(name: str, values: Sequence[float | None]) -> list[str]:
    """A column of numbers, all with as many decimals as the largest one has."""
    present = [v for v in values if v is not None and math.isfinite(v)]
    largest = max(map(abs, present), default=0.0)
    decimals = next(
        (d for d, most in ((4, 10), (3, 100), (2, 1e3), (1, 1e5)) if largest < most), 0
    )
    return [_cell(name, value, decimals) for value in values]


def _cell(name: str, value: float | None, decimals: int) -> str:
    """One number; a small gap is never rounded to an exact zero, nor the reverse."""
    if value is None or math.isnan(value):
        return "-"
    if name == "gap" and value == 0:
        return "0"
    if value and abs(value) < 0.5 * 10**-decimals:
        return f"{value:.1e}"
    return f"{value:,.{decimals}f}"


def _column(name: str, unit: str, cells: Sequence[str]) -> list[str]:
    """A column, padded to one width: name, unit, cells; numbers to the right."""
    texts = [name, unit, *cells]
    width = max(map(len, texts))
    if name in ("label", "environment", "algorithm", "scheme"):
        return [text.ljust(width) for text in texts]
    return [text.rjust(width) for text in texts]


def _blocks(columns: Sequence[Sequence[str]], width: int) -> list[str]:
    """The table, cut between columns into as many parts as the width asks for."""
    label, *others = columns
    blocks, current = [], [label]
    for column in others:
        if (
            len(current) > 1
            and sum(len(c[0]) + 2 for c in [*current, column]) - 2 > width
        ):
            blocks.append(current)
            current = [label]
        current.append(column)
    return [_lines(block) for block in [*blocks, current]]


def _lines(columns: Sequence[Sequence[str]]) -> str:
    """Columns side by side, with a rule below the two header lines."""
    lines = ["  ".join(cells).rstrip() for cells in zip(*columns, strict=True)]
    rule = "  ".join("-" * len(column[0]) for column in columns)
    return "\n".join([*lines[:2], rule, *lines[2:]])
