"""What runs the jobs of a study."""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeAlias

if TYPE_CHECKING:
    from commenv.study.execution.played import Played
    from commenv.study.execution.sharding import Shards

__all__ = [
    "ONE_THREAD",
    "Backend",
    "Jobs",
    "Kept",
    "Report",
    "cpus_here",
    "variables_set",
]

Jobs = Mapping[str, tuple[Any, ...]]
"""The arguments of each job, by the job's name; asked for whenever one is started."""


class Kept(NamedTuple):
    """The state of a job that goes on, for whoever keeps it.

    Attributes:
        name: The job's.
        data: The content of a checkpoint.
    """

    name: str
    data: bytes


Report: TypeAlias = "Callable[[int | Kept | Played], None]"
"""What jobs report to: how much more they have done, their states, and rounds."""

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
        shards: How the agents of a job are spread; None for one batch.
    """

    workers: int = 1
    shares_disk: bool = True
    shards: Shards | None = None

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
        self, job: Callable[..., Any], jobs: Jobs, report: Report
    ) -> Generator[Any]:
        """Runs ``job(*jobs[name], report)`` for every name.

        A job that fails, an exception in ``report``, or closing the iterator stops the
        others.

        Args:
            job: A function that can be imported by name.
            jobs: Arguments by name; they and the results can be pickled.
            report: Called here with what the jobs report: numbers, at least 0, states
                and rounds. Those of a job come in their order, all of them before the
                iterator ends; rounds may come again where a job is run again.

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
