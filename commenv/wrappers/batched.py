"""Trials x agents instances of one environment, each with a link to its learner."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from commenv.channel import (
    Channel,
    Encoded,
    FreeForm,
    LiveChannel,
    Messages,
    Receipt,
    Received,
    Versions,
)
from commenv.checks import check_integer
from commenv.draws import Draws
from commenv.envs.batched import BatchedEnv, BatchedStep
from commenv.envs.own_worlds import OwnArguments, arguments_of_each, make_worlds
from commenv.errors import EnvironmentFaultError, NotResetError
from commenv.snapshots import Snapshot
from commenv.wrappers.metrics import Metrics, check_gamma
from commenv.wrappers.star import Star

__all__ = ["ChannelEnv", "StepObserver", "batched_env"]


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


class ChannelEnv:
    """An environment whose API includes a metered message channel.

    There are ``trials x agents`` independent instances. Arrays that the environment
    takes and returns have one flat, trial-major leading axis; what concerns messages
    has shape ``(trials, agents)``. An instance whose episode has ended stays inactive
    until the next reset, which begins the next episode for everybody. On this star of
    links an agent may send until that reset, and such a send belongs to the episode
    that ended.

    Args:
        world: The instances, ``len(trials) * num_agents`` of them.
        trials: The trials' numbers; with the seed, they address every random draw.
        num_agents: Agents of each trial, or the numbers of those that are here.
        uplink: From each agent to its trial's learner.
        downlink: From a trial's learner to its agents.
        gamma: The discount of the metric ``reward``, in [0, 1].
        journal: Keep an entry for every message in the ledgers' journals.

    Attributes:
        world: The instances.
        star: The links.
        active: bool, shape (trials * agents,): whose episode goes on.
        observer: Told of every step, if set.

    Raises:
        ValueError: No trial, no agent, or a gamma outside [0, 1].
    """

    def __init__(
        self,
        world: BatchedEnv,
        trials: Sequence[int],
        num_agents: int | Sequence[int],
        *,
        uplink: Channel | None = None,
        downlink: Channel | None = None,
        gamma: float = 0.9,
        journal: bool = False,
    ) -> None:
        agents = num_agents if isinstance(num_agents, int) else len(num_agents)
        for name, number in (("trials", len(trials)), ("agents", agents)):
            if number < 1:
                raise ValueError(f"{number} {name}; at least 1 is needed")
        check_gamma(gamma)
        self.world = world
        self.star = Star(trials, num_agents, uplink, downlink, journal=journal)
        self.gamma = gamma
        self.active = np.zeros(self.num_envs, dtype=np.bool_)
        self.observer: StepObserver | None = None
        self._ended: NDArray[np.bool_] | None = None  # by a budget, not yet reported

    @property
    def single_observation_space(self) -> gym.Space[Any]:
        """The space of one instance's observation."""
        return self.world.single_observation_space

    @property
    def single_action_space(self) -> gym.Space[Any]:
        """The space of one instance's action."""
        return self.world.single_action_space

    @property
    def shape(self) -> tuple[int, int]:
        """(trials, agents)."""
        return self.star.shape

    @property
    def episode(self) -> int:
        """The current episode, counted from 0; -1 before the first reset."""
        return self.star.episode

    @property
    def draws(self) -> Draws:
        """The random draws of all trials and agents."""
        return self.star.draws

    @property
    def uplink(self) -> LiveChannel:
        """From the agents to their learners, with its ledger."""
        return self.star.uplink

    @property
    def downlink(self) -> LiveChannel:
        """From the learners to their agents, with its ledger."""
        return self.star.downlink

    @property
    def num_envs(self) -> int:
        """Instances in all, trials * agents."""
        return self.shape[0] * self.shape[1]

    def reset(self, *, seed: int | None = None) -> tuple[NDArray[Any], dict[str, Any]]:
        """Begins the next episode, or with a seed the first one.

        Args:
            seed: Starts everything afresh: episode 0, empty ledgers, full budgets.
                Left out at the very first reset, one is drawn from the operating
                system (``env.draws.seed`` shows it).

        Returns:
            The observations, shape (trials * agents, ...), and an empty dictionary.

        Raises:
            EnvironmentFaultError: A foreign environment raised an error, or returned
                what cannot be used.
        """
        if seed is not None or self.episode < 0:
            self.star.open(secrets.randbits(63) if seed is None else seed)
        self.star.begin_episode()
        self._return = np.zeros(self.num_envs)
        self._discounted = np.zeros(self.num_envs)
        self._length = np.zeros(self.num_envs, dtype=np.int64)
        self._index, self._discount = 0, 1.0
        self._ended = None
        self.active = np.ones(self.num_envs, dtype=np.bool_)
        try:
            self._observations = self.world.reset(self.draws.world(self.episode))
        except EnvironmentFaultError as fault:
            self._locate(fault)
            raise
        return self._observations, {}

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[
        NDArray[Any],
        NDArray[np.float64],
        NDArray[np.bool_],
        NDArray[np.bool_],
        dict[str, Any],
    ]:
        """Moves the active instances by one step.

        Args:
            actions: One per instance; those of inactive ones are ignored.

        Returns:
            Observations, rewards, terminated, truncated and an empty dictionary, as
            from a Gymnasium vector environment. Rows that were not active keep their
            observation, with reward 0 and neither flag. An episode that a budget with
            ``exceed="terminate"`` ended since the last step is reported as terminated.

        Raises:
            NotResetError: Before the first reset, or when every episode has ended.
            ValueError: An active instance's action lies outside the action space.
            EnvironmentFaultError: A foreign environment raised an error, or returned
                what cannot be used.
        """
        self._check_reset()
        self.uplink.owner.check()
        if self._ended is None and not np.count_nonzero(self.active):
            raise NotResetError("every episode has ended; call reset() first")
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
        self._return += step.rewards
        self._discounted += self._discount * step.rewards
        self._length += acted
        self._index += 1
        self._discount *= self.gamma
        self._observations = step.observations
        self.active = acted & ~(step.terminated | step.truncated)
        terminated = step.terminated
        if self._ended is not None:
            terminated, self._ended = terminated | self._ended, None
        return step.observations, step.rewards, terminated, step.truncated, {}

    def measure(
        self,
        reward: NDArray[np.float64],
        episode_return: NDArray[np.float64],
        episode_length: NDArray[np.integer],
    ) -> None:
        """Enters what agents measured in instances of their own, and ends the episode.

        For rounds that are no single episode of this environment's instances, which
        then take no step: :attr:`metrics` shows what is entered here instead.

        Args:
            reward: Discounted return, of the episodes of the round on average: shape
                (trials, agents).
            episode_return: The same without discount.
            episode_length: Environment steps of the round, of all its episodes.

        Raises:
            NotResetError: Before the first reset.
            ValueError: Another shape than (trials, agents).
        """
        self._check_reset()
        for values in (reward, episode_return, episode_length):
            if values.shape != self.shape:
                raise ValueError(
                    f"measurements of shape {values.shape} for {self.shape} (trials, "
                    "agents); enter one for each agent"
                )
        self._discounted = reward.astype(np.float64).ravel()
        self._return = episode_return.astype(np.float64).ravel()
        self._length = episode_length.astype(np.int64).ravel()
        self.active = np.zeros(self.num_envs, dtype=np.bool_)

    def send(self, messages: Messages | FreeForm) -> Receipt:
        """Sends from the agents to their learners, on the uplink.

        Args:
            messages: One for each agent that is not silent.

        Returns:
            Who was accepted, and what is left of the budget.

        Raises:
            NotResetError: Before the first reset.
            ValueError: Messages of another shape or form than this channel's.
            BudgetExceededError: Under ``exceed="raise"``; nothing is sent then.
        """
        self._check_reset()
        receipt = self.star.send(messages)
        ended = receipt.ended.ravel() & self.active
        if ended.any():
            self._ended = ended if self._ended is None else self._ended | ended
            self.active = self.active & ~ended
        return receipt

    def send_encoded(self, encoded: Encoded, dtype: np.dtype[np.void]) -> Receipt:
        """Sends what agents elsewhere have encoded; see ``LiveChannel.send_encoded``.

        Raises:
            NotResetError: Before the first reset.
            BudgetExceededError: Under ``exceed="raise"``; nothing is sent then.
        """
        self._check_reset()
        return self.uplink.send_encoded(encoded, dtype)

    def receive(self) -> Received | list[list[Any]] | None:
        """What reached the learners since the last call; see ``LiveChannel.receive``.

        Raises:
            NotResetError: Before the first reset.
        """
        self._check_reset()
        return self.star.receive()

    def broadcast(self, parameters: NDArray[np.void]) -> Receipt:
        """Sends one record per trial from the learner to all its agents.

        Args:
            parameters: Structured array, shape (trials,).

        Raises:
            NotResetError: Before the first reset.
            ValueError: Not one record per trial.
            BudgetExceededError: Under ``exceed="raise"``; nothing is sent then.
        """
        self._check_reset()
        return self.star.broadcast(parameters)

    def hold(self, parameters: NDArray[np.void]) -> None:
        """Lets every agent hold parameters that it did not have to be sent.

        An algorithm's start is known on both sides before the first message, as its
        settings are; it costs nothing.

        Args:
            parameters: Structured array, shape (trials,).

        Raises:
            NotResetError: Before the first reset.
        """
        self._check_reset()
        self.star.hold(parameters)

    def agree(self, records: NDArray[np.void]) -> None:
        """Charges the downlink with what every agent was told beforehand.

        It passes neither budget nor link, since nothing can be sent without it.

        Args:
            records: Structured array, shape (trials,).

        Raises:
            NotResetError: Before the first reset.
            ValueError: Not one record per trial.
        """
        self._check_reset()
        self.downlink.agree(records)

    def receive_broadcast(self) -> NDArray[np.void] | None:
        """The last parameters that each agent received.

        Returns:
            Structured array, shape (trials, agents). An agent that has not received any
            yet holds what :meth:`hold` gave it, or else zeros; None before the first
            broadcast has reached anybody and nothing was held.

        Raises:
            NotResetError: Before the first reset.
        """
        self._check_reset()
        return self.star.receive_broadcast()

    def receive_versions(self) -> Versions | None:
        """The same as :meth:`receive_broadcast`, one copy of each version.

        Raises:
            NotResetError: Before the first reset.
        """
        self._check_reset()
        return self.star.receive_versions()

    @property
    def metrics(self) -> Metrics:
        """The metrics of the current episode so far.

        Raises:
            NotResetError: Before the first reset.
        """
        self._check_reset()
        return Metrics.measured(
            self._discounted.reshape(self.shape).copy(),
            self._return.reshape(self.shape).copy(),
            self._length.reshape(self.shape).copy(),
            *self.star.traffic,
        )

    def snapshot(self) -> Snapshot:
        """What the channel remembers between two episodes.

        The instances remember nothing from one episode to the next.

        Raises:
            RuntimeError: Something was sent that was not received yet.
        """
        self._check_reset()
        return self.star.snapshot()

    def restore(self, seed: int, snapshot: Snapshot) -> None:
        """Goes on where another environment was; the next :meth:`reset` is due.

        Args:
            seed: What the other one was reset with.
            snapshot: What it gave, at the end of an episode.

        Raises:
            ResultsError: It is no snapshot of such an environment.
        """
        self.star.open(seed)
        self.star.restore(snapshot)

    def close(self) -> None:
        """Releases the instances."""
        self.world.close()

    def _locate(self, fault: EnvironmentFaultError, **when: int) -> None:
        """Says which trial's agent had the instance at fault, and when."""
        draws = self.draws
        fault.locate_row(
            draws.trials, draws.agents, "agent", episode=self.episode, **when
        )

    def _check_reset(self) -> None:
        if self.episode < 0:
            raise NotResetError("the environment was not reset; call reset() first")


def batched_env(
    env_id: str,
    num_trials: int,
    num_agents: int,
    *,
    uplink: Channel | None = None,
    downlink: Channel | None = None,
    env_kwargs: OwnArguments = None,
    gamma: float = 0.9,
    max_episode_steps: int | None = None,
) -> ChannelEnv:
    """Makes ``num_trials x num_agents`` instances of an environment with a channel.

    Args:
        env_id: Any Gymnasium id, ``"module:Name-v0"`` included.
        num_trials: Independent training runs, numbered from 0.
        num_agents: Agents of each, which share one learner.
        uplink: From the agents to the learner; unlimited and perfect by default.
        downlink: From the learner to the agents; unlimited and perfect by default.
        env_kwargs: Arguments of the environment: one dictionary for all agents, a
            sequence with one for each, or a function of the agent's number.
        gamma: The discount of the metric ``reward``, in [0, 1].
        max_episode_steps: The time limit; the one in the id's spec by default.

    Raises:
        ValueError: An unknown id or argument, fewer than 1 trial or agent, or a gamma
            outside [0, 1].

    Example:
        >>> import commenv
        >>> env = commenv.batched_env("SimpleGrid-v0", num_trials=2, num_agents=3)
        >>> observations, info = env.reset(seed=0)
        >>> env.shape, observations.shape
        ((2, 3), (6,))
    """
    for name, number in (("num_trials", num_trials), ("num_agents", num_agents)):
        check_integer(name, number, least=1)
    world = make_worlds(
        env_id,
        num_trials,
        arguments_of_each(env_kwargs, num_agents),
        max_episode_steps=max_episode_steps,
    )
    return ChannelEnv(
        world,
        range(num_trials),
        num_agents,
        uplink=uplink,
        downlink=downlink,
        gamma=gamma,
    )
