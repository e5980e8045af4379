"""How long the thesis' distributed Q-learning study takes on one core.

5 agents, 100 trials, 1000 episodes of Simple Grid, evaluated exactly after every one;
beside it the same number of environment steps through the scalar environment, random
actions and nothing learned, so that the ratio means the same on any machine.
"""

from __future__ import annotations

import time

import gymnasium as gym

import commenv

STEPS_TIMED = 200_000


def scalar_seconds_per_step() -> float:
    env = gym.make("SimpleGrid-v0")
    env.action_space.seed(0)
    env.reset(seed=0)
    began = time.perf_counter()
    for _ in range(STEPS_TIMED):
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        if terminated or truncated:
            env.reset()
    return (time.perf_counter() - began) / STEPS_TIMED


def main() -> None:
    began = time.perf_counter()
    results = commenv.run(
        "SimpleGrid-v0", "dql", num_agents=5, num_trials=100, progress=False
    )
    seconds = time.perf_counter() - began
    frame = results.frame
    steps = float((frame["episode_length"] * frame["num_agents"]).sum())
    alone = scalar_seconds_per_step() * steps
    print(
        f"dql on SimpleGrid-v0, 5 agents, 100 trials, 1000 episodes: {seconds:.1f} s, "
        f"{steps:,.0f} environment steps; gym.make alone would need {alone:.1f} s "
        f"({alone / seconds:.1f} times as long)"
    )


if __name__ == "__main__":
    main()
