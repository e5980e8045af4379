"""Our own side of every work."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle, islice

import numpy as np

PACKAGES = ("commenv", "gymnasium", "numpy")

Run = Callable[[int], int]


def vector(env_id: str, num_envs: int, mode: str) -> Run:
    """Steps of a vector environment, with random actions drawn beforehand."""
    import gymnasium as gym

    import commenv  # noqa: F401 - registers the ids

    env = gym.make_vec(env_id, num_envs, autoreset_mode=gym.vector.AutoresetMode(mode))
    actions = np.random.default_rng(0).integers(
        env.single_action_space.n, size=(100, num_envs)
    )
    env.reset(seed=0)

    def run(calls: int) -> int:
        for row in islice(cycle(actions), calls):
            env.step(row)
        return calls * num_envs

    return run


def cart_pole(num_envs: int) -> Run:
    """Agents with a perceptron each balance their poles."""
    import gymnasium as gym
    from commenv_baselines.policies import MLP

    env = gym.make_vec("commenv:commenv/CartPole-v1", num_envs)
    mlp = MLP(env.single_observation_space, env.single_action_space, (8, 8))
    theta = np.random.default_rng(0).normal(size=(num_envs, mlp.num_parameters))
    players = mlp.players(theta)
    observations, _ = env.reset(seed=0)

    def run(calls: int) -> int:
        nonlocal observations
        for _ in range(calls):
            observations, *_ = env.step(players.act(observations))
        return calls * num_envs

    return run


def es(num_agents: int, num_trials: int, num_generations: int) -> Run:
    """A study of evolution strategies; a step is a generation of one trial."""
    import commenv

    def run(calls: int) -> int:
        for seed in range(calls):
            results = commenv.run(
                "commenv/CartPole-v1",
                "es",
                num_agents=num_agents,
                num_trials=num_trials,
                num_episodes=num_generations,
                gamma=1.0,
                evaluate_every=num_generations,
                evaluation_episodes=10,
                seed=seed,
                block=num_trials,
                progress=False,
            )
            run.score = results.frame["evaluation"].dropna().mean()
        return calls * num_trials * num_generations

    return run


def dql(num_agents: int, num_episodes: int, num_trials: int) -> Run:
    """A study of distributed Q-learning; a step is an episode of all agents."""
    import commenv

    def run(calls: int) -> int:
        for seed in range(calls):
            commenv.run(
                "SimpleGrid-v0",
                "dql",
                num_agents=num_agents,
                num_trials=num_trials,
                num_episodes=num_episodes,
                seed=seed,
                progress=False,
            )
        return calls * num_trials * num_episodes

    return run
