"""What is seen of Ray tasks while they run: progress, stragglers, lost machines."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from commenv.study.execution.backends.ray_worker import Counter

if TYPE_CHECKING:
    from commenv.study.execution.played import Played

__all__ = ["Counts", "Nodes", "Stragglers"]

_SECONDS_BETWEEN_NODES = 1.0
_TIMES_THE_MEDIAN = 3.0
_LEAST_FINISHED = 3
_SECONDS_OF_PATIENCE = 10.0
_logger = logging.getLogger("commenv")


class Counts:
    """How far the tasks have come, without waiting for an answer."""

    def __init__(self) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        # It ends with the machine of this process alone, which is the end of all.
        here = NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        self.counter: Any = (
            ray.remote(Counter).options(num_cpus=0, scheduling_strategy=here).remote()
        )
        self._asked: Any = None
        self._latest: dict[str, tuple[int, int]] = {}
        self._states: dict[str, bytes] = {}
        self._rounds: list[Played] = []

    def latest(self, wait: bool = False) -> dict[str, tuple[int, int]]:
        """The latest attempt at each job, and its count, as far as is known.

        Args:
            wait: Until all is known that was told before this call.
        """
        import ray

        if self._asked is not None and (wait or ray.wait([self._asked], timeout=0)[0]):
            self._take(ray.get(self._asked))
        if wait:
            self._take(ray.get(self.counter.latest.remote()))
        if self._asked is None:
            self._asked = self.counter.latest.remote()
        return self._latest

    def rounds(self) -> list[Played]:
        """The rounds of jobs in their order, as far as is known, that are not out yet.

        They may come again where a job is run again.
        """
        rounds, self._rounds = self._rounds, []
        return rounds

    def states(self) -> dict[str, bytes]:
        """The newest state of each job, as far as is known, that is not out yet."""
        states, self._states = self._states, {}
        return states

    def close(self) -> None:
        """Ends the counter."""
        import ray

        ray.kill(self.counter)

    def _take(self, answer: tuple[Any, Any, Any]) -> None:
        self._latest, states, rounds = answer
        self._states.update(states)
        self._rounds += rounds
        self._asked = None


class Stragglers:
    """Says of a task, once, that it takes far longer than those before it."""

    def __init__(self) -> None:
        self._durations: list[float] = []
        self._said: set[str] = set()

    def took(self, seconds: float) -> None:
        """Takes the duration of a task that has finished."""
        self._durations.append(seconds)

    def look(self, began: Iterable[tuple[str, float]]) -> None:
        """Looks at the tasks that run.

        Args:
            began: Their names, and when they began on :func:`time.monotonic`'s clock.
        """
        if len(self._durations) < _LEAST_FINISHED:
            return
        median = statistics.median(self._durations)
        limit = max(_TIMES_THE_MEDIAN * median, _SECONDS_OF_PATIENCE)
        for name, moment in began:
            elapsed = time.monotonic() - moment
            if elapsed > limit and name not in self._said:
                self._said.add(name)
                _logger.warning(
                    "block %s runs for %.0f s already; half of the %d that have "
                    "finished took at most %.1f s",
                    name,
                    elapsed,
                    len(self._durations),
                    median,
                )


class Nodes:
    """Says that a machine has left the cluster."""

    def __init__(self) -> None:
        self._alive = self._seen()
        self._looked = time.monotonic()

    def look_now_and_then(self) -> None:
        """Looks, but not too often."""
        if time.monotonic() - self._looked >= _SECONDS_BETWEEN_NODES:
            self.look()

    def look(self) -> None:
        """Looks which machines are there."""
        self._looked = time.monotonic()
        alive = self._seen()
        for node in self._alive.keys() - alive.keys():
            _logger.warning(
                "a node of the Ray cluster was lost: %s (%s); what ran there is run "
                "again elsewhere",
                self._alive[node],
                node[:8],
            )
        self._alive = alive

    def _seen(self) -> dict[str, str]:
        """The addresses of the nodes that are alive."""
        import ray

        return {
            node["NodeID"]: node["NodeManagerAddress"]
            for node in ray.nodes()
            if node["Alive"]
        }
