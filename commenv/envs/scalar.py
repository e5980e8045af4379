"""One instance of a tabular environment, as a Gymnasium environment."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from commenv.envs.choices import Choices
from commenv.envs.drawing import GridScene, Window, draw_pixels, draw_text
from commenv.envs.flat import thresholds
from commenv.envs.options import check_options
from commenv.envs.tabular import TabularMDP
from commenv.errors import NotResetError
from commenv.seeds import integer_seed

__all__ = ["TabularEnv"]

_Branches = tuple[list[float], list[tuple[int, float, bool]]]


class TabularEnv(gym.Env[Any, Any]):
    """A Gymnasium environment that plays a :class:`TabularMDP`.

    Every reset and every step draws exactly one uniform number from ``np_random``,
    certain outcomes included. So a batch that draws its numbers in blocks meets the
    same episodes, and an argument that makes the world less random shifts no draw.

    Args:
        mdp: The dynamics.
        scene: What a picture of it shows; without one there is no render mode.
        render_mode: ``"human"``, ``"ansi"``, ``"rgb_array"`` or None.

    Raises:
        ValueError: An unknown render mode, or one without a scene.
    """

    observation_space: spaces.Discrete[Any]
    action_space: spaces.Discrete[Any]
    metadata: dict[str, Any] = {  # noqa: RUF012 - Gymnasium declares it so
        "render_modes": ["human", "ansi", "rgb_array"],
        "render_fps": 4,
    }

    def __init__(
        self,
        mdp: TabularMDP,
        scene: GridScene | None = None,
        render_mode: str | None = None,
    ) -> None:
        modes = self.metadata["render_modes"] if scene else []
        if render_mode is not None and render_mode not in modes:
            raise ValueError(
                f"render_mode {render_mode!r} is not available; choose from "
                f"{[*modes, None]}"
            )
        self.mdp = mdp
        self.scene = scene
        self.render_mode = render_mode
        self.observation_space = spaces.Discrete(mdp.num_states)
        self.action_space = Choices(mdp.num_actions)
        self._start = thresholds(mdp.start).tolist()
        self._branches = _branches(mdp)
        self._state: int | None = None
        self._window = Window()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Starts an episode.

        Args:
            seed: Seeds ``np_random`` if given.
            options: None is known; those that are arguments of the environment are
                refused.

        Returns:
            (state, {}).

        Raises:
            ValueError: An option that would have no effect.
        """
        check_options(options, env=self)
        super().reset(seed=None if seed is None else integer_seed(seed))
        self._state = bisect_right(self._start, self.np_random.random())
        if self.render_mode == "human":
            self.render()
        return self._state, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Moves by one step.

        Args:
            action: An element of the action space.

        Returns:
            (state, reward, terminated, False, {}).

        Raises:
            NotResetError: Before the first reset.
            ValueError: The action lies outside the action space.
        """
        if self._state is None:
            raise NotResetError("step before the first reset; call reset() first")
        if not self.action_space.contains(action):
            raise ValueError(
                f"action {action!r} is outside the action space; actions are the "
                f"integers 0 ... {self.mdp.num_actions - 1}"
            )
        cuts, outcomes = self._branches[self._state][action]
        outcome = bisect_right(cuts, self.np_random.random())
        self._state, reward, terminated = outcomes[outcome]
        if self.render_mode == "human":
            self.render()
        return self._state, reward, terminated, False, {}

    def render(self) -> str | NDArray[np.uint8] | None:
        """A picture of the present state, in the form that ``render_mode`` names.

        Returns:
            A text (``"ansi"``), an image of shape (height, width, 3) (``"rgb_array"``),
            or None (``"human"``, which shows the image in a window).

        Raises:
            NotResetError: Before the first reset.
            MissingExtraError: ``"human"`` without the extra ``render``.
        """
        if self.render_mode is None or self.scene is None:
            gym.logger.warn(
                "render() without a render mode shows nothing; make the environment "
                'with render_mode="rgb_array", say'
            )
            return None
        if self._state is None:
            raise NotResetError("render before the first reset; call reset() first")
        if self.render_mode == "ansi":
            return draw_text(self.scene, self._state)
        pixels = draw_pixels(self.scene, self._state)
        if self.render_mode == "human":
            self._window.show(pixels, self.metadata["render_fps"])
            return None
        return pixels

    def close(self) -> None:
        """Closes the window, if there is one."""
        self._window.close()


def _branches(mdp: TabularMDP) -> list[list[_Branches]]:
    """The tables as nested lists: plain Python numbers step faster one at a time."""
    cuts = thresholds(mdp.probability).tolist()
    outcomes = [
        [list(zip(*fields, strict=True)) for fields in zip(*row, strict=True)]
        for row in zip(
            mdp.next_state.tolist(),
            mdp.reward.tolist(),
            mdp.terminated.tolist(),
            strict=True,
        )
    ]
    return [
        list(zip(*state, strict=True)) for state in zip(cuts, outcomes, strict=True)
    ]
