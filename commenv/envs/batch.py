"""Batches of instances: over tables, and over a list of scalar environments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import create_empty_array
from gymnasium.wrappers import FlattenObservation
from numpy.typing import NDArray

from commenv.checks import check_integer
from commenv.envs.batched import BatchedEnv, BatchedStep
from commenv.envs.checker import CheckedEnv
from commenv.envs.flat import FlatTables, integer_actions
from commenv.envs.tabular import TabularMDP
from commenv.errors import EnvironmentFaultError, NotResetError
from commenv.rng import UniformStream, WorldDraws

__all__ = ["ScalarBatch", "TabularBatch", "checked"]

_ARRAY_SPACES = (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary, spaces.Box)


class InOneArray(FlattenObservation):
    """Observations of several parts as one array, for a batch."""


def checked(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    """A foreign environment whose results are checked, its observation in one array.

    Raises:
        EnvironmentFaultError: It says that its rewards are vectors.
    """
    space, env = env.observation_space, CheckedEnv(env)
    if isinstance(space, _ARRAY_SPACES) or not space.is_np_flattenable:
        return env
    return env if _shows_images(space) else InOneArray(env)


def _shows_images(space: gym.Space[Any]) -> bool:
    if isinstance(space, spaces.Dict):
        return any(map(_shows_images, space.spaces.values()))
    if isinstance(space, spaces.Tuple):
        return any(map(_shows_images, space.spaces))
    return isinstance(space, spaces.Box) and len(space.shape) > 1


class TabularBatch(BatchedEnv):
    """Many instances of one tabular process, stepped by array operations.

    Observations are states, int64 of shape (num_envs,). Each active instance uses one
    uniform number per reset and per step, exactly as the scalar form does; a
    deterministic process never asks its draws for any.

    Args:
        mdp: The dynamics.
        num_envs: How many instances, at least 1.
        max_episode_steps: The time limit, or None.

    Raises:
        ValueError: ``num_envs`` or ``max_episode_steps`` below 1.
    """

    mdp: TabularMDP

    def __init__(
        self, mdp: TabularMDP, num_envs: int, max_episode_steps: int | None = None
    ) -> None:
        check_counts(num_envs, max_episode_steps)
        self.mdp = mdp
        self.num_envs = num_envs
        self.max_episode_steps = max_episode_steps
        self.single_observation_space = spaces.Discrete(mdp.num_states)
        self.single_action_space = spaces.Discrete(mdp.num_actions)
        self._tables = FlatTables(mdp)
        self._states: NDArray[np.int64] | None = None
        self._elapsed = np.zeros(num_envs, dtype=np.int64)
        self._uniforms: UniformStream | None = None

    @property
    def states(self) -> NDArray[np.int64]:
        """The present states, a copy: int64, shape (num_envs,).

        Raises:
            NotResetError: Before the first reset.
        """
        if self._states is None:
            raise NotResetError("no state before the first reset; call reset() first")
        return self._states.copy()

    def reset(
        self, draws: WorldDraws, mask: NDArray[np.bool_] | None = None
    ) -> NDArray[Any]:
        """Starts an episode; see :meth:`BatchedEnv.reset`."""
        if mask is None:
            mask = np.ones(self.num_envs, dtype=bool)
            self._states = np.zeros(self.num_envs, dtype=np.int64)
            self._uniforms = None if self.mdp.deterministic else draws.uniforms()
        elif self._states is None:
            raise NotResetError(
                "a reset with a mask before the first reset; reset all instances first"
            )
        uniforms = self._uniforms.next(mask) if self._uniforms else None
        started = self._tables.start(uniforms)
        self._states = np.where(mask, started, self._states)
        self._elapsed[mask] = 0
        return self._states.copy()

    def step(self, actions: NDArray[Any], active: NDArray[np.bool_]) -> BatchedStep:
        """Moves the active instances by one step; see :meth:`BatchedEnv.step`."""
        if self._states is None:
            raise NotResetError("step before the first reset; call reset() first")
        chosen = integer_actions(actions, (self.num_envs,))
        self._tables.check(np.where(active, chosen, 0))
        uniforms = self._uniforms.next(active) if self._uniforms else None
        pairs = self._states * self._tables.stride
        pairs += np.where(active, chosen, self._tables.idle)
        self._states, rewards, terminated = self._tables.move(pairs, uniforms)
        self._elapsed += active
        truncated = np.zeros(self.num_envs, dtype=bool)
        if self.max_episode_steps is not None:
            truncated = (self._elapsed >= self.max_episode_steps) & active & ~terminated
        return BatchedStep(self._states.copy(), rewards, terminated, truncated)


class ScalarBatch(BatchedEnv):
    """A list of scalar Gymnasium environments as a batch: the fallback for any world.

    Every full reset seeds each instance with the seed that the draws give it, so an
    episode does not depend on the episodes before it. The time limit is the
    environments' own ``TimeLimit``.

    What the environments return is checked (:mod:`commenv.envs.checker`): an error is
    an :class:`~commenv.errors.EnvironmentFaultError` that knows the instance.

    Args:
        envs: The instances, with equal spaces: Discrete, MultiDiscrete, MultiBinary or
            Box, for observations and actions. Observations of several parts (Dict,
            Tuple), none of them an image, are flattened.

    Raises:
        ValueError: No instance at all, or spaces of another kind.
        EnvironmentFaultError: The environments say that their rewards are vectors.
    """

    mdp: None = None

    def __init__(self, envs: Sequence[gym.Env[Any, Any]]) -> None:
        check_counts(len(envs), None)
        self.envs = list(map(checked, envs))
        self.num_envs = len(self.envs)
        spec = self.envs[0].spec
        self.max_episode_steps = spec.max_episode_steps if spec else None
        self.single_observation_space = self.envs[0].observation_space
        self.single_action_space = self.envs[0].action_space
        _check_space(self.single_observation_space, "observation")
        _check_space(self.single_action_space, "action")
        self._observations: Any = create_empty_array(
            self.single_observation_space, n=self.num_envs, fn=np.zeros
        )
        self._reset_once = False

    @property
    def parts_space(self) -> gym.Space[Any]:
        """The environment's own observation space, before any flattening."""
        env = self.envs[0]
        own = env.env if isinstance(env, InOneArray) else env
        return own.observation_space

    def reset(
        self, draws: WorldDraws, mask: NDArray[np.bool_] | None = None
    ) -> NDArray[Any]:
        """Starts an episode; see :meth:`BatchedEnv.reset`.

        With a mask the chosen instances go on with their own generators.
        """
        if mask is None:
            seeds = draws.seeds()
            for row in range(self.num_envs):
                self._reset_row(row, int(seeds[row]))
            self._reset_once = True
        elif not self._reset_once:
            raise NotResetError(
                "a reset with a mask before the first reset; reset all instances first"
            )
        else:
            for row in np.flatnonzero(mask).tolist():
                self._reset_row(row, None)
        return self._observations.copy()

    def step(self, actions: NDArray[Any], active: NDArray[np.bool_]) -> BatchedStep:
        """Moves the active instances by one step; see :meth:`BatchedEnv.step`."""
        if not self._reset_once:
            raise NotResetError("step before the first reset; call reset() first")
        given = np.asarray(actions)
        if given.shape[:1] != (self.num_envs,):
            raise ValueError(
                f"actions of shape {given.shape} for {self.num_envs} instances; give "
                "one action for each"
            )
        rows = np.flatnonzero(active).tolist()
        chosen = [self._action(given[row], row) for row in rows]
        rewards = np.zeros(self.num_envs)
        terminated = np.zeros(self.num_envs, dtype=bool)
        truncated = np.zeros(self.num_envs, dtype=bool)
        for row, action in zip(rows, chosen, strict=True):
            try:
                observation, reward, ends, cut, _ = self.envs[row].step(action)
            except EnvironmentFaultError as fault:
                fault.row = row
                raise
            self._observations[row] = observation
            rewards[row] = reward
            terminated[row] = ends
            truncated[row] = cut and not ends
        return BatchedStep(self._observations.copy(), rewards, terminated, truncated)

    def close(self) -> None:
        """Closes every instance."""
        for env in self.envs:
            env.close()

    def _reset_row(self, row: int, seed: int | None) -> None:
        try:
            self._observations[row] = self.envs[row].reset(seed=seed)[0]
        except EnvironmentFaultError as fault:
            fault.row = row
            raise

    def _action(self, action: Any, row: int) -> Any:
        """One action in the form that the action space contains."""
        space = self.single_action_space
        if isinstance(space, spaces.Box):
            action = np.asarray(action, dtype=space.dtype)
        if not space.contains(action):
            raise ValueError(
                f"action {action} of instance {row} is outside the action space {space}"
            )
        return int(action) if isinstance(space, spaces.Discrete) else action


def check_counts(num_envs: int, max_episode_steps: int | None) -> None:
    """Refuses counts that are not integers.

    Raises:
        TypeError: One is not an integer.
        ValueError: No instance, or a time limit below one step.
    """
    check_integer("num_envs", num_envs, least=1)
    if max_episode_steps is not None:
        check_integer("max_episode_steps", max_episode_steps, least=1)


def _check_space(space: gym.Space[Any], what: str) -> None:
    if not isinstance(space, _ARRAY_SPACES):
        raise ValueError(
            f"the {what} space {space} is not one array per instance; wrap the "
            f"environment, in gymnasium.wrappers.FlattenObservation for instance"
        )
