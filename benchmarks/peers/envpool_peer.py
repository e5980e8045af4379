"""EnvPool: its Frozen Lake, 4x4 and slippery, which is the smallest it has."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle, islice

import envpool
import numpy as np

PACKAGES = ("envpool", "gymnasium", "numpy")


def frozen_lake(num_envs: int) -> Callable[[int], int]:
    """One thread, since there is one core."""
    env = envpool.make(
        "FrozenLake-v1", env_type="gymnasium", num_envs=num_envs, num_threads=1
    )
    actions = np.random.default_rng(0).integers(4, size=(100, num_envs), dtype=np.int32)
    env.reset()

    def run(calls: int) -> int:
        for row in islice(cycle(actions), calls):
            env.step(row)
        return calls * num_envs

    return run
