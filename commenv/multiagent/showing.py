"""How the agents of a PettingZoo environment are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from commenv.envs.batched import BatchedEnv
from commenv.envs.drawing import Window
from commenv.envs.pictures import Painter, shown_modes, tiled
from commenv.registration import snake_case

__all__ = ["Piece", "Show", "check_mode"]

Piece = tuple[Sequence[int], BatchedEnv, Mapping[str, Any]]
"""Rows, the batch of the instances in them, and their environment's arguments."""


def check_mode(env_id: str, render_mode: str | None) -> None:
    """Raises ValueError unless an environment can be shown in a render mode."""
    modes, _ = shown_modes(env_id)
    if render_mode is not None and render_mode not in modes:
        raise ValueError(
            f"render_mode {render_mode!r} is not available for {env_id}; choose from "
            f"{[*modes, None]}"
        )


class Show:
    """Draws all agents together.

    Args:
        env_id: The environment's id.
        pieces: The agents' instances.
        render_mode: ``"human"``, ``"ansi"``, ``"rgb_array"`` or None.

    Attributes:
        metadata: What PettingZoo calls so.
        render_mode: As given.
    """

    def __init__(
        self, env_id: str, pieces: Sequence[Piece], render_mode: str | None
    ) -> None:
        modes, frames_per_second = shown_modes(env_id)
        self.metadata: dict[str, Any] = {
            "name": snake_case(env_id),
            "render_modes": modes,
            "render_fps": frames_per_second,
            "is_parallelizable": True,
        }
        self.render_mode = render_mode
        self._window = Window()
        self._painters: dict[int, tuple[Painter, int]] = {}
        if render_mode is not None:
            for rows, batch, env_kwargs in pieces:
                painter = Painter(batch, env_id, env_kwargs, text=render_mode == "ansi")
                for inner, row in enumerate(rows):
                    self._painters[row] = (painter, inner)

    def follow(self) -> None:
        """Shows the picture in the window, if there is one."""
        if self.render_mode == "human":
            self.render([])

    def render(self, agents: Sequence[str]) -> NDArray[np.uint8] | str | None:
        """The picture of all agents; their names are headings of their texts."""
        if self.render_mode is None:
            gym.logger.warn(
                "render() without a render mode shows nothing; make the environment "
                'with render_mode="rgb_array", say'
            )
            return None
        drawn = [
            painter.draw(row) for _, (painter, row) in sorted(self._painters.items())
        ]
        if self.render_mode == "ansi":
            named = zip(agents, drawn, strict=True)
            return "\n".join(f"{agent}\n{text}" for agent, text in named)
        pixels = tiled(drawn)
        if self.render_mode == "human":
            self._window.show(pixels, self.metadata["render_fps"])
            return None
        return pixels

    def close(self) -> None:
        """Closes the window, and what the pictures needed."""
        self._window.close()
        for painter in {painter for painter, _ in self._painters.values()}:
            painter.close()
