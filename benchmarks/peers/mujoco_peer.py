"""Gymnasium's Ant, alone and asynchronous, and the bare physics of many."""

from __future__ import annotations

from collections.abc import Callable

import gymnasium as gym
import mujoco
import numpy as np
from ants import policies
from mujoco import rollout

PACKAGES = ("gymnasium", "mujoco", "numpy")

PHYSICS = mujoco.mjtState.mjSTATE_FULLPHYSICS

Run = Callable[[int], int]


def single() -> Run:
    """One ``gym.make("Ant-v5")``, reset whenever its episode ends."""
    env = gym.make("Ant-v5")
    act = policies(1)
    observation, _ = env.reset(seed=0)

    def run(calls: int) -> int:
        nonlocal observation
        for _ in range(calls):
            action = act(observation[None])[0]
            observation, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                observation, _ = env.reset()
        return calls

    return run


def asynchronous(num_agents: int) -> Run:
    """``AsyncVectorEnv``: a process for each agent."""
    env = gym.make_vec("Ant-v5", num_agents, vectorization_mode="async")
    act = policies(num_agents)
    observations, _ = env.reset(seed=0)

    def run(calls: int) -> int:
        nonlocal observations
        for _ in range(calls):
            observations, *_ = env.step(act(observations))
        return calls * num_agents

    return run


def physics(num_agents: int, num_threads: int) -> Run:
    """``mujoco.rollout``, one call a step, with fallen ants put back on their feet."""
    ant = gym.make("Ant-v5").unwrapped
    model, skip = ant.model, ant.frame_skip
    workers = [mujoco.MjData(model) for _ in range(num_threads)]
    pool = rollout.Rollout(nthread=num_threads)
    mujoco.mj_resetData(model, ant.data)
    start = np.empty(mujoco.mj_stateSize(model, PHYSICS))
    mujoco.mj_getState(model, ant.data, start, PHYSICS)
    states = np.tile(start, (num_agents, 1))
    act = policies(num_agents)
    first, last = 3, 1 + model.nq + model.nv  # the time, x and y are not seen
    height = 3

    def run(calls: int) -> int:
        nonlocal states
        for _ in range(calls):
            controls = np.repeat(act(states[:, first:last])[:, None], skip, axis=1)
            states = pool.rollout(model, workers, states, controls)[0][:, -1]
            states[(states[:, height] < 0.2) | (states[:, height] > 1)] = start
        return calls * num_agents

    return run
