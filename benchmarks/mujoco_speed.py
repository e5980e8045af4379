"""Environment steps a second: the batched Ant beside Gymnasium's forms of it.

One `gym.make("Ant-v5")` on one core, `AsyncVectorEnv` with a process for each core, and
the batch with a thread for each core take the same random actions. Their repetitions
take turns, so that a busy machine slows all of them, and medians are compared. Needs
the extra `mujoco`.

    python benchmarks/mujoco_speed.py [--robot Ant] [--envs 100] [--repetitions 9]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

import gymnasium as gym
import numpy as np

from commenv import Draws
from commenv.envs import make_batched

FLOOR = 1.6  # batch over single
STEPS = 400  # of each form in one repetition, over all of its instances

Run = Callable[[], int]


def single(robot: str) -> Run:
    """Steps one environment, reset whenever its episode ends."""
    env = gym.make(f"{robot}-v5")
    actions = random_actions(env.action_space, STEPS)
    env.reset(seed=0)

    def run() -> int:
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        return STEPS

    return run


def asynchronous(robot: str) -> Run:
    """Steps one environment in a process for each core."""
    count = os.cpu_count() or 1
    env = gym.make_vec(f"{robot}-v5", count, vectorization_mode="async")
    actions = random_actions(env.single_action_space, STEPS // count, count)
    env.reset(seed=0)

    def run() -> int:
        for row in actions:
            env.step(row)
        return len(actions) * count

    return run


def batched(robot: str, num_envs: int) -> Run:
    """Steps a batch; instances whose episodes end are reset at once."""
    batch = make_batched(f"commenv/{robot}-v5", num_envs)
    rounds = max(1, STEPS // num_envs)
    actions = random_actions(batch.single_action_space, rounds, num_envs)
    draws = Draws(0, [0], num_envs).world(0)
    batch.reset(draws)
    everybody = np.ones(num_envs, dtype=bool)

    def run() -> int:
        for row in actions:
            step = batch.step(row, everybody)
            if (ended := step.terminated | step.truncated).any():
                batch.reset(draws, ended)
        return rounds * num_envs

    return run


def random_actions(space: gym.spaces.Box, *shape: int) -> np.ndarray:
    numbers = np.random.default_rng(0).uniform(
        space.low, space.high, (*shape, *space.shape)
    )
    return numbers.astype(np.float32)


def compare(forms: dict[str, Run], repetitions: int) -> dict[str, float]:
    speeds: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(repetitions + 1):
        for name, run in forms.items():
            begin = time.perf_counter()
            steps = run()
            speeds[name].append(steps / (time.perf_counter() - begin))
    return {name: statistics.median(seen[1:]) for name, seen in speeds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--robot", default="Ant")
    parser.add_argument("--envs", type=int, default=100)
    parser.add_argument("--repetitions", type=int, default=9)
    chosen = parser.parse_args()
    forms = {
        "one environment": single(chosen.robot),
        "AsyncVectorEnv": asynchronous(chosen.robot),
        "batch": batched(chosen.robot, chosen.envs),
    }
    speeds = compare(forms, chosen.repetitions)
    cores = os.cpu_count()
    print(f"{chosen.robot}, {chosen.envs} instances, {cores} cores, steps a second:")
    for name, speed in speeds.items():
        floor = f"   at least {FLOOR}" if name == "batch" else ""
        print(f"{name:18}{speed:9,.0f}{speed / speeds['one environment']:7.2f}{floor}")


if __name__ == "__main__":
    main()
