"""Jobs in worker processes, with progress, and without anything left behind."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures import wait as wait_for
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any

from commenv.errors import ResultsError

__all__ = ["in_workers"]

_THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_SECONDS_BETWEEN_LOOKS = 0.1
_SECONDS_TO_END = 5.0
_SIGNALS = {
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if hasattr(signal, name)
}

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
    that do not report within a few seconds, or before a second interrupt, are ended
    where they are. Interrupts are heard between two looks at the workers: the pool's
    own bookkeeping does not survive an exception in the middle of it.

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
        _Deferred() as signals,
        held,
        leash,
        _one_thread_each(),
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
            _watch(futures, reports, report, signals)
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
    yield from [future.result() for future in futures]


class _Deferred:
    """Signals that ask the process to end, kept until there is time for them.

    They are handled as they would have been, between steps instead of within one.
    Outside the main thread, which alone hears signals, nothing is changed.
    """

    def __init__(self) -> None:
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

    def __enter__(self) -> _Deferred:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                handler = signal.getsignal(number)
                if callable(handler):
                    self._before[number] = handler
                    signal.signal(number, lambda one, frame: self._noted.append(one))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if kind is None:
            self.handle()


def _dismiss(pool: ProcessPoolExecutor, leash: Connection, signals: _Deferred) -> None:
    """Waits until the workers have ended, but not for long, nor after a signal."""
    limit = time.monotonic() + _SECONDS_TO_END
    end = threading.Thread(target=pool.shutdown, kwargs={"cancel_futures": True})
    end.start()
    while end.is_alive() and not signals.waiting and time.monotonic() < limit:
        end.join(_SECONDS_BETWEEN_LOOKS)
    leash.close()
    end.join()


def _watch(
    futures: list[Future[Any]],
    reports: Any,
    report: Callable[[int], None],
    signals: _Deferred,
) -> None:
    """Hands reports on until every job is done; raises what a job has raised."""
    pending = set(futures)
    while pending:
        signals.handle()
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
