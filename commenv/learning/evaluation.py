"""The value of a policy that does not explore: exact where there are tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from commenv.draws import Draws
from commenv.envs.batched import BatchedEnv
from commenv.envs.tabular import TabularMDP

__all__ = ["Evaluator", "ExactEvaluator", "PlayedEvaluator"]


class Evaluator(ABC):
    """Values policies outside of training: it costs neither messages nor steps."""

    @abstractmethod
    def table_values(
        self, policy: NDArray[np.float64], episode: int
    ) -> NDArray[np.float64]:
        """The expected discounted return of tabular policies from the start.

        Args:
            policy: Action probabilities, shape (trials, states, actions).
            episode: The round, which addresses the draws of an evaluation by play.

        Returns:
            float64, shape (trials,).
        """


class ExactEvaluator(Evaluator):
    """Values from the tables, with the time limit as the horizon.

    Args:
        mdp: The environment's tables.
        gamma: The discount.
        horizon: The time limit in steps.
    """

    def __init__(self, mdp: TabularMDP, gamma: float, horizon: int) -> None:
        self.mdp = mdp
        self.gamma = gamma
        self.horizon = horizon

    def table_values(
        self, policy: NDArray[np.float64], episode: int
    ) -> NDArray[np.float64]:
        """Backward induction over the horizon; nothing is drawn."""
        values = self.mdp.finite_horizon_values(policy, self.gamma, self.horizon)
        return self.mdp.start_value(values)


class PlayedEvaluator(Evaluator):
    """The mean return of some episodes, on draws of their own.

    Args:
        make_world: Makes the given number of instances.
        draws: The training's draws, for their seed and trials.
        gamma: The discount.
        num_episodes: Episodes for each trial and evaluation.
    """

    def __init__(
        self,
        make_world: Callable[[int], BatchedEnv],
        draws: Draws,
        gamma: float,
        num_episodes: int,
    ) -> None:
        if num_episodes < 1:
            raise ValueError(
                f"{num_episodes} evaluation episodes; at least 1 is needed"
            )
        self.draws = Draws(draws.seed, draws.trials, num_episodes)
        self.gamma = gamma
        self.world = make_world(len(draws.trials) * num_episodes)

    def table_values(
        self, policy: NDArray[np.float64], episode: int
    ) -> NDArray[np.float64]:
        """Plays with actions drawn from the policy."""
        trials, episodes = self.draws.shape
        rows = np.repeat(np.arange(trials), episodes)
        cumulative = np.cumsum(policy, axis=-1)
        choices = self.draws.stream("evaluation policy", episode)
        observations = self.world.reset(
            self.draws.world(episode, purpose="evaluation environment")
        )
        active = np.ones(len(rows), dtype=np.bool_)
        returns, discount = np.zeros(len(rows)), 1.0
        while active.any():
            thresholds = cumulative[rows, observations, :-1]
            actions = (choices.next(active)[:, None] >= thresholds).sum(axis=1)
            step = self.world.step(actions, active)
            returns += discount * step.rewards
            discount *= self.gamma
            active &= ~(step.terminated | step.truncated)
            observations = step.observations
        return returns.reshape(trials, episodes).mean(axis=1)
