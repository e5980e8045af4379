"""A link of your own: a table of sizes, seconds and joules in a CSV file.

    # measured on our bench, 3 May
    bytes,seconds,joules
    16,0.010,0.002
    1016,0.150,0.031

The columns are ``bytes`` of a message, payload and header; ``seconds`` on air; the
``joules`` of the sender; and, if there is one, ``receiver_joules`` of one receiver (0
without). Rows ascend in bytes, and what lies between two rows is interpolated linearly.
A message outside the table is refused: nothing is extrapolated. Empty lines are passed
over, and those that begin with ``#``; the first of these is shown as the source.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from commenv.errors import ResultsError, shown
from commenv.study.cost.profile import Cost, Direction, LinkProfile

__all__ = ["Measured", "read_measured"]

_COLUMNS = ("bytes", "seconds", "joules")
_RECEIVER = "receiver_joules"
_MOST_BYTES = 2**20
_MOST_ROWS = 10_000
_LARGEST = 2**53  # whole numbers up to it are exact in a float
_SHOWN = 120


@dataclass(frozen=True)
class Measured(LinkProfile):
    """A link by its measurements, with linear interpolation in between.

    Args:
        rows: (bytes, seconds, sender's joules, a receiver's joules) of messages, in
            ascending order of bytes.
        title: What tables and errors call it.
        origin: Where the numbers come from.

    Raises:
        ValueError: No row, a number that is negative or not finite, or rows that do
            not ascend.
    """

    name: ClassVar[str] = "measured"
    source: ClassVar[str] = "a table of measurements"
    leaves_out: ClassVar[str] = "whatever was not measured"

    rows: tuple[tuple[float, float, float, float], ...]
    title: str = name
    origin: str = source

    def __post_init__(self) -> None:
        if not self.rows:
            raise ValueError(f"{self.title} has no rows; give at least one size")
        for row in self.rows:
            if len(row) != 4 or not all(0 <= number < math.inf for number in row):
                raise ValueError(
                    f"{self.title} has the row {row}; give bytes, seconds and joules "
                    "of sender and receiver, each finite and 0 or more"
                )
        for before, row in pairwise(self.rows):
            if row[0] <= before[0]:
                raise ValueError(
                    f"{self.title} has {row[0]:g} bytes after {before[0]:g}; give each "
                    "size once, in ascending order"
                )

    @property
    def described(self) -> str:
        """Title and origin, in one line."""
        return f"{self.title}: {self.origin}"

    def cost(self, sizes: NDArray[np.int64], direction: Direction) -> Cost:
        """Interpolated, the same in both directions; see :meth:`LinkProfile.cost`."""
        known, *values = np.array(self.rows, dtype=np.float64).T
        outside = sizes[(sizes < known[0]) | (sizes > known[-1])]
        if len(outside):
            raise ResultsError(
                f"{self.title} knows messages of {known[0]:.0f} to {known[-1]:.0f} "
                f"bytes, but the study has one of {outside[0]} (with its header); add "
                "a row for it, since nothing is extrapolated"
            )
        return Cost(*(np.interp(sizes, known, column) for column in values))


def read_measured(path: str | Path) -> Measured:
    """Reads a link from a CSV file; the module's docstring shows the format.

    Raises:
        ValueError: A file that cannot be read or is too large, or a line that is not
            of the format; the message names file, line, value and cure.
    """
    path = Path(path)
    lines = _text(path).splitlines()
    notes = [line.strip() for line in lines if line.strip().startswith("#")]
    kept = _rows(path, lines)
    try:
        _, header = next(kept)
    except StopIteration:
        raise ValueError(
            f"{path} is empty; begin it with the line {','.join(_COLUMNS)}"
        ) from None
    positions = _positions(path, header)
    rows: list[tuple[float, float, float, float]] = []
    for number, cells in kept:
        if len(rows) == _MOST_ROWS:
            raise ValueError(
                f"{path} has more than {_MOST_ROWS:,} rows; leave some out, since what "
                "lies in between is interpolated"
            )
        row = _row(path, number, cells, len(header), positions)
        if rows and row[0] <= rows[-1][0]:
            raise ValueError(
                f"{path}, line {number}: {row[0]:.0f} bytes after {rows[-1][0]:.0f}; "
                "give each size once, in ascending order"
            )
        rows.append(row)
    if not rows:
        raise ValueError(f"{path} has no rows; give at least one size below its header")
    origin = shown(notes[0].lstrip("# "), _SHOWN) if notes else ""
    return Measured(tuple(rows), path.name, origin or Measured.source)


def _text(path: Path) -> str:
    """What the file holds, if it is a text of a reasonable size."""
    try:
        if not path.is_file():
            raise ValueError(f"link {str(path)!r} is no file; name a .csv that exists")
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ValueError(f"link {str(path)!r} cannot be read: {reason}") from error
    if len(data) > _MOST_BYTES:
        raise ValueError(
            f"{path} has more than {_MOST_BYTES:,} bytes; give a table of at most "
            f"{_MOST_ROWS:,} rows"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is no text: byte {error.start} is not UTF-8; save it as CSV in "
            "UTF-8"
        ) from None


def _rows(path: Path, lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """The cells of each line that counts, with the line's number."""
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.strip().startswith("#"):
            continue
        try:
            [cells] = csv.reader([line], strict=True)
        except (csv.Error, ValueError) as error:
            raise ValueError(f"{path}, line {number} is no CSV: {error}") from None
        yield number, [cell.strip() for cell in cells]


def _positions(path: Path, header: list[str]) -> list[int | None]:
    """Where each column stands; None for receivers' joules that are not there."""
    known = (*_COLUMNS, _RECEIVER)
    unknown = [cell for cell in header if cell not in known]
    missing = [name for name in _COLUMNS if name not in header]
    if unknown or missing or len(set(header)) != len(header):
        raise ValueError(
            f"{path} has the columns {shown(', '.join(header), _SHOWN)}; give "
            f"{', '.join(_COLUMNS)} and perhaps {_RECEIVER}, each once"
        )
    return [header.index(name) if name in header else None for name in known]


def _row(
    path: Path, number: int, cells: list[str], width: int, positions: list[int | None]
) -> tuple[float, float, float, float]:
    where = f"{path}, line {number}"
    if len(cells) != width:
        raise ValueError(f"{where} has {len(cells)} values; the header has {width}")
    size, seconds, joules, receiver = (
        0.0 if position is None else _number(where, name, cells[position])
        for name, position in zip((*_COLUMNS, _RECEIVER), positions, strict=True)
    )
    if size != int(size):
        raise ValueError(f"{where}: bytes is {size:g}; give a whole number")
    return size, seconds, joules, receiver


def _number(where: str, name: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not 0 <= value <= _LARGEST:
        raise ValueError(
            f"{where}: {name} is {shown(cell, _SHOWN)!r}; give a number of 0 or more, "
            "with a decimal point"
        )
    return value
