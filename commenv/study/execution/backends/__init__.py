"""Where the jobs of a study run: in this process, in others, or on a Ray cluster."""

from __future__ import annotations

import importlib.util

from commenv.errors import MissingExtraError, UnknownNameError
from commenv.study.arm import check_count
from commenv.study.execution.backends.backend import Backend, Kept, Report, cpus_here
from commenv.study.execution.backends.local import Local
from commenv.study.execution.backends.processes import Processes

__all__ = ["BACKENDS", "Backend", "Kept", "Report", "choose"]

BACKENDS = ("local", "processes", "ray")


def choose(
    name: str | None = None,
    workers: int | None = None,
    address: str | None = None,
    actors: int | None = None,
) -> Backend:
    """The backend of a name; nothing is started before its context is entered.

    Args:
        name: One of :data:`BACKENDS`. Left out, it is ``"local"`` for one worker and
            ``"processes"`` for more.
        workers: Jobs at a time. Left out, it is 1 without a name, and with one as many
            as there are processors: here, or in the cluster.
        address: Of a Ray cluster to join, as ``ray.init`` takes it: ``"HOST:PORT"`` or
            ``"auto"``. Without it, ``"ray"`` uses the Ray that this process is
            connected to, or else starts one of its own.
        actors: With ``"ray"``: over how many actors the agents of each job are spread,
            while jobs run one after the other.

    Raises:
        UnknownNameError: No such backend.
        ValueError: ``workers`` is less than 1, or the arguments contradict each other.
        MissingExtraError: The extra ``ray`` is not installed.
    """
    if name is not None and name not in BACKENDS:
        raise UnknownNameError("backend", name, BACKENDS)
    if workers is not None:
        check_count("workers", workers)
    if address is not None and name != "ray":
        raise ValueError(
            f"address {address!r} is that of a Ray cluster; add the backend 'ray', or "
            "leave address out"
        )
    if actors is not None:
        _check_actors(actors, name, workers)
    if name == "ray":
        if importlib.util.find_spec("ray") is None:
            raise MissingExtraError("the backend 'ray'", "ray")
        if actors is not None:
            from commenv.study.execution.backends.ray_actors import RayActors

            return RayActors(actors, address)
        from commenv.study.execution.backends.ray_tasks import RayTasks

        return RayTasks(workers, address)
    if name == "local" and workers not in (None, 1):
        raise ValueError(
            f"the backend 'local' runs in this process alone, and workers is {workers}"
            "; leave workers out, or use the backend 'processes'"
        )
    if name == "processes":
        return Processes(cpus_here() if workers is None else workers)
    return Local() if workers in (None, 1) else Processes(workers)


def _check_actors(actors: int, name: str | None, workers: int | None) -> None:
    check_count("actors", actors)
    if name != "ray":
        raise ValueError(
            f"{actors} actors to spread agents over, which are Ray's; add the backend "
            "'ray', or leave actors out"
        )
    if workers is not None:
        raise ValueError(
            f"{actors} actors and {workers} workers: with actors, blocks run one after "
            "the other; leave one of the two out"
        )
