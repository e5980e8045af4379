"""A foreign environment's answers, checked, and without what is not the agents'."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from commenv.multiagent.checker import ParallelChecker
from commenv.multiagent.contract import check_agents, check_reset, check_step

__all__ = ["CheckedAnswers"]


class CheckedAnswers:
    """Checks what an environment's ``reset`` and ``step`` return.

    Args:
        env: A parallel environment.

    Raises:
        EnvironmentFaultError: It says that its rewards are vectors.
    """

    def __init__(self, env: Any) -> None:
        self._env = env
        self._agents = dict.fromkeys(env.possible_agents)
        self._checker = ParallelChecker(env)

    def reset(self, result: Any) -> tuple[Mapping[Any, Any], Mapping[Any, Any]]:
        """The observations and infos of a reset, by agent.

        Raises:
            ContractError: They break PettingZoo's contract.
            EnvironmentFaultError: An observation cannot be used.
        """
        check_reset(self._env, result, self._agents)
        observations, infos = map(self._own, result)
        self._checker.reset(self._env.agents, observations)
        return observations, infos

    def step(self, live: list[Any], result: Any) -> tuple[Any, ...]:
        """The five mappings of a step, by agent.

        Args:
            live: The agents before it.
            result: What it returned.

        Raises:
            ContractError: They break PettingZoo's contract.
            EnvironmentFaultError: One of them cannot be used.
        """
        if self._checker.is_usual(live, result):
            check_agents(self._env, result[0], self._agents)
            checked: tuple[Any, ...] = result
            return checked
        check_step(self._env, live, result, self._agents)
        return self._checker.step(live, tuple(map(self._own, result)))

    def _own(self, by_agent: Mapping[Any, Any]) -> Mapping[Any, Any]:
        """The entries that belong to agents."""
        if by_agent.keys() <= self._agents.keys():
            return by_agent
        return {
            agent: part for agent, part in by_agent.items() if agent in self._agents
        }
