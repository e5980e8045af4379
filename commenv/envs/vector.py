"""The vector form of the tabular environments, for ``gym.make_vec``."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from commenv.envs.drawing import draw_pixels, draw_text
from commenv.envs.flat import FlatTables, check_actions, integer_actions
from commenv.envs.frozen_lake import FrozenLakeEnv
from commenv.envs.grid import SimpleGridEnv, WindyGridEnv
from commenv.envs.native import NativeVectorEnv
from commenv.envs.tabular import TabularMDP

__all__ = [
    "FrozenLakeVectorEnv",
    "SimpleGridVectorEnv",
    "TabularVectorEnv",
    "WindyGridVectorEnv",
]


class TabularVectorEnv(NativeVectorEnv):
    """Many sub-environments of one tabular environment, stepped by array operations.

    Observations are states, int64 of shape (num_envs,). The render modes are
    ``"ansi"`` and ``"rgb_array"``. All else is as in :class:`NativeVectorEnv`.

    Args:
        num_envs: How many sub-environments, at least 1.
        **kwargs: As for :class:`NativeVectorEnv`.
    """

    def __init__(self, num_envs: int = 1, **kwargs: Any) -> None:
        super().__init__(num_envs, **kwargs)
        self._random = not self.mdp.deterministic
        self._tables = FlatTables(self.mdp)
        # The pairs of the states with action 0: a step adds its actions to them, and
        # the states themselves belong to the caller.
        self._pairs = np.zeros(num_envs, dtype=np.int64)
        self._stride = np.array(self._tables.stride)  # multiplies faster than an int

    @property
    def mdp(self) -> TabularMDP:
        """The tables of the environment."""
        mdp: TabularMDP = self._world.mdp
        return mdp

    @property
    def _states(self) -> NDArray[np.int64]:
        return self._pairs // self._tables.stride

    def _start(self, mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        return self._start_again(self._states, mask, mask.nonzero()[0])

    def _start_again(
        self,
        observations: NDArray[np.int64],
        mask: NDArray[np.bool_],
        rows: NDArray[np.intp],
    ) -> NDArray[np.int64]:
        uniforms = self._uniforms.next_of(rows) if self._uniforms else None
        started = self._tables.start(uniforms)
        observations[rows] = started
        self._pairs[rows] = started * self._tables.stride
        return observations

    def _move(
        self, actions: ArrayLike, waiting: NDArray[np.intp]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]:
        chosen = integer_actions(actions, (self.num_envs,))
        check_actions(chosen, self._tables.num_actions)
        uniforms = self._uniforms.next() if self._uniforms else None
        pairs = self._pairs
        pairs += chosen
        if len(waiting):
            pairs[waiting] = self._tables.restart
        states, rewards, terminations = self._tables.move(
            pairs, uniforms, resting=False
        )
        if self._tables.random_start and uniforms is not None:
            states[waiting] = self._tables.start(uniforms[waiting])
        self._pairs = states * self._stride
        return states, rewards, terminations

    def _earned(self, rows: NDArray[np.intp]) -> tuple[float, NDArray[np.float64]]:
        running, last = self._rewards
        return running, last[self._states[rows]]

    @cached_property
    def _rewards(self) -> tuple[float, NDArray[np.float64]]:
        """The reward of going on, and that of arriving in each state.

        Grids and lakes pay for where a step leads, and the same wherever it leads on.
        """
        mdp = self.mdp
        own = np.arange(mdp.num_states)[:, None, None]
        moves = (mdp.probability > 0) & ~(mdp.terminated & (mdp.next_state == own))
        arriving = np.zeros(mdp.num_states)
        arriving[mdp.next_state[moves]] = mdp.reward[moves]
        running = np.unique(mdp.reward[moves & ~mdp.terminated])
        exact = (arriving[mdp.next_state] == mdp.reward)[moves].all()
        if not exact or len(running) > 1:
            raise NotImplementedError(
                f"rewards of {type(self).__name__} depend on more than where a step "
                "leads; open the channel before the first step, and they are counted"
            )
        return float(running.sum()), arriving

    def _picture(self, row: int) -> Any:
        draw: Any = draw_text if self.render_mode == "ansi" else draw_pixels
        return draw(self._world.scene, int(self._states[row]))


class SimpleGridVectorEnv(TabularVectorEnv):
    """The vector form of :class:`~commenv.envs.grid.SimpleGridEnv`."""

    scalar_class = SimpleGridEnv


class WindyGridVectorEnv(TabularVectorEnv):
    """The vector form of :class:`~commenv.envs.grid.WindyGridEnv`."""

    scalar_class = WindyGridEnv


class FrozenLakeVectorEnv(TabularVectorEnv):
    """The vector form of :class:`~commenv.envs.frozen_lake.FrozenLakeEnv`."""

    scalar_class = FrozenLakeEnv
