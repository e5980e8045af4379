"""What native vector environments share: autoreset, time limits, seeds and masks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from commenv.envs.batch import check_counts
from commenv.envs.options import check_options
from commenv.errors import NotResetError
from commenv.rng import GeneratorUniforms
from commenv.seeds import seed_each

__all__ = ["NativeVectorEnv"]

_NEVER = 2**62
_NOBODY = np.zeros(0, dtype=np.intp)

_Step = tuple[
    NDArray[Any],
    NDArray[np.float64],
    NDArray[np.bool_],
    NDArray[np.bool_],
    dict[str, Any],
]


class NativeVectorEnv(VectorEnv[NDArray[Any], ArrayLike, NDArray[Any]]):
    """Many sub-environments of one environment, stepped by array operations.

    For the same seeds it returns, step for step, what ``SyncVectorEnv`` returns for as
    many scalar environments, in all three modes of autoreset, but for three points:
    errors say more; ``reset`` leaves the caller's ``options`` alone; and the generators
    in ``np_random`` run ahead of what has been used (those of a deterministic
    environment are not drawn from at all), because numbers are drawn in blocks.

    A subclass names its scalar form and says how its sub-environments start and move;
    it draws from ``self._uniforms``.

    Args:
        num_envs: How many sub-environments, at least 1.
        max_episode_steps: The time limit of each, or None.
        autoreset_mode: When a sub-environment that has finished is reset: by the next
            step (``NEXT_STEP``), within the same step (``SAME_STEP``), or by the caller
            through ``reset(options={"reset_mask": mask})`` (``DISABLED``).
        render_mode: One of the scalar environment's but ``"human"``, or None.
        **env_kwargs: The arguments of the scalar environment.

    Raises:
        ValueError: A count below 1, an unknown mode, or what the scalar form refuses.
    """

    scalar_class: ClassVar[type[gym.Env[Any, Any]]]
    observation_space: Any
    action_space: Any
    # A channel's part in a step: whose episodes it ends, and what it makes of it. Few
    # have one, and Python finds attributes faster where an object has at most thirty.
    _cut_short: NDArray[np.bool_] | None = None
    _on_step: Callable[..., Any] | None = None

    def __init__(
        self,
        num_envs: int = 1,
        *,
        max_episode_steps: int | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **env_kwargs: Any,
    ) -> None:
        self.closed = True  # Gymnasium closes what it deletes, even if half made
        check_counts(num_envs, max_episode_steps)
        if render_mode == "human":
            raise ValueError(
                "a vector environment has no render_mode 'human'; use 'rgb_array'"
            )
        make: Any = self.scalar_class
        self._world = make(render_mode=render_mode, **env_kwargs)
        self.closed = False
        self.autoreset_mode = _mode(autoreset_mode)
        self._same_step = self.autoreset_mode is AutoresetMode.SAME_STEP
        self._manual = self.autoreset_mode is AutoresetMode.DISABLED
        self.metadata = {**self._world.metadata, "autoreset_mode": self.autoreset_mode}
        self.render_mode = render_mode
        self.num_envs = num_envs
        self.single_observation_space = self._world.observation_space
        self.single_action_space = self._world.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._limit = max_episode_steps or _NEVER
        # Steps of the whole vector; a deadline is a time on it. The clock is just large
        # enough that it does not come round within one episode: few bytes compare fast.
        hand = np.min_scalar_type(self._limit + 1)
        self._clock, self._largest = 0, int(np.iinfo(hand).max)
        self._now = np.zeros((), dtype=hand)  # the clock; compares faster than an int
        self._deadlines = np.zeros(num_envs, dtype=hand)
        self._finished = _NOBODY  # sub-environments that wait for their reset
        self._begun = False
        self._random = True  # whether the sub-environments draw numbers at all
        self._generators: list[np.random.Generator] = []
        self._seeds: list[int] = []
        self._uniforms: GeneratorUniforms | None = None

    @property  # type: ignore[misc]  # read-only, as in SyncVectorEnv
    def np_random(self) -> Any:
        """The generators of the sub-environments, a tuple as in ``SyncVectorEnv``."""
        self._seed_by_chance()
        return tuple(self._generators)

    @property
    def np_random_seed(self) -> Any:
        """The seeds of the sub-environments' generators, a tuple."""
        self._seed_by_chance()
        return tuple(self._seeds)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Starts an episode in all sub-environments, or in some.

        Args:
            seed: One per sub-environment (None: go on with its generator), or a first
                one from which they count up, or None.
            options: ``{"reset_mask": bool array of shape (num_envs,)}`` resets only
                some; the others keep their states.

        Returns:
            (observations, {}): shape (num_envs, ...).

        Raises:
            ValueError: Not one seed per sub-environment, a negative one, a mask of a
                wrong shape or without a True, or an option that would have no effect.
            TypeError: A mask that is not a bool array, or a seed that is not an
                integer.
            NotResetError: A mask before the first full reset.
        """
        seeds = seed_each(seed, self.num_envs)
        mask = self._mask(options)
        self._seed(seeds, mask)
        observations = self._start(mask)
        self._begun = True
        self._deadlines[mask] = self._in_steps(self._limit)
        self._finished = self._finished[~mask[self._finished]]
        if self._cut_short is not None:
            self._cut_short &= ~mask
        return observations, {}

    def step(self, actions: ArrayLike) -> _Step:
        """Moves every sub-environment by one step, or resets it if it has finished.

        Args:
            actions: One action per sub-environment, shape (num_envs, ...).

        Returns:
            (observations, rewards, terminations, truncations, infos): shape
            (num_envs, ...), then float64, bool and bool of shape (num_envs,), new
            arrays. ``infos`` is empty, but for ``final_obs`` and ``final_info`` with
            their masks in ``SAME_STEP``.

        Raises:
            NotResetError: Before the first reset, or in ``DISABLED`` where a
                sub-environment has finished.
            ValueError: Not one element of the action space per sub-environment.
        """
        if not self._begun:
            raise NotResetError("step before the first reset; call reset() first")
        waiting = self._finished
        if self._manual and len(waiting):
            raise NotResetError(
                f"sub-environment {waiting[0]} has finished and autoreset is disabled; "
                'reset it with reset(options={"reset_mask": ...})'
            )
        observations, rewards, terminations = self._move(actions, waiting)
        on_step = self._on_step
        if on_step is not None and self._cut_short is not None:
            terminations |= self._cut_short
            self._cut_short = None
        now, deadlines = self._now, self._deadlines
        # As _in_steps() has it, without two calls in each step.
        now[()] = self._clock = clock = (self._clock + 1) & self._largest
        if len(waiting):
            deadlines[waiting] = (clock + self._limit) & self._largest
        truncations = deadlines == now
        ended = terminations | truncations
        finished = ended.nonzero()[0]
        infos: dict[str, Any] = {}
        if not self._same_step:
            self._finished = finished
        elif len(finished):
            infos = self._ends(observations, ended, finished)
            self._deadlines[finished] = self._in_steps(self._limit)
            observations = self._start_again(observations, ended, finished)
        if on_step is not None:
            step: _Step = on_step(
                observations, rewards, terminations, truncations, infos
            )
            return step
        return observations, rewards, terminations, truncations, infos

    def render(self) -> tuple[Any, ...] | None:
        """A picture of every sub-environment, in the form that ``render_mode`` names.

        Returns:
            One picture for each, or None without a render mode.

        Raises:
            NotResetError: Before the first reset.
        """
        if self.render_mode is None:
            return None
        if not self._begun:
            raise NotResetError("render before the first reset; call reset() first")
        return tuple(self._picture(row) for row in range(self.num_envs))

    def close_extras(self, **kwargs: Any) -> None:
        """Closes what the pictures needed."""
        self._world.close()

    @abstractmethod
    def _start(self, mask: NDArray[np.bool_]) -> NDArray[Any]:
        """Starts the rows of ``mask``; the observations of all, a new array."""

    @abstractmethod
    def _move(
        self, actions: ArrayLike, waiting: NDArray[np.intp]
    ) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[np.bool_]]:
        """Starts the rows ``waiting`` at reward 0 and moves the others.

        Returns:
            (observations, rewards, terminations), new arrays.
        """

    @abstractmethod
    def _picture(self, row: int) -> Any:
        """A picture of one sub-environment."""

    @abstractmethod
    def _earned(self, rows: NDArray[np.intp]) -> tuple[float, NDArray[np.float64]]:
        """What episodes have earned, so that nobody has to count who need not know.

        Args:
            rows: Sub-environments that have finished and wait for their reset.

        Returns:
            The reward of every step that ends no episode, and those of their last ones.
        """

    def _start_again(
        self,
        observations: NDArray[Any],
        mask: NDArray[np.bool_],
        rows: NDArray[np.intp],
    ) -> NDArray[Any]:
        """Starts the rows of ``mask``, whose numbers are ``rows``, within a step.

        A subclass that can start a few rows for less than all of them does so here.

        Args:
            observations: Those of the step, which may be overwritten and returned.
            mask: bool, shape (num_envs,); not to be kept or changed.
            rows: Where ``mask`` is True, at least one.

        Returns:
            The observations of all rows.
        """
        return self._start(mask)

    def _ends(
        self,
        observations: NDArray[Any],
        mask: NDArray[np.bool_],
        rows: NDArray[np.intp],
    ) -> dict[str, Any]:
        """What Gymnasium reports of the episodes that end in a step."""
        final = np.empty(self.num_envs, dtype=object)  # None everywhere
        if observations.ndim == 1:
            final[rows] = observations[rows].astype(object)  # Python numbers
        else:
            for row, end in zip(rows, observations[rows], strict=True):
                final[row] = end
        return {
            "final_obs": final,
            "_final_obs": mask,
            "final_info": {},
            "_final_info": mask.copy(),
        }

    def _elapsed(self) -> NDArray[np.int64]:
        """Steps of the episodes so far; of those that are over, of all."""
        left = (self._deadlines - self._now).astype(np.int64)
        return self._limit - left

    def _in_steps(self, steps: int) -> int:
        """What the clock shows after some more steps."""
        return (self._clock + steps) & self._largest

    def _mask(self, options: dict[str, Any] | None) -> NDArray[np.bool_]:
        """The rows to reset, checked."""
        check_options(options, ("reset_mask",), self)
        if options is None or "reset_mask" not in options:
            return np.ones(self.num_envs, dtype=bool)
        mask = options["reset_mask"]
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
            kind = getattr(mask, "dtype", type(mask).__name__)
            raise TypeError(f"reset_mask is of {kind}; give a NumPy array of bool")
        if mask.shape != (self.num_envs,):
            raise ValueError(
                f"reset_mask has the shape {mask.shape}; it must be ({self.num_envs},)"
            )
        if not mask.any():
            raise ValueError("reset_mask has no True; name at least one to reset")
        if not self._begun:
            raise NotResetError(
                "a reset with a mask before the first reset; reset all of them first"
            )
        return mask

    def _seed_by_chance(self) -> None:
        """Makes the generators, if there are none yet."""
        if not self._generators:
            self._seed([None] * self.num_envs, np.ones(self.num_envs, dtype=bool))

    def _seed(self, seeds: Sequence[int | None], mask: NDArray[np.bool_]) -> None:
        """Gives each row of ``mask`` that has a seed a new generator made from it.

        The first time all rows get one, made from chance where there is no seed.
        """
        if not self._generators:
            made = [seeding.np_random(seed) for seed in seeds]
            self._generators = [generator for generator, _ in made]
            self._seeds = [number for _, number in made]
            if self._random:
                self._uniforms = GeneratorUniforms(self._generators)
            return
        for row in np.flatnonzero(mask).tolist():
            if (seed := seeds[row]) is not None:
                self._generators[row], self._seeds[row] = seeding.np_random(seed)
                if self._uniforms:
                    self._uniforms.replace(row, self._generators[row])


def _mode(name: str | AutoresetMode) -> AutoresetMode:
    try:
        return AutoresetMode(name)
    except ValueError:
        known = [mode.value for mode in AutoresetMode]
        raise ValueError(
            f"unknown autoreset mode {name!r}; choose from {known}"
        ) from None
