"""What PettingZoo environments return to each agent is checked here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from commenv.envs.checker import Checker, Place, with_agent

__all__ = ["ParallelChecker"]


class ParallelChecker:
    """Checks what a PettingZoo environment returns to each agent.

    Args:
        env: The environment.
        where: Asked for the place of a fault; the agent is known.

    Raises:
        EnvironmentFaultError: The environment says that its rewards are vectors.
    """

    def __init__(self, env: Any, where: Place = dict) -> None:
        self._each = {
            agent: Checker(
                env, env.observation_space(agent), partial(with_agent, where, agent)
            )
            for agent in env.possible_agents
        }

    def reset(self, agents: Iterable[Any], observations: Mapping[Any, Any]) -> None:
        """Checks the observations of these agents.

        Raises:
            EnvironmentFaultError: One cannot be used.
        """
        for agent in agents:
            self._each[agent].observation(observations[agent])

    def step(self, agents: Iterable[Any], result: Any) -> tuple[Any, ...]:
        """The five mappings that a step returned, if these agents' parts can be used.

        Raises:
            EnvironmentFaultError: One cannot.
        """
        seen, rewards, terminations, truncations, infos = result
        rewards, terminations, truncations = map(
            dict, (rewards, terminations, truncations)
        )
        for agent in agents:
            parts = rewards[agent], terminations[agent], truncations[agent]
            _, rewards[agent], terminations[agent], truncations[agent], _ = self._each[
                agent
            ].step((seen[agent], *parts, infos[agent]))
        return seen, rewards, terminations, truncations, infos
