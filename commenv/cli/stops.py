"""What stops a command from outside: Ctrl-C, and the signals that ask it to end."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

__all__ = ["Stopped", "stops_heard"]

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_SECONDS_TO_CLEAN_UP = 1.0


class Stopped(KeyboardInterrupt):
    """A signal that ends a command; what ends with Ctrl-C in good order, so does it.

    Attributes:
        cause: ``"Ctrl-C"``, or the signal's name, such as ``"SIGTERM"``.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        name = signal.Signals(number).name
        self.cause = "Ctrl-C" if name == "SIGINT" else name


@contextlib.contextmanager
def stops_heard(for_good: bool) -> Iterator[None]:
    """Raises Stopped where a signal asks the process to end.

    Signals that follow at once, such as a second Ctrl-C, do not disturb the cleaning up
    after the first one. Outside the main thread, which alone hears signals, nothing is
    changed.

    Args:
        for_good: Once stopped, ignore these signals to the end of the process, which
            is near, instead of handling them as before.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = _replaced()
    stopped = False
    try:
        yield
    except Stopped:
        stopped = True
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        raise
    finally:
        if not (stopped and for_good):
            for number, handler in before.items():
                signal.signal(number, handler)


def _replaced() -> dict[signal.Signals, Any]:
    """Takes over the signals' handlers; returns those that there were."""
    last = -float("inf")

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _SECONDS_TO_CLEAN_UP:
            last = now
            raise Stopped(number)

    before = {}
    for number in (getattr(signal, name) for name in _NAMES if hasattr(signal, name)):
        handler = signal.getsignal(number)
        # nohup and a shell's background jobs ignore some; None is not Python's own.
        if handler not in (signal.SIG_IGN, None):
            before[number] = handler
            signal.signal(number, stop)
    return before
