"""One run at a time in a results folder."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from commenv.errors import ResultsError
from commenv.study.files import usable

__all__ = ["LOCK", "locked"]

LOCK = ".lock"
"""The file in a results folder that a run keeps locked."""


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Makes a folder if need be, and keeps other runs out of it.

    The operating system drops the lock with the process, however that ends; the file
    that a killed run leaves behind holds nobody up.

    Raises:
        ResultsError: Another run has the folder, or it cannot be written to.
    """
    with usable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = _opened(folder / LOCK)
    if descriptor is None:
        raise ResultsError(
            f"another run is writing to {folder}; wait until it has ended and repeat "
            "the same command, or choose another folder"
        )
    try:
        yield
    finally:
        _drop(folder / LOCK, descriptor)


def _opened(path: Path) -> int | None:
    """A descriptor that holds the lock; None where somebody else has it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if not _take(descriptor):
                os.close(descriptor)
                return None
            if _is(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its holder removed it after we had opened it


def _take(descriptor: int) -> bool:
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
    else:
        import fcntl

        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _is(path: Path, descriptor: int) -> bool:
    """Whether a path leads to an open file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _drop(path: Path, descriptor: int) -> None:
    """Removes the file and, with its last descriptor, the lock."""
    ours = _is(path, descriptor)
    if sys.platform == "win32":
        os.close(descriptor)  # open files cannot be removed there
    with contextlib.suppress(OSError):
        if ours:
            path.unlink()
    if sys.platform != "win32":
        os.close(descriptor)
