"""Many independent instances of one environment, stepped together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from commenv.rng import WorldDraws

if TYPE_CHECKING:
    from commenv.envs.tabular import TabularMDP

__all__ = ["BatchedEnv", "BatchedStep"]


class BatchedStep(NamedTuple):
    """What one step of a batch returns; every array has one row per instance.

    Attributes:
        observations: The observations after the step; a row that was not active keeps
            its last one.
        rewards: float64, shape (num_envs,); 0 where not active.
        terminated: bool, shape (num_envs,): the step ended the task.
        truncated: bool, shape (num_envs,): the step reached the time limit without
            ending the task.
    """

    observations: NDArray[Any]
    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]


class BatchedEnv(ABC):
    """The core of every world: ``num_envs`` instances behind one reset and one step.

    There is no autoreset, and an instance that is not active neither moves nor draws.
    Gymnasium's vector environments and commenv's environments with a channel are faces
    over this class. What a method returns is the caller's to keep: it is never written
    to again.

    Attributes:
        num_envs: How many instances there are.
        single_observation_space: The space of one instance's observation.
        single_action_space: The space of one instance's action.
        max_episode_steps: The time limit in steps, or None for no limit.
        mdp: The dynamics of one instance as tables, or None where there are none.
        reward_range: The least and the greatest reward of a step, or None where that
            is not known. Returns have intervals from few trials on only where it is
            known, or follows from tables.
    """

    num_envs: int
    single_observation_space: gym.Space[Any]
    single_action_space: gym.Space[Any]
    max_episode_steps: int | None
    mdp: TabularMDP | None
    reward_range: tuple[float, float] | None = None

    @property
    def parts_space(self) -> gym.Space[Any]:
        """The environment's own observation space, before any flattening."""
        return self.single_observation_space

    def spaces_of(self, row: int) -> tuple[gym.Space[Any], gym.Space[Any]]:
        """The spaces of one instance's observation and action."""
        return self.single_observation_space, self.single_action_space

    @abstractmethod
    def reset(
        self, draws: WorldDraws, mask: NDArray[np.bool_] | None = None
    ) -> NDArray[Any]:
        """Starts an episode.

        Args:
            draws: Where this episode's randomness comes from. With ``mask`` the same
                source as at the last full reset, which the other rows go on using.
            mask: bool, shape (num_envs,): the rows to reset; all when left out.

        Returns:
            The observations of all rows, shape (num_envs, ...).
        """

    @abstractmethod
    def step(self, actions: NDArray[Any], active: NDArray[np.bool_]) -> BatchedStep:
        """Moves the active instances by one step.

        Args:
            actions: One action per row; those of inactive rows are ignored.
            active: bool, shape (num_envs,).

        Raises:
            NotResetError: Before the first reset.
            ValueError: An active row's action lies outside the action space.
        """

    def close(self) -> None:  # noqa: B027 - most worlds hold nothing to release
        """Releases what the instances hold; the object is not used afterwards."""
