"""Jobs in worker processes, with progress, and without anything left behind."""

from __future__ import annotations

import math
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures import wait as wait_for
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, NamedTuple

from commenv.errors import ResultsError
from commenv.study.execution.backends.backend import (
    ONE_THREAD,
    Backend,
    Jobs,
    Kept,
    Report,
    variables_set,
)
from commenv.study.execution.backends.local import Local
from commenv.study.execution.backends.signals import SIGNALS, Deferred, signals_held

if TYPE_CHECKING:
    from commenv.study.execution.played import Played

__all__ = ["Processes", "in_workers"]

_SECONDS_BETWEEN_LOOKS = 0.1
_SECONDS_TO_END = 5.0
_SECONDS_TO_BE_HEARD = 60.0

_reports: Any = None
_stop: Any = None


class Processes(Backend):
    """Runs jobs in processes of their own; a single job here, where none need start.

    Args:
        workers: How many processes.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def run(
        self, job: Callable[..., Any], jobs: Jobs, report: Report
    ) -> Generator[Any]:
        """See :meth:`Backend.run`."""
        if self.workers == 1 or len(jobs) <= 1:
            return Local().run(job, jobs, report)
        workers = min(self.workers, len(jobs))
        return in_workers(job, list(jobs.values()), workers, report)


def in_workers(
    job: Callable[..., Any],
    arguments: Sequence[tuple[Any, ...]],
    num_workers: int,
    report: Report,
) -> Generator[Any]:
    """Runs ``job(*arguments[i], report)`` for every i, in processes of their own.

    A job that fails, or an interrupt here, ends the others at their next report; the
    states that they leave then are reported before the exception goes on. Those that do
    not report within a few seconds, or before a second interrupt, are ended where they
    are. Interrupts are heard between two looks at the workers: the pool's own
    bookkeeping does not survive an exception in the middle of it.

    Args:
        job: A function that can be imported by name.
        arguments: One tuple for each job; they and the results are pickled.
        num_workers: Processes.
        report: Called here with what the jobs report.

    Yields:
        The jobs' results, each as soon as it is there, in any order.
    """
    context = multiprocessing.get_context("spawn")
    with signals_held():  # the tracker of semaphores is started here
        reports, stop = context.Queue(), context.Event()
    held, leash = context.Pipe(duplex=False)
    with (
        Deferred() as signals,
        held,
        leash,
        variables_set(ONE_THREAD),
        ProcessPoolExecutor(
            num_workers,
            mp_context=context,
            initializer=_start,
            initargs=(reports, stop, held),
        ) as pool,
    ):
        try:
            futures: set[Future[_Ended]] = set()
            with signals_held():
                futures |= {pool.submit(_run, job, one) for one in arguments}
            yield from _finished(futures, reports, report, signals)
        except BrokenProcessPool as error:
            leash.close()
            raise ResultsError(
                "a worker process has died, perhaps for lack of memory (in a script, "
                'run the study under `if __name__ == "__main__":`); finished blocks '
                "are kept: run the study again, with fewer workers or smaller blocks"
            ) from error
        except BaseException:
            stop.set()
            _dismiss(pool, leash, signals)
            for state in _states(futures):
                report(state)
            raise


def _dismiss(pool: ProcessPoolExecutor, leash: Connection, signals: Deferred) -> None:
    """Waits until the workers have ended, but not for long, nor after a signal."""
    limit = time.monotonic() + _SECONDS_TO_END
    end = threading.Thread(target=pool.shutdown, kwargs={"cancel_futures": True})
    end.start()
    while end.is_alive() and not signals.waiting and time.monotonic() < limit:
        end.join(_SECONDS_BETWEEN_LOOKS)
    leash.close()
    end.join()


def _states(futures: set[Future[_Ended]]) -> list[Kept]:
    """The states of the jobs that were told to stop, and did."""
    over = (one for one in futures if one.done() and not one.cancelled())
    ended = [one.result() for one in over if not _has_failed(one)]
    return [one.state for one in ended if one.state is not None]


def _finished(
    pending: set[Future[_Ended]],
    reports: Any,
    report: Report,
    signals: Deferred,
) -> Generator[Any]:
    """The results of jobs as they come; hands on reports, raises what a job raises."""
    unheard, quiet_since = 0, math.inf
    while pending or unheard:
        signals.handle()
        try:
            report(reports.get(timeout=_SECONDS_BETWEEN_LOOKS))
            unheard, quiet_since = unheard - 1, math.inf
        except queue.Empty:
            quiet_since = min(quiet_since, time.monotonic())
        done, pending = wait_for(pending, timeout=0)
        for future in sorted(done, key=_has_failed):
            unheard += future.result().reports
            yield future.result().result
        # A worker may have died after its job, with reports that were not out yet.
        if not pending and time.monotonic() - quiet_since > _SECONDS_TO_BE_HEARD:
            raise BrokenProcessPool("a report has not come")


def _has_failed(done: Future[Any]) -> bool:
    return done.exception() is not None


def _start(reports: Any, stop: Any, held: Connection) -> None:
    global _reports, _stop
    _reports, _stop = reports, stop
    reports.cancel_join_thread()  # reports that nobody reads any more hold nobody up
    for number in SIGNALS:  # the parent decides what to do
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(held,), daemon=True).start()


def _end_with_parent(held: Connection) -> None:
    """Ends this process once the parent has ended or let go of the leash."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel, held])
    os._exit(1)


class _Ended(NamedTuple):
    """How a job has ended.

    Attributes:
        result: What it returned; None if it was told to stop.
        reports: How many reports it made.
        state: The last one since it was told to stop, if it has any.
    """

    result: Any
    reports: int
    state: Kept | None


class _Reporter:
    """What a job reports to.

    Attributes:
        count: How many reports it made.
        state: As in :class:`_Ended`.
    """

    def __init__(self) -> None:
        self.count = 0
        self.state: Kept | None = None

    def __call__(self, said: int | Kept | Played) -> None:
        if not _stop.is_set():
            self.count += 1
            _reports.put(said)
        elif isinstance(said, Kept):
            self.state = said  # nobody reads reports any more
        else:
            raise InterruptedError("the study was stopped")


def _run(job: Callable[..., Any], arguments: tuple[Any, ...]) -> _Ended:
    report = _Reporter()
    try:
        return _Ended(job(*arguments, report), report.count, None)
    except InterruptedError:
        if not _stop.is_set():
            raise
        return _Ended(None, report.count, report.state)
