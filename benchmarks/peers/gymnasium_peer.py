"""Gymnasium: the sync form of Frozen Lake."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle, islice

PACKAGES = ("gymnasium", "numpy")

EMPTY = ("SFFFF", *["FFFFF"] * 3, "FFFFG")  # Simple Grid as a lake

Run = Callable[[int], int]


def frozen_lake(num_envs: int, mode: str) -> Run:
    """``SyncVectorEnv`` over the lake without ice holes, 5x5."""
    import gymnasium as gym
    import numpy as np

    env = gym.make_vec(
        "FrozenLake-v1",
        num_envs,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": gym.vector.AutoresetMode(mode)},
        desc=EMPTY,
        is_slippery=False,
    )
    actions = np.random.default_rng(0).integers(4, size=(100, num_envs))
    env.reset(seed=0)

    def run(calls: int) -> int:
        for row in islice(cycle(actions), calls):
            env.step(row)
        return calls * num_envs

    return run
