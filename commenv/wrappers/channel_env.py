"""Trials x agents instances of one environment, each with a link to its learner."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from commenv.channel import (
    Channel,
    FreeForm,
    Messages,
    Network,
    Receipt,
    Received,
    Versions,
)
from commenv.checks import check_integer
from commenv.envs.batched import BatchedEnv
from commenv.envs.own_worlds import OwnArguments, arguments_of_each, make_worlds
from commenv.errors import NotResetError
from commenv.rng import Draws
from commenv.wrappers.instances import Instances
from commenv.wrappers.metrics import Metrics
from commenv.wrappers.star import Star

__all__ = ["ChannelEnv", "batched_env"]


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
        instances: The worlds that step.
        star: The links.

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
        self.instances = Instances(world, trials, num_agents, gamma=gamma)
        self.star = Star(trials, num_agents, uplink, downlink, journal=journal)
        self._ended: NDArray[np.bool_] | None = None  # by a budget, not yet reported

    @property
    def single_observation_space(self) -> gym.Space[Any]:
        """The space of one instance's observation."""
        return self.instances.single_observation_space

    @property
    def single_action_space(self) -> gym.Space[Any]:
        """The space of one instance's action."""
        return self.instances.single_action_space

    @property
    def shape(self) -> tuple[int, int]:
        """(trials, agents)."""
        return self.star.shape

    @property
    def num_envs(self) -> int:
        """Instances in all, trials * agents."""
        return self.instances.num_envs

    @property
    def active(self) -> NDArray[np.bool_]:
        """bool, shape (trials * agents,): whose episode goes on."""
        return self.instances.active

    @property
    def episode(self) -> int:
        """The current episode, counted from 0; -1 before the first reset."""
        return self.star.episode

    @property
    def draws(self) -> Draws:
        """The random draws of all trials and agents."""
        return self.star.draws

    @property
    def uplink(self) -> Network:
        """From the agents to their learners, with its ledger."""
        return self.star.uplink

    @property
    def downlink(self) -> Network:
        """From the learners to their agents, with its ledger."""
        return self.star.downlink

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
        if seed is None and self.episode < 0:
            seed = secrets.randbits(63)
        if seed is not None:
            self.star.open(seed)
        self.star.begin_episode()
        self._ended = None
        return self.instances.reset(seed=seed), {}

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
        self.uplink.check_thread()
        if self._ended is None:
            step = self.instances.step(actions)
            terminated = step.terminated
        else:
            step = self.instances.move(actions)
            terminated, self._ended = step.terminated | self._ended, None
        return step.observations, step.rewards, terminated, step.truncated, {}

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
        receipt = self.star.uplink.send(messages)
        ended = receipt.ended.ravel() & self.instances.active
        if np.count_nonzero(ended):
            self._ended = ended if self._ended is None else self._ended | ended
            self.instances.active = self.instances.active & ~ended
        return receipt

    def receive(self) -> Received | list[list[Any]] | None:
        """What reached the learners since the last call; see ``Network.receive``.

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

    def initialize_parameters(self, parameters: NDArray[np.void]) -> None:
        """Lets every agent hold parameters that it did not have to be sent.

        An algorithm's start is known on both sides before the first message, as its
        settings are; it costs nothing.

        Args:
            parameters: Structured array, shape (trials,).

        Raises:
            NotResetError: Before the first reset.
        """
        self._check_reset()
        self.star.initialize_parameters(parameters)

    def charge_shared(self, records: NDArray[np.void]) -> None:
        """Charges the downlink with what every agent was told beforehand.

        It passes neither budget nor link, since nothing can be sent without it.

        Args:
            records: Structured array, shape (trials,).

        Raises:
            NotResetError: Before the first reset.
            ValueError: Not one record per trial.
        """
        self._check_reset()
        self.star.charge_shared(records)

    def receive_broadcast(self) -> NDArray[np.void] | None:
        """The last parameters that each agent received.

        Returns:
            Structured array, shape (trials, agents). An agent that has not received any
            yet holds what :meth:`initialize_parameters` gave it, or else zeros; None
            before the first broadcast has reached anybody and nothing was held.

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
        return self.instances.statistics.metrics(self.shape, *self.star.traffic)

    def close(self) -> None:
        """Releases the instances."""
        self.instances.close()

    def _check_reset(self) -> None:
        if self.star.episode < 0:
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
