"""The value of a policy that does not explore: exact where there are tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from commenv.envs import BatchedEnv, TabularMDP
from commenv.errors import EnvironmentFaultError
from commenv.rng import Draws, UniformStream

__all__ = [
    "Act",
    "Evaluator",
    "ExactEvaluator",
    "MeanEvaluator",
    "MonteCarloEvaluator",
    "Played",
    "Policy",
]

Act = Callable[[NDArray[Any]], NDArray[Any]]
"""A deterministic policy for all trials: observations with a flat, trial-major leading
axis, the same number of rows for each trial, to as many actions."""

Policy: TypeAlias = NDArray[np.float64] | Act
"""What a learner has learned, for all trials: a table of action probabilities, shape
(trials, states, actions), or a function."""


class Played(NamedTuple):
    """Episodes that were played with a policy; arrays of shape (trials, episodes).

    Attributes:
        returns: Discounted returns, float64.
        totals: Returns without a discount, float64.
        lengths: Steps, int64.
    """

    returns: NDArray[np.float64]
    totals: NDArray[np.float64]
    lengths: NDArray[np.int64]


class Evaluator(ABC):
    """Values policies outside of training: it costs neither messages nor steps.

    Values are expected discounted returns from the start: float64, shape (trials,).
    The episode is the round that is evaluated; it addresses the draws of play.
    """

    def close(self) -> None:  # noqa: B027 - tables hold nothing to release
        """Releases what the evaluator holds."""

    def policy_values(self, policy: Policy, episode: int) -> NDArray[np.float64]:
        """Values of policies of either form."""
        if isinstance(policy, np.ndarray):
            return self.table_values(policy, episode)
        return self.values(policy, episode)

    @abstractmethod
    def table_values(
        self, policy: NDArray[np.float64], episode: int
    ) -> NDArray[np.float64]:
        """Values of tables of action probabilities: (trials, states, actions)."""

    @abstractmethod
    def values(self, act: Act, episode: int) -> NDArray[np.float64]:
        """Values of policies that are functions of the observation."""


class ExactEvaluator(Evaluator):
    """Values from the tables, with the time limit as the horizon; nothing is drawn.

    Most rounds leave the greedy policy of a trial as it was, so each trial's last
    policy and its value are kept.

    Args:
        mdp: The environment's tables.
        gamma: The discount.
        horizon: The time limit in steps.
        num_trials: Trials of the batch.
    """

    def __init__(
        self, mdp: TabularMDP, gamma: float, horizon: int, num_trials: int
    ) -> None:
        self.mdp = mdp
        self.gamma = gamma
        self.horizon = horizon
        self.num_trials = num_trials
        tables = (num_trials, mdp.num_states, mdp.num_actions)
        self._policies = np.full(tables, np.nan)
        self._values = np.full(num_trials, np.nan)

    def table_values(
        self, policy: NDArray[np.float64], episode: int
    ) -> NDArray[np.float64]:
        """Backward induction over the horizon, for policies other than the last."""
        if policy.shape != self._policies.shape:
            return self._induced(policy)
        new = (policy != self._policies).any(axis=(1, 2))
        if new.any():
            self._policies[new] = policy[new]
            self._values[new] = self._induced(policy[new])
        return self._values.copy()

    def _induced(self, policy: NDArray[np.float64]) -> NDArray[np.float64]:
        values = self.mdp.finite_horizon_values(policy, self.gamma, self.horizon)
        return self.mdp.start_value(values)

    def values(self, act: Act, episode: int) -> NDArray[np.float64]:
        """Asks the policy for its action in every state, and values that table."""
        states = np.tile(np.arange(self.mdp.num_states), self.num_trials)
        actions = np.asarray(act(states)).reshape(self.num_trials, -1)
        return self.table_values(np.eye(self.mdp.num_actions)[actions], episode)


class MeanEvaluator(Evaluator):
    """The mean over agents that are in worlds of their own.

    Args:
        parts: What evaluates in each world that differs, by the first agent in it.
        weights: How many agents are in each.
    """

    def __init__(self, parts: Mapping[int, Evaluator], weights: Sequence[int]) -> None:
        self.parts = dict(parts)
        self._shares = np.asarray(weights) / sum(weights)

    def close(self) -> None:
        """Closes the evaluators of all worlds."""
        for part in self.parts.values():
            part.close()

    def each(self, policy: Policy, episode: int) -> dict[int, NDArray[np.float64]]:
        """The policy's value in each world, by the first agent in it: (trials,)."""
        return {
            agent: part.policy_values(policy, episode)
            for agent, part in self.parts.items()
        }

    def mean(self, each: Mapping[int, NDArray[np.float64]]) -> NDArray[np.float64]:
        """The mean over agents of what :meth:`each` gave; NaN where one is."""
        mean = np.zeros(len(next(iter(each.values()))))
        with np.errstate(invalid="ignore"):
            # One by one: the order of a sum must not depend on who shares the batch.
            for share, values in zip(self._shares, each.values(), strict=True):
                mean += share * values
        return mean

    def table_values(
        self, policy: NDArray[np.float64], episode: int
    ) -> NDArray[np.float64]:
        """The mean of the tables' values."""
        return self.mean(self.each(policy, episode))

    def values(self, act: Act, episode: int) -> NDArray[np.float64]:
        """The mean of the functions' values."""
        return self.mean(self.each(act, episode))


class MonteCarloEvaluator(Evaluator):
    """The mean return of some episodes, on draws of their own.

    Args:
        make_world: Makes the given number of instances.
        draws: The training's draws, for their seed and trials.
        gamma: The discount.
        num_episodes: Episodes for each trial and evaluation.

    Raises:
        ValueError: Fewer than 1 episode.
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
        self.draws = Draws(draws.seed, draws.trials, num_episodes, owner="evaluation")
        self.gamma = gamma
        self._make_world = make_world

    @cached_property
    def world(self) -> BatchedEnv:
        """One instance for each trial and episode, made when it is first needed."""
        trials, episodes = self.draws.shape
        return self._make_world(trials * episodes)

    def close(self) -> None:
        """Closes the instances, if any were made."""
        if "world" in self.__dict__:
            self.world.close()

    def table_values(
        self, policy: NDArray[np.float64], episode: int
    ) -> NDArray[np.float64]:
        """Plays with actions drawn from the policy."""
        return self._value(policy, episode)

    def values(self, act: Act, episode: int) -> NDArray[np.float64]:
        """Plays with the policy's actions."""
        return self._value(act, episode)

    def _value(self, policy: Policy, episode: int) -> NDArray[np.float64]:
        returns = self.play(policy, episode).returns
        with np.errstate(invalid="ignore"):
            return returns.mean(axis=1)

    def play(self, policy: Policy, episode: int) -> Played:
        """Plays the episodes of every trial, all at once.

        Raises:
            EnvironmentFaultError: A foreign environment raised an error, or returned
                what cannot be used.
        """
        try:
            with np.errstate(invalid="ignore"):  # of infinite rewards: inf - inf
                return self._play(policy, episode)
        except EnvironmentFaultError as fault:
            trials, numbers = self.draws.trials, self.draws.agents
            fault.locate_row(trials, numbers, "evaluation episode", episode=episode)
            raise

    def _play(self, policy: Policy, episode: int) -> Played:
        act = self._drawn(policy, episode) if isinstance(policy, np.ndarray) else policy
        observations = self.world.reset(self.draws.world(episode))
        active = np.ones(self.world.num_envs, dtype=np.bool_)
        returns, totals = np.zeros((2, self.world.num_envs))
        lengths, discount = np.zeros(self.world.num_envs, dtype=np.int64), 1.0
        while active.any():
            step = self.world.step(act(observations), active)
            returns += discount * step.rewards
            totals += step.rewards
            lengths += active
            discount *= self.gamma
            active &= ~(step.terminated | step.truncated)
            observations = step.observations
        shape = self.draws.shape
        return Played(
            returns.reshape(shape), totals.reshape(shape), lengths.reshape(shape)
        )

    def _drawn(self, table: NDArray[np.float64], episode: int) -> Act:
        """Draws actions from a table's probabilities."""
        trials, episodes = self.draws.shape
        rows = np.repeat(np.arange(trials), episodes)
        thresholds = np.cumsum(table, axis=-1)[..., :-1]
        choices: UniformStream = self.draws.stream("policy", episode)

        def act(states: NDArray[Any]) -> NDArray[Any]:
            uniforms = choices.next()[:, None]
            return (uniforms >= thresholds[rows, states]).sum(axis=1)

        return act
