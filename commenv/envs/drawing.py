"""Pictures of grids: text, pixels from NumPy alone, and a window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from commenv.errors import MissingExtraError

__all__ = ["GridScene", "Window", "draw_pixels", "draw_text"]

_Plane = NDArray[np.float64]
_Colour = tuple[int, int, int]

_LARGEST_CELL, _SMALLEST_CELL, _LARGEST_SIDE = 64, 12, 768  # pixels
_FLOOR: _Colour = (246, 244, 239)
_ICE: _Colour = (214, 233, 246)
_LINE: _Colour = (201, 198, 190)
_START: _Colour = (176, 172, 162)
_GOAL: _Colour = (212, 234, 209)
_POLE: _Colour = (74, 68, 62)
_FLAG: _Colour = (46, 139, 87)
_WATER: _Colour = (28, 58, 94)
_RIM: _Colour = (137, 178, 208)
_WIND: _Colour = (96, 148, 196)
_AGENT: _Colour = (226, 104, 46)
_SHADE: _Colour = (150, 58, 18)
_EYE: _Colour = (255, 255, 255)
_PUSHES = {
    "left": (-1.0, 0.0),
    "right": (1.0, 0.0),
    "up": (0.0, -1.0),
    "down": (0.0, 1.0),
}


@dataclass(frozen=True)
class GridScene:
    """What stays the same in every picture of one grid.

    Attributes:
        letters: The rows of the map: S start, G goal, g a cell that could have been
            the goal, H hole, F frozen, . floor.
        wind: Pairs of a direction and its probability.
    """

    letters: tuple[str, ...]
    wind: tuple[tuple[str, float], ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """The number of (rows, columns)."""
        return len(self.letters), len(self.letters[0])


def draw_text(scene: GridScene, state: int) -> str:
    """The grid as lines of text: the agent is ``A``, other cells their letters.

    Args:
        scene: The grid.
        state: The agent's cell, ``row * columns + column``.

    Returns:
        One line per row, after a line that names the winds, if there are any.
    """
    row, column = divmod(state, scene.shape[1])
    lines = [" ".join(letters) for letters in scene.letters]
    lines[row] = lines[row][: 2 * column] + "A" + lines[row][2 * column + 1 :]
    if scene.wind:
        winds = ", ".join(f"{direction} {chance:g}" for direction, chance in scene.wind)
        lines.insert(0, f"wind: {winds}")
    return "\n".join(lines) + "\n"


def draw_pixels(scene: GridScene, state: int) -> NDArray[np.uint8]:
    """The grid as an image.

    Args:
        scene: The grid.
        state: The agent's cell, ``row * columns + column``.

    Returns:
        uint8, shape (height, width, 3), at most 64 pixels a cell.
    """
    cell = _cell_size(scene)
    image = _background(scene).copy()
    row, column = divmod(state, scene.shape[1])
    here = np.s_[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell]
    tile = _Tile(cell, image[here])
    if scene.letters[row][column] == "G":
        _paint_agent(tile, 0.64, 0.68, 0.21)  # beside the flag, not in front of it
    else:
        _paint_agent(tile, 0.5, 0.5, 0.3)
    image[here] = tile.canvas
    return image.round().astype(np.uint8)


class Window:
    """A window on the screen that shows images; opens with the first one.

    A copy of it, pickled or not, is a window that has not been opened.
    """

    def __init__(self) -> None:
        self._surface: Any = None
        self._clock: Any = None

    def show(self, pixels: NDArray[np.uint8], frames_per_second: int) -> None:
        """Shows an image, and waits so as to keep to the frame rate.

        Args:
            pixels: uint8, shape (height, width, 3).
            frames_per_second: The largest number of images a second.

        Raises:
            MissingExtraError: pygame is not installed.
        """
        try:
            import pygame
        except ImportError as error:
            raise MissingExtraError('render_mode="human"', "render") from error
        if self._surface is None:
            pygame.display.init()
            pygame.display.set_caption("commenv")
            self._surface = pygame.display.set_mode(pixels.shape[1::-1])
            self._clock = pygame.time.Clock()
        image = pygame.surfarray.make_surface(pixels.swapaxes(0, 1))
        self._surface.blit(image, (0, 0))
        pygame.event.pump()
        pygame.display.flip()
        self._clock.tick(frames_per_second)

    def close(self) -> None:
        """Closes the window, if it is open."""
        if self._surface is not None:
            import pygame

            pygame.display.quit()
            self._surface = self._clock = None

    def __reduce__(self) -> tuple[type[Window], tuple[()]]:
        return type(self), ()


class _Tile:
    """A square canvas on which shapes are painted with smooth edges.

    Coordinates run from 0 to 1, to the right and down. A shape is the share of each
    pixel that it covers, found from the distance of the pixel's centre to its edge.
    """

    def __init__(self, cell: int, canvas: _Plane) -> None:
        self.cell = cell
        self.canvas = canvas.copy()
        centres = (np.arange(cell) + 0.5) / cell
        self.x, self.y = np.meshgrid(centres, centres)

    def paint(self, cover: _Plane, colour: _Colour, opacity: float = 1.0) -> None:
        share = (opacity * cover)[..., None]
        self.canvas += share * (np.array(colour) - self.canvas)

    def disc(self, x: float, y: float, radius: float) -> _Plane:
        return self._cover(np.hypot(self.x - x, self.y - y) - radius)

    def line(
        self, a: tuple[float, float], b: tuple[float, float], width: float
    ) -> _Plane:
        along = np.subtract(b, a)
        x, y = self.x - a[0], self.y - a[1]
        share = np.clip((x * along[0] + y * along[1]) / (along @ along), 0, 1)
        distance = np.hypot(x - share * along[0], y - share * along[1])
        return self._cover(distance - width / 2)

    def polygon(self, corners: Sequence[tuple[float, float]]) -> _Plane:
        """A convex shape whose corners are given clockwise."""
        distance = np.full(self.x.shape, -np.inf)
        for a, b in zip(corners, [*corners[1:], corners[0]], strict=True):
            right, down = np.subtract(b, a) / np.hypot(*np.subtract(b, a))
            outward = (self.x - a[0]) * down - (self.y - a[1]) * right
            distance = np.maximum(distance, outward)
        return self._cover(distance)

    def _cover(self, distance: _Plane) -> _Plane:
        return np.clip(0.5 - distance * self.cell, 0, 1)


def _paint_agent(tile: _Tile, x: float, y: float, radius: float) -> None:
    tile.paint(tile.disc(x, y + 0.1 * radius, 1.03 * radius), _SHADE)
    tile.paint(tile.disc(x, y, radius), _AGENT)
    for eye in (x - 0.3 * radius, x + 0.3 * radius):
        tile.paint(tile.disc(eye, y - 0.17 * radius, 0.22 * radius), _EYE)
        tile.paint(tile.disc(eye, y - 0.13 * radius, 0.1 * radius), _POLE)


@lru_cache(maxsize=32)
def _background(scene: GridScene) -> _Plane:
    """The image without the agent, float64 of shape (height, width, 3)."""
    cell = _cell_size(scene)
    letters = set("".join(scene.letters))
    ground = _ICE if letters & {"F", "H"} else _FLOOR
    tiles = {
        letter: _background_tile(letter, ground, scene.wind, cell) for letter in letters
    }
    image = np.block([[[tiles[letter]] for letter in row] for row in scene.letters])
    image[0] = image[:, 0] = _LINE
    return image


def _background_tile(
    letter: str, ground: _Colour, wind: Sequence[tuple[str, float]], cell: int
) -> _Plane:
    tile = _Tile(cell, np.full((cell, cell, 3), _LINE, dtype=np.float64))
    tile.canvas[:-1, :-1] = _GOAL if letter in "Gg" else ground
    for direction, chance in wind:
        _paint_wind(tile, direction, chance)
    if letter == "S":
        ring = tile.disc(0.5, 0.5, 0.22) - tile.disc(0.5, 0.5, 0.185)
        tile.paint(ring, _START)
    elif letter == "H":
        tile.paint(tile.disc(0.5, 0.5, 0.4), _RIM)
        tile.paint(tile.disc(0.5, 0.52, 0.35), _WATER)
    elif letter == "G":
        tile.paint(tile.polygon([(0.38, 0.2), (0.76, 0.35), (0.38, 0.5)]), _FLAG)
        tile.paint(tile.line((0.36, 0.2), (0.36, 0.8), 0.05), _POLE)
        tile.paint(tile.line((0.27, 0.81), (0.45, 0.81), 0.05), _POLE)
    return tile.canvas


def _paint_wind(tile: _Tile, direction: str, chance: float) -> None:
    """An arrow near the edge that the wind blows to, stronger for a stronger wind."""
    x, y = _PUSHES[direction]
    tip = (0.5 + 0.44 * x, 0.5 + 0.44 * y)
    tail = (0.5 + 0.26 * x, 0.5 + 0.26 * y)
    shaft = tile.line(tip, tail, 0.035)
    for side in (-1, 1):
        barb = (
            tip[0] - 0.08 * x + side * 0.08 * y,
            tip[1] - 0.08 * y + side * 0.08 * x,
        )
        shaft = np.maximum(shaft, tile.line(tip, barb, 0.035))
    tile.paint(shaft, _WIND, opacity=min(1.0, 0.45 + chance))


def _cell_size(scene: GridScene) -> int:
    """Pixels per cell: large grids have small cells."""
    return max(_SMALLEST_CELL, min(_LARGEST_CELL, _LARGEST_SIDE // max(scene.shape)))
