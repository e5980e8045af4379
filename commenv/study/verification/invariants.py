"""What a stored table and the histogram of message sizes must satisfy together.

Sums are over a trial and all its agents, in whole messages and bytes, and exact: the
table holds means over agents, so times their number every count is whole.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from commenv.channel import HEADER_SIZE
from commenv.errors import ResultsError
from commenv.study.storage.frame import validate

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["unbalanced"]

_COUNTED = (
    "messages",
    "size",
    "header_size",
    "downlink_size",
    "downlink_header_size",
    "total_size",
)


def unbalanced(
    table: pd.DataFrame,
    sizes: pd.DataFrame | None,
    trials: range,
    constant: dict[str, Any],
    num_episodes: int,
    may_stop: bool,
    pruned: Collection[int] = (),
) -> list[str]:
    """What does not add up in a block.

    Args:
        table: The block's table, of :data:`commenv.study.storage.frame.COLUMNS`.
        sizes: The histogram beside it, of
            :data:`commenv.study.storage.sizes.SIZE_COLUMNS`; None where it was stored
            without.
        trials: The trials that it must hold.
        constant: What some columns must be in every row.
        num_episodes: Rounds of a trial.
        may_stop: Whether a trial may have fewer.
        pruned: The trials that a callback stopped, so that they have fewer.

    Returns:
        A line for each trial and sum that differs, and for every other fault.
    """
    try:
        validate(table)
    except ResultsError as error:
        return [str(error)]
    with np.errstate(over="ignore", invalid="ignore"):  # foreign numbers: they differ
        wrong = _faults(table, sizes, trials, constant)
        for trial, rows in table.groupby("trial"):
            fewer = trial in pruned
            lines = _rounds(rows, num_episodes, may_stop or fewer)
            if fewer and len(rows) == num_episodes:
                lines.append("stopped by a callback, and has all its episodes")
            wrong += [f"trial {trial}: {line}" for line in lines]
    return wrong + [
        f"trial {trial}, stopped by a callback, is not in it"
        for trial in sorted(set(pruned) - set(trials))
    ]


def _faults(
    table: pd.DataFrame,
    sizes: pd.DataFrame | None,
    trials: range,
    constant: dict[str, Any],
) -> list[str]:
    """The same of a table of the right form, whatever its rounds."""
    wrong = [
        f"column {name!r} is not {value!r} throughout"
        for name, value in constant.items()
        if not (table[name] == value).all()
    ]
    found = set(table["trial"]) | (set() if sizes is None else set(sizes["trial"]))
    if found - set(trials) or set(table["trial"]) != set(trials):
        wrong.append(f"its trials are not {trials.start} to {trials.stop - 1}")
    for trial, rows in table.groupby("trial"):
        own = None if sizes is None else sizes[sizes["trial"] == trial]
        wrong += [f"trial {trial}: {line}" for line in _sums(rows, own)]
    return wrong


def _rounds(rows: pd.DataFrame, num_episodes: int, may_stop: bool) -> list[str]:
    """Faults in the order and the number of a trial's rounds, and in its steps."""
    wrong = []
    episodes = rows["episode"].to_numpy()
    if not np.array_equal(episodes, np.arange(len(rows))):
        wrong.append("its episodes are not 0, 1, 2 and so on")
    if len(rows) > num_episodes or (len(rows) < num_episodes and not may_stop):
        wrong.append(f"{len(rows)} episodes, not {num_episodes}")
    steps = np.cumsum(rows["episode_length"].to_numpy())
    if not np.array_equal(steps, rows["env_steps"].to_numpy()):
        wrong.append("env_steps is not the sum of episode_length")
    return wrong


def _sums(rows: pd.DataFrame, sizes: pd.DataFrame | None) -> list[str]:
    """Where a trial's ledger does not add up."""
    counts: dict[str, NDArray[np.float64]] = {}
    agents = rows["num_agents"].to_numpy()
    for name in _COUNTED:
        values = rows[name].to_numpy()
        counts[name] = np.round(values * agents)
        whole = np.array_equal(counts[name] / agents, values)
        if not whole or not np.isfinite(values).all():
            return [f"{name} times the agents is no whole number"]
    wrong = []
    parts = sum(counts[name] for name in _COUNTED[1:-1])
    confirmed = counts["total_size"] - parts
    if ((confirmed < 0) | (confirmed % HEADER_SIZE != 0)).any():
        wrong.append(
            "total_size is not the sum of payload, headers and acknowledgements"
        )
    totals = {name: int(values.sum()) for name, values in counts.items()}
    if sizes is not None:
        wrong += _against(totals, sizes)
    return wrong


def _against(totals: dict[str, int], sizes: pd.DataFrame) -> list[str]:
    """Where the sums of a trial's table and its histogram differ."""
    count = sizes["messages"]
    payload, header = count * sizes["payload"], count * sizes["header"]
    up, down = (sizes["direction"] == name for name in ("uplink", "downlink"))
    expected = {
        "messages": count[up].sum(),
        "size": payload[up].sum(),
        "header_size": header[up].sum(),
        "downlink_size": payload[down].sum(),
        "downlink_header_size": header[down].sum(),
        "total_size": payload.sum() + header.sum(),
    }
    wrong = [
        f"{name} sums to {totals[name]:,} in the table, {value:,} by the sizes"
        for name, value in expected.items()
        if totals[name] != value
    ]
    if (header != count * HEADER_SIZE).any():
        wrong.append(f"a header is not of {HEADER_SIZE} bytes")
    if sizes.duplicated(["direction", "payload", "receivers"]).any():
        wrong.append("a size is listed twice")
    return wrong
