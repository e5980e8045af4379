"""What runs the jobs of a study."""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

__all__ = ["ONE_THREAD", "Backend", "Jobs", "cpus_here", "variables_set"]

Jobs = Mapping[str, tuple[Any, ...]]
"""The arguments of each job, by the job's name."""

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)
"""Environment variables of a worker whose linear algebra keeps to one thread.

The number of threads must not change the order in which a sum is taken, and so its
bits.
"""


class Backend(ABC):
    """Runs jobs; to be used as a context manager.

    Attributes:
        workers: How many jobs are expected to run at a time; known within the context.
        shares_disk: Whether jobs see the files of this machine.
    """

    workers: int = 1
    shares_disk: bool = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None

    @abstractmethod
    def run(
        self, job: Callable[..., Any], jobs: Jobs, report: Callable[[int], None]
    ) -> Generator[Any]:
        """Runs ``job(*jobs[name], report)`` for every name.

        A job that fails, an exception in ``report``, or closing the iterator stops the
        others.

        Args:
            job: A function that can be imported by name.
            jobs: Arguments by name; they and the results can be pickled.
            report: Called here with what the jobs report: numbers, at least 0.

        Yields:
            The jobs' results, each as soon as it is there, in any order.
        """


def cpus_here() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def variables_set(variables: Mapping[str, str]) -> Iterator[None]:
    """Sets environment variables for the processes that are started meanwhile."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
