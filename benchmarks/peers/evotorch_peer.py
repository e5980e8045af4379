"""EvoTorch: PGPE on Gymnasium's Cart Pole, one trial after the other."""

from __future__ import annotations

from collections.abc import Callable

import torch
from evotorch.algorithms import PGPE
from evotorch.neuroevolution import GymNE, VecGymNE

PACKAGES = ("evotorch", "torch", "gymnasium", "numpy")

NETWORK = """
    Linear(obs_length, 8) >> Tanh() >> Linear(8, 8) >> Tanh()
    >> Linear(8, act_length) >> Tanh()
"""
EVALUATIONS = 10  # episodes of each trained policy


def train(
    num_agents: int, num_generations: int, vector: bool = False
) -> Callable[[int], int]:
    """A call is one trial.

    Args:
        num_agents: The population.
        num_generations: Of each trial.
        vector: Its vectorised form instead of one episode after the other.
    """
    torch.set_num_threads(1)
    make = VecGymNE if vector else GymNE

    def run(calls: int) -> int:
        for seed in range(calls):
            torch.manual_seed(seed)
            problem = make("CartPole-v1", NETWORK)
            size = problem.solution_length
            search = PGPE(
                problem,
                popsize=num_agents,
                center_init=torch.zeros(size),
                center_learning_rate=0.05,
                stdev_learning_rate=0.1,
                stdev_init=0.1,
                optimizer="adam",
                ranking_method="centered",
            )
            search.run(num_generations)
            final = problem.generate_batch(EVALUATIONS)
            final.set_values(search.status["center"].repeat(EVALUATIONS, 1))
            problem.evaluate(final)
            run.score = float(final.evals.mean())
        return calls * num_generations

    return run
