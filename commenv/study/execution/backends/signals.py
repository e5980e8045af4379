"""Signals that ask this process to end, heard where there is time for them."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

__all__ = ["SIGNALS", "Deferred", "signals_held"]

SIGNALS = {
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if hasattr(signal, name)
}


class Deferred:
    """Signals that ask the process to end, kept until there is time for them.

    They are handled as they would have been, between steps instead of within one.
    Outside the main thread, which alone hears signals, nothing is changed.

    Args:
        patience: For how many seconds they are kept at most: one that comes later than
            that after the first is handled at once.
    """

    def __init__(self, patience: float = math.inf) -> None:
        self._patience, self._first = patience, 0.0
        self._before: dict[int, Callable[[int, FrameType | None], Any]] = {}
        self._noted: list[int] = []

    @property
    def waiting(self) -> bool:
        """Whether a signal has come that was not handled yet."""
        return bool(self._noted)

    def handle(self) -> None:
        """Handles the signals that have come; what a handler raises is raised here."""
        while self._noted:
            number = self._noted.pop(0)
            self._before[number](number, None)

    def __enter__(self) -> Deferred:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                handler = signal.getsignal(number)
                if callable(handler):
                    self._before[number] = handler
                    signal.signal(number, self._hear)
        return self

    def _hear(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self._noted:
            self._first = now
        self._noted.append(number)
        if now - self._first > self._patience:
            self.handle()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if kind is None:
            self.handle()


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Keeps Ctrl-C and the like for later, and from processes started meanwhile."""
    if not hasattr(signal, "pthread_sigmask"):
        yield  # on Windows
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
