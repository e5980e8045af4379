"""Reading files that may come from anybody: no link is followed, no wait has no end.

A results folder can hold a symbolic link to elsewhere, a pipe that nobody writes to, a
device without an end, or a file of a terabyte that takes no room on the disk. None of
these is read. What is read is read once, so what was checked is what is used.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path
from typing import Any

from commenv.errors import ResultsError

__all__ = ["check_depth", "check_folder", "listed", "open_regular", "read_file"]

_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)  # opening a pipe would wait for who writes to it
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_MOST_BYTES = 16 * 2**30
_ALWAYS_BYTES = 64 * 2**20
_MOST_BYTES_PER_BYTE_ON_DISK = 64
_BYTES_PER_DISK_BLOCK = 512
_DEEPEST = 64


def read_file(path: Path, most: int = _MOST_BYTES, within: Path | None = None) -> bytes:
    """The content of a regular file; the arguments are :func:`open_regular`'s."""
    with open_regular(path, most, within) as file:
        return file.read(os.fstat(file.fileno()).st_size)


def open_regular(
    path: Path, most: int = _MOST_BYTES, within: Path | None = None
) -> BufferedReader:
    """Opens a regular file for reading.

    Args:
        path: The file.
        most: The most bytes that it may have.
        within: A folder above it, under which no folder may be a link either.

    Raises:
        FileNotFoundError: There is none.
        OSError: It is a link, is not a regular file, is larger than ``most``, or is
            sparse, with hardly a byte on the disk; or it cannot be read.
    """
    if within is not None:
        for folder in reversed(path.relative_to(within).parents[:-1]):
            check_folder(within / folder)
    _check_kind(path, path.lstat())
    file = os.fdopen(os.open(path, _FLAGS), "rb")
    try:
        status = os.fstat(file.fileno())
        _check_kind(path, status)
        _check_size(path, status, most)
    except BaseException:
        file.close()
        raise
    return file


def check_folder(path: Path) -> None:
    """Raises OSError for what is not a folder, or is a link to one."""
    _check_kind(path, path.lstat(), stat.S_ISDIR, "a folder")


def check_depth(value: Any) -> None:
    """Checks that what was read is not nested so deeply that using it would fail.

    Raises:
        RecursionError: Dictionaries and lists in each other, more than 64.
    """
    level = [value]
    for _ in range(_DEEPEST + 1):
        level = [one for one in level if isinstance(one, (dict, list))]
        if not level:
            return
        level = [
            item
            for one in level
            for item in (one.values() if isinstance(one, dict) else one)
        ]
    raise RecursionError(f"it is nested more than {_DEEPEST} times")


def listed(root: Path, kind: str, prefix: str = "") -> list[Path]:
    """What stands two levels below a folder, in ``ROOT/KIND/PREFIX.../``, sorted.

    Raises:
        ResultsError: One of these folders is a link.
    """
    top = root / kind
    if not os.path.lexists(top):
        return []
    try:
        check_folder(top)
        folders = [
            Path(entry)
            for entry in os.scandir(top)
            if entry.name.startswith(prefix) and not _is_file(entry)
        ]
        for folder in folders:
            check_folder(folder)
        return sorted(path for folder in folders for path in folder.iterdir())
    except OSError as error:
        raise ResultsError(
            f"{root} cannot be used ({error}); nothing in a results folder may lead out"
            " of it: put the folder itself there"
        ) from None


def _is_file(entry: os.DirEntry[str]) -> bool:
    return entry.is_file(follow_symlinks=False)


def _check_kind(
    path: Path,
    status: os.stat_result,
    fits: Callable[[int], bool] = stat.S_ISREG,
    kind: str = "a regular file",
) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise OSError(f"{path.name} is a symbolic link, not {kind}")
    if not fits(status.st_mode):
        raise OSError(f"{path.name} is not {kind}")


def _check_size(path: Path, status: os.stat_result, most: int) -> None:
    if status.st_size > most:
        raise OSError(
            f"{path.name} has {status.st_size:,} bytes, more than the {most:,} that are"
            " read"
        )
    on_disk = _BYTES_PER_DISK_BLOCK * getattr(status, "st_blocks", status.st_size)
    if status.st_size > _ALWAYS_BYTES + _MOST_BYTES_PER_BYTE_ON_DISK * on_disk:
        raise OSError(
            f"{path.name} has {status.st_size:,} bytes, of which only {on_disk:,} are "
            "on the disk"
        )
