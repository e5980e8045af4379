"""Jobs in worker processes, with progress, and without anything left behind."""

from __future__ import annotations

import contextlib
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
from typing import Any

from commenv.errors import ResultsError
from commenv.study.backends.backend import (
    ONE_THREAD,
    Backend,
    Jobs,
    Kept,
    Report,
    variables_set,
)
from commenv.study.backends.local import Local
from commenv.study.backends.signals import SIGNALS, Deferred, signals_held

__all__ = ["Processes", "in_workers"]

_SECONDS_BETWEEN_LOOKS = 0.1
_SECONDS_TO_END = 5.0

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

    A job that fails, or an interrupt here, ends the others at their next report; those
    that do not report within a few seconds, or before a second interrupt, are ended
    where they are. Interrupts are heard between two looks at the workers: the pool's
    own bookkeeping does not survive an exception in the middle of it.

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
            with signals_held():
                futures = {pool.submit(_run, job, one) for one in arguments}
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


def _finished(
    pending: set[Future[Any]],
    reports: Any,
    report: Report,
    signals: Deferred,
) -> Generator[Any]:
    """The results of jobs as they come; hands on reports, raises what a job raises."""
    while pending:
        signals.handle()
        with contextlib.suppress(queue.Empty):
            report(reports.get(timeout=_SECONDS_BETWEEN_LOOKS))
        done, pending = wait_for(pending, timeout=0)
        for future in sorted(done, key=_has_failed):
            yield future.result()
    with contextlib.suppress(queue.Empty):
        while True:
            report(reports.get(timeout=_SECONDS_BETWEEN_LOOKS))


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


def _run(job: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    return job(*arguments, _report)


def _report(said: int | Kept) -> None:
    if _stop.is_set():
        raise InterruptedError("the study was stopped")
    _reports.put(said)
