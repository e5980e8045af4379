"""What runs inside Ray's processes: a job, and the counter that it reports to."""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from commenv.study.execution.backends.backend import Kept

if TYPE_CHECKING:
    from commenv.study.execution.played import Played

__all__ = ["Counter", "perform"]

_SECONDS_BETWEEN_REPORTS = 0.2


class Counter:
    """An actor that knows how far each job has come."""

    def __init__(self) -> None:
        self._counts: dict[str, tuple[int, int]] = {}
        self._states: dict[str, bytes] = {}
        self._rounds: list[Played] = []

    def take(self, name: str, attempt: int, count: int) -> None:
        """Notes what an attempt at a job has counted so far, if it is the latest."""
        if attempt >= self._counts.get(name, (0, 0))[0]:
            self._counts[name] = (attempt, count)

    def hear(self, name: str, attempt: int, rounds: list[Played]) -> None:
        """Takes rounds of a job, unless a later attempt at it has begun."""
        if self._counts[name][0] == attempt:
            self._rounds += rounds

    def keep(self, name: str, data: bytes) -> None:
        """Takes the state of a job."""
        self._states[name] = data

    def latest(
        self,
    ) -> tuple[dict[str, tuple[int, int]], dict[str, bytes], list[Played]]:
        """The latest attempt at each job with its count, and what was not asked for.

        That is the newest state of each job, and all rounds in their order.
        """
        states, self._states = self._states, {}
        rounds, self._rounds = self._rounds, []
        return self._counts, states, rounds

    def settle(self) -> None:
        """Answers once it has taken all that whoever asks has told it before."""


class _Reporter:
    """Adds up what a job counts, and tells it now and then, with the rounds since.

    It hands on states at once, after the rounds that led to them.
    """

    def __init__(
        self,
        tell: Callable[[int, list[Played]], None],
        keep: Callable[[bytes], None],
    ) -> None:
        self._tell, self._keep = tell, keep
        self.count = 0
        self._rounds: list[Played] = []
        self.tell()

    def __call__(self, said: int | Kept | Played) -> None:
        if isinstance(said, Kept):
            self.tell()
            self._keep(said.data)
        elif isinstance(said, int):
            self.count += said
        else:
            self._rounds.append(said)
        if time.monotonic() - self._told >= _SECONDS_BETWEEN_REPORTS:
            self.tell()

    def tell(self) -> None:
        """Tells all that was not told yet."""
        self._told = time.monotonic()
        rounds, self._rounds = self._rounds, []
        self._tell(self.count, rounds)


def perform(
    content: list[Any], counter: Any, name: str, attempt: int, path: list[str]
) -> tuple[Any, int, float]:
    """A job in a Ray task.

    Args:
        content: A reference to the job and its arguments; in a list, so that it is read
            here and not before.
        counter: The handle of a :class:`Counter`.
        name: The job's name.
        attempt: The number of this attempt at the job, from 1.
        path: Where else to look for the modules that the job needs.

    Returns:
        The job's result, the sum of what it reported, and the seconds that it took.
    """
    import ray

    sys.path.extend(one for one in path if one not in sys.path)
    # A copy, since Ray's own arrays cannot be written to.
    job, arguments = copy.deepcopy(ray.get(content[0]))

    def tell(count: int, rounds: list[Played]) -> None:
        counter.take.options(num_returns=0).remote(name, attempt, count)
        if rounds:
            counter.hear.options(num_returns=0).remote(name, attempt, rounds)

    def keep(data: bytes) -> None:
        counter.keep.options(num_returns=0).remote(name, data)

    report = _Reporter(tell, keep)
    began = time.monotonic()
    result = job(*arguments, report)
    seconds = time.monotonic() - began
    report.tell()
    ray.get(counter.settle.remote())
    return result, report.count, seconds
