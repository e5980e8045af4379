"""From the sizes of a study's messages to what they cost on a link."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from commenv.study.analysis.intervals import LEAST_UNBOUNDED, Mean, mean_interval
from commenv.study.cost.profile import LinkProfile
from commenv.study.storage.sizes import DIRECTIONS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["account", "render", "summary"]

QUANTITIES = (
    "messages",
    "bytes",
    "seconds",
    "sender_joules",
    "receiver_joules",
    "joules",
)
_ROWS = (*DIRECTIONS, "total")
_WIDTH = 88
_FOOTNOTE = """\
Totals of one trial, all agents together: messages that left their senders, their bytes
with headers, the seconds that they were on air one after the other, and the joules of
senders and receivers. Means over trials{interval}."""


def account(
    sizes: pd.DataFrame, trials: pd.DataFrame, profile: LinkProfile
) -> pd.DataFrame:
    """What each trial's messages cost.

    Args:
        sizes: A histogram, with the columns of
            :data:`commenv.study.storage.sizes.SIZE_COLUMNS`.
        trials: The columns ``label`` and ``trial``, a row for every trial: one that
            sent nothing has costs of 0.
        profile: The link.

    Returns:
        A row for each trial and each of ``uplink``, ``downlink``, ``acknowledgement``
        and ``total``, in the order of ``trials``: ``label``, ``trial``, ``direction``,
        and float64 columns ``messages``, ``bytes``, ``seconds``, ``sender_joules``,
        ``receiver_joules`` and ``joules``.

    Raises:
        ResultsError: The profile does not cover one of the sizes.
    """
    import pandas as pd

    key = ["label", "trial", "direction"]
    parts = [
        _priced(part, str(name), profile) for name, part in sizes.groupby("direction")
    ]
    names = list(
        zip(trials["label"].astype(str), trials["trial"].astype(int), strict=True)
    )
    index = pd.MultiIndex.from_tuples(
        [(*name, direction) for name in names for direction in DIRECTIONS], names=key
    )
    shape = (len(names), len(DIRECTIONS), len(QUANTITIES))
    values = np.zeros(shape)
    if parts:
        sums = pd.concat(parts).groupby(key, observed=True)[list(QUANTITIES)].sum()
        values = sums.reindex(index, fill_value=0).to_numpy(np.float64).reshape(shape)
    values = np.concatenate([values, values.sum(axis=1, keepdims=True)], axis=1)
    rows = pd.DataFrame([(*name, row) for name in names for row in _ROWS], columns=key)
    rows[list(QUANTITIES)] = values.reshape(len(rows), len(QUANTITIES))
    return rows


def summary(costs: pd.DataFrame) -> pd.DataFrame:
    """Means over trials, with their 95 % intervals.

    Args:
        costs: What :func:`account` returned.

    Returns:
        A row for each label and direction: ``label``, ``direction``, ``trials``, and
        for each quantity its mean, ``..._low`` and ``..._high``: NaN below
        :data:`~commenv.study.analysis.intervals.LEAST_UNBOUNDED` trials, since nothing
        bounds what a trial may send, and where all trials are equal.
    """
    import pandas as pd

    rows = []
    groups = costs.groupby(["label", "direction"], sort=False, observed=True)
    for (label, direction), part in groups:
        values = part[list(QUANTITIES)].to_numpy()
        row = {"label": label, "direction": direction, "trials": len(values)}
        nothing = np.full(len(QUANTITIES), np.nan)
        low, high = mean_interval(values) if len(values) > 1 else (nothing, nothing)
        ends = zip(QUANTITIES, values.mean(axis=0), low, high, strict=True)
        for name, mean, least, most in ends:
            row |= {name: mean, f"{name}_low": least, f"{name}_high": most}
        rows.append(row)
    return pd.DataFrame(rows)


def render(rows: pd.DataFrame, profile: LinkProfile) -> str:
    """A plain-text table, without a newline at the end.

    Args:
        rows: What :func:`summary` returned.
        profile: The link, whose source and gaps stand below the table.
    """
    header = ("label", "", "messages", "bytes", "seconds", "joules")
    cells = [_cells(row) for _, row in rows.iterrows()]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    rule = tuple("-" * width for width in widths)
    lines = [_line(line, widths) for line in (header, rule, *cells)]
    notes = (f"link {profile.described}.", f"not included: {profile.leaves_out}.")
    brackets = f" (no interval: it takes {LEAST_UNBOUNDED} trials)"
    if bool((rows["trials"] >= LEAST_UNBOUNDED).all()):
        brackets = ", in brackets their 95 % interval where trials differ"
    footnote = _FOOTNOTE.format(interval=brackets)
    wrapped = [textwrap.fill(note, _WIDTH) for note in notes]
    return "\n".join([*lines, "", *wrapped, footnote])


def _priced(part: pd.DataFrame, direction: str, profile: LinkProfile) -> pd.DataFrame:
    """The rows of one direction of a histogram, with what they cost."""
    size = part["payload"].to_numpy(np.int64) + part["header"].to_numpy(np.int64)
    # Acknowledgements go the learner's way, from it to an agent.
    cost = profile.cost(size, "uplink" if direction == "uplink" else "downlink")
    count = part["messages"].to_numpy(np.float64)  # exact up to 2**53
    heard = count * part["receivers"].to_numpy(np.float64)
    sender, receiver = count * cost.sender, heard * cost.receiver
    return part[["label", "trial", "direction"]].assign(
        messages=count,
        bytes=count * size,
        seconds=count * cost.seconds,
        sender_joules=sender,
        receiver_joules=receiver,
        joules=sender + receiver,
    )


def _cells(row: pd.Series[Any]) -> tuple[str, ...]:
    """One row as text; a label stands in its first row alone."""
    ends = [
        Mean(row[name], row[f"{name}_low"], row[f"{name}_high"])
        for name in ("seconds", "joules")
    ]
    counts = [f"{row[name]:,.1f}".removesuffix(".0") for name in ("messages", "bytes")]
    label = str(row["label"]) if row["direction"] == _ROWS[0] else ""
    return label, str(row["direction"]), *counts, *map(str, ends)


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    """One line: the two columns of text to the left, the numbers to the right."""
    padded = [
        cell.ljust(width) if position < 2 else cell.rjust(width)
        for position, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(padded).rstrip()
