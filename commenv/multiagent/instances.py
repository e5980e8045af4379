"""Instances of one environment as the agents of a PettingZoo environment."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from commenv.channel import Channel, FreeForm, LiveChannel, Received, pack
from commenv.draws import Draws
from commenv.envs.batched import BatchedEnv
from commenv.envs.patchwork import empty_rows
from commenv.errors import NotResetError, UnknownNameError
from commenv.multiagent.showing import Show
from commenv.wrappers import ChannelEnv, Metrics, Told
from commenv.wrappers.telling import comm_of, messages_of, told, totals_of

__all__ = ["ParallelInstances"]

_Infos = dict[str, dict[str, Any]]


class ParallelInstances(ParallelEnv[str, Any, Any]):
    """Agents in instances of their own, around one learner: a PettingZoo environment.

    It is a face of :class:`commenv.ChannelEnv` with a single trial: from the same seed
    and actions both give the same observations, deliveries and metrics, bit for bit.
    :func:`commenv.parallel_env` makes it.

    Agents are ``agent_0``, ``agent_1`` and so on. An agent whose episode has ended
    leaves ``agents``; the next reset begins the next episode for everybody. An agent
    may send before, between and after its steps, until that reset; such a send belongs
    to the episode that ended.

    The channel's clock, which delays, rates and step budgets count in, ticks with every
    reset and not with steps: a tick is a round, as in :class:`commenv.ChannelEnv`
    (:class:`commenv.wrappers.MessageChannel` ticks with every step).

    ``infos[agent]["comm"]`` of every step and reset says what the agent may know:
    ``sent`` and ``refused``, messages of the episode so far, and ``messages_left`` and
    ``bytes_left``. ``infos[agent]["episode_comm"]`` of a reset holds the agent's
    metrics of the episode before it, as numbers by name (see :class:`commenv.Metrics`).

    A budget with ``exceed="penalize"`` takes its price off the agent's next reward of
    the episode; the metrics ``reward`` and ``episode_return`` are without it. One with
    ``"terminate"`` ends the agent's episode: its next step moves nothing, earns 0 and
    is terminated.

    Args:
        world: The instances, one for each agent.
        show: Draws them.
        trial: The trial's number, which addresses the random draws.
        uplink: From each agent to the learner; unlimited and perfect by default.
        downlink: From the learner to the agents; likewise.
        gamma: The discount of the metric ``reward``, in [0, 1].

    Attributes:
        trial: As given.
        possible_agents: The names of all agents.
        agents: Those whose episode goes on; none before the first reset.
        max_cycles: The time limit in steps that it was made with, or None.
        render_mode: How :meth:`render` shows it, or None.
        metadata: ``name``, ``render_modes``, ``render_fps``, ``is_parallelizable``.

    Raises:
        ValueError: A gamma outside [0, 1], or a negative trial.
    """

    def __init__(
        self,
        world: BatchedEnv,
        show: Show,
        *,
        trial: int = 0,
        uplink: Channel | None = None,
        downlink: Channel | None = None,
        gamma: float = 0.9,
    ) -> None:
        if trial < 0:
            raise ValueError(f"trial {trial} is negative; use 0 or more")
        self._channel = ChannelEnv(
            world,
            [trial],
            world.num_envs,
            uplink=uplink,
            downlink=downlink,
            gamma=gamma,
        )
        self._show = show
        self.trial = trial
        self.metadata = show.metadata
        self.render_mode = show.render_mode
        self.max_cycles = world.max_episode_steps
        self.possible_agents = [f"agent_{row}" for row in range(world.num_envs)]
        self.agents: list[str] = []
        self._rows = {agent: row for row, agent in enumerate(self.possible_agents)}
        both = [world.spaces_of(row) for row in range(world.num_envs)]
        # Copies, so that each agent's space can be seeded and sampled by itself.
        self._observation_spaces = [copy.deepcopy(one) for one, _ in both]
        self._action_spaces = [copy.deepcopy(one) for _, one in both]
        self._idle = empty_rows(self._action_spaces)
        self._free_form = False  # what the uplink carries since it was opened

    def observation_space(self, agent: str) -> gym.Space[Any]:
        """The space of an agent's observations, the same object at each call.

        Raises:
            UnknownNameError: No such agent.
        """
        return self._observation_spaces[self._row(agent)]

    def action_space(self, agent: str) -> gym.Space[Any]:
        """The space of an agent's actions, the same object at each call.

        Raises:
            UnknownNameError: No such agent.
        """
        return self._action_spaces[self._row(agent)]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], _Infos]:
        """Begins the next episode of all agents, or with a seed the first one.

        Args:
            seed: Starts everything afresh: episode 0, empty ledgers, full budgets.
                Left out at the very first reset, one is drawn from the operating
                system (``env.draws.seed`` shows it).
            options: Not used.

        Returns:
            Observations and infos, by agent.

        Raises:
            ValueError: A negative seed.
        """
        closing: list[dict[str, Any]] = [{} for _ in self.possible_agents]
        if self._channel.episode >= 0:
            metrics = self._channel.metrics
            closing = [
                {"episode_comm": totals_of(metrics, row)} for row in self._rows.values()
            ]
        observations, _ = self._channel.reset(seed=seed)
        self.agents = self.possible_agents[:]
        self._charged = np.zeros(len(self.agents))
        self._free_form = self._free_form and self.episode > 0
        star = self._channel.star
        comm = comm_of(star.uplink_traffic, star.uplink.left)
        self._show.follow()
        return (
            {agent: observations[row] for agent, row in self._rows.items()},
            {
                agent: {**closing[row], "comm": comm[row]}
                for agent, row in self._rows.items()
            },
        )

    def step(
        self, actions: dict[str, Any]
    ) -> tuple[
        dict[str, Any],
        dict[str, float],
        dict[str, bool],
        dict[str, bool],
        _Infos,
    ]:
        """Moves every agent of ``agents`` by one step.

        Args:
            actions: One for each agent of ``agents``, and for nobody else.

        Returns:
            Observations, rewards, terminations, truncations and infos of those who
            acted, by agent.

        Raises:
            NotResetError: Before the first reset, or when every episode has ended.
            UnknownNameError: An action for somebody who does not exist.
            ValueError: An agent without an action, an action for an agent whose
                episode has ended, or one outside the action space.
        """
        acted = self.agents
        chosen = self._chosen(actions)
        observations, rewards, terminated, truncated, _ = self._channel.step(chosen)
        star = self._channel.star
        up = star.uplink_traffic
        due = up.penalty[0] - self._charged
        self._charged = self._charged + due
        comm = comm_of(up, star.uplink.left)
        rows = [(agent, self._rows[agent]) for agent in acted]
        ended = (terminated | truncated).tolist()
        self.agents = [agent for agent, row in rows if not ended[row]]
        self._show.follow()
        paid = (rewards - due).tolist()
        return (
            {agent: observations[row] for agent, row in rows},
            {agent: paid[row] for agent, row in rows},
            {agent: bool(terminated[row]) for agent, row in rows},
            {agent: bool(truncated[row]) for agent, row in rows},
            {agent: {"comm": comm[row]} for agent, row in rows},
        )

    def send(self, agent: str, payload: Any) -> Told:
        """Sends one message from an agent to the learner.

        Args:
            agent: Who sends.
            payload: Records (a one-dimensional structured array), or a free-form
                payload: nested dictionaries, lists, arrays, strings and numbers. Keep
                to one of the two. No records, and None, are silence.

        Returns:
            What the agent is told.

        Raises:
            NotResetError: Before the first reset.
            UnknownNameError: No such agent.
            TypeError: It cannot be encoded; the message says which part.
            ValueError: The same, or another form than before.
            BudgetExceededError: Under ``exceed="raise"``.
        """
        return self.send_all({agent: payload})[agent]

    def send_all(self, payloads: Mapping[str, Any]) -> dict[str, Told]:
        """Sends one message each from several agents, at the same time.

        A budget of the team serves them in an order drawn anew in each round; with
        single calls of :meth:`send` the first to call is the first served.

        Args:
            payloads: By agent; see :meth:`send`. Agents that are not named are silent.

        Returns:
            What each of the named agents is told.

        Raises:
            NotResetError: Before the first reset.
            UnknownNameError: No such agent.
            TypeError: A payload cannot be encoded; the message says whose and which
                part, and nothing is sent.
            ValueError: The same, or another form than before.
            BudgetExceededError: Under ``exceed="raise"``; nothing is sent then.
        """
        self._check_reset()
        rows = {agent: self._row(agent) for agent in payloads}
        if not rows:
            return {}
        flat: list[Any] = [None] * len(self.possible_agents)
        for agent, row in rows.items():
            flat[row] = payloads[agent]
        try:
            messages = messages_of(flat)
            receipt = self._channel.send(messages)
        except (TypeError, ValueError):
            _blame(payloads)
            raise
        self._free_form = isinstance(messages, FreeForm)
        return {agent: told(receipt, row) for agent, row in rows.items()}

    def receive(self) -> dict[str, list[Any] | NDArray[np.void]]:
        """The learner's side: what arrived since the last call, by sender.

        Returns:
            For every agent its free-form payloads in a list, or all its records in one
            array; empty lists before anybody has sent anything.

        Raises:
            NotResetError: Before the first reset.
        """
        arrived = self._channel.receive()
        if arrived is None:
            return {agent: [] for agent in self.possible_agents}
        if not isinstance(arrived, Received):
            return dict(zip(self.possible_agents, arrived, strict=True))
        ends = arrived.counts[0].cumsum()[:-1]
        parts = np.split(arrived.records, ends)
        return dict(zip(self.possible_agents, parts, strict=True))

    def receive_records(self) -> Received | None:
        """The learner's side: the same as :meth:`receive`, with headers.

        Returns:
            The records of all agents, with counts of shape (1, agents); None before
            anybody has sent anything.

        Raises:
            NotResetError: Before the first reset.
            ValueError: The channel carries free-form payloads.
        """
        self._check_reset()
        if self._free_form:
            raise ValueError(
                "the uplink carries free-form payloads; get them with receive()"
            )
        arrived = self._channel.receive()
        assert arrived is None or isinstance(arrived, Received)
        return arrived

    def broadcast(self, parameters: NDArray[np.void]) -> dict[str, Told]:
        """The learner's side: sends one record to all agents.

        Args:
            parameters: A structured array of one record.

        Returns:
            By agent, whether the record to it was accepted, and what is left.

        Raises:
            NotResetError: Before the first reset.
            ValueError: Not one record.
            BudgetExceededError: Under ``exceed="raise"``; nothing is sent then.
        """
        receipt = self._channel.broadcast(_one(parameters))
        return {agent: told(receipt, row) for agent, row in self._rows.items()}

    def receive_broadcast(self, agent: str) -> np.void | None:
        """The last record that an agent received.

        Returns:
            One record. An agent that has not received any yet holds what :meth:`hold`
            gave it, or else zeros; None before the first broadcast has reached anybody
            and nothing was held.

        Raises:
            NotResetError: Before the first reset.
            UnknownNameError: No such agent.
        """
        row = self._row(agent)
        received = self._channel.receive_broadcast()
        return None if received is None else received[0, row].copy()

    def hold(self, parameters: NDArray[np.void]) -> None:
        """Lets every agent hold a record that it did not have to be sent.

        An algorithm's start is known on both sides before the first message, as its
        settings are; it costs nothing.

        Args:
            parameters: A structured array of one record.

        Raises:
            NotResetError: Before the first reset.
            ValueError: Not one record.
        """
        self._channel.hold(_one(parameters))

    def agree(self, records: NDArray[np.void]) -> None:
        """Charges the downlink with what every agent was told beforehand.

        It passes neither budget nor link, since nothing can be sent without it.

        Args:
            records: A structured array of one record.

        Raises:
            NotResetError: Before the first reset.
            ValueError: Not one record.
        """
        self._channel.agree(_one(records))

    @property
    def metrics(self) -> Metrics:
        """The metrics of the current episode so far: arrays of shape (1, agents).

        Raises:
            NotResetError: Before the first reset.
        """
        return self._channel.metrics

    @property
    def episode(self) -> int:
        """The current episode, counted from 0; -1 before the first reset."""
        return self._channel.episode

    @property
    def draws(self) -> Draws:
        """The random draws of the trial and its agents.

        Raises:
            NotResetError: Before the first reset.
        """
        self._check_reset()
        return self._channel.draws

    @property
    def uplink(self) -> LiveChannel:
        """From the agents to the learner, with its ledger and what is left of a budget.

        Raises:
            NotResetError: Before the first reset.
        """
        self._check_reset()
        return self._channel.uplink

    @property
    def downlink(self) -> LiveChannel:
        """From the learner to the agents, with its ledger.

        Raises:
            NotResetError: Before the first reset.
        """
        self._check_reset()
        return self._channel.downlink

    def render(self) -> NDArray[np.uint8] | str | None:
        """A picture of all agents, in the form that ``render_mode`` names.

        Returns:
            Their pictures in one, uint8 of shape (height, width, 3) (``"rgb_array"``);
            their texts below each other (``"ansi"``); or None (``"human"``, which shows
            the picture in a window).

        Raises:
            NotResetError: Before the first reset.
            MissingExtraError: The extra that draws it is not installed.
        """
        self._check_reset()
        return self._show.render(self.possible_agents)

    def close(self) -> None:
        """Releases the instances, and closes the window."""
        self._channel.close()
        self._show.close()

    def _chosen(self, actions: Mapping[str, Any]) -> NDArray[Any]:
        """One action for each instance, checked; those that rest get any."""
        self._check_reset()
        if not self.agents:
            raise NotResetError("every episode has ended; call reset() first")
        if not isinstance(actions, Mapping):
            raise TypeError(
                f"actions are a {type(actions).__name__}; give a dictionary with one "
                f"for each of {', '.join(self.agents)}"
            )
        chosen = self._idle.copy()
        for agent in self.agents:
            if agent not in actions:
                raise ValueError(f"no action for {agent}, whose episode goes on")
            row = self._rows[agent]
            chosen[row] = _inside(self._action_spaces[row], actions[agent], agent)
        if len(actions) > len(self.agents):
            for agent in actions:
                if agent not in self.agents:
                    self._row(agent)
                    raise ValueError(
                        f"an action for {agent}, whose episode has ended; give actions "
                        "for env.agents"
                    )
        return chosen

    def _row(self, agent: str) -> int:
        if agent not in self._rows:
            raise UnknownNameError("agent", agent, self.possible_agents)
        return self._rows[agent]

    def _check_reset(self) -> None:
        if self._channel.episode < 0:
            raise NotResetError("the environment was not reset; call reset() first")


def _inside(space: gym.Space[Any], action: Any, agent: str) -> Any:
    """An action in its space's own dtype, if it lies in the space."""
    if isinstance(space, gym.spaces.Box):
        action = np.asarray(action, space.dtype)
    if not space.contains(action):
        raise ValueError(f"action {action!r} of {agent} is outside {space}")
    return action


def _one(record: NDArray[np.void]) -> NDArray[np.void]:
    """One record as an array of one."""
    records = np.atleast_1d(record)
    if records.shape != (1,):
        raise ValueError(f"records of shape {records.shape}; give one record")
    return records


def _blame(payloads: Mapping[str, Any]) -> None:
    """Raises again what is wrong with a single payload, and says whose it is."""
    for agent, payload in payloads.items():
        try:
            if isinstance(messages_of([payload]), FreeForm):
                pack(payload)
        except TypeError as error:
            raise TypeError(f"{agent}: {error}") from None
        except ValueError as error:
            raise ValueError(f"{agent}: {error}") from None
