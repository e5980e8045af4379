"""How long studies take on one core.

Distributed Q-learning as in the thesis: 5 agents, 100 trials, 1000 episodes of Simple
Grid, evaluated exactly after every one. Evolution strategies: 50 agents, 20 trials, 200
rounds of Cart Pole. Beside each the same number of environment steps through the scalar
environment, random actions and nothing learned, so that the ratio means the same on any
machine; all in processor time.
"""

from __future__ import annotations

import time
from typing import Any

import gymnasium as gym

import commenv

STEPS_TIMED = 200_000


def scalar_seconds_per_step(env_id: str) -> float:
    env = gym.make(env_id)
    env.action_space.seed(0)
    env.reset(seed=0)
    began = time.process_time()
    for _ in range(STEPS_TIMED):
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        if terminated or truncated:
            env.reset()
    return (time.process_time() - began) / STEPS_TIMED


def study(env_id: str, algorithm: str, **sizes: Any) -> None:
    began = time.process_time()
    results = commenv.run(env_id, algorithm, progress=False, **sizes)
    seconds = time.process_time() - began
    frame = results.frame
    steps = float((frame["episode_length"] * frame["num_agents"]).sum())
    alone = scalar_seconds_per_step(env_id) * steps
    told = ", ".join(f"{name} {value}" for name, value in sizes.items())
    print(
        f"{algorithm} on {env_id}, {told}: {seconds:.1f} s, {steps:,.0f} environment "
        f"steps, {steps / seconds:,.0f} a second; gym.make alone would need "
        f"{alone:.1f} s ({alone / seconds:.1f} times as long)"
    )


def main() -> None:
    study("SimpleGrid-v0", "dql", num_agents=5, num_trials=100, num_episodes=1000)
    sizes = {"num_agents": 50, "num_trials": 20, "num_episodes": 200}
    everything = {"gamma": 1.0, "evaluate_every": 200, "block": 20}
    study("commenv/CartPole-v1", "es", **sizes, **everything)


if __name__ == "__main__":
    main()
