"""Jobs in worker processes, with progress, and without anything left behind."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures import wait as wait_for
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection, wait
from typing import Any

from commenv.errors import ResultsError

__all__ = ["in_workers"]

_THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_TO_END = 5.0
_SIGNALS = {
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if hasattr(signal, name)
}

_logger = logging.getLogger("commenv")
_reports: Any = None
_stop: Any = None


def in_workers(
    job: Callable[..., Any],
    arguments: Sequence[tuple[Any, ...]],
    num_workers: int,
    report: Callable[[int], None],
) -> Iterator[Any]:
    """Runs ``job(*arguments[i], report)`` for every i, in processes of their own.

    A job that fails, or an interrupt here, ends the others at their next report; those
    that do not report within a few seconds, or after a second interrupt, are ended
    where they are.

    Args:
        job: A function that can be imported by name.
        arguments: One tuple for each job; they and the results are pickled.
        num_workers: Processes.
        report: Called here with what the jobs report.

    Yields:
        The jobs' results, in order, once all are done.
    """
    context = multiprocessing.get_context("spawn")
    with _signals_held():  # the tracker of semaphores is started here
        reports, stop = context.Queue(), context.Event()
    held, leash = context.Pipe(duplex=False)
    with (
        held,
        leash,
        _one_thread_each(),
        _dismissal_logged(stop),  # until the pool has ended
        ProcessPoolExecutor(
            num_workers,
            mp_context=context,
            initializer=_start,
            initargs=(reports, stop, held),
        ) as pool,
    ):
        try:
            with _signals_held():
                futures = [pool.submit(_run, job, one) for one in arguments]
            _watch(futures, reports, report)
        except BrokenProcessPool as error:
            leash.close()
            raise ResultsError(
                "a worker process has died, perhaps for lack of memory (in a script, "
                'run the study under `if __name__ == "__main__":`); finished blocks '
                "are kept: run the study again, with fewer workers or smaller blocks"
            ) from error
        except BaseException:
            stop.set()
            _dismiss(pool, leash)
            raise
    yield from [future.result() for future in futures]


def _dismiss(pool: ProcessPoolExecutor, leash: Connection) -> None:
    """Waits until the workers have ended, but not for long."""
    timer = threading.Timer(_SECONDS_TO_END, leash.close)
    timer.start()
    try:
        pool.shutdown(cancel_futures=True)
    finally:  # an interrupt while they were waited for ends them at once
        timer.cancel()
        timer.join()
        leash.close()


@contextlib.contextmanager
def _dismissal_logged(stop: Any) -> Iterator[None]:
    """Lets the pool's own thread stumble over workers that were told to end.

    What happens in threads once ``stop`` is set stands in the log alone.
    """

    def log(failed: threading.ExceptHookArgs) -> None:
        if stop.is_set():
            _logger.debug("while workers were dismissed: %r", failed.exc_value)
        else:
            before(failed)

    before, threading.excepthook = threading.excepthook, log
    try:
        yield
    finally:
        threading.excepthook = before


def _watch(
    futures: list[Future[Any]], reports: Any, report: Callable[[int], None]
) -> None:
    """Hands reports on until every job is done; raises what a job has raised."""
    pending = set(futures)
    while pending:
        with contextlib.suppress(queue.Empty):
            report(reports.get(timeout=_SECONDS_BETWEEN_LOOKS))
        done, pending = wait_for(pending, timeout=0)
        for future in done:
            future.result()
    with contextlib.suppress(queue.Empty):
        while True:
            report(reports.get(timeout=_SECONDS_BETWEEN_LOOKS))


def _start(reports: Any, stop: Any, held: Connection) -> None:
    global _reports, _stop
    _reports, _stop = reports, stop
    reports.cancel_join_thread()  # reports that nobody reads any more hold nobody up
    for number in _SIGNALS:  # the parent decides what to do
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


def _report(count: int) -> None:
    if _stop.is_set():
        raise InterruptedError("the study was stopped")
    _reports.put(count)


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Keeps Ctrl-C and the like for later, and from processes started meanwhile."""
    if not hasattr(signal, "pthread_sigmask"):
        yield  # on Windows
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Starts worker processes whose linear algebra keeps to one thread.

    The number of threads must not change the order in which a sum is taken, and so
    its bits.
    """
    before = {name: os.environ.get(name) for name in _THREAD_LIMITS}
    os.environ.update(dict.fromkeys(_THREAD_LIMITS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
