"""Deeds that no reader of outside data may do: running code, writing elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

__all__ = ["EVIL", "Misdeed", "judged", "nothing_else"]

EVIL = "evil_module_of_a_foreign_folder"
"""A module that is there to be imported, and must not be."""

_NEVER = ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "os.fork")
_NEVER += ("pickle.find_class", "socket.connect", "webbrowser.open", "code.__new__")
_CHANGES = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "shutil.rmtree")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_allowed: list[str] = []
_installed = False
_judging = False


class Misdeed(BaseException):
    """A reader did what only its caller may."""


@contextlib.contextmanager
def nothing_else(folder: Path) -> Iterator[None]:
    """Where :func:`judged` raises Misdeed for what is written elsewhere, or run."""
    global _installed
    if not _installed:
        sys.addaudithook(_judge)  # it cannot be removed, so it is there once
        _installed = True
    (folder / f"{EVIL}.py").write_text("raise SystemExit('code of a foreign folder')\n")
    _allowed.append(os.path.realpath(folder))
    try:
        yield
    finally:
        _allowed.pop()


def judged(run: Callable[[bytes], Any], data: bytes) -> None:
    """Calls a reader.

    Raises:
        Misdeed: It ran code, or wrote to a file outside of its folder.
    """
    global _judging
    _judging = bool(_allowed)
    try:
        run(data)
    finally:
        _judging = False


def _judge(event: str, arguments: tuple[Any, ...]) -> None:
    if not _judging:
        return
    if event in _NEVER:
        raise Misdeed(f"{event}{arguments}")
    if event == "import" and str(arguments[0]).partition(".")[0] == EVIL:
        raise Misdeed(f"{event} {arguments[0]}")
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        if isinstance(arguments[2], int) and arguments[2] & _WRITING:
            _check_inside(event, arguments[0])
    elif event in _CHANGES:
        _check_inside(event, arguments[0])


def _check_inside(event: str, path: Any) -> None:
    real = os.path.realpath(os.fsdecode(path))
    if real != os.devnull and not (real + os.sep).startswith(_allowed[-1] + os.sep):
        raise Misdeed(f"{event} of {real}")
