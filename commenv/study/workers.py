"""Jobs in worker processes, with progress, and without anything left behind."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures import wait as wait_for
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Any

from commenv.errors import ResultsError

__all__ = ["in_workers"]

_THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_SECONDS_BETWEEN_LOOKS = 0.2

_reports: Any = None
_stop: Any = None


def in_workers(
    job: Callable[..., Any],
    arguments: Sequence[tuple[Any, ...]],
    num_workers: int,
    report: Callable[[int], None],
) -> Iterator[Any]:
    """Runs ``job(*arguments[i], report)`` for every i, in processes of their own.

    A job that fails, or an interrupt here, ends the others at their next report.

    Args:
        job: A function that can be imported by name.
        arguments: One tuple for each job; they and the results are pickled.
        num_workers: Processes.
        report: Called here with what the jobs report.

    Yields:
        The jobs' results, in order, once all are done.
    """
    context = multiprocessing.get_context("spawn")
    reports, stop = context.Queue(), context.Event()
    with (
        _one_thread_each(),
        ProcessPoolExecutor(
            num_workers,
            mp_context=context,
            initializer=_start,
            initargs=(reports, stop),
        ) as pool,
    ):
        try:
            with _interrupts_held():
                futures = [pool.submit(_run, job, one) for one in arguments]
            _watch(futures, reports, report)
        except BrokenProcessPool as error:
            raise ResultsError(
                "a worker process has died, perhaps for lack of memory (in a script, "
                'run the study under `if __name__ == "__main__":`); finished blocks '
                "are kept: run the study again, with fewer workers or smaller blocks"
            ) from error
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    yield from [future.result() for future in futures]


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


def _start(reports: Any, stop: Any) -> None:
    global _reports, _stop
    _reports, _stop = reports, stop
    reports.cancel_join_thread()  # reports that nobody reads any more hold nobody up
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what to do
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _run(job: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    return job(*arguments, _report)


def _report(count: int) -> None:
    if _stop.is_set():
        raise InterruptedError("the study was stopped")
    _reports.put(count)


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Keeps Ctrl-C for later, and from processes that are started meanwhile."""
    if not hasattr(signal, "pthread_sigmask"):
        yield  # on Windows
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
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
