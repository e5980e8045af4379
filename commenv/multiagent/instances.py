"""Instances of one environment as the agents of a PettingZoo environment."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from commenv.channel import Channel
from commenv.checks import check_integer
from commenv.envs.batched import BatchedEnv
from commenv.envs.options import check_options
from commenv.envs.patchwork import empty_rows
from commenv.errors import NotResetError
from commenv.multiagent.named_star import NamedStar
from commenv.multiagent.showing import Show
from commenv.wrappers import ChannelEnv
from commenv.wrappers.infos import comm_of, totals_of

__all__ = ["ParallelInstances"]

_Infos = dict[str, dict[str, Any]]


class ParallelInstances(NamedStar, ParallelEnv[str, Any, Any]):
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
    ``bytes_left``.

    ``infos[agent]["episode_comm"]`` holds the agent's metrics of an episode that is
    over, as numbers by name: ``reward``, ``frequency``, ``size`` and all others of
    :class:`commenv.Metrics`. The step that ends it has them as of then. The reset that
    follows has the final ones, with what was sent in between: log one of the two. At
    the first reset they are all 0, since some libraries want the same keys in all.

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
        check_integer("trial", trial)
        self.possible_agents = [f"agent_{row}" for row in range(world.num_envs)]
        channel = ChannelEnv(
            world,
            [trial],
            world.num_envs,
            uplink=uplink,
            downlink=downlink,
            gamma=gamma,
        )
        super().__init__(channel, self.possible_agents)
        self._show = show
        self.trial = trial
        self.metadata = show.metadata
        self.render_mode = show.render_mode
        self.max_cycles = world.max_episode_steps
        self.agents: list[str] = []
        both = [world.spaces_of(row) for row in range(world.num_envs)]
        # Copies, so that each agent's space can be seeded and sampled by itself.
        self._observation_spaces = [copy.deepcopy(one) for one, _ in both]
        self._action_spaces = [copy.deepcopy(one) for _, one in both]
        self._idle = empty_rows(self._action_spaces)

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
            options: None is known.

        Returns:
            Observations and infos, by agent.

        Raises:
            ValueError: A negative seed, or a seed among the options.
        """
        check_options(options)
        ended = self._channel.metrics if self._channel.episode >= 0 else None
        observations, _ = self._channel.reset(seed=seed)
        closing = self._channel.metrics if ended is None else ended
        self._free_form = self._free_form and self.episode > 0
        self.agents = self.possible_agents[:]
        comm = comm_of(self._channel.star.meter)
        self._show.follow()
        return (
            {agent: observations[row] for agent, row in self._rows.items()},
            {
                agent: {"episode_comm": totals_of(closing, row), "comm": comm[row]}
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
            acted, by agent. Without agents and without actions, five empty
            dictionaries.

        Raises:
            NotResetError: Before the first reset, or actions when every episode has
                ended.
            UnknownNameError: An action for somebody who does not exist.
            ValueError: An agent without an action, an action for an agent whose
                episode has ended, or one outside the action space.
        """
        self._check_reset()
        acted = self.agents
        if not acted and not actions:
            return {}, {}, {}, {}, {}  # as PettingZoo's own environments answer
        chosen = self._chosen(actions)
        observations, rewards, terminated, truncated, _ = self._channel.step(chosen)
        star = self._channel.star
        up = star.meter.traffic
        due = self._channel.instances.statistics.due(up.penalty[0])
        comm = comm_of(star.meter)
        rows = [(agent, self._rows[agent]) for agent in acted]
        ended = (terminated | truncated).tolist()
        infos: _Infos = {agent: {"comm": comm[row]} for agent, row in rows}
        if any(ended[row] for _, row in rows):
            totals = self._channel.metrics
            for agent, row in rows:
                if ended[row]:
                    infos[agent]["episode_comm"] = totals_of(totals, row)
        self.agents = [agent for agent, row in rows if not ended[row]]
        self._show.follow()
        paid = (rewards - due).tolist()
        return (
            {agent: observations[row] for agent, row in rows},
            {agent: paid[row] for agent, row in rows},
            {agent: bool(terminated[row]) for agent, row in rows},
            {agent: bool(truncated[row]) for agent, row in rows},
            infos,
        )

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


def _inside(space: gym.Space[Any], action: Any, agent: str) -> Any:
    """An action in its space's own dtype, if it lies in the space."""
    if isinstance(space, gym.spaces.Box):
        action = np.asarray(action, space.dtype)
    if not space.contains(action):
        raise ValueError(f"action {action!r} of {agent} is outside {space}")
    return action
