"""What can stand on an axis of a figure or be compared: columns, and totals so far.

On the y axis stands any column of numbers of a study's frame, and
``cumulative_reward``. On the x axis stands how far a trial has come: its episodes, its
steps, or the total so far of a column of amounts.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from commenv.errors import ResultsError, UnknownNameError
from commenv.study.storage.frame import COLUMNS, KEY

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "X_AXES",
    "check_x",
    "check_y",
    "in_bytes",
    "is_amount",
    "progress_along",
    "values_of",
    "x_label",
    "y_axes",
    "y_label",
]

_DEFINITIONS = {column.name: column.definition for column in COLUMNS}

# Not amounts, so nothing that adds up: states, shares and returns. Those of which the
# total has a name of its own follow.
_NO_AMOUNTS = (
    "num_agents",
    "reward",
    "episode_return",
    "evaluation",
    "held_evaluation",
    "frequency",
)
_NAMED_TOTALS = {
    "messages": "messages",
    "uplink_bytes": "size",
    "total_bytes": "total_size",
    "cumulative_reward": "reward",
}
_TEAM = {"team_steps": "env_steps", "team_bytes": "uplink_bytes"}
_AS_THEY_ARE = ("episode", "env_steps")
_TOTALS = {
    column.name: column.name
    for column in COLUMNS
    if column.dtype == "float64"
    and column.name not in (*_NO_AMOUNTS, *_NAMED_TOTALS.values(), "env_steps")
    and column.name != "episode_length"  # their total is env_steps
}

X_AXES: tuple[str, ...] = (
    "episode",
    "env_steps",
    "team_steps",
    "messages",
    "uplink_bytes",
    "team_bytes",
    "total_bytes",
    *_TOTALS,
)
"""What can stand on the x axis; all but the first two are totals so far, per agent, and
those named ``team_`` are of all agents together."""

_X_LABELS = {
    "episode": "episode",
    "env_steps": "environment steps per agent",
    "team_steps": "environment steps of all agents",
    "messages": "messages per agent",
    "uplink_bytes": "uplink payload per agent (bytes)",
    "team_bytes": "uplink payload of all agents (bytes)",
    "total_bytes": "all bytes per agent\n(payload and headers, both directions)",
}
_Y_LABELS = {
    "evaluation": "discounted return\n(greedy or unperturbed policy)",
    "held_evaluation": "discounted return\n(policies that agents hold)",
    "reward": "discounted return\n(behaviour policy)",
    "episode_return": "undiscounted return\n(behaviour policy)",
    "cumulative_reward": "sum of discounted returns so far\n(behaviour policy)",
    "env_steps": "environment steps per agent,\nso far",
    "episode_length": "environment steps\nper episode",
    "frequency": "agents that sent (share)",
    "size": "uplink payload per agent\nand episode (bytes)",
}
_WIDTH = 32  # characters of a line of a label
_UNIT = ", bytes"


def y_axes(frame: pd.DataFrame) -> list[str]:
    """The names of what can be drawn or compared: every column of numbers.

    Columns of one's own count too, whatever stands in the frame beside ours.
    """
    from pandas.api.types import is_numeric_dtype

    numbers = [
        str(name) for name, kind in frame.dtypes.items() if is_numeric_dtype(kind)
    ]
    return ["cumulative_reward", *(name for name in numbers if name not in KEY)]


def check_x(x: str) -> None:
    """Raises UnknownNameError for an unknown x axis."""
    if x not in X_AXES:
        raise UnknownNameError("x axis", x, X_AXES)


def check_y(frame: pd.DataFrame, names: Sequence[str]) -> None:
    """Raises UnknownNameError where a frame has no such column of numbers."""
    for name in names:
        if not _is_number(frame, name):
            raise UnknownNameError("y axis", name, y_axes(frame))


def _is_number(frame: pd.DataFrame, name: Any) -> bool:
    """Whether :func:`y_axes` lists a name; to list them all takes longer."""
    from pandas.api.types import is_numeric_dtype

    if name == "cumulative_reward":
        return True
    there = isinstance(name, str) and name in frame.columns and name not in KEY
    return there and bool(is_numeric_dtype(frame.dtypes[name]))


def progress_along(frame: pd.DataFrame, x: str) -> NDArray[np.float64]:
    """How far each row's trial has come along an axis, per agent.

    Args:
        frame: Rows of one label, in order of trial and episode.
        x: ``episode``; ``env_steps`` so far; or the sum so far, this episode included,
            of ``messages``, of the uplink's payload (``uplink_bytes``), of payload and
            headers in both directions (``total_bytes``), or of another column of
            amounts, such as ``refused``. ``team_steps`` and ``team_bytes`` are the
            steps and uplink bytes of all the trial's agents.

    Returns:
        One float64 for each row.

    Raises:
        UnknownNameError: An unknown axis.
        ResultsError: An amount is negative or missing, so curves cannot follow it.
    """
    check_x(x)
    if x in _TEAM:
        agents = frame["num_agents"].to_numpy(np.float64)
        return progress_along(frame, _TEAM[x]) * agents
    if x in _AS_THEY_ARE:
        return frame[x].to_numpy(np.float64)
    column = (_NAMED_TOTALS | _TOTALS)[x]
    if not bool((frame[column] >= 0).all()):
        raise ResultsError(
            f"{x} cannot stand on the x axis: {column!r} is negative or missing in "
            "some episode, so its total does not only grow"
        )
    return _so_far(frame, column)


def values_of(frame: pd.DataFrame, y: str) -> NDArray[np.float64]:
    """A column of numbers, or the total so far of the reward.

    Args:
        frame: Rows of one label, in order of trial and episode.
        y: One of :func:`y_axes`.

    Raises:
        UnknownNameError: An unknown column, or one that does not hold numbers.
    """
    check_y(frame, [y])
    if y == "cumulative_reward":
        return _so_far(frame, _NAMED_TOTALS[y])
    return frame[y].to_numpy(np.float64)


def _so_far(frame: pd.DataFrame, column: str) -> NDArray[np.float64]:
    """The sum so far of a column, within each trial."""
    return frame[column].groupby(frame["trial"]).cumsum().to_numpy(np.float64)


def is_amount(name: str) -> bool:
    """Whether a column counts something that adds up, such as messages or bytes."""
    return name in _TOTALS or (name != "reward" and name in _NAMED_TOTALS.values())


def in_bytes(name: str) -> bool:
    """Whether an axis counts bytes."""
    column = _NAMED_TOTALS.get(name, name)
    return name == "team_bytes" or _DEFINITIONS.get(column, "").endswith(_UNIT)


def x_label(x: str) -> str:
    """What an x axis is called, with its unit."""
    return _X_LABELS.get(x) or _in_words(x, "per agent, so far")


def y_label(y: str) -> str:
    """What a y axis is called, with its unit."""
    which = "" if y in _NO_AMOUNTS else "per agent and episode"
    return _Y_LABELS.get(y) or _in_words(y, which)


def _in_words(name: str, which: str) -> str:
    """A column's definition as a label of a few short lines."""
    if name not in _DEFINITIONS:
        return name.replace("_", " ")
    definition = _DEFINITIONS[name].partition(";")[0]
    unit = " (bytes)" if in_bytes(name) else ""
    words = f"{definition.removesuffix(_UNIT)} {which}".strip() + unit
    return textwrap.fill(words, _WIDTH)
