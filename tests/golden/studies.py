"""Running small studies, and what they are killed with."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.golden import library
from tests.golden.case import Numbers

__all__ = ["kept", "killed_and_resumed", "numbers", "scratch"]

ROOT = Path(__file__).parents[2]


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for a while."""
    with tempfile.TemporaryDirectory(prefix="golden") as folder:
        yield Path(folder)


def kept(folder: Path) -> Numbers:
    """All numbers of a results folder, and the policies that it holds."""
    results = library.load(folder)
    return library.result_numbers(results) | library.policy_numbers(folder, results)


def numbers(*what: Any, **how: Any) -> Numbers:
    """Runs a study into a folder; the arguments are those of `library.run_study`."""
    with scratch() as folder:
        library.run_study(*what, out=folder / "out", **how)
        return kept(folder / "out")


def killed_and_resumed(which: str) -> Numbers:
    """A study of `tests.golden.killed` that is killed, and then gone on with."""
    with scratch() as folder:
        command = [sys.executable, "-m", "tests.golden.killed", which, str(folder)]
        for killed in (True, False):
            words = [*command, *["--kill"] * killed]
            code = subprocess.run(words, cwd=ROOT, check=False).returncode
            if code != (-signal.SIGKILL if killed else 0):
                raise AssertionError(f"{' '.join(words)} ended with {code}")
        return kept(folder / "out")
