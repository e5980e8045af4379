"""Whether a foreign environment keeps PettingZoo's contract, and how it breaks it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from commenv.errors import ContractError

__all__ = ["as_parallel", "check_reset", "check_step"]

_NEEDED = ("possible_agents", "observation_space", "action_space", "reset", "step")
_RETURNED = ("observations", "rewards", "terminations", "truncations", "infos")


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


def check_reset(env: Any, result: Any) -> None:
    """Checks what a reset returned.

    Raises:
        ContractError: It is no pair of mappings with an entry for every agent.
    """
    if not isinstance(result, tuple) or len(result) != 2:
        raise ContractError(
            env, f"returned {_form(result)} from reset(); observations and infos belong"
        )
    _check_agents(
        env, "reset", dict(zip(("observations", "infos"), result, strict=True))
    )


def check_step(env: Any, live: list[str], result: Any) -> None:
    """Checks what a step returned.

    Args:
        env: The environment.
        live: Its agents before the step.
        result: What it returned.

    Raises:
        ContractError: They are no five mappings with an entry for every live agent.
    """
    if not isinstance(result, tuple) or len(result) != len(_RETURNED):
        raise ContractError(
            env, f"returned {_form(result)} from step(); give {', '.join(_RETURNED)}"
        )
    for name, part in zip(_RETURNED, result, strict=True):
        if not isinstance(part, Mapping):
            raise ContractError(env, f"returned {name} that are no mapping from step()")
        if not all(map(part.__contains__, live)):
            agent = next(agent for agent in live if agent not in part)
            raise ContractError(
                env,
                f"left agent {agent!r} out of the {name} of step(), though it "
                "had not finished",
            )


def _check_agents(env: Any, method: str, parts: Mapping[str, Any]) -> None:
    known = set(env.possible_agents)
    for agent in env.agents:
        if agent not in known:
            raise ContractError(
                env, f"has agent {agent!r} after {method}(), not a possible agent"
            )
    for name, part in parts.items():
        if not isinstance(part, Mapping):
            raise ContractError(
                env, f"returned {name} that are no mapping from {method}()"
            )
        for agent in env.agents:
            if agent not in part:
                raise ContractError(
                    env, f"left agent {agent!r} out of the {name} of {method}()"
                )


def _form(result: Any) -> str:
    if isinstance(result, tuple):
        return f"{len(result)} values"
    return f"a {type(result).__name__}"
