"""Grids with a goal: Simple Grid, and Windy Grid with random pushes.

Source: E. Gunn, Communication Efficient Distributed Reinforcement Learning (2023).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from types import MappingProxyType

import numpy as np

from commenv.envs.drawing import GridScene
from commenv.envs.scalar import TabularEnv
from commenv.envs.tabular import Outcome, TabularMDP

__all__ = ["DIRECTIONS", "SimpleGridEnv", "WindyGridEnv", "grid_mdp"]

DIRECTIONS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}
)
"""The change of (row, column) for each direction, in the order of the actions."""

_MOVES = (*DIRECTIONS.values(), (0, 0))
_MOST_CELLS = 100_000
_NORTH_WEST: Mapping[str, float] = MappingProxyType({"up": 0.3, "left": 0.3})

Cell = tuple[int, int]
Size = int | tuple[int, int]


class SimpleGridEnv(TabularEnv):
    """An agent walks to the goal of an empty grid.

    ## Description
    The smallest world of the thesis in which agents have something to tell each other:
    a shortest path to a fixed cell. From the default start the best return is -7
    undiscounted and -5.21703 at a discount factor of 0.9.

    ## Action Space
    `Discrete(5)`: 0 left, 1 right, 2 up, 3 down, 4 stay. Walls stop the agent.

    ## Observation Space
    `Discrete(rows * columns)`: the agent's cell, `row * columns + column`, counted from
    the upper left corner.

    ## Starting State
    The cell `start`, always.

    ## Rewards
    -1 for each step, 0 for the step that reaches the goal.

    ## Episode End
    Termination when the agent reaches the goal; it then stays there, at reward 0.
    Truncation after 200 steps, by the time limit of the registered id.

    ## Information
    Empty without a channel; with one `comm`, and `episode_comm` where an episode ends:
    see :class:`commenv.wrappers.MessageChannel`.

    ## Arguments
    - `size`: the number of rows and columns, an int or a pair; 5.
    - `goal`: (row, column) of the goal; the lower right corner.
    - `start`: (row, column) of the start; (0, 0).
    - `render_mode`: `"human"`, `"ansi"`, `"rgb_array"` or None.
    - `uplink`, `downlink`, `agent`, `gamma`, of the registered id: its channel, see
      :class:`commenv.wrappers.OwnChannel`.

    A size below 1, or cells outside the grid or on top of each other, raise
    `ValueError`.

    ## Vectorized
    `gym.make_vec("SimpleGrid-v0", num_envs=..., autoreset_mode=...)` steps all
    sub-environments in a few array operations and equals the sync form.

    ## Version History
    - v0: first version.
    """

    def __init__(
        self,
        size: Size = 5,
        goal: Cell | None = None,
        start: Cell = (0, 0),
        render_mode: str | None = None,
    ) -> None:
        shape, goal = _place(size, goal, start)
        mdp = grid_mdp(shape, goal, start)
        super().__init__(mdp, _scene(shape, goal, start, {}), render_mode)


class WindyGridEnv(TabularEnv):
    """An agent walks to the goal of a grid on which winds push it about.

    ## Description
    Simple Grid with independent random pushes after every move. With the default winds,
    which blow away from the goal, the best return from the start is -14.47349
    undiscounted and -7.56607 at a discount factor of 0.9.

    ## Action Space
    `Discrete(5)`: 0 left, 1 right, 2 up, 3 down, 4 stay. Walls stop the agent.

    ## Observation Space
    `Discrete(rows * columns)`: the agent's cell, `row * columns + column`, counted from
    the upper left corner.

    ## Starting State
    The cell `start`, always.

    ## Rewards
    -1 for each step, 0 for the step that ends on the goal.

    ## Episode End
    Termination when the agent is on the goal after the pushes; being blown across it
    does not count. It then stays there, at reward 0. Truncation after 200 steps, by the
    time limit of the registered id.

    ## Information
    Empty without a channel; with one `comm`, and `episode_comm` where an episode ends:
    see :class:`commenv.wrappers.MessageChannel`.

    ## Arguments
    - `size`: the number of rows and columns, an int or a pair; 5.
    - `goal`: (row, column) of the goal; the lower right corner.
    - `start`: (row, column) of the start; (0, 0).
    - `wind`: the probability of a push by one cell, for any of `"left"`, `"right"`,
      `"up"` and `"down"`; `{"up": 0.3, "left": 0.3}`. Pushes come in the order of the
      mapping, and walls stop each of them. The published code of the thesis blows down
      and left: `{"down": 0.3, "left": 0.3}`.
    - `render_mode`: `"human"`, `"ansi"`, `"rgb_array"` or None.
    - `uplink`, `downlink`, `agent`, `gamma`, of the registered id: its channel, see
      :class:`commenv.wrappers.OwnChannel`.

    A size below 1, cells outside the grid or on top of each other, unknown directions
    and probabilities outside [0, 1] raise `ValueError`.

    ## Vectorized
    `gym.make_vec("WindyGrid-v0", num_envs=..., autoreset_mode=...)` steps all
    sub-environments in a few array operations and equals the sync form.

    ## Version History
    - v0: first version.
    """

    def __init__(
        self,
        size: Size = 5,
        goal: Cell | None = None,
        start: Cell = (0, 0),
        wind: Mapping[str, float] = _NORTH_WEST,
        render_mode: str | None = None,
    ) -> None:
        shape, goal = _place(size, goal, start)
        mdp = grid_mdp(shape, goal, start, wind)
        super().__init__(mdp, _scene(shape, goal, start, wind), render_mode)


def grid_mdp(
    shape: tuple[int, int],
    goal: Cell,
    start: Cell = (0, 0),
    wind: Mapping[str, float] = MappingProxyType({}),
) -> TabularMDP:
    """The tables of a grid with one goal and independent winds.

    The outcomes of a step are the combinations of pushes that can happen, that without
    any push first.

    Args:
        shape: The number of (rows, columns).
        goal: (row, column) of the goal.
        start: (row, column) of the start.
        wind: The probability of a push for each direction, applied in this order.

    Raises:
        ValueError: An unknown direction, or a probability outside [0, 1].
    """
    pushes = _pushes(wind)
    rows, columns = shape
    home = goal[0] * columns + goal[1]
    table: dict[int, dict[int, list[Outcome]]] = {}
    for cell in itertools.product(range(rows), range(columns)):
        state = cell[0] * columns + cell[1]
        table[state] = {}
        for action, move in enumerate(_MOVES):
            if state == home:
                table[state][action] = [(1.0, home, 0.0, True)]
                continue
            ends = [
                (chance, _walk(shape, cell, [move, *way])) for chance, way in pushes
            ]
            table[state][action] = [
                (chance, end, 0.0 if end == home else -1.0, end == home)
                for chance, end in ends
            ]
    first = np.zeros(rows * columns)
    first[start[0] * columns + start[1]] = 1.0
    return TabularMDP.from_transitions(table, first, shape)


def _walk(shape: tuple[int, int], cell: Cell, moves: Sequence[tuple[int, int]]) -> int:
    """The state after some moves, each of which the walls may stop."""
    row, column = cell
    for down, right in moves:
        row = min(max(row + down, 0), shape[0] - 1)
        column = min(max(column + right, 0), shape[1] - 1)
    return row * shape[1] + column


def _pushes(wind: Mapping[str, float]) -> list[tuple[float, list[tuple[int, int]]]]:
    """The combinations of pushes that can happen, with their probabilities."""
    if not isinstance(wind, Mapping):
        raise ValueError(f'wind {wind!r} is no mapping; give one, as {{"up": 0.3}}')
    for direction, chance in wind.items():
        if direction not in DIRECTIONS:
            raise ValueError(
                f"unknown wind direction {direction!r}; choose from {list(DIRECTIONS)}"
            )
        if not isinstance(chance, Real) or not 0 <= chance <= 1:
            raise ValueError(
                f"wind {direction!r} has probability {chance!r}; it must lie in [0, 1]"
            )
    combinations = []
    for blows in itertools.product((False, True), repeat=len(wind)):
        pairs = list(zip(wind.items(), blows, strict=True))
        chance = math.prod(p if blown else 1 - p for (_, p), blown in pairs)
        moves = [DIRECTIONS[direction] for (direction, _), blown in pairs if blown]
        if chance > 0:
            combinations.append((chance, moves))
    return combinations


def _place(
    size: Size, goal: Cell | None, start: Cell
) -> tuple[tuple[int, int], tuple[int, int]]:
    """The shape of the grid and the cell of the goal, after checking all three."""
    rows, columns = _pair("size", (size, size) if isinstance(size, int) else size)
    if rows < 1 or columns < 1:
        raise ValueError(f"size {size} has no cells; give at least 1 row and 1 column")
    if rows * columns > _MOST_CELLS:
        raise ValueError(
            f"size {size} makes {rows * columns:,} cells; at most {_MOST_CELLS:,} are "
            "tabulated"
        )
    home = (rows - 1, columns - 1) if goal is None else _pair("goal", goal)
    for name, cell in (("goal", home), ("start", _pair("start", start))):
        if not (0 <= cell[0] < rows and 0 <= cell[1] < columns):
            raise ValueError(
                f"{name} {cell} is outside the grid; rows are 0 ... {rows - 1}, "
                f"columns 0 ... {columns - 1}"
            )
    if home == tuple(start):
        raise ValueError(f"goal and start are both {home}; choose different cells")
    return (rows, columns), home


def _pair(name: str, value: Sequence[int]) -> tuple[int, int]:
    numbers = value if isinstance(value, Sequence) else ()
    if len(numbers) != 2 or not all(isinstance(n, Integral) for n in numbers):
        raise ValueError(
            f"{name} {value!r} is no pair of integers; give two, as (4, 4)"
        )
    return int(numbers[0]), int(numbers[1])


def _scene(
    shape: tuple[int, int], goal: Cell, start: Cell, wind: Mapping[str, float]
) -> GridScene:
    letters = np.full(shape, ".")
    letters[tuple(start)] = "S"
    letters[goal] = "G"
    blowing = tuple((way, chance) for way, chance in wind.items() if chance > 0)
    return GridScene(tuple("".join(row) for row in letters), blowing)
