"""Many instances of a MuJoCo robot, stepped by a pool of threads."""

from __future__ import annotations

import inspect
import os
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import load_env_creator
from gymnasium.error import DependencyNotInstalled
from gymnasium.utils import seeding
from numpy.typing import ArrayLike, NDArray

from commenv.envs.batch import check_counts
from commenv.envs.batched import BatchedEnv, BatchedStep
from commenv.errors import MissingExtraError, NotResetError
from commenv.rng import WorldDraws

__all__ = ["MujocoBatch", "gymnasium_class"]

Seen = dict[str, NDArray[np.float64]]
"""Fields of ``MjData`` by name, one row per instance: (k, size of the field)."""


class MujocoBatch(BatchedEnv):
    """Many instances of one of Gymnasium's MuJoCo robots.

    All instances share one ``MjModel``; each has an ``MjData`` of its own, so it steps
    exactly as Gymnasium's environment does and equals it bit for bit. MuJoCo releases
    the interpreter's lock, so threads step different instances at the same time;
    observations and rewards are then computed for all at once. An instance that is not
    active costs no physics. What ``info`` holds in Gymnasium is not computed.

    A full reset gives each instance the generator that ``env.reset(seed=seed)`` would
    give it, with its seed from the draws; a masked reset goes on with that generator.

    A subclass names its robot and says what is seen, earned and healthy, in the order
    of Gymnasium's operations, which decides about the last bits.

    Args:
        num_envs: How many instances, at least 1.
        max_episode_steps: The time limit, or None.
        num_threads: How many threads step them, the caller's own included; one for each
            processor when left out. Results do not depend on it.
        **env_kwargs: The arguments of Gymnasium's environment; those for pictures have
            no effect.

    Raises:
        ValueError: A count below 1, or an argument that the environment does not have.
        MissingExtraError: The extra ``mujoco`` is not installed.
    """

    robot: ClassVar[str]
    skipped_positions: ClassVar[int] = 1
    normal_velocities: ClassVar[bool] = False
    mdp: None = None
    single_observation_space: spaces.Box
    single_action_space: spaces.Box

    def __init__(
        self,
        num_envs: int,
        max_episode_steps: int | None = None,
        *,
        num_threads: int | None = None,
        **env_kwargs: Any,
    ) -> None:
        check_counts(num_envs, max_episode_steps)
        self.num_envs = num_envs
        self.max_episode_steps = max_episode_steps
        self._threads = _check_threads(num_threads, num_envs)
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="mujoco")
        self._given = _arguments(self.robot, env_kwargs)
        world = gymnasium_class(self.robot)(**env_kwargs)
        self.single_observation_space = world.observation_space
        self.single_action_space = world.action_space
        self._model = world.model
        self._initial = (world.init_qpos, world.init_qvel)
        self._frame_skip, self._dt = world.frame_skip, world.dt
        world.close()
        self._make_instances()
        self._observations = np.zeros((num_envs, *world.observation_space.shape))
        self._places = np.zeros(num_envs)
        self._elapsed = np.zeros(num_envs, dtype=np.int64)
        self._generators: list[np.random.Generator] = []

    def reset(
        self, draws: WorldDraws, mask: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float64]:
        """Starts an episode; see :meth:`BatchedEnv.reset`."""
        if mask is None:
            mask = np.ones(self.num_envs, dtype=bool)
            seeds = draws.seeds().tolist()
            self._generators = [seeding.np_random(seed)[0] for seed in seeds]
        elif not self._generators:
            raise NotResetError(
                "a reset with a mask before the first reset; reset all instances first"
            )
        rows = np.flatnonzero(mask)
        if len(rows):
            self._for_each(rows.tolist(), self._start)
            seen = self._see(rows)
            self._places[rows] = self._place(seen)
            self._observations[rows] = np.concatenate(self._observe(seen), axis=1)
            self._elapsed[rows] = 0
        return self._observations.copy()

    def step(self, actions: NDArray[Any], active: NDArray[np.bool_]) -> BatchedStep:
        """Moves the active instances by one step; see :meth:`BatchedEnv.step`."""
        if not self._generators:
            raise NotResetError("step before the first reset; call reset() first")
        rows = np.flatnonzero(active)
        controls = self._check_actions(actions, rows)
        rewards = np.zeros(self.num_envs)
        terminated = np.zeros(self.num_envs, dtype=bool)
        if len(rows):
            rewards[rows], terminated[rows] = self._move(rows, controls)
        self._elapsed += active
        truncated = np.zeros(self.num_envs, dtype=bool)
        if self.max_episode_steps is not None:
            truncated = (self._elapsed >= self.max_episode_steps) & active & ~terminated
        return BatchedStep(self._observations.copy(), rewards, terminated, truncated)

    def state_of(self, row: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """One instance's positions and velocities (``qpos``, ``qvel``), copies."""
        data = self._data[row]
        return data.qpos.copy(), data.qvel.copy()

    def close(self) -> None:
        """Ends the threads."""
        self._pool.shutdown()

    @abstractmethod
    def _fields(self, data: Any) -> dict[str, NDArray[np.float64]]:
        """The fields of an ``MjData`` that the other methods look at."""

    @abstractmethod
    def _observe(self, seen: Seen) -> list[NDArray[np.float64]]:
        """The parts of the observations, each of shape (k, size)."""

    def _place(self, seen: Seen) -> NDArray[np.float64]:
        """Where the robots are along the axis on which they should advance: (k,)."""
        return seen["qpos"][:, 0]

    @abstractmethod
    def _healthy(self, seen: Seen) -> NDArray[np.bool_]:
        """Which robots are in a state from which they may go on: (k,)."""

    def _costs(self, controls: NDArray[np.float32], seen: Seen) -> NDArray[Any]:
        """What is taken off the rewards: (k,); that of the controls is float32."""
        weight = self._given.ctrl_cost_weight
        return np.asarray(weight * np.square(controls).sum(axis=1))

    def _positions(self, seen: Seen) -> NDArray[np.float64]:
        """The positions that are part of the observation."""
        if self._given.exclude_current_positions_from_observation:
            return seen["qpos"][:, self.skipped_positions :]
        return seen["qpos"]

    def _make_instances(self) -> None:
        """One ``MjData`` each, and views of its fields, which save looking them up."""
        import mujoco

        self._data = [mujoco.MjData(self._model) for _ in range(self.num_envs)]
        self._controls = [data.ctrl for data in self._data]
        fields = [self._fields(data) for data in self._data]
        self._views = {
            name: [each[name].reshape(1, -1) for each in fields] for name in fields[0]
        }

    def _start(self, row: int) -> None:
        """Puts one instance into a random state, as Gymnasium's ``reset`` does."""
        import mujoco

        data, generator = self._data[row], self._generators[row]
        positions, velocities = self._initial
        noise = self._given.reset_noise_scale
        mujoco.mj_resetData(self._model, data)
        data.qpos[:] = positions + generator.uniform(-noise, noise, len(positions))
        if self.normal_velocities:
            drawn = noise * generator.standard_normal(len(velocities))
        else:
            drawn = generator.uniform(-noise, noise, len(velocities))
        data.qvel[:] = velocities + drawn
        mujoco.mj_forward(self._model, data)

    def _move(
        self, rows: NDArray[np.intp], controls: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Steps some instances; their rewards and ends, each of shape (k,)."""
        numbers = rows.tolist()
        for row, control in zip(numbers, controls, strict=True):
            self._controls[row][:] = control
        self._for_each(numbers, self._simulate)
        seen = self._see(rows)
        self._observations[rows] = np.concatenate(self._observe(seen), axis=1)
        places = self._place(seen)
        velocities = (places - self._places[rows]) / self._dt
        self._places[rows] = places
        healthy = self._healthy(seen)
        gains = velocities * self._given.forward_reward_weight
        gains = gains + healthy * self._given.healthy_reward
        ends = ~healthy & self._given.terminate_when_unhealthy
        return gains - self._costs(controls, seen), ends

    def _simulate(self, row: int) -> None:
        """The physics of one step of one instance."""
        import mujoco

        mujoco.mj_step(self._model, self._data[row], self._frame_skip)
        # mj_step alone leaves the contact forces in cfrc_ext out of date.
        mujoco.mj_rnePostConstraint(self._model, self._data[row])

    def _for_each(self, rows: Iterable[int], do: Callable[[int], None]) -> None:
        """Does something to each row; who is free takes the next one.

        The instances share nothing that changes, so it does not matter who takes which.
        """
        left = deque(rows)

        def work() -> None:
            while True:
                try:
                    row = left.popleft()  # safe between threads
                except IndexError:
                    return
                do(row)

        helpers = min(self._threads, len(left)) - 1
        others = [self._pool.submit(work) for _ in range(helpers)]
        work()
        for other in others:
            other.result()

    def _see(self, rows: NDArray[np.intp]) -> Seen:
        numbers = rows.tolist()
        return {
            name: np.concatenate([views[row] for row in numbers])
            for name, views in self._views.items()
        }

    def _check_actions(
        self, actions: ArrayLike, rows: NDArray[np.intp]
    ) -> NDArray[np.float32]:
        """The actions of ``rows`` in the precision of the action space: (k, size)."""
        space = self.single_action_space
        given = np.asarray(actions)
        if given.shape != (self.num_envs, *space.shape):
            raise ValueError(
                f"actions of shape {given.shape} for {self.num_envs} instances; the "
                f"shape must be {(self.num_envs, *space.shape)}"
            )
        chosen = given[rows].astype(np.float32)
        inside = ((chosen >= space.low) & (chosen <= space.high)).all(axis=1)
        if not inside.all():
            wrong = int(inside.argmin())
            raise ValueError(
                f"action {chosen[wrong]} of instance {rows[wrong]} is outside the "
                f"action space {space}; clip it"
            )
        return chosen


def gymnasium_class(robot: str) -> Any:
    """Gymnasium's own environment of a robot, such as ``AntEnv`` for ``"Ant"``.

    Raises:
        MissingExtraError: The extra ``mujoco`` is not installed.
    """
    creator = gym.registry[f"{robot}-v5"].entry_point
    try:
        return creator if callable(creator) else load_env_creator(str(creator))
    except (ImportError, DependencyNotInstalled) as error:
        feature = f"the environment 'commenv/{robot}-v5'"
        raise MissingExtraError(feature, "mujoco") from error


def _arguments(robot: str, given: dict[str, Any]) -> SimpleNamespace:
    """The arguments of Gymnasium's environment, with its defaults.

    A robot that has no notion of health always is, and gets nothing for it.
    """
    creator = gymnasium_class(robot)
    own, inherited = (
        {
            name: parameter.default
            for name, parameter in inspect.signature(each).parameters.items()
            if parameter.kind is not parameter.VAR_KEYWORD
        }
        for each in (creator, creator.__mro__[1])
    )
    known: Sequence[str] = [*own, *(name for name in inherited if name not in own)]
    if wrong := sorted(set(given) - set(known)):
        raise ValueError(
            f"{robot}-v5 has no argument {wrong[0]!r}; it knows {', '.join(known)}"
        )
    health = {"healthy_reward": 0.0, "terminate_when_unhealthy": False}
    return SimpleNamespace(**{**health, **own, **given})


def _check_threads(num_threads: int | None, num_envs: int) -> int:
    if num_threads is not None and num_threads < 1:
        raise ValueError(f"num_threads {num_threads} is below 1; use 1 or more")
    return min(num_threads or os.cpu_count() or 1, num_envs)
