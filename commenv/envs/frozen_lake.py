"""Frozen Lake, with the dynamics of Gymnasium's environment of that name."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from commenv.envs.drawing import GridScene
from commenv.envs.scalar import TabularEnv
from commenv.envs.tabular import Outcome, TabularMDP

__all__ = ["MAPS", "FrozenLakeEnv", "frozen_lake_mdp"]

MAPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "5x5": ("SFFFF", "FHFHF", "FFFHF", "HFFFF", "FFFHG"),
        "4x4": ("SFFF", "FHFH", "FFFH", "HFFG"),
        "8x8": (
            "SFFFFFFF",
            "FFFFFFFF",
            "FFFHFFFF",
            "FFFFFHFF",
            "FFFHFFFF",
            "FHHFFFHF",
            "FHFFHFHF",
            "FFFHFFFG",
        ),
    }
)
"""The named maps: S start, F frozen, H hole, G goal."""

_MOVES = ((0, -1), (1, 0), (0, 1), (-1, 0))  # left, down, right, up
_STRAIGHT_ON = 1 / 3
_SIDEWAYS = (1 - _STRAIGHT_ON) / 2  # not 1 / 3 to the last bit; Gymnasium has the same


class FrozenLakeEnv(TabularEnv):
    """An agent crosses a frozen lake with holes.

    ## Description
    The agent earns nothing until it reaches the goal, and a hole ends the episode. On
    slippery ice it goes sideways in two of three steps. On the maps 4x4 and 8x8 the
    tables equal those of Gymnasium's `FrozenLake-v1`, and so do the episodes from the
    same seed; but the time limit here is 200 on every map (Gymnasium: 100 on 4x4), the
    ice is not slippery by default, and `info` is empty. The best return on the default
    map is 1 undiscounted and 0.4783 at a discount factor of 0.9.

    ## Action Space
    `Discrete(4)`: 0 left, 1 down, 2 right, 3 up. Walls stop the agent. Note the order,
    which is Gymnasium's and differs from that of the grids.

    ## Observation Space
    `Discrete(rows * columns)`: the agent's cell, `row * columns + column`, counted from
    the upper left corner.

    ## Starting State
    The cell marked S; one of them, with equal chances, if there are several.

    ## Rewards
    1 for the step that reaches the goal, 0 for all others.

    ## Episode End
    Termination when the agent reaches the goal or a hole; it then stays there, at
    reward 0. Truncation after 200 steps, by the time limit of the registered id.

    ## Information
    Empty without a channel; with one `comm`, and `episode_comm` where an episode ends:
    see :class:`commenv.wrappers.MessageChannel`.

    ## Arguments
    - `map_name`: `"5x5"`, `"4x4"` or `"8x8"`; `"5x5"`.
    - `desc`: a map of your own instead, rows of the letters S (start), F (frozen),
      H (hole) and G (goal), such as `["SF", "HG"]`.
    - `is_slippery`: whether the agent goes the way it wants only with probability 1/3,
      and to either side of it with probability 1/3 each; False.
    - `render_mode`: `"human"`, `"ansi"`, `"rgb_array"` or None.
    - `uplink`, `downlink`, `agent`, `gamma`, of the registered id: its channel, see
      :class:`commenv.wrappers.OwnChannel`.

    An unknown map, rows of different lengths, other letters and a map without a start
    raise `ValueError`.

    ## Vectorized
    `gym.make_vec("commenv/FrozenLake-v0", num_envs=..., autoreset_mode=...)` steps all
    sub-environments in a few array operations and equals the sync form.

    ## Version History
    - v0: first version.
    """

    def __init__(
        self,
        map_name: str = "5x5",
        desc: Sequence[str] | None = None,
        is_slippery: bool = False,
        render_mode: str | None = None,
    ) -> None:
        rows = _checked(map_name, desc)
        mdp = frozen_lake_mdp(rows, is_slippery)
        super().__init__(mdp, GridScene(rows), render_mode)


def frozen_lake_mdp(desc: Sequence[str], is_slippery: bool = False) -> TabularMDP:
    """The tables of a frozen lake.

    Args:
        desc: The map, rows of equal length of the letters S, F, H and G.
        is_slippery: Whether the agent may slip sideways. The outcomes of a step then
            are: a quarter turn one way, straight on, a quarter turn the other way.
    """
    shape = (len(desc), len(desc[0]))
    slips = [(-1, _SIDEWAYS), (0, _STRAIGHT_ON), (1, _SIDEWAYS)]
    turns = slips if is_slippery else [(0, 1.0)]
    table: dict[int, dict[int, list[Outcome]]] = {}
    for cell in itertools.product(range(shape[0]), range(shape[1])):
        state = cell[0] * shape[1] + cell[1]
        over = desc[cell[0]][cell[1]] in "GH"
        table[state] = {
            action: [(1.0, state, 0.0, True)]
            if over
            else [(p, *_arrive(desc, cell, (action + turn) % 4)) for turn, p in turns]
            for action in range(len(_MOVES))
        }
    first = np.array([letter == "S" for letter in "".join(desc)], dtype=np.float64)
    return TabularMDP.from_transitions(table, first / first.sum(), shape)


def _arrive(
    desc: Sequence[str], cell: tuple[int, int], direction: int
) -> tuple[int, float, bool]:
    """(next state, reward, terminated) of a move in one direction."""
    down, right = _MOVES[direction]
    row = min(max(cell[0] + down, 0), len(desc) - 1)
    column = min(max(cell[1] + right, 0), len(desc[0]) - 1)
    letter = desc[row][column]
    return row * len(desc[0]) + column, float(letter == "G"), letter in "GH"


def _checked(map_name: str, desc: Sequence[str] | None) -> tuple[str, ...]:
    if desc is None:
        if map_name not in MAPS:
            raise ValueError(
                f"unknown map {map_name!r}; choose from {list(MAPS)} or give desc="
            )
        return MAPS[map_name]
    rows = tuple(desc)
    if len({len(row) for row in rows}) != 1 or not rows[0]:
        raise ValueError(f"the rows of desc {rows} must all have one length above 0")
    if unknown := set("".join(rows)) - set("SFHG"):
        raise ValueError(
            f"desc has the letters {sorted(unknown)}; use S, F, H and G only"
        )
    if "S" not in "".join(rows):
        raise ValueError(f"desc {rows} has no start; mark at least one cell with S")
    return rows
