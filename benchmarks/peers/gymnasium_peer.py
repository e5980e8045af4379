"""Gymnasium: the sync form of Frozen Lake, and a loop over agents."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle, islice

import gymnasium as gym
import numpy as np

PACKAGES = ("gymnasium", "numpy")

EMPTY = ("SFFFF", *["FFFFF"] * 3, "FFFFG")  # Simple Grid as a lake

Run = Callable[[int], int]


def frozen_lake(num_envs: int, mode: str) -> Run:
    """``SyncVectorEnv`` over the lake without ice holes, 5x5."""
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


def dql(num_agents: int, num_episodes: int) -> Run:
    """Distributed Q-learning as a loop over agents, each with an environment.

    The table is a NumPy array; a call is a trial, and the greedy policy is tried after
    every episode, as ours is.
    """
    envs = [_lake() for _ in range(num_agents)]
    world = _lake()

    def run(calls: int) -> int:
        for seed in range(calls):
            rng = np.random.default_rng(seed)
            q = np.zeros((25, 4))
            for _ in range(num_episodes):
                seen = [one for env in envs for one in _episode(env, rng, q, 0.1)]
                _learn(q, seen)
                sum(reward for _, _, reward, _, _ in _episode(world, rng, q, 0.0))
        return calls * num_episodes

    return run


def _lake() -> gym.Env:
    lake = {"desc": EMPTY, "is_slippery": False, "max_episode_steps": 200}
    return gym.make("FrozenLake-v1", **lake)


def _episode(
    env: gym.Env, rng: np.random.Generator, q: np.ndarray, exploration: float
) -> list[tuple]:
    state, _ = env.reset()
    seen, done = [], False
    while not done:
        if rng.random() < exploration:
            action = int(rng.integers(4))
        else:
            action = int(rng.choice(np.flatnonzero(q[state] == q[state].max())))
        after, reward, terminated, truncated, _ = env.step(action)
        seen.append((state, action, reward - 1, after, terminated))
        state, done = after, terminated or truncated
    return seen


def _learn(q: np.ndarray, seen: list[tuple]) -> None:
    """Moves every pair that was seen by the mean of its TD errors."""
    total, count = np.zeros_like(q), np.zeros_like(q)
    for state, action, reward, after, terminated in seen:
        target = reward + 0.9 * q[after].max() * (not terminated)
        total[state, action] += target - q[state, action]
        count[state, action] += 1
    q += 0.9 * total / np.maximum(count, 1)
