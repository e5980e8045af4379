"""Trials x agents instances of one environment, and what their agents earn."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from commenv.envs.batched import BatchedEnv, BatchedStep
from commenv.errors import EnvironmentFaultError, NotResetError
from commenv.rng import Draws
from commenv.wrappers.statistics import EpisodeStatistics

__all__ = ["Instances", "StepObserver"]


class StepObserver(Protocol):
    """Something that watches every step, such as a trace on disk."""

    def on_step(
        self,
        episode: int,
        index: int,
        active: NDArray[np.bool_],
        observations: NDArray[Any],
        actions: NDArray[Any],
        step: BatchedStep,
    ) -> None:
        """Called after each step with what the active agents saw and did."""


class Instances:
    """Independent instances of an environment, ``trials x agents`` of them.

    Arrays have one flat, trial-major leading axis. An instance whose episode has ended
    stays inactive until the next reset, which begins the next episode for all.

    Args:
        world: The instances, ``len(trials) * num_agents`` of them.
        trials: The trials' numbers; with the seed, they address every random draw.
        num_agents: Agents of each trial, or the numbers of those that are here.
        gamma: The discount of the metric ``reward``, in [0, 1].

    Attributes:
        world: As given.
        shape: (trials, agents).
        gamma: As given.
        episode: The current episode, counted from 0; -1 before the first reset.
        draws: The random draws of all trials and agents, once they are reset.
        active: bool, shape (trials * agents,): whose episode goes on.
        statistics: What the agents earned in the current episode.
        observer: Told of every step, if set.

    Raises:
        ValueError: No trial, no agent, or a gamma outside [0, 1].
    """

    draws: Draws

    def __init__(
        self,
        world: BatchedEnv,
        trials: Sequence[int],
        num_agents: int | Sequence[int],
        *,
        gamma: float = 0.9,
    ) -> None:
        agents = range(num_agents) if isinstance(num_agents, int) else num_agents
        for name, number in (("trials", len(trials)), ("agents", len(agents))):
            if number < 1:
                raise ValueError(f"{number} {name}; at least 1 is needed")
        self.world = world
        self.shape = (len(trials), len(agents))
        self.gamma = gamma
        self.episode = -1
        self.active = np.zeros(self.num_envs, dtype=np.bool_)
        self.statistics = EpisodeStatistics(gamma, self.num_envs)
        self.observer: StepObserver | None = None
        self._trials, self._agents = tuple(trials), tuple(agents)
        self._index = 0

    @property
    def single_observation_space(self) -> gym.Space[Any]:
        """The space of one instance's observation."""
        return self.world.single_observation_space

    @property
    def single_action_space(self) -> gym.Space[Any]:
        """The space of one instance's action."""
        return self.world.single_action_space

    @property
    def num_envs(self) -> int:
        """Instances in all, trials * agents."""
        return self.shape[0] * self.shape[1]

    def reset(self, *, seed: int | None = None) -> NDArray[Any]:
        """Begins the next episode, or with a seed the first one.

        Args:
            seed: Starts everything afresh, with episode 0. Left out at the very first
                reset, one is drawn from the operating system.

        Returns:
            The observations, shape (trials * agents, ...).

        Raises:
            EnvironmentFaultError: A foreign environment raised an error, or returned
                what cannot be used.
        """
        if seed is not None or self.episode < 0:
            self.resume(secrets.randbits(63) if seed is None else seed, -1)
        self.episode += 1
        self.statistics.begin()
        self._index = 0
        self.active = np.ones(self.num_envs, dtype=np.bool_)
        try:
            self._observations = self.world.reset(self.draws.world(self.episode))
        except EnvironmentFaultError as fault:
            self._locate(fault)
            raise
        return self._observations

    def resume(self, seed: int, episode: int) -> None:
        """Stands where instances stand after an episode; the next reset is due.

        They remember nothing else from one episode to the next.

        Args:
            seed: What the first reset was given.
            episode: The last episode that was played.
        """
        self.draws = Draws(seed, self._trials, self._agents, owner="environment")
        self.episode = episode

    def step(self, actions: NDArray[Any]) -> BatchedStep:
        """Moves the active instances by one step.

        Args:
            actions: One per instance; those of inactive ones are ignored.

        Returns:
            Observations, rewards, and who has ended. Rows that were not active keep
            their observation, with reward 0 and neither flag.

        Raises:
            NotResetError: Before the first reset, or when every episode has ended.
            ValueError: An active instance's action lies outside the action space.
            EnvironmentFaultError: A foreign environment raised an error, or returned
                what cannot be used.
        """
        if self.episode < 0:
            raise NotResetError("the environment was not reset; call reset() first")
        if not np.count_nonzero(self.active):
            raise NotResetError("every episode has ended; call reset() first")
        return self.move(actions)

    def move(self, actions: NDArray[Any]) -> BatchedStep:
        """The same as :meth:`step`, when it is known that it may be taken."""
        acted = self.active
        try:
            step = self.world.step(actions, acted)
        except EnvironmentFaultError as fault:
            self._locate(fault, step=self._index)
            raise
        if self.observer is not None:
            self.observer.on_step(
                self.episode, self._index, acted, self._observations, actions, step
            )
        self.statistics.add(step.rewards, acted)
        self._index += 1
        self._observations = step.observations
        self.active = acted & ~(step.terminated | step.truncated)
        return step

    def measure(
        self,
        reward: NDArray[np.float64],
        episode_return: NDArray[np.float64],
        episode_length: NDArray[np.integer],
    ) -> None:
        """Enters what agents measured in instances of their own, and ends the episode.

        For rounds that are not a single episode of these instances, which then take no
        step: the statistics show what is entered here instead.

        Args:
            reward: Discounted return, of the episodes of the round on average: shape
                (trials, agents).
            episode_return: The same without discount.
            episode_length: Environment steps of the round, of all its episodes.

        Raises:
            ValueError: Another shape than (trials, agents).
        """
        for values in (reward, episode_return, episode_length):
            if values.shape != self.shape:
                raise ValueError(
                    f"measurements of shape {values.shape} for {self.shape} (trials, "
                    "agents); enter one for each agent"
                )
        self.statistics.enter(reward, episode_return, episode_length)
        self.active = np.zeros(self.num_envs, dtype=np.bool_)

    def close(self) -> None:
        """Releases the instances."""
        self.world.close()

    def _locate(self, fault: EnvironmentFaultError, **when: int) -> None:
        """Says which trial's agent had the instance at fault, and when."""
        draws = self.draws
        fault.locate_row(
            draws.trials, draws.agents, "agent", episode=self.episode, **when
        )
