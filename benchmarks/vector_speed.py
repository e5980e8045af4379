"""Environment steps a second: the vector form beside Gymnasium's sync form.

Both forms start from the same seeds and take random actions, in NEXT_STEP mode. Their
repetitions take turns, so that a busy machine slows both, and medians are compared.

    python benchmarks/vector_speed.py [--envs 1024] [--repetitions 9]
"""

from __future__ import annotations

import argparse
import statistics
import time

import gymnasium as gym
import numpy as np

import commenv  # noqa: F401 - registers the ids

FLOORS = {"commenv/SimpleGrid-v0": 400, "commenv/WindyGrid-v0": 150}
VECTOR_STEPS, SYNC_STEPS = 2000, 20


def seconds_per_step(env: gym.vector.VectorEnv, actions: np.ndarray) -> float:
    begin = time.perf_counter()
    for row in actions:
        env.step(row)
    return (time.perf_counter() - begin) / len(actions)


def compare(env_id: str, num_envs: int, repetitions: int) -> dict[str, float]:
    rng = np.random.default_rng(0)
    steps = {"vector_entry_point": VECTOR_STEPS, "sync": SYNC_STEPS}
    envs = {
        mode: gym.make_vec(env_id, num_envs, vectorization_mode=mode) for mode in steps
    }
    times: dict[str, list[float]] = {mode: [] for mode in steps}
    for env in envs.values():
        env.reset(seed=0)
    for _ in range(repetitions + 1):
        for mode, env in envs.items():
            actions = rng.integers(0, 5, (steps[mode], num_envs))
            times[mode].append(seconds_per_step(env, actions))
    medians = {mode: statistics.median(taken[1:]) for mode, taken in times.items()}
    return {mode: num_envs / median for mode, median in medians.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--envs", type=int, default=1024)
    parser.add_argument("--repetitions", type=int, default=9)
    chosen = parser.parse_args()
    print(f"{chosen.envs} sub-environments, environment steps a second (median):")
    print(f"{'':24}{'vector':>14}{'sync':>12}{'ratio':>8}{'at least':>10}")
    for env_id, floor in FLOORS.items():
        speed = compare(env_id, chosen.envs, chosen.repetitions)
        vector, sync = speed["vector_entry_point"], speed["sync"]
        print(f"{env_id:24}{vector:14,.0f}{sync:12,.0f}{vector / sync:8.0f}{floor:10}")


if __name__ == "__main__":
    main()
