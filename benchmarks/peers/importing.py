"""The import of a package, in a new process each time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

PACKAGES = ()
OWN_CLOCK = True  # what it times is in another process

TIMED = """
import time
clock, processor = time.perf_counter(), time.process_time()
import {package}
print(time.perf_counter() - clock, time.process_time() - processor)
"""


def fresh(package: str) -> Callable[[int], tuple[int, float, float]]:
    """The new process times the import alone, without the interpreter's own start."""

    def run(calls: int) -> tuple[int, float, float]:
        command = [sys.executable, "-c", TIMED.format(package=package)]
        taken = [
            map(float, subprocess.check_output(command, text=True).split())
            for _ in range(calls)
        ]
        clock, processor = map(sum, zip(*taken, strict=True))
        return calls, clock, processor

    return run
