"""The ids under which Gymnasium makes commenv's environments."""

from __future__ import annotations

import warnings

import gymnasium as gym

__all__ = ["NAMESPACE", "env_ids", "register_envs"]

NAMESPACE = "commenv"
MAX_EPISODE_STEPS = 200

# name -> (scalar form, vector form); strings, so that nothing is imported before use.
_ENVS = {
    "FrozenLake-v0": (
        "commenv.envs.frozen_lake:FrozenLakeEnv",
        "commenv.envs.vector:FrozenLakeVectorEnv",
    ),
    "SimpleGrid-v0": (
        "commenv.envs.grid:SimpleGridEnv",
        "commenv.envs.vector:SimpleGridVectorEnv",
    ),
    "WindyGrid-v0": (
        "commenv.envs.grid:WindyGridEnv",
        "commenv.envs.vector:WindyGridVectorEnv",
    ),
}
_PLAIN = ("SimpleGrid-v0", "WindyGrid-v0")


def env_ids() -> list[str]:
    """The ids that are always commenv's own, sorted: ``commenv/SimpleGrid-v0`` etc."""
    return [f"{NAMESPACE}/{name}" for name in sorted(_ENVS)]


def register_envs() -> None:
    """Registers every environment under ``commenv/...``, and the grids plainly too.

    A plain id that another package holds stays that package's, with one warning that
    names ours. Calling this again changes nothing.
    """
    for name in _ENVS:
        _register(f"{NAMESPACE}/{name}", name)
    for name in _PLAIN:
        _register(name, name)


def _register(env_id: str, name: str) -> None:
    scalar, vector = _ENVS[name]
    if (held := gym.registry.get(env_id)) is None:
        gym.register(
            env_id,
            entry_point=scalar,
            vector_entry_point=vector,
            max_episode_steps=MAX_EPISODE_STEPS,
        )
    elif held.entry_point != scalar:
        warnings.warn(
            f"another package has registered {env_id!r} ({held.entry_point}) and "
            f"keeps it; make commenv's environment with {NAMESPACE + '/' + name!r}",
            stacklevel=4,  # the line that imports commenv
        )
