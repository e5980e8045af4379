"""Agents in Ray actors: each holds a shard, and answers once in every round."""

from __future__ import annotations

import contextlib
import copy
import logging
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from commenv.errors import ShardsLostError
from commenv.learning.shard import Shard
from commenv.study.execution.backends.backend import Backend, Jobs, Report
from commenv.study.execution.backends.local import Local
from commenv.study.execution.backends.ray_session import check_address, session
from commenv.study.execution.backends.ray_watch import Nodes
from commenv.study.execution.backends.signals import Deferred
from commenv.study.execution.sharding import MakeShard, Shards

__all__ = ["RayActors"]

_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_OF_PATIENCE = 10.0
_SECONDS_TO_START = 60.0
_TIMES_AS_LONG = 3.0
_logger = logging.getLogger("commenv")


class RayActors(Backend):
    """Runs blocks here, one after the other, with their agents in Ray actors.

    Interrupts are heard between two looks at the actors.

    Args:
        actors: How many.
        address: See :func:`commenv.study.execution.backends.choose`.

    Raises:
        ValueError: The address is none of a cluster.
    """

    shares_disk = False

    def __init__(self, actors: int, address: str | None) -> None:
        if address is not None:
            check_address(address)
        self._address = address
        self.shards = Shards(actors, self._start)

    def __enter__(self) -> Self:
        assert self.shards is not None
        with contextlib.ExitStack() as stack:
            self._signals, options = stack.enter_context(
                session(self._address, self.shards.number)
            )
            # They wait for each other in every round, so that processors of their own
            # would hardly be used; and none may be left where a machine is lost.
            self._options = {**options, "num_cpus": 0, "max_restarts": 0}
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
        """See :meth:`Backend.run`."""
        return Local().run(job, jobs, report)

    def _start(self, makers: Sequence[MakeShard]) -> _Crew:
        return _Crew(makers, self._options, self._signals)


class _Crew:
    """The actors of one block."""

    def __init__(
        self,
        makers: Sequence[MakeShard],
        options: dict[str, Any],
        signals: Deferred,
    ) -> None:
        import ray

        actor = ray.remote(_Actor)
        self._signals = signals
        self._nodes = Nodes()
        self._late: set[int] = set()
        self._up = self._said_pending = False
        self._actors = [
            actor.options(**options, scheduling_strategy=place).remote(sys.path)
            for place in _places(len(makers))
        ]
        try:
            # Not by their constructors: what fails there is a lost actor to Ray.
            self._answers(
                [
                    actor.make.remote(make)
                    for actor, make in zip(self._actors, makers, strict=True)
                ]
            )
        except BaseException:
            self.close()
            raise
        self._up = True

    def share(self, value: Any) -> Any:
        """A reference, which every machine resolves once."""
        import ray

        return ray.put(value)

    def call(self, method: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Calls a method of every shard with its own arguments, all at a time.

        Raises:
            ShardsLostError: An actor has died, or its machine.
        """
        return self._answers(
            [
                actor.do.remote(method, *own)
                for actor, own in zip(self._actors, arguments, strict=True)
            ]
        )

    def _answers(self, calls: list[Any]) -> list[Any]:
        import ray
        from ray import exceptions

        self._wait(calls)
        try:
            return list(ray.get(calls))
        except exceptions.RayTaskError as error:
            raise error.cause or error from None
        except (
            exceptions.RayActorError,
            exceptions.ActorUnschedulableError,
            exceptions.ObjectLostError,
        ) as error:
            self._nodes.look()
            words = str(error).strip().partition("\n")[0]
            raise ShardsLostError(f"an actor was lost ({words})") from error

    def close(self) -> None:
        """Ends the actors."""
        import ray

        for actor in self._actors:
            with contextlib.suppress(Exception):  # Ray itself may have ended
                ray.kill(actor)

    def _wait(self, calls: list[Any]) -> None:
        """Waits until all calls are answered, or have failed; names who is late."""
        import ray

        began, half = time.monotonic(), None
        open_calls = list(calls)
        while open_calls:
            _, open_calls = ray.wait(
                open_calls, num_returns=len(open_calls), timeout=_SECONDS_BETWEEN_LOOKS
            )
            self._signals.handle()
            now = time.monotonic()
            if half is None and 2 * len(open_calls) <= len(calls):
                half = now - began
            if open_calls and not self._up:
                self._say_pending(len(open_calls), now - began)
            elif open_calls and half is not None:
                limit = max(_TIMES_AS_LONG * half, _SECONDS_OF_PATIENCE)
                if now - began > limit:
                    self._name_late(
                        [calls.index(one) for one in open_calls], now - began
                    )

    def _say_pending(self, count: int, seconds: float) -> None:
        if seconds > _SECONDS_TO_START and not self._said_pending:
            self._said_pending = True
            _logger.warning(
                "%d of %d actors are not up after %.0f s; `ray status` shows what the "
                "cluster waits for",
                count,
                len(self._actors),
                seconds,
            )

    def _name_late(self, positions: list[int], seconds: float) -> None:
        for position in sorted(set(positions) - self._late):
            self._late.add(position)
            _logger.warning(
                "actor %d of %d works on its round for %.0f s already, more than %.0f "
                "times as long as half of the others",
                position,
                len(self._actors),
                seconds,
                _TIMES_AS_LONG,
            )


def _places(count: int) -> Iterator[Any]:
    """Where each of some actors is to run: spread over machines by their processors.

    Ray's own strategy does not spread what takes no processor, nor does it keep to a
    soft wish. If one of the machines is lost meanwhile, so is the actor.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    cpus = {
        node["NodeID"]: node["Resources"].get("CPU", 0.0)
        for node in ray.nodes()
        if node["Alive"]
    }
    # A machine that offers none is not to be worked on, unless there is no other.
    able = {node: number for node, number in cpus.items() if number > 0}
    able = able or dict.fromkeys(cpus, 1.0)
    placed = dict.fromkeys(able, 0)
    for _ in range(count):
        node = min(placed, key=lambda one: (placed[one] + 1) / able[one])
        placed[node] += 1
        yield NodeAffinitySchedulingStrategy(node, soft=False)


class _Actor:
    """What runs in an actor's process: one shard."""

    def __init__(self, path: list[str]) -> None:
        sys.path.extend(one for one in path if one not in sys.path)

    def make(self, make: MakeShard) -> None:
        """Makes the shard."""
        self._shard: Shard = make()

    def do(self, method: str, *arguments: Any) -> Any:
        """Calls a method of the shard."""
        if method == "restore":  # Ray's arrays cannot be written to
            arguments = copy.deepcopy(arguments)
        return getattr(self._shard, method)(*arguments)
