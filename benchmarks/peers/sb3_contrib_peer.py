"""SB3-contrib: augmented random search on Gymnasium's Cart Pole, trial after trial."""

from __future__ import annotations

from collections.abc import Callable

import gymnasium as gym
import torch
from sb3_contrib import ARS
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor

PACKAGES = ("sb3-contrib", "stable-baselines3", "torch", "gymnasium", "numpy")

EVALUATIONS = 10  # episodes of each trained policy


def train(num_agents: int, num_generations: int) -> Callable[[int], int]:
    """A call is one trial; a generation tries both signs of half as many directions."""
    torch.set_num_threads(1)
    env = Monitor(gym.make("CartPole-v1"))
    network = {"net_arch": [8, 8], "activation_fn": torch.nn.Tanh}

    def run(calls: int) -> int:
        for seed in range(calls):
            model = ARS(
                "MlpPolicy",
                env,
                n_delta=num_agents // 2,
                learning_rate=0.05,
                delta_std=0.1,
                policy_kwargs=network,
                seed=seed,
            )
            for generation in range(num_generations):  # more than 1 step each
                model.learn(1, reset_num_timesteps=generation == 0)
            score, _ = evaluate_policy(model, env, EVALUATIONS)
            run.score = float(score)
        return calls * num_generations

    return run
