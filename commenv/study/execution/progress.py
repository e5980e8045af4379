"""How far a study has come: a bar on a terminal, plain lines everywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from commenv.study.wording import duration

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

__all__ = ["Progress"]

SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """Counts what is done and says so, with the rate and the time left.

    Use it as a context manager. On a terminal it draws a bar, if rich is installed;
    otherwise it writes a line now and then, and one at the end.

    Args:
        total: How many units there are to do, at least 0.
        unit: What is counted, in the plural.
        stream: Where to write.
        enabled: Whether to write at all.
        done: How many units an earlier run did; they do not count towards the rate.
        clock: The time in seconds, from any origin. While it goes backwards, time
            stands still.

    Raises:
        ValueError: ``done`` is not in 0 to ``total``.
    """

    def __init__(
        self,
        total: int,
        unit: str = "episodes",
        stream: TextIO | None = None,
        enabled: bool = True,
        *,
        done: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 0 <= done <= total:
            raise ValueError(f"done is {done}; it must lie in 0 to total, {total}")
        self.total, self.done, self.unit = total, done, unit
        self._stream = sys.stderr if stream is None else stream
        self._enabled, self._clock, self._latest = enabled, clock, clock()
        self._first, self._started, self._written = done, self._latest, self._latest
        self._bar: RichProgress | None = None

    def __enter__(self) -> Self:
        self._started = self._written = self._now()
        if self._enabled and self._stream.isatty():
            self._bar = _rich_bar(self._stream, self.total, self.done, self.text())
        if self._bar is not None:
            self._bar.start()
        return self

    def advance(self, n: int, note: str = "") -> None:
        """Count ``n`` more units as done.

        Args:
            n: How many, at least 0.
            note: A few words to add, such as what was just finished.

        Raises:
            ValueError: ``n`` is negative.
        """
        if n < 0:
            raise ValueError(f"cannot advance by {n}; progress is never taken back")
        self.done += n
        if not self._enabled:
            return
        if self._bar is not None:
            self._update_bar(note)
        elif self._now() - self._written >= SECONDS_BETWEEN_LINES:
            self._written = self._now()
            self._write(self.text(note))

    def foresee(self, words: str) -> None:
        """Write how long all will take, if that is worth saying, and some more words.

        Call it once, when the first results are there. Where all takes less than ten
        seconds, nothing is written.

        Args:
            words: What else is known by now, such as the room that it will need.
        """
        rate = self._rate()
        in_all = (self.total - self._first) / rate if rate else 0.0
        if not self._enabled or in_all < SECONDS_BETWEEN_LINES:
            return
        text = f"about {duration(in_all)} in all; {words}"
        if self._bar is not None:
            self._bar.console.print(f"  {text}", markup=False, highlight=False)
        else:
            self._write(text)

    def text(self, note: str = "") -> str:
        """One line: the share done, the count, the rate and the time left.

        Args:
            note: A few words to add.

        Returns:
            Such as ``37 % · 18,500 of 50,000 episodes · 5,321/s · 6 s left``.
        """
        parts = [*self._counts(), *self._time_left()]
        return " · ".join([*parts, note] if note else parts)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._enabled:
            return
        how = "in" if kind is None else "stopped after"
        elapsed = f"{how} {duration(self._now() - self._started)}"
        last = " · ".join([*self._counts(), elapsed])
        if self._bar is None:
            self._write(last)
            return
        self._bar.update(self._bar.task_ids[0], completed=self.done, text=last)
        self._bar.stop()
        self._bar = None

    def _counts(self) -> list[str]:
        """The share, the count and, once there is one, the rate."""
        # Rounded down: 100 % is said only of what is finished.
        share = 100 * self.done // self.total if self.total else 100
        counts = [f"{share:3d} %", f"{self.done:,} of {self.total:,} {self.unit}"]
        return [*counts, f"{_number(rate)}/s"] if (rate := self._rate()) else counts

    def _time_left(self) -> list[str]:
        """How long the rest takes at the present rate, if that can be told."""
        rate, rest = self._rate(), self.total - self.done
        return [f"{duration(rest / rate)} left"] if rate and rest > 0 else []

    def _rate(self) -> float:
        """Units done per second since the start; 0 where it is not yet known."""
        elapsed = self._now() - self._started
        return (self.done - self._first) / elapsed if elapsed > 0 else 0.0

    def _now(self) -> float:
        self._latest = max(self._latest, self._clock())
        return self._latest

    def _update_bar(self, note: str) -> None:
        """Show the present state on the bar."""
        if self._bar is not None:
            task = self._bar.task_ids[0]
            self._bar.update(task, completed=self.done, text=self.text(note))

    def _write(self, text: str) -> None:
        """Write one line, in characters that the stream can take."""
        coding = getattr(self._stream, "encoding", None) or "utf-8"
        try:
            text.encode(coding)
        except UnicodeEncodeError:
            text = text.replace("·", "|").encode(coding, "replace").decode(coding)
        print(f"  {text}", file=self._stream, flush=True)


def _number(value: float) -> str:
    """A rate: whole and with thousands marked, or two digits where it is small."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _rich_bar(stream: TextIO, total: int, done: int, text: str) -> RichProgress | None:
    """A bar that is not drawn yet, or None where rich is not installed."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn
    except ImportError:
        return None
    bar = Progress(
        BarColumn(bar_width=24),
        TextColumn("{task.fields[text]}", markup=False),
        console=Console(file=stream),
        # The bar may be on stderr: what is printed must still go to stdout.
        redirect_stdout=False,
    )
    bar.add_task("", total=total, completed=done, text=text)
    return bar
