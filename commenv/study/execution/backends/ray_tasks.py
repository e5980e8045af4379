"""Jobs as Ray tasks, on the processors of one machine or of a cluster.

A task that is lost, with its process or its machine, is started again: results do not
depend on it. They come back to this process, which needs no disk in common with others.
"""

from __future__ import annotations

import contextlib
import logging
import math
import sys
import time
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from commenv.errors import ResultsError
from commenv.study.execution.backends.backend import (
    Backend,
    Jobs,
    Kept,
    Report,
    cpus_here,
)
from commenv.study.execution.backends.ray_session import (
    SECONDS_TO_END,
    check_address,
    is_alone,
    session,
)
from commenv.study.execution.backends.ray_watch import Counts, Nodes, Stragglers
from commenv.study.execution.backends.ray_worker import perform

if TYPE_CHECKING:
    from commenv.study.execution.played import Played

__all__ = ["RayTasks"]

_SECONDS_BETWEEN_LOOKS = 0.2
_MOST_ATTEMPTS = 4
_logger = logging.getLogger("commenv")


class RayTasks(Backend):
    """Runs each job as a Ray task on a processor of its own.

    Interrupts are heard between two looks at the tasks.

    Args:
        workers: Jobs at a time; as many as there are processors when left out.
        address: See :func:`commenv.study.execution.backends.choose`.

    Raises:
        ValueError: The address is none of a cluster.
    """

    def __init__(self, workers: int | None, address: str | None) -> None:
        if address is not None:
            check_address(address)
        self._asked, self._address = workers, address
        self.shares_disk = address is None and is_alone()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            at_most = self._asked or cpus_here()
            self._signals, options = stack.enter_context(
                session(self._address, at_most)
            )
            self.workers = min(self._asked or sys.maxsize, _processors())
            self._options = {**options, "num_cpus": 1, "max_retries": 0}
            self._exit = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._exit.__exit__(kind, error, traceback)

    def run(
        self, job: Callable[..., Any], jobs: Jobs, report: Report
    ) -> Generator[Any]:
        """See :meth:`Backend.run`.

        Raises:
            ResultsError: A job was lost again and again.
        """
        # What a cluster gets later may be used too, unless a number was asked for.
        tasks = _Tasks(job, jobs, self._asked or math.inf, self._options)
        try:
            while tasks.unfinished:
                self._signals.handle()
                outcomes = tasks.look()
                report(tasks.new_counts())
                for played in tasks.new_rounds():
                    report(played)
                for kept in tasks.new_states():
                    report(kept)
                for one in sorted(outcomes, key=lambda one: one.error is not None):
                    if one.error is not None:
                        raise one.error
                    yield one.result
        finally:
            tasks.close()


def _processors() -> int:
    """How many processors the cluster has."""
    import ray

    count = int(ray.cluster_resources().get("CPU", 0))
    if not count:
        raise ConnectionError(
            "the Ray cluster has no processor to run on; add a machine to it with "
            "`ray start --address=HOST:PORT`"
        )
    return count


@dataclass
class _Attempt:
    """A task that runs, or waits for a processor.

    Attributes:
        name: Of its job.
        number: Of the attempt at it, from 1.
        futile: The same, counted since the last state that its job reported.
        began: When it was first seen to run.
    """

    name: str
    number: int = 1
    futile: int = 1
    began: float | None = None


@dataclass(frozen=True)
class _Outcome:
    """How a job has ended."""

    result: Any = None
    error: BaseException | None = None


class _Tasks:
    """The tasks of all jobs: those to start, those that run, and how they end."""

    def __init__(
        self,
        job: Callable[..., Any],
        jobs: Jobs,
        at_once: float,
        options: dict[str, Any],
    ) -> None:
        import ray

        self._job, self._jobs, self._at_once = job, jobs, at_once
        self._task = ray.remote(perform).options(**options)
        self._waiting = deque(_Attempt(name) for name in jobs)
        self._running: dict[Any, _Attempt] = {}
        self._counts, self._nodes, self._stragglers = Counts(), Nodes(), Stragglers()
        self._counted = dict.fromkeys(jobs, 0)
        self._told = 0
        self._came_further: set[str] = set()

    @property
    def unfinished(self) -> bool:
        """Whether there is anything left to wait for."""
        return bool(self._waiting or self._running)

    def look(self) -> list[_Outcome]:
        """Starts what can be started, waits for a moment, and says what has ended."""
        import ray

        while self._waiting and len(self._running) < self._at_once:
            self._start(self._waiting.popleft())
        done, _ = ray.wait(list(self._running), timeout=_SECONDS_BETWEEN_LOOKS)
        self._nodes.look_now_and_then()
        self._note_counts(wait=bool(done))
        outcomes = [self._outcome(ref, self._running.pop(ref)) for ref in done]
        return [one for one in outcomes if one is not None]

    def new_counts(self) -> int:
        """What jobs have counted since the last call; nothing is counted twice."""
        total, before = sum(self._counted.values()), self._told
        self._told = total
        return total - before

    def new_rounds(self) -> list[Played]:
        """Rounds of jobs since the last call; some may come again."""
        return self._counts.rounds()

    def new_states(self) -> list[Kept]:
        """States of what is unfinished, since the last call."""
        names = {one.name for one in (*self._running.values(), *self._waiting)}
        states = [
            Kept(name, data)
            for name, data in self._counts.states().items()
            if name in names
        ]
        self._came_further.update(one.name for one in states)
        return states

    def close(self) -> None:
        """Ends what still runs."""
        import ray

        left = list(self._running)
        with contextlib.suppress(Exception):  # Ray itself may have ended
            for ref in left:
                ray.cancel(ref, force=True)
            if left:
                ray.wait(left, num_returns=len(left), timeout=SECONDS_TO_END)
        with contextlib.suppress(Exception):
            self._counts.close()

    def _start(self, attempt: _Attempt) -> None:
        import ray

        content = ray.put((self._job, self._jobs[attempt.name]))
        ref = self._task.remote(
            [content], self._counts.counter, attempt.name, attempt.number, sys.path
        )
        self._running[ref] = attempt

    def _outcome(self, ref: Any, attempt: _Attempt) -> _Outcome | None:
        """How a task has ended; None if it is to be started again."""
        import ray
        from ray import exceptions

        lost = (
            exceptions.WorkerCrashedError,
            exceptions.NodeDiedError,
            exceptions.LocalRayletDiedError,
            exceptions.ObjectLostError,
            exceptions.OutOfMemoryError,
        )
        try:
            result, count, seconds = ray.get(ref)
        except exceptions.RayTaskError as error:
            return _Outcome(error=error.cause or error)
        except lost as error:
            return self._again(attempt, error)
        except exceptions.RayError as error:
            return _Outcome(error=error)
        self._stragglers.took(seconds)
        self._counted[attempt.name] = max(self._counted[attempt.name], count)
        return _Outcome(result)

    def _again(self, attempt: _Attempt, error: Exception) -> _Outcome | None:
        sentence = str(error).strip().partition("\n")[0].partition(". ")[0]
        cause = f"{type(error).__name__}: {sentence}"
        futile = 1 if attempt.name in self._came_further else attempt.futile
        self._came_further.discard(attempt.name)
        if futile == _MOST_ATTEMPTS:
            text = (
                f"block {attempt.name} was lost {futile} times ({cause}), "
                "perhaps for lack of memory; finished blocks are kept: run the study "
                "again, with fewer workers or smaller blocks"
            )
            return _Outcome(error=ResultsError(text))
        self._nodes.look()
        _logger.warning(
            "block %s was lost (%s) and is run again, attempt %d of %d",
            attempt.name,
            cause,
            futile + 1,
            _MOST_ATTEMPTS,
        )
        again = _Attempt(attempt.name, attempt.number + 1, futile + 1)
        self._waiting.appendleft(again)
        return None

    def _note_counts(self, wait: bool) -> None:
        """Takes what is known of the tasks that run, or, after a wait, all of it."""
        latest, now = self._counts.latest(wait), time.monotonic()
        for attempt in self._running.values():
            number, count = latest.get(attempt.name, (0, 0))
            if number == attempt.number:
                attempt.began = attempt.began or now
                before = self._counted[attempt.name]
                self._counted[attempt.name] = max(before, count)
        self._stragglers.look(
            (one.name, one.began)
            for one in self._running.values()
            if one.began is not None
        )
