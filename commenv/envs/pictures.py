"""Pictures of the instances of a batch, and many pictures in one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import DependencyNotInstalled
from numpy.typing import NDArray

from commenv.envs.batch import ScalarBatch, TabularBatch
from commenv.envs.batched import BatchedEnv
from commenv.envs.cart_pole import CartPoleBatch
from commenv.envs.drawing import draw_pixels, draw_text
from commenv.envs.making import creator_of, find_spec
from commenv.envs.mujoco import MujocoBatch
from commenv.envs.scalar import TabularEnv
from commenv.errors import MissingExtraError
from commenv.registration import batched_entry_point

__all__ = ["Painter", "scalar_mode", "shown_modes", "tiled"]

_BACKGROUND, _BORDER = 255, (120, 116, 108)
_BORDER_WIDTH = 2  # pixels
_OF_THE_BATCH = ("num_threads",)  # no argument of a single instance


def shown_modes(env_id: str) -> tuple[list[str], float]:
    """The render modes in which a batch of an environment can be shown.

    Returns:
        Some of ``"human"``, ``"ansi"`` and ``"rgb_array"``, and pictures per second.
    """
    spec = find_spec(env_id)
    metadata = getattr(creator_of(spec), "metadata", {})
    modes = set(metadata.get("render_modes", ()))
    if "rgb_array" not in modes:
        modes.discard("human")  # a window shows the tiled picture
    known = ("human", "ansi", "rgb_array")
    return [mode for mode in known if mode in modes], metadata.get("render_fps", 4)


def scalar_mode(env_id: str, render_mode: str | None) -> dict[str, Any]:
    """The arguments with which instances that are stepped one by one are drawn."""
    if render_mode is None or batched_entry_point(find_spec(env_id).id) is not None:
        return {}
    return {"render_mode": "ansi" if render_mode == "ansi" else "rgb_array"}


class Painter:
    """Draws the instances of one batch.

    Args:
        batch: The instances; those of a ``ScalarBatch`` were made with
            :func:`scalar_mode`.
        env_id: Of their environment.
        env_kwargs: Their arguments.
        text: Draws text (``"ansi"``), else pixels.
    """

    def __init__(
        self,
        batch: BatchedEnv,
        env_id: str,
        env_kwargs: Mapping[str, Any],
        *,
        text: bool = False,
    ) -> None:
        self._batch, self._text, self._name = batch, text, env_id
        self._model: Any = None  # one instance that is put into each row's state
        if not isinstance(batch, ScalarBatch):
            own = {k: v for k, v in env_kwargs.items() if k not in _OF_THE_BATCH}
            self._model = gym.make(
                find_spec(env_id),
                render_mode="ansi" if text else "rgb_array",
                disable_env_checker=True,
                **own,
            ).unwrapped
            self._model.reset(seed=0)

    def draw(self, row: int) -> Any:
        """The picture of one instance: uint8 of shape (height, width, 3), or text.

        Raises:
            MissingExtraError: The extra that draws it is not installed.
        """
        try:
            return self._drawn(row)
        except DependencyNotInstalled as error:
            raise MissingExtraError(f"a picture of {self._name}", "render") from error

    def close(self) -> None:
        """Releases what the pictures needed."""
        if self._model is not None:
            self._model.close()

    def _drawn(self, row: int) -> Any:
        batch, model = self._batch, self._model
        if isinstance(batch, ScalarBatch):
            return batch.envs[row].render()
        if isinstance(model, TabularEnv) and model.scene is not None:
            assert isinstance(batch, TabularBatch)
            draw: Any = draw_text if self._text else draw_pixels
            return draw(model.scene, int(batch.states[row]))
        if isinstance(batch, CartPoleBatch):
            model.state = batch.states[row]
        elif isinstance(batch, TabularBatch):
            model.s = int(batch.states[row])  # as Gymnasium's tables are played
        elif isinstance(batch, MujocoBatch):
            model.set_state(*batch.state_of(row))
        return model.render()


def tiled(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Pictures side by side in rows, with thin borders between and around them.

    Args:
        pictures: uint8, shapes (height, width, 3), which may differ.

    Returns:
        uint8, shape (height, width, 3).
    """
    height = max(picture.shape[0] for picture in pictures) + _BORDER_WIDTH
    width = max(picture.shape[1] for picture in pictures) + _BORDER_WIDTH
    columns = math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    size = (rows * height + _BORDER_WIDTH, columns * width + _BORDER_WIDTH, 3)
    canvas = np.full(size, _BORDER, dtype=np.uint8)
    for place in range(rows * columns):
        top = place // columns * height + _BORDER_WIDTH
        left = place % columns * width + _BORDER_WIDTH
        cell = canvas[top : top + height - _BORDER_WIDTH]
        cell = cell[:, left : left + width - _BORDER_WIDTH]
        cell[:] = _BACKGROUND
        if place < len(pictures):
            picture = pictures[place]
            cell[: picture.shape[0], : picture.shape[1]] = picture
    return canvas
