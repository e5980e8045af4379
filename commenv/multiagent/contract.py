"""Whether a foreign environment keeps PettingZoo's contract, and how it breaks it."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from commenv.errors import ContractError

__all__ = ["as_parallel", "check_agents", "check_reset", "check_step"]

_NEEDED = ("possible_agents", "observation_space", "action_space", "reset", "step")
_RETURNED = ("observations", "rewards", "terminations", "truncations", "infos")
_MAPPINGS = (dict, Mapping)  # to ask an abstract class takes longer
_NEVER_NONE = {"rewards": "a number", "terminations": "a bool", "truncations": "a bool"}


def as_parallel(env: Any) -> Any:
    """A parallel environment, converted from an AEC environment where need be.

    Raises:
        ContractError: It is neither, or it says that its agents cannot act together.
    """
    from pettingzoo import AECEnv
    from pettingzoo.utils.conversions import aec_to_parallel

    if isinstance(env, AECEnv):
        if not env.metadata.get("is_parallelizable", False):
            raise ContractError(
                env,
                "is an AEC environment whose metadata do not say is_parallelizable; "
                "convert it yourself (turn_based_aec_to_parallel, for instance)",
            )
        env = aec_to_parallel(env)
    for name in _NEEDED:
        if not hasattr(env, name):
            raise ContractError(env, f"has no {name}; give a ParallelEnv")
    if not env.possible_agents:
        raise ContractError(env, "has no possible agents")
    for agent in env.possible_agents:
        for name in ("observation_space", "action_space"):
            if getattr(env, name)(agent) is not getattr(env, name)(agent):
                raise ContractError(
                    env, f"returns a new object from each {name}({agent!r}); keep one"
                )
    return env


def check_reset(env: Any, result: Any, known: Container[Any]) -> None:
    """Checks what a reset returned.

    Args:
        env: The environment.
        result: What it returned.
        known: The agents that it announced in ``possible_agents`` when it was wrapped.

    Raises:
        ContractError: It is not a pair of mappings with an entry for every agent, an
            info is not a mapping, or an agent was never announced.
    """
    if not isinstance(result, tuple) or len(result) != 2:
        raise ContractError(
            env, f"returned {_form(result)} from reset(); observations and infos belong"
        )
    parts = dict(zip(("observations", "infos"), result, strict=True))
    _check_mappings(env, "reset", parts)
    _check_announced(env, "reset", known)
    for name, part in parts.items():
        for agent in env.agents:
            if agent not in part:
                raise ContractError(
                    env, f"left agent {agent!r} out of the {name} of reset()"
                )
    _check_infos(env, "reset", parts["infos"], env.agents)


def check_step(
    env: Any, live: Sequence[Any], result: Any, known: Container[Any]
) -> None:
    """Checks what a step returned.

    Args:
        env: The environment.
        live: Its agents before the step.
        result: What it returned.
        known: The agents that it announced in ``possible_agents`` when it was wrapped.

    Raises:
        ContractError: They are not five mappings with an entry for every live agent,
            one of these is None where a number, a bool or a mapping belongs, or an
            agent that goes on was never announced, or has no observation.
    """
    if not isinstance(result, tuple) or len(result) != len(_RETURNED):
        raise ContractError(
            env, f"returned {_form(result)} from step(); give {', '.join(_RETURNED)}"
        )
    parts = dict(zip(_RETURNED, result, strict=True))
    _check_mappings(env, "step", parts)
    for name, part in parts.items():
        for agent in live:
            if agent not in part:
                raise ContractError(
                    env,
                    f"left agent {agent!r} out of the {name} of step(), though it "
                    "had not finished",
                )
            if part[agent] is None and name in _NEVER_NONE:
                raise ContractError(
                    env,
                    f"returned None for agent {agent!r} in the {name} of step(); give "
                    f"{_NEVER_NONE[name]}",
                )
    _check_infos(env, "step", parts["infos"], live)
    check_agents(env, parts["observations"], known)


def check_agents(
    env: Any, observations: Mapping[Any, Any], known: Container[Any]
) -> None:
    """Checks which agents a step has left.

    Args:
        env: The environment.
        observations: What they saw.
        known: The agents that it announced in ``possible_agents`` when it was wrapped.

    Raises:
        ContractError: One was never announced, or has no observation.
    """
    _check_announced(env, "step", known)
    for agent in env.agents:
        if agent not in observations:
            raise ContractError(
                env,
                f"has agent {agent!r} after step(), but left it out of the "
                "observations",
            )


def _check_mappings(env: Any, method: str, parts: Mapping[str, Any]) -> None:
    for name, part in parts.items():
        if not isinstance(part, _MAPPINGS):
            raise ContractError(
                env, f"returned {name} that are not a mapping from {method}()"
            )


def _check_infos(
    env: Any, method: str, infos: Mapping[Any, Any], agents: Iterable[Any]
) -> None:
    for agent in agents:
        if not isinstance(infos[agent], _MAPPINGS):
            raise ContractError(
                env,
                f"returned the info {infos[agent]!r} for agent {agent!r} from "
                f"{method}(); give a dictionary",
            )


def _check_announced(env: Any, method: str, known: Container[Any]) -> None:
    for agent in env.agents:
        if agent not in known:
            raise ContractError(
                env,
                f"has agent {agent!r} after {method}(), which was not among its "
                "possible_agents when it was wrapped; announce all agents from the "
                "start",
            )


def _form(result: Any) -> str:
    if isinstance(result, tuple):
        return f"{len(result)} values"
    return f"a {type(result).__name__}"
