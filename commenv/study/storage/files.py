"""Writing files so that each is either whole or not there."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from commenv.errors import ResultsError
from commenv.study.storage.safe_files import check_folder

__all__ = [
    "cure_of",
    "make_folder",
    "reason_of",
    "remove",
    "sync_folder",
    "unusable",
    "usable",
    "write_atomically",
]

_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
_GONE = {errno.ENOENT, getattr(errno, "ESTALE", errno.ENOENT)}
_UNABLE = {errno.EINVAL, errno.ENOSYS, getattr(errno, "ENOTSUP", errno.ENOSYS)}
_LOCKLESS = {errno.ENOLCK, errno.ENOSYS, getattr(errno, "ENOTSUP", errno.ENOSYS)}
_CURES = (
    (_FULL, "free some space and repeat the same command; what was finished is kept"),
    (_REFUSED, "make it writable, or choose a folder that you may write to"),
    (_LOCKLESS, "its file system has no locks; choose a folder on another one"),
)


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a file under a temporary name, and renames it once it is on disk.

    Raises:
        OSError: The folder cannot be written to; its ``filename`` is the path.
    """
    try:
        _write(path, data)
    except OSError as error:
        raise OSError(error.errno, reason_of(error), str(path)) from error


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        # A new file, whose permissions are those that the user's umask leaves.
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes sure that the names in a folder survive a loss of power.

    Some file systems cannot; there it does nothing.
    """
    if os.name == "nt":
        return  # folders cannot be opened there
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _UNABLE:
            raise
    finally:
        os.close(descriptor)


def reason_of(error: OSError) -> str:
    """What went wrong, in the operating system's words."""
    # Arrow's own words for it name temporary files, and are long.
    return os.strerror(error.errno) if error.errno else str(error)


def cure_of(error: OSError) -> str | None:
    """What to do about a full disk or a read-only folder; None for anything else."""
    return next((cure for codes, cure in _CURES if error.errno in codes), None)


def unusable(folder: Path, error: OSError) -> ResultsError:
    """The error that says why a results folder cannot be used, and the cure."""
    cure = cure_of(error) or "choose a folder that you may write to"
    if error.errno in _GONE:
        cure = (
            "it was removed, moved or replaced during the run; put it back, or remove "
            "what is left of it, and repeat the same command"
        )
    return ResultsError(f"cannot use {folder} ({reason_of(error)}); {cure}")


def make_folder(root: Path, folder: Path) -> None:
    """Makes a folder under a results folder, which must still be there.

    A results folder that somebody removes during a run must not come back in part: a
    part without its manifest could not be gone on with.

    Raises:
        OSError: It cannot be made, ``root`` has no manifest any more, or a folder on
            the way is a link.
    """
    (root / "manifest.json").lstat()
    relative = folder.relative_to(root)
    for part in (*reversed(relative.parents[:-1]), relative):
        if not os.path.lexists(root / part):
            (root / part).mkdir(exist_ok=True)
            sync_folder((root / part).parent)
        check_folder(root / part)


@contextlib.contextmanager
def usable(folder: Path) -> Iterator[None]:
    """Raises ResultsError for what the operating system refuses in a folder."""
    try:
        yield
    except OSError as error:
        raise unusable(folder, error) from error


def remove(path: Path) -> None:
    """Removes a file or a folder; of a link, the link alone."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
