"""Who can send to whom: directed links between agents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from commenv.errors import UnknownNameError

__all__ = ["Links", "Topology", "adjacency_of", "distances_of", "links_of"]

Topology = Any
"""A name, an adjacency matrix, neighbours by agent, a networkx graph, or a function."""

_NAMES = ("broadcast", "complete", "ring", "star")


class Links(NamedTuple):
    """Directed links, ordered by sender and, within a sender, by receiver.

    Attributes:
        sources: Integers, shape (links,): positions of the senders.
        targets: Integers, shape (links,): of the receivers.
        shared: Whether what an agent sends is one transmission that all hear.
        changing: Says, of the environment, which pairs are linked now; None where the
            links are always the same.
    """

    sources: NDArray[np.intp]
    targets: NDArray[np.intp]
    shared: bool
    changing: Callable[[Any], NDArray[np.bool_]] | None

    def open_now(self, env: Any, present: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which links would carry a message now: bool, shape (links,).

        Args:
            env: The environment.
            present: bool, shape (agents,): who has not finished.
        """
        open_links = present[self.targets]
        if self.changing is None:
            return open_links
        return open_links & self.changing(env)[self.sources, self.targets]


@dataclass(frozen=True)
class _Changing:
    """Asks a function which pairs are linked now.

    Attributes:
        function: As given.
        agents: All agents, in order.
    """

    function: Callable[[Any], Any]
    agents: list[Any]

    def __call__(self, env: Any) -> NDArray[np.bool_]:
        return adjacency_of(self.function(env), self.agents)


def links_of(topology: Topology, agents: Sequence[str]) -> Links:
    """The links of a topology.

    Args:
        topology: ``"broadcast"`` (every agent hears every other, and sending to all is
            one transmission), ``"complete"`` (every agent can address every other),
            ``"ring"`` (the agents beside one in order), ``"star"`` (the first agent
            and each of the others), a matrix that is true at [i, j] where agent i can
            send to agent j, a mapping from agents to those that they can send to, a
            networkx graph of agents (an undirected edge is a link each way), or a
            function that takes the environment and returns one of the last three. An
            environment with a function of a module can be pickled; one with a lambda,
            or a function inside another, cannot, since Python pickles functions by
            their names.
        agents: All agents, in order.

    Raises:
        UnknownNameError: An unknown topology, or a graph with an unknown agent.
        ValueError: A matrix of another shape, or a link from an agent to itself.
    """
    changing = None
    if callable(topology) and not hasattr(topology, "edges"):
        changing = _Changing(topology, list(agents))
        matrix = _named("complete", len(agents))
    else:
        matrix = adjacency_of(topology, agents)
    sources, targets = np.nonzero(matrix)
    shared = isinstance(topology, str) and topology == "broadcast"
    return Links(sources, targets, shared, changing)


def adjacency_of(topology: Topology, agents: Sequence[str]) -> NDArray[np.bool_]:
    """Which pairs are linked: bool, shape (agents, agents), from row to column.

    Raises:
        UnknownNameError: An unknown topology, or a graph with an unknown agent.
        ValueError: A matrix of another shape, or a link from an agent to itself.
    """
    count = len(agents)
    if isinstance(topology, str):
        return _named(topology, count)
    if isinstance(topology, Mapping):
        pairs = [(one, other) for one, heard in topology.items() for other in heard]
        matrix = _of_pairs([*topology], pairs, agents)
    elif hasattr(topology, "edges") and hasattr(topology, "nodes"):
        matrix = _of_pairs([*topology.nodes], [*topology.edges], agents)
        if not topology.is_directed():
            matrix |= matrix.T
    else:
        matrix = np.asarray(topology)
        if matrix.shape != (count, count) or matrix.dtype.kind not in "biu":
            raise ValueError(
                f"topology {topology!r} is no name ({', '.join(_NAMES)}), graph, "
                f"function, or matrix of bool of shape ({count}, {count})"
            )
        matrix = matrix.astype(np.bool_)
    if matrix.diagonal().any():
        own = agents[int(np.flatnonzero(matrix.diagonal())[0])]
        raise ValueError(f"topology links agent {own!r} to itself; take that link out")
    return matrix


def distances_of(
    links: Links, positions: Mapping[str, Any], agents: Sequence[str]
) -> NDArray[np.float64]:
    """How far senders are from receivers: float64, shape (links,).

    Args:
        links: Between the agents.
        positions: Coordinates by agent, all of the same number; agents that are left
            out are out of reach, at a distance of inf.
        agents: All agents, in order.

    Raises:
        UnknownNameError: Somebody who does not exist.
    """
    known = {name: np.ravel(where) for name, where in positions.items()}
    place = np.full((len(agents), max(map(len, known.values()), default=1)), np.inf)
    for name, where in known.items():
        if name not in agents:
            raise UnknownNameError("agent with a position", name, agents)
        place[agents.index(name)] = where
    with np.errstate(invalid="ignore"):  # inf - inf
        apart = place[links.sources] - place[links.targets]
    distances = np.sqrt((apart**2).sum(axis=1))
    return np.where(np.isnan(distances), np.inf, distances)


def _named(name: str, count: int) -> NDArray[np.bool_]:
    if name not in _NAMES:
        raise UnknownNameError("topology", name, _NAMES)
    others = ~np.eye(count, dtype=np.bool_)
    if name == "ring":
        apart = np.subtract.outer(np.arange(count), np.arange(count)) % count
        return others & ((apart == 1) | (apart == count - 1))
    if name == "star":
        hub = np.arange(count) == 0
        return others & (hub[:, None] | hub)
    return others


def _of_pairs(
    nodes: Sequence[Any], pairs: Sequence[tuple[Any, Any]], agents: Sequence[str]
) -> NDArray[np.bool_]:
    place = {agent: position for position, agent in enumerate(agents)}
    for node in [*nodes, *(node for pair in pairs for node in pair)]:
        if node not in place:
            raise UnknownNameError("agent in the topology", node, agents)
    matrix = np.zeros((len(agents), len(agents)), dtype=np.bool_)
    for one, other in pairs:
        matrix[place[one], place[other]] = True
    return matrix
