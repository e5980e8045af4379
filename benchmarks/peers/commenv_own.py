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

    run(3000)  # steps of long runs are compiled, once that has paid
    return run


def ants(num_agents: int, num_threads: int) -> Run:
    """Batched ants, of which those that have fallen begin anew.

    The first steps are checked against Gymnasium's ants, number by number.
    """
    from ants import policies

    from commenv import Draws
    from commenv.envs import make_batched

    threads = {"num_threads": num_threads}
    batch = make_batched("commenv/Ant-v5", num_agents, env_kwargs=threads)
    act, everybody = policies(num_agents), np.ones(num_agents, dtype=bool)
    draws = Draws(0, [0], num_agents).world(0)
    observations = batch.reset(draws)

    def step() -> tuple[np.ndarray, ...]:
        nonlocal observations
        actions = act(observations)
        after = batch.step(actions, everybody)
        observations = after.observations
        if (ended := after.terminated | after.truncated).any():
            observations = batch.reset(draws, ended)
        return actions, observations, after.rewards

    def run(calls: int) -> int:
        for _ in range(calls):
            step()
        return calls * num_agents

    _check_beside_gymnasium(draws.seeds()[:5].tolist(), [step() for _ in range(100)])
    return run


def _check_beside_gymnasium(seeds: list[int], steps: list[tuple]) -> None:
    """Stops unless the first ants saw and earned what Gymnasium's do, bit for bit."""
    import gymnasium as gym

    for row, seed in enumerate(seeds):
        env = gym.make("Ant-v5")
        env.reset(seed=seed)
        for actions, observations, rewards in steps:
            seen, reward, terminated, truncated, _ = env.step(actions[row])
            if terminated or truncated:
                seen, _ = env.reset()
            if reward != rewards[row] or (seen != observations[row]).any():
                raise AssertionError(f"ant {row} differs from Gymnasium's")


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
