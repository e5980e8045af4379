"""From an environment id to its instances as a PettingZoo environment."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from gymnasium import spaces
from pettingzoo import AECEnv, ParallelEnv
from pettingzoo.utils import wrappers
from pettingzoo.utils.conversions import parallel_to_aec

from commenv.channel import Channel
from commenv.checks import check_integer
from commenv.envs.making import make_batched
from commenv.envs.own_worlds import (
    OwnArguments,
    agents_in_words,
    arguments_of_each,
    grouped,
)
from commenv.envs.patchwork import Patchwork
from commenv.envs.pictures import scalar_mode
from commenv.multiagent.instances import ParallelInstances
from commenv.multiagent.showing import Piece, Show, check_mode

__all__ = ["Forms", "forms_of", "parallel_env"]


def parallel_env(
    env_id: str,
    num_agents: int,
    *,
    env_kwargs: OwnArguments = None,
    uplink: Channel | None = None,
    downlink: Channel | None = None,
    max_cycles: int | None = None,
    gamma: float = 0.9,
    trial: int = 0,
    render_mode: str | None = None,
) -> ParallelInstances:
    """Makes a PettingZoo environment: instances of one environment and their learner.

    Args:
        env_id: Any Gymnasium id, ``"module:Name-v0"`` included.
        num_agents: How many agents, each in an instance of its own.
        env_kwargs: Arguments of the environment: one dictionary for all agents, a
            sequence with one (or None) for each, or a function of the agent's number.
            Agents may then have different spaces, and what one meets does not depend
            on the arguments of the others.
        uplink: From the agents to the learner; unlimited and perfect by default.
        downlink: From the learner to the agents; unlimited and perfect by default.
        max_cycles: The time limit in steps; the one in the id's spec by default.
        gamma: The discount of the metric ``reward``, in [0, 1].
        trial: The trial's number, which addresses the random draws.
        render_mode: ``"human"``, ``"ansi"``, ``"rgb_array"`` or None; which of them
            there are says ``env.metadata["render_modes"]``.

    Raises:
        UnknownNameError: No such id; the message lists the nearest ids.
        ValueError: An unknown argument or render mode, a number of agents or cycles
            below 1, not one dictionary per agent, a gamma outside [0, 1], or a negative
            trial.
        MissingExtraError: What the environment needs is not installed.

    Example:
        >>> import commenv
        >>> env = commenv.parallel_env("SimpleGrid-v0", num_agents=2)
        >>> observations, infos = env.reset(seed=0)
        >>> env.send("agent_0", {"hello": [1, 2, 3]}).accepted
        True
        >>> env.receive()
        {'agent_0': [{'hello': [1, 2, 3]}], 'agent_1': []}
    """
    for name, number in (("num_agents", num_agents), ("max_cycles", max_cycles)):
        if name == "num_agents" or number is not None:
            check_integer(name, number, least=1)
    check_mode(env_id, render_mode)
    make = partial(_piece, env_id, max_cycles=max_cycles, render_mode=render_mode)
    groups = grouped(arguments_of_each(env_kwargs, num_agents))
    pieces = [make(*group) for group in groups]
    world = (
        pieces[0][1]
        if len(pieces) == 1
        else Patchwork([(rows, batch) for rows, batch, _ in pieces])
    )
    return ParallelInstances(
        world,
        Show(env_id, pieces, render_mode),
        trial=trial,
        uplink=uplink,
        downlink=downlink,
        gamma=gamma,
    )


class Forms(NamedTuple):
    """What PettingZoo calls the forms of an environment; keyword arguments only.

    Attributes:
        env: The AEC form (agents act in turn) with PettingZoo's usual wrappers.
        raw_env: The AEC form without them.
        parallel_env: The parallel form: ``num_agents`` (5), the other arguments of
            :func:`commenv.parallel_env`, and the environment's own.
    """

    env: Callable[..., AECEnv[str, Any, Any]]
    raw_env: Callable[..., AECEnv[str, Any, Any]]
    parallel_env: Callable[..., ParallelInstances]


def forms_of(env_id: str) -> Forms:
    """The forms of an environment that PettingZoo's modules have.

    Args:
        env_id: A Gymnasium id.
    """
    return Forms(
        partial(_wrapped, env_id), partial(_in_turn, env_id), partial(_parallel, env_id)
    )


_NOT_THE_WORLDS = ("uplink", "downlink", "max_cycles", "gamma", "trial", "render_mode")


def _parallel(
    env_id: str,
    *,
    num_agents: int = 5,
    env_kwargs: OwnArguments = None,
    **arguments: Any,
) -> ParallelInstances:
    own = {name: arguments.pop(name) for name in _NOT_THE_WORLDS if name in arguments}
    each = [
        {**arguments, **(given or {})}
        for given in arguments_of_each(env_kwargs, num_agents)
    ]
    return parallel_env(env_id, num_agents, env_kwargs=each, **own)


def _in_turn(env_id: str, **arguments: Any) -> AECEnv[str, Any, Any]:
    env: ParallelEnv[str, Any, Any] = _parallel(env_id, **arguments)
    return parallel_to_aec(env)


def _wrapped(env_id: str, **arguments: Any) -> AECEnv[str, Any, Any]:
    env = _in_turn(env_id, **arguments)
    space = env.action_space(env.possible_agents[0])
    if isinstance(space, spaces.Box):
        env = wrappers.ClipOutOfBoundsWrapper(env)
    else:
        env = wrappers.AssertOutOfBoundsWrapper(env)
    return wrappers.OrderEnforcingWrapper(env)


def _piece(
    env_id: str,
    rows: list[int],
    arguments: dict[str, Any],
    *,
    max_cycles: int | None,
    render_mode: str | None,
) -> Piece:
    """The instances of agents with the same arguments."""
    if "render_mode" in arguments:
        raise ValueError(
            f"env_kwargs has render_mode {arguments['render_mode']!r}; give it beside "
            "env_kwargs: the agents are drawn together"
        )
    try:
        batch = make_batched(
            env_id,
            len(rows),
            env_kwargs={**arguments, **scalar_mode(env_id, render_mode)},
            max_episode_steps=max_cycles,
        )
    except ValueError as error:
        raise ValueError(f"{agents_in_words(rows)}: {error}") from error
    return rows, batch, arguments
