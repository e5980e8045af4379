"""Inputs one after the other through a target, within bounds of time and memory.

The loop runs in a child process whose address space is bounded, and which leaves the
input that it works on in a shared file. So an input that ends the process, or holds it
up where Python is not asked, is found too.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import random
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from tests.fuzz.guard import judged
from tests.fuzz.target import Excluded, Target

__all__ = ["Hang", "Tally", "attempt", "bounded", "fuzz", "run_child"]

_GROWN_CORPUS = 400
_SLOT = 1 << 18
_TICK = 1.0
_FATAL_GRACE = 5.0


class Hang(BaseException):
    """An input took longer than its target allows."""


class Tally(NamedTuple):
    """What a run came to; the seconds are of wall clock."""

    inputs: int
    read: int
    refused: int
    excluded: int
    findings: int
    seconds: float


class _Watch:
    """Raises Hang in the main thread where one input is worked on for too long."""

    def __init__(self, limit: float) -> None:
        self.count, self._seen, self._since = 0, -1, 0.0
        self._limit = limit

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.count != self._seen:
            self._seen, self._since = self.count, now
        elif now - self._since > self._limit:
            self._since = now
            raise Hang(f"longer than {self._limit:g} s")

    @contextlib.contextmanager
    def on(self) -> Iterator[_Watch]:
        before = signal.signal(signal.SIGALRM, self)
        signal.setitimer(signal.ITIMER_REAL, _TICK, _TICK)
        try:
            yield self
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def bounded(room: int) -> None:
    """Lets this process allocate no more than ``room`` bytes beyond what it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + room
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def attempt(target: Target, data: bytes) -> BaseException | None:
    """What a target raised, if that is documented; None if the input was read.

    Raises:
        BaseException: Whatever is not documented: a finding.
    """
    try:
        judged(target.run, data)
    except Excluded as error:
        return error
    except target.documented as error:
        text = str(error)
        if not text or len(text) > target.longest_message:
            raise AssertionError(
                f"{type(error).__name__} with a message of {len(text)} characters"
            ) from error
        return error
    return None


def fuzz(
    target: Target, inputs: int, seconds: float, seed: int, found: Path | None
) -> Iterator[tuple[bytes, BaseException, Tally]]:
    """Yields findings; the last item is (b"", Hang(), tally) with the run's total."""
    rng, corpus = random.Random(seed), list(target.corpus())
    known: set[Any] = set()
    slot = _Slot(found)
    read = refused = excluded = findings = position = 0
    began = time.monotonic()
    with _Watch(target.seconds).on() as watch:
        for position in range(inputs):
            if position % 64 == 0 and time.monotonic() - began > seconds:
                break
            data = (
                corpus[position]
                if position < len(corpus)
                else target.mutate(rng, corpus)
            )
            slot.keep(data)
            watch.count += 1
            try:
                outcome = attempt(target, data)
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                findings += 1
                yield data, error, Tally(position, read, refused, excluded, findings, 0)
                continue
            if outcome is None:
                read += 1
            elif isinstance(outcome, Excluded):
                excluded += 1
                continue
            else:
                refused += 1
            place = _place(outcome)
            if place not in known and len(corpus) < _GROWN_CORPUS:
                known.add(place)  # a new outcome: worth changing further
                corpus.append(data)
        else:
            position += 1
    slot.clear()
    total = time.monotonic() - began
    yield b"", Hang(), Tally(position, read, refused, excluded, findings, total)


def _place(error: BaseException | None) -> Any:
    """Where an error was raised first, and what was being handled then."""
    if error is None:
        return None
    trace, places = error.__traceback__, []
    while trace is not None:
        places.append((trace.tb_frame.f_code.co_name, trace.tb_lineno))
        trace = trace.tb_next
    cause = error.__cause__ or error.__context__
    return type(error), tuple(places[-3:]), type(cause), str(cause)[:12]


class _Slot:
    """A file that holds the input which is being worked on."""

    def __init__(self, folder: Path | None) -> None:
        self._map: mmap.mmap | None = None
        if folder is not None:
            path = folder / "current"
            path.write_bytes(bytes(_SLOT))
            with path.open("r+b") as file:
                self._map = mmap.mmap(file.fileno(), _SLOT)

    def keep(self, data: bytes) -> None:
        if self._map is not None:
            kept = data[: _SLOT - 8]
            self._map[:8] = len(kept).to_bytes(8, "little")
            self._map[8 : 8 + len(kept)] = kept

    def clear(self) -> None:
        if self._map is not None:
            self._map.close()


def run_child(
    target: Target, inputs: int, seconds: float, seed: int, folder: Path
) -> Tally:
    """Runs a target here, and stores what it finds in a folder of its own."""
    own = folder / target.name
    own.mkdir(parents=True, exist_ok=True)
    with target.prepared():
        bounded(target.room)
        kinds: dict[Any, int] = {}
        for data, error, tally in fuzz(target, inputs, seconds, seed, own):
            if not data and isinstance(error, Hang) and tally.seconds:
                break
            kind = _kind(error)
            kinds[kind] = kinds.get(kind, 0) + 1
            if kinds[kind] == 1:
                store(own, data, error)
    (own / "current").unlink(missing_ok=True)
    return tally


def _kind(error: BaseException) -> Any:
    root = error.__cause__ or error
    frames = traceback.extract_tb(root.__traceback__)
    last = [(frame.filename, frame.lineno) for frame in frames][-4:]
    return type(root).__name__, str(error)[:20], tuple(last)


def store(folder: Path, data: bytes, error: BaseException) -> Path:
    """Keeps an input under the name of its error, with the trace beside it."""
    name = f"{type(error).__name__}-{hashlib.sha256(data).hexdigest()[:12]}"
    path = folder / name
    path.write_bytes(data)
    text = "".join(traceback.format_exception(error))
    (folder / f"{name}.txt").write_text(text, errors="backslashreplace")
    return path


def watched(arguments: list[str], folder: Path, limit: float) -> int:
    """Runs a child until it ends; one that an input holds up is ended and reported.

    Returns:
        The child's exit code; negative where a signal ended it.
    """
    slot, seen, since = folder / "current", b"", time.monotonic()
    slot.unlink(missing_ok=True)
    child = subprocess.Popen([sys.executable, "-m", "tests.fuzz", *arguments])
    while child.poll() is None:
        time.sleep(0.5)
        with contextlib.suppress(OSError):
            now = _head(slot)
            if now != seen or not any(now[:8]):  # or no input has come yet
                seen, since = now, time.monotonic()
            elif slot.exists() and time.monotonic() - since > limit + _FATAL_GRACE:
                child.kill()
    if child.returncode and slot.exists():
        raw = slot.read_bytes()
        data = raw[8 : 8 + int.from_bytes(raw[:8], "little")]
        name = f"ended-{-child.returncode}-{hashlib.sha256(data).hexdigest()[:12]}"
        (folder / name).write_bytes(data)
        os.unlink(slot)
    return child.returncode


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4096)
