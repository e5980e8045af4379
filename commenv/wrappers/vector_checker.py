"""What vector environments return is checked here, all sub-environments at once."""

from __future__ import annotations

from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv
from gymnasium.vector.utils import iterate
from numpy.typing import NDArray

from commenv.envs.checker import Checker, Place, with_agent
from commenv.envs.membership import spelled
from commenv.errors import EnvironmentFaultError

__all__ = ["VectorChecker"]


class VectorChecker:
    """Checks what a vector environment returns, all sub-environments at once.

    Args:
        env: The environment.
        where: Asked for the place of a fault; the agent is known where one is at fault.

    Raises:
        EnvironmentFaultError: The environment says that its rewards are vectors.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], where: Place = dict) -> None:
        self._num_envs, self._where = env.num_envs, where
        self._space, self._single = env.observation_space, env.single_observation_space
        self._env, self._all = env, Checker(env, env.observation_space, where)

    def observations(self, observations: Any) -> None:
        """Checks the observations of all sub-environments.

        Raises:
            EnvironmentFaultError: One cannot be used.
        """
        try:
            self._all.observation(observations)
        except EnvironmentFaultError:
            for row, one in enumerate(iterate(self._space, observations)):
                self._one(row, self._single).observation(one)
            raise

    def step(
        self, result: Any, acting: NDArray[np.bool_]
    ) -> tuple[
        Any, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]
    ]:
        """What a step returned, if it can be used; rewards as float64.

        Args:
            result: The five parts.
            acting: bool, shape (num_envs,): whose reward counts.

        Raises:
            EnvironmentFaultError: It cannot.
        """
        observations, rewards, terminated, truncated, infos = result
        self.observations(observations)
        paid = self._rewards(rewards, acting)
        flags = [
            self._flags(flag, name)
            for flag, name in ((terminated, "terminated"), (truncated, "truncated"))
        ]
        return observations, paid, flags[0], flags[1], infos

    def _rewards(self, rewards: Any, acting: NDArray[np.bool_]) -> NDArray[np.float64]:
        array = np.asarray(rewards)
        if array.size != self._num_envs or array.dtype.kind not in "biuf":
            for row, one in enumerate(self._rows(rewards, "rewards")):
                self._one(row).reward(one)
        paid = array.reshape(self._num_envs).astype(np.float64, copy=False)
        if np.isnan(paid[paid.argmax()]):  # for argmax, nothing is larger than NaN
            for row in np.flatnonzero(np.isnan(paid) & acting)[:1]:
                self._one(int(row)).reward(paid[row])
        return paid

    def _flags(self, flags: Any, name: str) -> NDArray[np.bool_]:
        array = np.asarray(flags)
        if array.dtype == np.bool_ and array.shape == (self._num_envs,):
            return array
        rows = enumerate(self._rows(flags, name))
        return np.array([self._one(row).flag(one, name) for row, one in rows])

    def _rows(self, values: Any, name: str) -> Any:
        if np.ndim(values) and len(values) == self._num_envs:
            return values
        words = f"returned {name} {spelled(values)}"
        raise self._all.fault(words, f"return one for each of {self._num_envs}")

    def _one(self, row: int, space: gym.Space[Any] | None = None) -> Checker:
        where = partial(with_agent, self._where, row)
        return Checker(self._env, space or self._single, where)
