"""Cart Pole, with the dynamics of Gymnasium's environment of that name."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from numpy.typing import NDArray

from commenv.envs.batch import check_counts
from commenv.envs.batched import BatchedEnv, BatchedStep
from commenv.envs.cart_pole_dynamics import (
    Compiled,
    CompiledLater,
    Constants,
    Decide,
    accelerations,
    compiled_dynamics,
    start_from,
)
from commenv.envs.flat import check_actions, integer_actions
from commenv.errors import NotResetError
from commenv.rng import UniformStream, WorldDraws

__all__ = ["CartPoleBatch"]

_STATE_SIZE = 4
_NUM_ACTIONS = 2
_WORTH_PICKING = 0.6  # active rows are moved alone if they are less than this share


class CartPoleBatch(BatchedEnv):
    """Many carts, each with a pole to balance, stepped by array operations.

    ## Description
    The dynamics of Gymnasium's `CartPole-v1`, to the last bit: every operation is the
    scalar form's, in its order. `gym.make("commenv/CartPole-v1")` makes Gymnasium's own
    class with a channel. The best return is 500.

    ## Action Space
    `Discrete(2)`: 0 pushes the cart to the left, 1 to the right, with 10 N.

    ## Observation Space
    `Box(4)`, float32: position of the cart (m) and its velocity (m/s), angle of the
    pole (rad) and its angular velocity (rad/s). The state is kept in float64.

    ## Starting State
    Four numbers uniform in [-0.05, 0.05), one draw of the instance's stream for each.

    ## Rewards
    1 for each step, the last included; with `sutton_barto_reward` 0 for each step and
    -1 for the one that lets the pole fall.

    ## Episode End
    Termination when the pole leans more than 12 degrees or the cart is more than 2.4 m
    from the centre. Truncation after `max_episode_steps` (500 for the registered id)
    without such an end.

    ## Information
    None: a batch has no `info`, and that of the scalar and vector forms is empty, but
    for what a channel tells (:class:`commenv.wrappers.MessageChannel`).

    ## Arguments
    - `num_envs`: how many instances, at least 1.
    - `max_episode_steps`: the time limit, or None.
    - `sutton_barto_reward`: see Rewards; False.

    A count below 1 raises `ValueError`.

    ## Vectorized
    `gym.make_vec("commenv/CartPole-v1", num_envs=..., autoreset_mode=...)` is this
    batch behind Gymnasium's vector interface and equals the sync form.

    ## Version History
    - v1: first version; the number is that of Gymnasium's environment.
    """

    mdp: None = None

    def __init__(
        self,
        num_envs: int,
        max_episode_steps: int | None = None,
        *,
        sutton_barto_reward: bool = False,
    ) -> None:
        check_counts(num_envs, max_episode_steps)
        self.num_envs = num_envs
        self.max_episode_steps = max_episode_steps
        self._world = CartPoleEnv(sutton_barto_reward)
        self._sutton_barto_reward = sutton_barto_reward
        self.reward_range = (-1.0, 0.0) if sutton_barto_reward else (1.0, 1.0)
        self.single_observation_space = self._world.observation_space
        self.single_action_space = self._world.action_space
        self._numbers = Constants.of(self._world)
        self._constants = self._numbers.as_arrays()
        self._forces = np.array([-self._numbers.force, self._numbers.force])
        self._compiled = CompiledLater(num_envs)
        self._states = np.zeros((_STATE_SIZE, num_envs))
        self._elapsed = np.zeros(num_envs, dtype=np.int64)
        self._longest = 0  # no instance's episode is longer so far
        self._uniforms: UniformStream | None = None

    @property
    def states(self) -> NDArray[np.float64]:
        """The exact states behind the observations, a copy: (num_envs, 4)."""
        return self._states.T.copy()

    def reset(
        self, draws: WorldDraws, mask: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float32]:
        """Starts an episode; see :meth:`BatchedEnv.reset`."""
        if mask is None:
            self._uniforms = draws.uniforms()
            self._longest = 0
            self.begin(np.arange(self.num_envs))
        elif self._uniforms is None:
            raise NotResetError(
                "a reset with a mask before the first reset; reset all instances first"
            )
        else:
            self.begin(mask.nonzero()[0])
        return self._observations()

    def begin(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """Starts an episode in some instances, drawing from the last reset's source.

        Args:
            rows: Which, each at most once.

        Returns:
            Their observations, float32, shape (len(rows), 4).

        Raises:
            NotResetError: Before the first reset.
        """
        if self._uniforms is None:
            raise NotResetError("begin before the first reset; call reset() first")
        started = start_from(self._uniforms.several_of(rows, _STATE_SIZE))
        self._states[:, rows] = started.T
        self._elapsed[rows] = 0
        return started.astype(np.float32)

    def step(self, actions: NDArray[Any], active: NDArray[np.bool_]) -> BatchedStep:
        """Moves the active instances by one step; see :meth:`BatchedEnv.step`."""
        if self._uniforms is None:
            raise NotResetError("step before the first reset; call reset() first")
        chosen = integer_actions(actions, (self.num_envs,))
        if compiled := self._compiled():
            moved = self._move_compiled(compiled, chosen, active)
            observations, rewards, terminated = moved
        else:
            self._move(chosen, active)
            observations = self._observations()
            terminated = self.fallen()
            terminated &= active
            rewards = active.astype(np.float64)
            if self._sutton_barto_reward:
                np.subtract(0.0, terminated, out=rewards)
        truncated = self._truncated(active, terminated)
        return BatchedStep(observations, rewards, terminated, truncated)

    def _move(self, chosen: NDArray[np.int64], active: NDArray[np.bool_]) -> None:
        moving = np.count_nonzero(active)
        if moving < self.num_envs:
            chosen = chosen * active  # what the others are told is ignored
        check_actions(chosen, _NUM_ACTIONS)
        if moving < _WORTH_PICKING * self.num_envs:
            self._move_rows(active.nonzero()[0], chosen)
        elif moving < self.num_envs:
            np.copyto(self._states, self._moved(self._states, chosen), where=active)
        else:
            self._states = self._moved(self._states, chosen)

    def advance(
        self, actions: NDArray[Any], waiting: NDArray[np.intp]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_]]:
        """A step of a vector environment: all move, but for those that start anew.

        It does not look at the time limit.

        Args:
            actions: One per row; those of waiting rows are ignored.
            waiting: The rows that begin an episode instead, at reward 0.

        Returns:
            (observations, rewards, terminated), new arrays.

        Raises:
            ValueError: As for :meth:`step`.
        """
        chosen = integer_actions(actions, (self.num_envs,))
        if compiled := self._compiled():
            moving = np.ones(self.num_envs, dtype=np.bool_)
            moving[waiting] = False
            moved = self._move_compiled(compiled, chosen, moving)
            if len(waiting):
                self._begin_compiled(compiled, waiting, moved[0])
            return moved
        if len(waiting):
            chosen = chosen.copy()
            chosen[waiting] = 0
        check_actions(chosen, _NUM_ACTIONS)
        self._states = self._moved(self._states, chosen)
        terminated = self.fallen()
        observations = self._observations()
        if len(waiting):
            terminated[waiting] = False
            observations[waiting] = self.begin(waiting)
        rewards = np.ones(self.num_envs)
        rewards[waiting] = 0.0
        if self._sutton_barto_reward:
            np.subtract(0.0, terminated, out=rewards)
        return observations, rewards, terminated

    def play(self, decide: Decide) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Plays the episodes that a full reset has begun, in compiled code.

        The numbers are those of as many steps. The states stay those of the start.

        Args:
            decide: Gives the actions, 0 or 1.

        Returns:
            (lengths, fallen), of shape (num_envs,): how many steps each episode took,
            and whether the pole fell; else the time limit ended it.

        Raises:
            ImportError: Numba is not installed.
            NotResetError: Before the first reset.
        """
        if self._uniforms is None:
            raise NotResetError("play before the first reset; call reset() first")
        move_on, states = compiled_dynamics().move_on, self._states.copy()
        observations = states.astype(np.float32)
        sines, cosines = np.empty((2, self.num_envs))
        rows, holes = np.arange(self.num_envs), np.empty(self.num_envs, dtype=np.int64)
        lengths = np.zeros(self.num_envs, dtype=np.int64)
        fallen = np.zeros(self.num_envs, dtype=np.bool_)
        width, filled, step = self.num_envs, 0, 0
        while width and step != self.max_episode_steps:
            actions = decide(observations, width, holes[:filled])
            step += 1
            angles = states[2, :width]
            left = move_on(
                states,
                np.sin(angles, out=sines[:width]),
                np.cos(angles, out=cosines[:width]),
                actions,
                width,
                self._numbers,
                step,
                rows,
                observations,
                lengths,
                fallen,
                holes,
            )
            filled, width = width - left, left
        lengths[rows[:width]] = step
        return lengths, fallen

    def returns(
        self, lengths: NDArray[np.int64], fallen: NDArray[np.bool_], gamma: float
    ) -> NDArray[np.float64]:
        """What episodes earn, added up step by step.

        Args:
            lengths: Of each, at least 1.
            fallen: Whether its pole fell.
            gamma: The discount.

        Returns:
            float64, of the shape of ``lengths``.
        """
        running, last = self.rewards
        discounts = np.ones(lengths.max())
        discounts[1:] = gamma
        np.multiply.accumulate(discounts, out=discounts)
        earned = np.add.accumulate(discounts * running)
        before = np.where(lengths > 1, earned[lengths - 2], 0.0)
        return before + discounts[lengths - 1] * np.where(fallen, last, running)

    @property
    def rewards(self) -> tuple[float, float]:
        """Of a step that goes on, and of one that lets the pole fall."""
        return (0.0, -1.0) if self._sutton_barto_reward else (1.0, 1.0)

    def fallen(self) -> NDArray[np.bool_]:
        """Who is beyond the limits of position or angle."""
        position, _, angle, _ = np.abs(self._states)
        fallen = position > self._constants.far
        fallen |= angle > self._constants.steep
        return fallen

    def _truncated(
        self, active: NDArray[np.bool_], terminated: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Counts the step; who has reached the time limit by it."""
        self._elapsed += active
        self._longest += 1
        if self.max_episode_steps is None or self._longest < self.max_episode_steps:
            return np.zeros(self.num_envs, dtype=bool)
        return (self._elapsed >= self.max_episode_steps) & active & ~terminated

    def _move_rows(self, rows: NDArray[np.intp], actions: NDArray[np.int64]) -> None:
        """Moves some rows; to pick few out costs less than to move all."""
        self._states[:, rows] = self._moved(
            self._states.take(rows, axis=1), actions.take(rows)
        )

    def _moved(
        self, states: NDArray[np.float64], actions: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """The states after one step of Euler's method: (4, n), a new array."""
        angle, turning = states[2:]
        force = self._forces.take(actions)
        changes = np.empty_like(states)
        changes[::2] = states[1::2]
        changes[1], changes[3] = accelerations(
            turning, np.sin(angle), np.cos(angle), force, self._constants
        )
        changes *= self._constants.tau
        changes += states
        return changes

    def _begin_compiled(
        self,
        compiled: Compiled,
        rows: NDArray[np.intp],
        observations: NDArray[np.float32],
    ) -> None:
        """Starts an episode in some instances; writes what they see."""
        assert self._uniforms is not None
        uniforms = np.empty((len(rows), _STATE_SIZE))
        self._uniforms.take_into(rows, uniforms, compiled.take)
        compiled.begin(rows, uniforms, self._states, self._elapsed, observations)

    def _move_compiled(
        self,
        compiled: Compiled,
        actions: NDArray[np.int64],
        active: NDArray[np.bool_],
    ) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_]]:
        """Moves the active instances: (observations, rewards, terminated)."""
        states, count = self._states, self.num_envs
        moving = np.count_nonzero(active)
        if moving < _WORTH_PICKING * count:
            rows = active.nonzero()[0]
            sines, cosines = np.zeros((2, count))
            angles = states[2].take(rows)
            sines[rows], cosines[rows] = np.sin(angles), np.cos(angles)
        else:
            sines, cosines = np.sin(states[2]), np.cos(states[2])
        observations = np.empty((count, _STATE_SIZE), dtype=np.float32)
        rewards, terminated = np.empty(count), np.empty(count, dtype=np.bool_)
        # Each kind of array, such as one that cannot be written to, is compiled anew.
        chosen = actions if actions.flags.carray else actions.copy()
        everybody = active if active.flags.carray else active.copy()
        known = compiled.move(
            states,
            sines,
            cosines,
            chosen,
            everybody,
            self._numbers,
            self.rewards,
            observations,
            rewards,
            terminated,
        )
        if not known:
            check_actions(actions * active, _NUM_ACTIONS)
        return observations, rewards, terminated

    def _observations(self) -> NDArray[np.float32]:
        observations = np.empty((self.num_envs, _STATE_SIZE), dtype=np.float32)
        observations[...] = self._states.T
        return observations
