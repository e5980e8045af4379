"""Cart Pole, with the dynamics of Gymnasium's environment of that name."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from gymnasium.error import DependencyNotInstalled
from numpy.typing import ArrayLike, NDArray

from commenv.draws import UniformStream, WorldDraws
from commenv.envs.batch import check_counts
from commenv.envs.batched import BatchedEnv, BatchedStep
from commenv.envs.flat import check_actions, integer_actions
from commenv.envs.native import NativeVectorEnv
from commenv.errors import MissingExtraError, NotResetError

__all__ = ["CartPoleBatch", "CartPoleVectorEnv"]

_LOW, _HIGH = -0.05, 0.05  # of every number of a start state
_STATE_SIZE = 4
_WORTH_PICKING = 0.6  # active rows are moved alone if they are less than this share


class _Constants(NamedTuple):
    """Gymnasium's constants, as arrays: NumPy takes longer over Python's floats."""

    gravity: NDArray[np.float64]
    masspole: NDArray[np.float64]
    total_mass: NDArray[np.float64]
    length: NDArray[np.float64]
    polemass_length: NDArray[np.float64]
    tau: NDArray[np.float64]
    far: NDArray[np.float64]
    steep: NDArray[np.float64]
    four_thirds: NDArray[np.float64]

    @classmethod
    def of(cls, world: CartPoleEnv) -> _Constants:
        own = [getattr(world, name) for name in cls._fields[:6]]
        edges = [world.x_threshold, world.theta_threshold_radians]
        return cls(*map(np.array, (*own, *edges, 4.0 / 3.0)))


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
        self._forces = np.array([-self._world.force_mag, self._world.force_mag])
        self._constants = _Constants.of(self._world)
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
        # The sum and product are those of Generator.uniform.
        started = _LOW + (_HIGH - _LOW) * self._uniforms.several_of(rows, _STATE_SIZE)
        self._states[:, rows] = started.T
        self._elapsed[rows] = 0
        return started.astype(np.float32)

    def step(self, actions: NDArray[Any], active: NDArray[np.bool_]) -> BatchedStep:
        """Moves the active instances by one step; see :meth:`BatchedEnv.step`."""
        if self._uniforms is None:
            raise NotResetError("step before the first reset; call reset() first")
        chosen = integer_actions(actions, (self.num_envs,))
        moving = np.count_nonzero(active)
        if moving < self.num_envs:
            chosen = chosen * active  # what the others are told is ignored
        check_actions(chosen, self._forces.size)
        if moving < _WORTH_PICKING * self.num_envs:
            self._move_rows(active.nonzero()[0], chosen)
        elif moving < self.num_envs:
            np.copyto(self._states, self._moved(self._states, chosen), where=active)
        else:
            self._states = self._moved(self._states, chosen)
        terminated = self.fallen()
        terminated &= active
        rewards = active.astype(np.float64)
        if self._sutton_barto_reward:
            np.subtract(0.0, terminated, out=rewards)
        truncated = self._truncated(active, terminated)
        return BatchedStep(self._observations(), rewards, terminated, truncated)

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
        if len(waiting):
            chosen = chosen.copy()
            chosen[waiting] = 0
        check_actions(chosen, self._forces.size)
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
        """The states after one step of Euler's method: (4, n), a new array.

        Gymnasium's formulas; the order of their operations decides about the last bits.
        Operations write over operands that are no longer needed: a new array costs as
        much as an operation.
        """
        world = self._constants
        angle, angular_velocity = states[2:]
        cosine, sine = np.cos(angle), np.sin(angle)
        push = np.square(angular_velocity)
        push *= world.polemass_length
        push *= sine
        push += self._forces.take(actions)
        push /= world.total_mass
        inertia = np.square(cosine)
        inertia *= world.masspole
        inertia /= world.total_mass
        np.subtract(world.four_thirds, inertia, out=inertia)
        inertia *= world.length
        changes = np.empty_like(states)
        changes[::2] = states[1::2]
        acceleration, angular_acceleration = changes[1], changes[3]
        sine *= world.gravity
        np.multiply(cosine, push, out=angular_acceleration)
        np.subtract(sine, angular_acceleration, out=angular_acceleration)
        angular_acceleration /= inertia
        np.multiply(angular_acceleration, world.polemass_length, out=acceleration)
        acceleration *= cosine
        acceleration /= world.total_mass
        np.subtract(push, acceleration, out=acceleration)
        changes *= world.tau
        changes += states
        return changes

    def _observations(self) -> NDArray[np.float32]:
        observations = np.empty((self.num_envs, _STATE_SIZE), dtype=np.float32)
        observations[...] = self._states.T
        return observations


class CartPoleVectorEnv(NativeVectorEnv):
    """The vector form of Cart Pole: :class:`CartPoleBatch` with autoreset.

    ``reset`` does not take the bounds ``low`` and ``high`` that the scalar form takes
    as ``options``; it raises ``ValueError``.

    Args:
        num_envs: How many sub-environments, at least 1.
        sutton_barto_reward: As for the scalar form.
        **kwargs: As for :class:`NativeVectorEnv`.
    """

    scalar_class = CartPoleEnv

    def __init__(
        self, num_envs: int = 1, *, sutton_barto_reward: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(num_envs, sutton_barto_reward=sutton_barto_reward, **kwargs)
        self._batch = CartPoleBatch(num_envs, sutton_barto_reward=sutton_barto_reward)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> Any:
        """Starts an episode; see :meth:`NativeVectorEnv.reset`."""
        if bounds := {"low", "high"} & set(options or {}):
            raise ValueError(
                f"the options {sorted(bounds)} are for the scalar form only; use "
                'make_vec(..., vectorization_mode="sync") to start between other bounds'
            )
        return super().reset(seed=seed, options=options)

    def _start(self, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        if not self._begun:
            return self._batch.reset(_FromGenerators(self._uniforms))
        return self._batch.reset(_FromGenerators(self._uniforms), mask)

    def _move(
        self, actions: ArrayLike, waiting: NDArray[np.intp]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_]]:
        return self._batch.advance(np.asarray(actions), waiting)

    def _earned(self, rows: NDArray[np.intp]) -> tuple[float, NDArray[np.float64]]:
        running, last = self._batch.rewards
        return running, np.where(self._batch.fallen()[rows], last, running)

    def _picture(self, row: int) -> Any:
        self._world.state = self._batch.states[row]
        try:
            return self._world.render()
        except DependencyNotInstalled as error:
            raise MissingExtraError("a picture of Cart Pole", "render") from error


class _FromGenerators:
    """The world's draws from the generators of a vector environment."""

    def __init__(self, uniforms: UniformStream | None) -> None:
        assert uniforms is not None  # made by the seeding that precedes every start
        self._uniforms = uniforms

    def uniforms(self) -> UniformStream:
        return self._uniforms

    def seeds(self) -> NDArray[np.int64]:
        raise AssertionError("Cart Pole draws uniform numbers only")
