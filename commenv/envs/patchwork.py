"""A batch whose instances differ in their arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from commenv.envs.batched import BatchedEnv, BatchedStep
from commenv.errors import EnvironmentFaultError
from commenv.rng import UniformStream, WorldDraws

__all__ = ["Patchwork", "empty_rows"]


def empty_rows(spaces: Sequence[gym.Space[Any]]) -> NDArray[Any]:
    """An array with one row for an element of each space.

    Returns:
        Zeros, shape (n, ...), where all elements have one shape and dtype; else an
        array of n objects.
    """
    first = spaces[0]
    if all((one.shape, one.dtype) == (first.shape, first.dtype) for one in spaces):
        return np.zeros((len(spaces), *(first.shape or ())), first.dtype)
    return np.empty(len(spaces), dtype=object)


class Patchwork(BatchedEnv):
    """Batches of the same world with different arguments, as one batch.

    An instance draws the numbers of its own row, so what it meets does not depend on
    the arguments of the others. Where their observations differ in shape or dtype, a
    batch of them is an array of objects; the same holds for actions.

    Args:
        pieces: Rows, and the batch of the instances in these rows. Each row of
            0 ... n - 1 stands in exactly one piece.

    Raises:
        ValueError: Rows that are missing, stand in two pieces or are not as many as
            their batch has instances, or time limits that differ.
    """

    mdp: None = None

    def __init__(self, pieces: Sequence[tuple[Sequence[int], BatchedEnv]]) -> None:
        self._pieces = [(np.asarray(rows, np.intp), batch) for rows, batch in pieces]
        self.num_envs = sum(batch.num_envs for _, batch in pieces)
        self._home = _homes(self._pieces, self.num_envs)
        limits = {batch.max_episode_steps for _, batch in pieces}
        if len(limits) > 1:
            raise ValueError(f"time limits {limits}; give all pieces the same")
        self.max_episode_steps = limits.pop()
        both = [self.spaces_of(row) for row in range(self.num_envs)]
        self._observation_spaces = [observation for observation, _ in both]
        self._action_spaces = [action for _, action in both]
        self._observations = empty_rows(self._observation_spaces)

    @property
    def single_observation_space(  # type: ignore[override]
        self,
    ) -> gym.Space[Any]:
        """The space of one instance's observation, if it is the same for all.

        Raises:
            ValueError: It is not.
        """
        return _common(self._observation_spaces, "observation")

    @property
    def single_action_space(self) -> gym.Space[Any]:  # type: ignore[override]
        """The space of one instance's action, if it is the same for all.

        Raises:
            ValueError: It is not.
        """
        return _common(self._action_spaces, "action")

    def piece_of(self, row: int) -> tuple[BatchedEnv, int]:
        """The batch that an instance is in, and its row there."""
        return self._home[row]

    def spaces_of(self, row: int) -> tuple[gym.Space[Any], gym.Space[Any]]:
        """The spaces of one instance's observation and action."""
        batch, inner = self.piece_of(row)
        return batch.spaces_of(inner)

    def reset(
        self, draws: WorldDraws, mask: NDArray[np.bool_] | None = None
    ) -> NDArray[Any]:
        """Starts an episode; see :meth:`BatchedEnv.reset`."""
        for rows, batch in self._pieces:
            own = None if mask is None else mask[rows]
            try:
                self._place(rows, batch.reset(_DrawsOfRows(draws, rows), own))
            except EnvironmentFaultError as fault:
                _renumber(fault, rows)
                raise
        return self._observations.copy()

    def step(self, actions: NDArray[Any], active: NDArray[np.bool_]) -> BatchedStep:
        """Moves the active instances by one step; see :meth:`BatchedEnv.step`.

        Raises:
            ValueError: Also of a piece, named by its rows; those before it have moved.
        """
        rewards = np.zeros(self.num_envs)
        terminated = np.zeros(self.num_envs, dtype=np.bool_)
        truncated = np.zeros(self.num_envs, dtype=np.bool_)
        for rows, batch in self._pieces:
            try:
                step = batch.step(_stacked(actions[rows]), active[rows])
            except EnvironmentFaultError as fault:
                _renumber(fault, rows)
                raise
            except ValueError as error:
                raise ValueError(f"in rows {rows.tolist()}: {error}") from error
            self._place(rows, step.observations)
            rewards[rows] = step.rewards
            terminated[rows] = step.terminated
            truncated[rows] = step.truncated
        return BatchedStep(self._observations.copy(), rewards, terminated, truncated)

    def close(self) -> None:
        """Closes every piece."""
        for _, batch in self._pieces:
            batch.close()

    def _place(self, rows: NDArray[np.intp], observations: NDArray[Any]) -> None:
        if self._observations.dtype != object:
            self._observations[rows] = observations
            return
        for row, observation in zip(rows.tolist(), observations, strict=True):
            self._observations[row] = observation


def _renumber(fault: EnvironmentFaultError, rows: NDArray[np.intp]) -> None:
    """Counts the instance at fault among all, not among those of its piece."""
    if fault.row is not None:
        fault.row = int(rows[fault.row])


class _DrawsOfRows:
    """What some rows of a batch draw from, out of what all draw from."""

    def __init__(self, draws: WorldDraws, rows: NDArray[np.intp]) -> None:
        self._draws = draws
        self._rows = rows

    def uniforms(self) -> UniformStream:
        return self._draws.uniforms().part(self._rows.tolist())

    def seeds(self) -> NDArray[np.int64]:
        return self._draws.seeds()[self._rows]


def _homes(
    pieces: Sequence[tuple[NDArray[np.intp], BatchedEnv]], num_envs: int
) -> list[tuple[BatchedEnv, int]]:
    """For each row its batch and its row there, checked."""
    homes: dict[int, tuple[BatchedEnv, int]] = {}
    for rows, batch in pieces:
        if len(rows) != batch.num_envs:
            raise ValueError(f"{len(rows)} rows for {batch.num_envs} instances")
        homes |= {row: (batch, inner) for inner, row in enumerate(rows.tolist())}
    if sorted(homes) != list(range(num_envs)):
        raise ValueError(
            f"the pieces hold the rows {sorted(homes)}; give each of 0 ... "
            f"{num_envs - 1} to exactly one"
        )
    return [homes[row] for row in range(num_envs)]


def _common(spaces: Sequence[gym.Space[Any]], what: str) -> gym.Space[Any]:
    if any(space != spaces[0] for space in spaces):
        raise ValueError(
            f"the instances' {what} spaces differ ({', '.join(map(str, spaces))}); "
            "ask for one instance's with spaces_of(row)"
        )
    return spaces[0]


def _stacked(actions: NDArray[Any]) -> NDArray[Any]:
    """The actions of one piece, which has one action space, in one array."""
    return np.stack(list(actions)) if actions.dtype == object else actions
