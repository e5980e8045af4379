"""What runs inside Ray's processes: a job, and the counter that it reports to."""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable
from typing import Any

from commenv.study.backends.backend import Kept

__all__ = ["Counter", "perform"]

_SECONDS_BETWEEN_REPORTS = 0.2


class Counter:
    """An actor that knows how far each job has come."""

    def __init__(self) -> None:
        self._counts: dict[str, tuple[int, int]] = {}
        self._states: dict[str, bytes] = {}

    def take(self, name: str, attempt: int, count: int) -> None:
        """Notes what an attempt at a job has counted so far."""
        self._counts[name] = (attempt, count)

    def keep(self, name: str, data: bytes) -> None:
        """Takes the state of a job."""
        self._states[name] = data

    def latest(self) -> tuple[dict[str, tuple[int, int]], dict[str, bytes]]:
        """The latest attempt at each job with its count, and states not yet asked for.

        Each state is the newest of its job.
        """
        states, self._states = self._states, {}
        return self._counts, states


class _Reporter:
    """Adds up what a job counts, and tells it now and then; hands on its states."""

    def __init__(
        self, tell: Callable[[int], None], keep: Callable[[bytes], None]
    ) -> None:
        self._tell, self._keep = tell, keep
        self.count = 0
        self._told = time.monotonic()
        tell(0)

    def __call__(self, said: int | Kept) -> None:
        if not isinstance(said, int):
            self._keep(said.data)
            return
        self.count += said
        now = time.monotonic()
        if now - self._told >= _SECONDS_BETWEEN_REPORTS:
            self._told = now
            self._tell(self.count)


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

    def tell(count: int) -> None:
        counter.take.options(num_returns=0).remote(name, attempt, count)

    def keep(data: bytes) -> None:
        counter.keep.options(num_returns=0).remote(name, data)

    report = _Reporter(tell, keep)
    began = time.monotonic()
    result = job(*arguments, report)
    return result, report.count, time.monotonic() - began
