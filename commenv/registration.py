"""The ids under which Gymnasium and PettingZoo make commenv's environments."""

from __future__ import annotations

import re
import warnings
from typing import Any

import gymnasium as gym

__all__ = [
    "NAMESPACE",
    "ROBOTS",
    "batched_entry_point",
    "env_ids",
    "parallel_ids",
    "plain_ids",
    "register_envs",
    "register_parallel_envs",
    "shared_ids",
    "snake_case",
]

NAMESPACE = "commenv"
MAX_EPISODE_STEPS = 200

# name -> (scalar form, vector form); strings, so that nothing is imported before use.
_TABULAR = {
    "FrozenLake-v0": (
        "commenv.wrappers.registered:FrozenLakeEnv",
        "commenv.wrappers.registered:FrozenLakeVectorEnv",
    ),
    "SimpleGrid-v0": (
        "commenv.wrappers.registered:SimpleGridEnv",
        "commenv.wrappers.registered:SimpleGridVectorEnv",
    ),
    "WindyGrid-v0": (
        "commenv.wrappers.registered:WindyGridEnv",
        "commenv.wrappers.registered:WindyGridVectorEnv",
    ),
}
_PLAIN = ("SimpleGrid-v0", "WindyGrid-v0")
ROBOTS = ("Ant", "HalfCheetah", "Hopper", "Humanoid", "Walker2d")
# Gymnasium's environments that we step in batches, under its names and with its limits:
# name -> (scalar form, vector form, batch). Tabular ones are batched by their tables.
_BATCHED: dict[str, tuple[str, str | None, str]] = {
    "CartPole-v1": (
        "commenv.wrappers.registered:CartPoleEnv",
        "commenv.wrappers.registered:CartPoleVectorEnv",
        "commenv.envs.cart_pole:CartPoleBatch",
    ),
    **{
        f"{robot}-v5": (
            f"commenv.wrappers.registered:{robot}Env",
            None,
            f"commenv.envs.robots:{robot}Batch",
        )
        for robot in ROBOTS
    },
}
# PettingZoo's id -> module, where agents act in one world instead of one each; in its
# own spelling, and in Gymnasium's.
_SHARED = dict.fromkeys(
    (f"{NAMESPACE}/signal-v0", f"{NAMESPACE}/Signal-v0"),
    "commenv.multiagent.signal_v0",
)


def env_ids() -> list[str]:
    """The ids that are always commenv's own, sorted: ``commenv/SimpleGrid-v0`` etc."""
    return [f"{NAMESPACE}/{name}" for name in sorted([*_TABULAR, *_BATCHED])]


def batched_entry_point(env_id: str) -> str | None:
    """The batch behind an id of ours, ``module:Class``; None where there is none.

    It is called with the number of instances, the time limit and the environment's
    arguments by name.
    """
    namespace, _, name = env_id.rpartition("/")
    return _BATCHED[name][2] if namespace == NAMESPACE and name in _BATCHED else None


def plain_ids() -> list[str]:
    """The ids without our name in front of them that are ours, sorted."""
    return [
        name
        for name in sorted(_PLAIN)
        if (spec := gym.registry.get(name)) and spec.entry_point == _TABULAR[name][0]
    ]


def register_envs() -> None:
    """Registers every environment under ``commenv/...``, and the grids plainly too.

    A plain id that another package holds stays that package's, with one warning that
    names ours. Calling this again changes nothing.
    """
    for name, forms in _TABULAR.items():
        _register(f"{NAMESPACE}/{name}", *forms, max_episode_steps=MAX_EPISODE_STEPS)
    for name, (scalar, vector, _) in _BATCHED.items():
        theirs = gym.registry[name]
        _register(
            f"{NAMESPACE}/{name}",
            scalar,
            vector,
            max_episode_steps=theirs.max_episode_steps,
            reward_threshold=theirs.reward_threshold,
        )
    for name in _PLAIN:
        _register(name, *_TABULAR[name], max_episode_steps=MAX_EPISODE_STEPS)


def parallel_ids() -> dict[str, str]:
    """PettingZoo's ids of our environments, and the modules that hold their forms.

    ``commenv/simple_grid-v0`` is ``commenv.multiagent.simple_grid_v0``, and so on.
    """
    ids = {}
    for env_id in env_ids():
        name, _, version = snake_case(env_id).rpartition("_v")
        ids[f"{NAMESPACE}/{name}-v{version}"] = f"commenv.multiagent.{name}_v{version}"
    return ids


def shared_ids() -> dict[str, str]:
    """PettingZoo's ids of environments whose agents share one world; their modules."""
    return dict(_SHARED)


def register_parallel_envs() -> None:
    """Registers our environments with PettingZoo, which it imports.

    Besides those of :func:`parallel_ids`, the ones whose agents share one world.
    Calling this again changes nothing.
    """
    from pettingzoo import aec_registry, parallel_registry, register

    for env_id, module in {**parallel_ids(), **_SHARED}.items():
        if env_id not in parallel_registry:
            register("parallel", env_id, f"{module}:parallel_env")
        if env_id not in aec_registry:
            register("aec", env_id, f"{module}:env")


def snake_case(env_id: str) -> str:
    """A Gymnasium id as PettingZoo names modules: ``simple_grid_v0``."""
    name = re.split("[/:]", env_id)[-1].replace("-", "_")
    return re.sub("(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _register(env_id: str, scalar: str, vector: str | None, **settings: Any) -> None:
    if (held := gym.registry.get(env_id)) is None:
        gym.register(env_id, scalar, vector_entry_point=vector, **settings)
    elif held.entry_point != scalar:
        ours = f"{NAMESPACE}/{env_id.rpartition('/')[2]}"
        warnings.warn(
            f"another package has registered {env_id!r} ({held.entry_point}) and "
            f"keeps it; make commenv's environment with {ours!r}",
            stacklevel=4,  # the line that imports commenv
        )
