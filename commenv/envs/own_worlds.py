"""Agents whose environments have arguments of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from gymnasium.utils.env_checker import data_equivalence

from commenv.checks import check_kwargs
from commenv.envs.batched import BatchedEnv
from commenv.envs.making import make_batched
from commenv.envs.patchwork import Patchwork

__all__ = [
    "Arguments",
    "OwnArguments",
    "agents_in_words",
    "arguments_of_each",
    "grouped",
    "make_worlds",
]

Arguments: TypeAlias = Mapping[str, Any] | None
"""Arguments of an environment."""

OwnArguments: TypeAlias = Arguments | Sequence[Arguments] | Callable[[int], Arguments]
"""The same for all agents, or one for each, or a function of the agent's number."""


def arguments_of_each(
    env_kwargs: OwnArguments, num_agents: int
) -> list[dict[str, Any]]:
    """The arguments of every agent's environment, in the agents' order.

    Raises:
        ValueError: Not one dictionary (or None) for each agent.
    """
    if env_kwargs is None or isinstance(env_kwargs, Mapping):
        return [dict(env_kwargs or {})] * num_agents
    if callable(env_kwargs):
        env_kwargs = [env_kwargs(agent) for agent in range(num_agents)]
    if isinstance(env_kwargs, str) or not isinstance(env_kwargs, Sequence):
        check_kwargs("env_kwargs", env_kwargs)
    for agent, given in enumerate(env_kwargs):
        if given is not None and not isinstance(given, Mapping):
            raise ValueError(
                f"env_kwargs of agent_{agent} is {given!r}; give a dictionary or None"
            )
    if len(env_kwargs) != num_agents:
        raise ValueError(
            f"env_kwargs is of length {len(env_kwargs)}, and num_agents is "
            f"{num_agents}; give a dictionary for each agent, a function of an agent's "
            "number, or one dictionary for all"
        )
    return [dict(given or {}) for given in env_kwargs]


def grouped(
    arguments: Sequence[dict[str, Any]],
) -> list[tuple[list[int], dict[str, Any]]]:
    """The positions of equal arguments, together with these, by first occurrence."""
    groups: list[tuple[list[int], dict[str, Any]]] = []
    for position, own in enumerate(arguments):
        for positions, theirs in groups:
            if own is theirs or data_equivalence(own, theirs):
                positions.append(position)
                break
        else:
            groups.append(([position], own))
    return groups


def make_worlds(
    env_id: str,
    num_trials: int,
    arguments: Sequence[dict[str, Any]],
    *,
    max_episode_steps: int | None = None,
) -> BatchedEnv:
    """Makes an instance for each trial and agent, trial by trial, as one batch.

    What an agent meets does not depend on the arguments of the others.

    Args:
        env_id: A Gymnasium id.
        num_trials: How many trials.
        arguments: Of each agent's environment.
        max_episode_steps: The time limit; that of the id when left out.

    Raises:
        ValueError: As :func:`commenv.envs.making.make_batched` says, naming the agents;
            or time limits that differ.
    """
    groups = grouped(arguments)
    pieces = []
    for agents, own in groups:
        rows = [
            trial * len(arguments) + agent
            for trial in range(num_trials)
            for agent in agents
        ]
        try:
            batch = make_batched(
                env_id, len(rows), env_kwargs=own, max_episode_steps=max_episode_steps
            )
        except ValueError as error:
            if len(groups) == 1:
                raise
            raise ValueError(f"{agents_in_words(agents)}: {error}") from error
        pieces.append((rows, batch))
    return pieces[0][1] if len(pieces) == 1 else Patchwork(pieces)


def agents_in_words(agents: Sequence[int]) -> str:
    """What some agents are called: the first, and how many others there are."""
    others = f" and {len(agents) - 1} more" if len(agents) > 1 else ""
    return f"agent_{agents[0]}{others}"
