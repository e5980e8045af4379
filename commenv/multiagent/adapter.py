"""PettingZoo environments, one for each trial, as the batch that algorithms play."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from itertools import pairwise
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from commenv.channel import Left, Messages, Receipt, Received, Versions
from commenv.envs.batched import BatchedStep
from commenv.multiagent.instances import ParallelInstances
from commenv.rng import Draws
from commenv.wrappers import Metrics

__all__ = ["BatchedFromParallel", "batched_from_parallel"]


def batched_from_parallel(envs: Sequence[ParallelInstances]) -> BatchedFromParallel:
    """The interface of :class:`commenv.ChannelEnv` over PettingZoo environments.

    Algorithms that are batched over (trials, agents) play them as they are, and give
    the same metrics, bit for bit, as in :func:`commenv.batched_env`.

    Args:
        envs: One environment of :func:`commenv.parallel_env` for each trial, with
            numbers of trials that differ.

    Raises:
        ValueError: No environment, a trial that stands twice, or environments whose
            agents or spaces differ.
    """
    return BatchedFromParallel(envs)


class BatchedFromParallel:
    """See :func:`batched_from_parallel`; methods are those of ``ChannelEnv``.

    Nothing but the public methods of the environments is used. One difference remains:
    under ``exceed="raise"`` the trials before the one that raises have sent.

    Args:
        envs: One environment for each trial.

    Attributes:
        shape: (trials, agents).
        single_observation_space: Of every agent.
        single_action_space: Of every agent.
        active: bool, shape (trials * agents,): whose episode goes on.
        instances: The environments alone, as agents step through them.
    """

    def __init__(self, envs: Sequence[ParallelInstances]) -> None:
        if not envs:
            raise ValueError("no environments; give one for each trial")
        self._envs = list(envs)
        self._agents = self._envs[0].possible_agents
        for env in self._envs:
            if env.possible_agents != self._agents:
                raise ValueError(
                    f"{len(env.possible_agents)} agents beside {len(self._agents)}; "
                    "give environments with equally many"
                )
        trials = [env.trial for env in self._envs]
        for trial in trials:
            if trials.count(trial) > 1:
                raise ValueError(f"trial {trial} stands twice; give each its own")
        self.shape = (len(self._envs), len(self._agents))
        self.num_envs = self.shape[0] * self.shape[1]
        self.single_observation_space = self._common("observation_space")
        self.single_action_space = self._common("action_space")
        self.active = np.zeros(self.num_envs, dtype=np.bool_)
        self.instances = _Instances(self)

    @property
    def star(self) -> BatchedFromParallel:
        """The links: messages are methods of the batch itself."""
        return self

    @property
    def episode(self) -> int:
        """The current episode, counted from 0; -1 before the first reset."""
        return self._envs[0].episode

    @property
    def draws(self) -> Draws:
        """The random draws of all trials and agents."""
        each = [env.draws for env in self._envs]
        trials = [trial for one in each for trial in one.trials]
        return Draws(each[0].seed, trials, each[0].agents, owner=each[0].owner)

    @property
    def metrics(self) -> Metrics:
        """The metrics of the current episode so far: arrays (trials, agents)."""
        each = [env.metrics for env in self._envs]
        return Metrics(
            **{
                field.name: np.concatenate([getattr(one, field.name) for one in each])
                for field in fields(Metrics)
            }
        )

    @property
    def uplink(self) -> _Uplinks:
        """What an algorithm may know of the uplink."""
        return _Uplinks(self._envs)

    def reset(self, *, seed: int | None = None) -> tuple[NDArray[Any], dict[str, Any]]:
        """Begins the next episode, or with a seed the first one."""
        rows: list[Any] = []
        for env in self._envs:
            observations, _ = env.reset(seed=seed)
            rows += [observations[agent] for agent in self._agents]
        self._observations = np.stack(rows)
        self.active = np.ones(self.num_envs, dtype=np.bool_)
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
        """Moves the active instances by one step; see ``ChannelEnv.step``."""
        return (*self.move(actions), {})

    def move(self, actions: NDArray[Any]) -> BatchedStep:
        """The same as :meth:`step`, without infos."""
        self._observations = self._observations.copy()
        rewards = np.zeros(self.num_envs)
        terminated = np.zeros(self.num_envs, dtype=np.bool_)
        truncated = np.zeros(self.num_envs, dtype=np.bool_)
        for trial, env in enumerate(self._envs):
            rows = self._rows(trial)
            acting = {agent: rows[agent] for agent in env.agents}
            if not acting:
                continue
            seen, paid, ends, cuts, _ = env.step(
                {agent: actions[row] for agent, row in acting.items()}
            )
            for agent, row in acting.items():
                self._observations[row] = seen[agent]
                rewards[row] = paid[agent]
                terminated[row] = ends[agent]
                truncated[row] = cuts[agent]
        self.active = self.active & ~(terminated | truncated)
        return BatchedStep(self._observations, rewards, terminated, truncated)

    def send(self, messages: Messages) -> Receipt:
        """Sends from the agents to their learners; see ``ChannelEnv.send``."""
        ends = messages.counts.cumsum()
        starts = [0, *ends.tolist()]
        parts = [messages.records[start:stop] for start, stop in pairwise(starts)]
        accepted = np.zeros(self.num_envs, dtype=np.bool_)
        for trial, env in enumerate(self._envs):
            rows = self._rows(trial)
            told = env.send_all({agent: parts[row] for agent, row in rows.items()})
            for agent, row in rows.items():
                accepted[row] = told[agent].accepted
        ended = np.zeros(self.num_envs, dtype=np.bool_)
        if self._envs[0].uplink.channel.budget.exceed == "terminate":
            ended = (messages.counts.ravel() > 0) & ~accepted
            self.active = self.active & ~ended
        shape = self.shape
        return Receipt(accepted.reshape(shape), ended.reshape(shape), self.uplink.left)

    def receive(self) -> Received | None:
        """What reached the learners since the last call."""
        parts = [env.receive_records() for env in self._envs]
        arrived = [part for part in parts if part is not None]
        if not arrived:
            return None
        return Received(
            np.concatenate([part.records for part in arrived]),
            np.concatenate([part.counts for part in arrived]),
            np.concatenate([part.headers for part in arrived]),
            np.concatenate([part.lengths for part in arrived]),
        )

    def broadcast(self, parameters: NDArray[np.void]) -> Receipt:
        """Sends one record per trial from the learner to all its agents."""
        accepted = np.zeros(self.shape, dtype=np.bool_)
        for trial, env in enumerate(self._envs):
            told = env.broadcast(parameters[trial : trial + 1])
            accepted[trial] = [told[agent].accepted for agent in self._agents]
        left = _joined([env.downlink.left for env in self._envs])
        return Receipt(accepted, np.zeros_like(accepted), left)

    def initialize_parameters(self, parameters: NDArray[np.void]) -> None:
        """Lets every agent hold parameters that it did not have to be sent."""
        for trial, env in enumerate(self._envs):
            env.initialize_parameters(parameters[trial : trial + 1])

    def charge_shared(self, records: NDArray[np.void]) -> None:
        """Charges the downlink with what every agent was told beforehand."""
        for trial, env in enumerate(self._envs):
            env.charge_shared(records[trial : trial + 1])

    def receive_broadcast(self) -> NDArray[np.void] | None:
        """The last parameters that each agent received: (trials, agents)."""
        held = [
            env.receive_broadcast(agent) for env in self._envs for agent in self._agents
        ]
        heard = [record for record in held if record is not None]
        if not heard:
            return None
        records = np.zeros(self.num_envs, heard[0].dtype)
        for row, record in enumerate(held):
            if record is not None:
                records[row] = record
        return records.reshape(self.shape)

    def receive_versions(self) -> Versions | None:
        """The same as :meth:`receive_broadcast`, as versions."""
        parameters = self.receive_broadcast()
        return None if parameters is None else Versions.of_agents(parameters)

    def close(self) -> None:
        """Releases the instances."""
        for env in self._envs:
            env.close()

    def _rows(self, trial: int) -> dict[str, int]:
        first = trial * self.shape[1]
        return {agent: first + number for number, agent in enumerate(self._agents)}

    def _common(self, kind: str) -> gym.Space[Any]:
        spaces = [
            getattr(env, kind)(agent) for env in self._envs for agent in self._agents
        ]
        if any(space != spaces[0] for space in spaces):
            raise ValueError(
                f"agents with different {kind.replace('_', ' ')}s; a batch needs one "
                "space for all"
            )
        return spaces[0]


class _Instances:
    """The environments alone, as agents step through them."""

    def __init__(self, batch: BatchedFromParallel) -> None:
        self._batch = batch
        self.step = batch.move

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)


class _Uplinks:
    """What is left of the budgets of all trials."""

    def __init__(self, envs: Sequence[ParallelInstances]) -> None:
        self._envs = envs

    @property
    def left(self) -> Left:
        return _joined([env.uplink.left for env in self._envs])


def _joined(lefts: Sequence[Left]) -> Left:
    return Left(
        np.concatenate([left.messages for left in lefts]),
        np.concatenate([left.bytes for left in lefts]),
    )
