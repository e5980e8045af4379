"""What PettingZoo environments return to each agent is checked here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete
from gymnasium.vector.utils import batch_space

from commenv.envs.checker import Checker, Place, with_agent

__all__ = ["ParallelChecker"]

_ARRAYS = (Box, Discrete, MultiBinary, MultiDiscrete)
_SMALL = 256  # numbers of an observation that is worth a copy
_FLAGS = frozenset({bool, np.bool_})
_USUAL = (
    frozenset({np.ndarray, int, np.int64}),
    frozenset({float, int, np.float64}),
    _FLAGS,
    _FLAGS,
    frozenset({dict}),
)
"""The types of what agents get, part by part."""


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
        spaces = [env.observation_space(agent) for agent in env.possible_agents]
        self._env = env
        self._shared: gym.Space[Any] | None = spaces[0]
        self._together: dict[int, Checker] = {}
        small = (
            isinstance(spaces[0], _ARRAYS)
            and math.prod(spaces[0].shape or ()) <= _SMALL
        )
        if not small or any(space != spaces[0] for space in spaces):
            self._shared = None

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

    def is_usual(self, agents: list[Any], result: Any) -> bool:
        """Whether a step returned five dictionaries of what can be used as it is.

        It is found out for all agents together: hundreds would notice what it costs to
        look at one after the other. Where it is False, nothing need be wrong.

        Args:
            agents: Who was there before the step. The dictionaries are to have an entry
                for each of them, and no other.
            result: What it returned.
        """
        if self._shared is None or type(result) is not tuple or len(result) != 5:
            return False
        parts = []
        for part, usual in zip(result, _USUAL, strict=True):
            if type(part) is not dict or len(part) != len(agents):
                return False
            try:
                values = list(map(part.__getitem__, agents))
            except KeyError:
                return False
            if not usual.issuperset(map(type, values)):
                return False
            parts.append(values)
        seen, rewards, *_ = parts
        total = sum(rewards)
        if total != total:  # a NaN, or infinite rewards of both signs
            return False
        try:
            together = np.array(seen)
        except ValueError:  # of different shapes
            return False
        return self._all(len(agents)).contains(together)

    def _all(self, count: int) -> Checker:
        """A checker of the observations of some agents in one array."""
        if count not in self._together:
            assert self._shared is not None
            space = batch_space(self._shared, count)
            self._together[count] = Checker(self._env, space)
        return self._together[count]
