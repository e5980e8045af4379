"""Cart Pole as a Gymnasium vector environment."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from gymnasium.error import DependencyNotInstalled
from numpy.typing import ArrayLike, NDArray

from commenv.envs.cart_pole import CartPoleBatch
from commenv.envs.native import NativeVectorEnv
from commenv.errors import MissingExtraError
from commenv.rng import UniformStream

__all__ = ["CartPoleVectorEnv"]


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
