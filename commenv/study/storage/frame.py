"""The table that a study is kept in: its columns, their types and what they mean.

One row is one episode of one trial. Every measured number is a mean over the trial's
agents, so it reads "per agent"; the exact optimum is not a column, it travels beside
the frame as a mapping from label to value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from commenv.errors import ResultsError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "COLUMNS",
    "EVALUATIONS",
    "HELD",
    "KEY",
    "NAMES",
    "Bounds",
    "Column",
    "Ranges",
    "evaluations_in",
    "validate",
    "world_column",
    "world_columns",
]

Bounds: TypeAlias = tuple[float, float]
"""The least and the greatest value that a quantity can have."""

Ranges: TypeAlias = Mapping[str, Mapping[str, Bounds]]
"""The range of a label's columns, where it is known: ``ranges[label][column]``."""


@dataclass(frozen=True)
class Column:
    """One column of a study's frame.

    Args:
        name: The column's name.
        dtype: Text, a whole number or a real number.
        definition: What one cell holds, with its unit.
    """

    name: str
    dtype: Literal["str", "int64", "float64"]
    definition: str


COLUMNS: tuple[Column, ...] = (
    Column("label", "str", "what the curve is called; one label, one setting"),
    Column("environment", "str", "id of the environment"),
    Column("algorithm", "str", "name of the learning algorithm"),
    Column("scheme", "str", "name of the scheme that decides what is sent"),
    Column("codec", "str", "name of the uplink codec"),
    Column("num_agents", "int64", "agents in the trial"),
    Column("trial", "int64", "number of the training run, from 0"),
    Column("episode", "int64", "number of the round, from 0"),
    Column("env_steps", "float64", "environment steps so far, this episode included"),
    Column("episode_length", "float64", "environment steps in this episode"),
    Column(
        "reward",
        "float64",
        "discounted return of the behaviour policy; -inf where that of an agent is not "
        "finite",
    ),
    Column(
        "episode_return",
        "float64",
        "undiscounted return of the behaviour policy; -inf likewise",
    ),
    Column(
        "evaluation",
        "float64",
        "value of the greedy or unperturbed policy; NaN in rounds without evaluation, "
        "-inf where it is not finite",
    ),
    Column(
        "held_evaluation",
        "float64",
        "the same of the policies that agents hold, which last reached them; NaN "
        "where all broadcasts arrive at once as they are, too",
    ),
    Column("frequency", "float64", "share of the agents that sent a message, 0 to 1"),
    Column("messages", "float64", "uplink messages sent (attempted less refused)"),
    Column("size", "float64", "uplink payload sent (attempted less refused), bytes"),
    Column("header_size", "float64", "uplink headers sent, bytes"),
    Column("downlink_size", "float64", "downlink payload sent, bytes"),
    Column("downlink_header_size", "float64", "downlink headers sent, bytes"),
    Column("total_size", "float64", "payload and headers, both directions, bytes"),
    Column("refused", "float64", "uplink messages that a budget refused"),
    Column("refused_bytes", "float64", "uplink payload that a budget refused, bytes"),
    Column("lost", "float64", "uplink messages that the link lost"),
    Column(
        "invalid",
        "float64",
        "share of the agents whose return is not finite, or messages with numbers that "
        "could not be used, whichever is more",
    ),
    Column(
        "expired",
        "float64",
        "uplink messages that waited in vain, to leave or to arrive",
    ),
    Column("penalty", "float64", "cost of exceeding a budget, in units of reward"),
    Column("downlink_refused", "float64", "broadcasts that a budget refused"),
    Column("downlink_lost", "float64", "broadcasts that the link lost"),
    Column("downlink_penalty", "float64", "cost of exceeding it, in units of reward"),
)

NAMES: tuple[str, ...] = tuple(column.name for column in COLUMNS)

HELD = "held_evaluation"
EVALUATIONS: tuple[str, ...] = ("evaluation", HELD)
"""The columns that may have no value: not every round is evaluated."""

_IN_A_WORLD = re.compile(r"evaluation_agent_\d{1,8}")

KEY: tuple[str, ...] = ("label", "trial", "episode")
"""The columns that tell a row from every other one."""


def world_column(agent: int) -> str:
    """The column of evaluations in the world of an agent, where worlds differ.

    It stands beside :data:`COLUMNS`, for the first agent of each world, and has no
    value in the rows of other arms, nor where ``evaluation`` has none.
    """
    return f"evaluation_agent_{agent}"


def world_columns(names: Iterable[str]) -> list[str]:
    """Those of the names that :func:`world_column` gives."""
    return [name for name in names if _IN_A_WORLD.fullmatch(name)]


def evaluations_in(names: Iterable[str]) -> list[str]:
    """Those of the names that are of evaluations, in agents' own worlds too."""
    return [
        name for name in names if name in EVALUATIONS or _IN_A_WORLD.fullmatch(name)
    ]


def validate(frame: pd.DataFrame) -> None:
    """Check that a frame has the form that curves, tables and figures rely on.

    Columns may stand in any order and others may stand beside them.

    Args:
        frame: The frame to check; it is not changed.

    Raises:
        ResultsError: A column is missing or of another type, a row occurs twice, a
            number other than an evaluation is missing, or a share is outside 0 to 1.
    """
    _check_columns(frame)
    _check_cells(frame)
    _check_rows(frame)


def _check_columns(frame: pd.DataFrame) -> None:
    """Every column is there and of its type; integers may stand for reals."""
    if missing := [name for name in NAMES if name not in frame.columns]:
        raise ResultsError(
            f"the frame lacks {_listed(missing)}; it needs all of {_listed(NAMES)}"
        )
    for column in COLUMNS:
        if not _is_of_type(frame[column.name], column.dtype):
            raise ResultsError(
                f"column {column.name!r} holds {frame[column.name].dtype}, not "
                f"{column.dtype} ({column.definition}); convert it with astype"
            )


def _is_of_type(series: pd.Series[Any], dtype: str) -> bool:
    """Whether a column holds text, whole numbers or real numbers, as asked."""
    from pandas import CategoricalDtype
    from pandas.api import types

    if dtype == "str":
        if isinstance(series.dtype, CategoricalDtype):
            series = series.cat.categories.to_series()
        return bool(types.is_string_dtype(series))
    if dtype == "int64":
        return bool(types.is_integer_dtype(series))
    return bool(types.is_integer_dtype(series) or types.is_float_dtype(series))


def _check_cells(frame: pd.DataFrame) -> None:
    """Nothing is missing but evaluations, and shares and counters are in range."""
    for name in NAMES:
        if name not in EVALUATIONS and bool(frame[name].isna().any()):
            row = frame.loc[frame[name].isna(), list(KEY)].iloc[0]
            raise ResultsError(
                f"column {name!r} has no value at {_place(row)}; "
                "only evaluations may be missing"
            )
    for name, least, most in (
        ("frequency", 0.0, 1.0),
        ("trial", 0.0, float("inf")),
        ("episode", 0.0, float("inf")),
        ("num_agents", 1.0, float("inf")),
    ):
        outside = (frame[name] < least) | (frame[name] > most)
        if bool(outside.any()):
            row = frame[outside].iloc[0]
            raise ResultsError(
                f"column {name!r} is {row[name]} at {_place(row)}; "
                f"it must lie in {least:g} to {most:g}"
            )


def _check_rows(frame: pd.DataFrame) -> None:
    """No label has the same episode of the same trial twice."""
    twice = frame.duplicated(list(KEY))
    if bool(twice.any()):
        raise ResultsError(
            f"{int(twice.sum())} rows occur twice, the first at "
            f"{_place(frame[twice].iloc[0])}; give each study a label of its own"
        )


def _place(row: pd.Series[Any]) -> str:
    """Where a row stands, in words."""
    return f"label {row['label']!r}, trial {row['trial']}, episode {row['episode']}"


def _listed(names: Iterable[str]) -> str:
    """The names in one line."""
    return ", ".join(names)
