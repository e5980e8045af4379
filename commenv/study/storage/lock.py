"""One run at a time in a results folder."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from commenv.errors import ResultsError
from commenv.study.storage.files import usable

__all__ = ["LOCK", "Lock", "locked"]

LOCK = ".lock"
"""The file in a results folder that a run keeps locked."""


@dataclass(frozen=True)
class Lock:
    """A lock that this run holds; it can be checked from every process of the run.

    Attributes:
        path: The file.
        device: Of the file that was locked.
        inode: Likewise; nothing else can have it while the file is open.
    """

    path: Path
    device: int
    inode: int

    def check(self) -> None:
        """Checks that the folder is still the one that was locked.

        Raises:
            ResultsError: It was removed, and perhaps begun anew by another run.
        """
        try:
            status = self.path.lstat()
        except OSError:
            status = None
        ours = self.device, self.inode
        if status is None or (status.st_dev, status.st_ino) != ours:
            raise ResultsError(
                f"{self.path.parent} was removed, moved or replaced during the run, so "
                "nothing more is written to it; put it back and repeat the same "
                "command, or choose another folder"
            )


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[Lock]:
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
    status = os.fstat(descriptor)
    try:
        yield Lock((folder / LOCK).absolute(), status.st_dev, status.st_ino)
    finally:
        _drop(folder / LOCK, descriptor)


def _opened(path: Path) -> int | None:
    """A descriptor that holds the lock; None where somebody else has it."""
    flags = os.O_RDWR | os.O_CREAT
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    while True:
        if path.is_symlink():
            raise OSError(f"{path.name} is a symbolic link; remove it")
        descriptor = os.open(path, flags, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(f"{path.name} is not a regular file; remove it")
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
    """Whether a path is an open file."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
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
