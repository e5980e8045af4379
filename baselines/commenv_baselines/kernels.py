"""Compiled arithmetic of many small perceptrons, each row with parameters of its own.

Rows stand side by side in blocks of :data:`LANES`, the last axis of every array here,
so that one instruction serves many of them. All numbers are float32, and every
operation is one that IEEE 754 rounds correctly, in an order that is written below: no
sum is reassociated, no product fused into a sum, no library's tanh is called. So a
row's outputs do not depend on the rows beside it, nor on the type of processor.

Importing this module needs Numba, of the extra ``baselines``. The machine code is kept
on disk beside it, or where ``NUMBA_CACHE_DIR`` says, for the next process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from commenv.errors import MissingExtraError

try:
    from numba import njit
except ImportError as error:
    raise MissingExtraError("a perceptron policy", "baselines") from error

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "LANES",
    "choose",
    "choose_in_columns",
    "perceptrons",
    "perceptrons_of_places",
    "tanh",
]

Array = NDArray[np.float32]

LANES = 256
"""Rows of a block."""

_TOGETHER = 4  # inputs that are added up before their sum is stored
# Of all x P(x^2) / Q(x^2) with P of degree 4 and Q of degree 3, the one whose largest
# relative error on [0, 8.5] is least. It exceeds 1 at _FLAT, and is cut off at 1.
_P0, _P1, _P2, _P3, _P4 = map(
    np.float32,
    (0.999999648, 0.126683041, 2.65189181e-3, 6.83406782e-6, -5.56908545e-9),
)
_Q1, _Q2, _Q3 = map(np.float32, (0.460013657, 2.26599753e-2, 1.9106813e-4))
_FLAT, _ONE = np.float32(8.1), np.float32(1)


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    compiled: Callable[..., Any] = njit(cache=True, error_model="numpy")(function)
    return compiled


@_compiled
def tanh(x: np.float32) -> np.float32:
    """The hyperbolic tangent, within 1e-6; odd, and 1 from 8.1 on. NaN stays NaN."""
    x = _FLAT if x > _FLAT else -_FLAT if x < -_FLAT else x
    z = x * x
    above = _P0 + z * (_P1 + z * (_P2 + z * (_P3 + z * _P4)))
    below = _ONE + z * (_Q1 + z * (_Q2 + z * _Q3))
    y = x * above / below
    return _ONE if y > _ONE else -_ONE if y < -_ONE else y


@_compiled
def _layer(
    theta: Array, inputs: Array, num_inputs: int, hidden: Array, num_outputs: int
) -> None:
    """One layer of a block: the biases, the weighted sums, and tanh."""
    whole = num_inputs - num_inputs % _TOGETHER
    for out in range(num_outputs):
        sums = hidden[out]
        for lane in range(LANES):
            sums[lane] = theta[num_inputs * num_outputs + out, lane]
        for unit in range(0, whole, _TOGETHER):
            one = unit * num_outputs + out
            two, three = one + num_outputs, one + 2 * num_outputs
            four = one + 3 * num_outputs
            for lane in range(LANES):
                sums[lane] += (
                    theta[one, lane] * inputs[unit, lane]
                    + theta[two, lane] * inputs[unit + 1, lane]
                    + theta[three, lane] * inputs[unit + 2, lane]
                    + theta[four, lane] * inputs[unit + 3, lane]
                )
        for unit in range(whole, num_inputs):
            one = unit * num_outputs + out
            for lane in range(LANES):
                sums[lane] += theta[one, lane] * inputs[unit, lane]
        for lane in range(LANES):
            sums[lane] = tanh(sums[lane])


@_compiled
def _layers(
    theta: Array, sizes: NDArray[np.int64], layer: int, units: Array, spare: Array
) -> Array:
    """All layers from one on, which ``units`` enters; the last of them."""
    at = 0
    for before in range(layer):
        at += (sizes[before] + 1) * sizes[before + 1]
    for place in range(layer, len(sizes) - 1):
        inputs, outputs = sizes[place], sizes[place + 1]
        _layer(theta[at:], units, inputs, spare, outputs)
        units, spare = spare, units
        at += (inputs + 1) * outputs
    return units


@_compiled
def perceptrons(
    parameters: Array,
    sizes: NDArray[np.int64],
    rows: NDArray[np.int64],
    observations: Array,
    outputs: Array,
) -> None:
    """Writes the last layer of some rows.

    Args:
        parameters: Shape (blocks, q, LANES): theta of each row, layer by layer the
            weights, input by input, and then the biases.
        sizes: Units of all layers, from the inputs to the outputs.
        rows: Shape (blocks * LANES,): which row of the observations and outputs each
            column of the parameters belongs to.
        observations: Shape (all rows, inputs).
        outputs: Shape (outputs, all rows), written to.
    """
    units = np.empty((sizes.max(), LANES), np.float32)
    spare = np.empty((sizes.max(), LANES), np.float32)
    for block in range(len(parameters)):
        mine = rows[block * LANES : (block + 1) * LANES]
        for unit in range(sizes[0]):
            for lane in range(LANES):
                units[unit, lane] = observations[mine[lane], unit]
        last = _layers(parameters[block], sizes, 0, units, spare)
        for unit in range(len(outputs)):
            for lane in range(LANES):
                outputs[unit, mine[lane]] = last[unit, lane]


@_compiled
def perceptrons_of_places(
    parameters: Array,
    sizes: NDArray[np.int64],
    rows: NDArray[np.int64],
    places: NDArray[np.int64],
    outputs: Array,
) -> None:
    """The same for inputs that are all 0 but a few, which are 1.

    Args:
        parameters: Like the other arguments as for :func:`perceptrons`.
        sizes: Units of all layers.
        rows: Which row each column belongs to.
        places: Shape (all rows, branches): the inputs that are 1.
        outputs: Shape (outputs, all rows), written to.
    """
    units = np.empty((sizes.max(), LANES), np.float32)
    spare = np.empty((sizes.max(), LANES), np.float32)
    for block in range(len(parameters)):
        theta = parameters[block]
        mine = rows[block * LANES : (block + 1) * LANES]
        for unit in range(sizes[1]):
            for lane in range(LANES):
                total = theta[sizes[0] * sizes[1] + unit, lane]
                for place in places[mine[lane]]:
                    total += theta[place * sizes[1] + unit, lane]
                units[unit, lane] = tanh(total)
        last = _layers(theta, sizes, 1, units, spare)
        for unit in range(len(outputs)):
            for lane in range(LANES):
                outputs[unit, mine[lane]] = last[unit, lane]


@_compiled
def _choose_into(
    outputs: Array, first: int, largest: Array, chosen: NDArray[np.int64]
) -> None:
    for row in range(len(chosen)):
        largest[row], chosen[row] = outputs[0, row], first
    for unit in range(1, len(outputs)):
        for row in range(len(chosen)):
            better = outputs[unit, row] > largest[row]
            chosen[row] = first + unit if better else chosen[row]
            largest[row] = outputs[unit, row] if better else largest[row]


@_compiled
def choose(outputs: Array, first: int) -> NDArray[np.int64]:
    """Where each column of (outputs, rows) is largest, the first of equals; + first."""
    largest = np.empty(outputs.shape[1], np.float32)
    chosen = np.empty(outputs.shape[1], np.int64)
    _choose_into(outputs, first, largest, chosen)
    return chosen


@_compiled
def choose_in_columns(
    parameters: Array,
    sizes: NDArray[np.int64],
    before: int,
    width: int,
    holes: NDArray[np.int64],
    observations: Array,
    first: int,
    actions: NDArray[np.int64],
) -> None:
    """Closes up columns of parameters, and chooses actions for those that are left.

    Args:
        parameters: As for :func:`perceptrons`, written to.
        sizes: Units of all layers.
        before: How many columns there were.
        width: How many there are from now on.
        holes: Which columns to fill, in order: first with the last one of ``before``,
            then with the one before it, and so on.
        observations: Shape (inputs, rows): of each column.
        first: The first action.
        actions: Shape (rows,), written to: of each column.
    """
    for place in range(before - width):
        source, target = before - 1 - place, holes[place]
        blocks = parameters[target // LANES], parameters[source // LANES]
        for weight in range(parameters.shape[1]):
            blocks[0][weight, target % LANES] = blocks[1][weight, source % LANES]
    units = np.zeros((sizes.max(), LANES), np.float32)
    spare = np.empty((sizes.max(), LANES), np.float32)
    largest = np.empty(LANES, np.float32)
    for block in range((width + LANES - 1) // LANES):
        start = block * LANES
        lanes = min(LANES, width - start)
        for unit in range(sizes[0]):
            for lane in range(lanes):
                units[unit, lane] = observations[unit, start + lane]
        last = _layers(parameters[block], sizes, 0, units, spare)
        mine = actions[start : start + lanes]
        _choose_into(last[: sizes[-1]], first, largest, mine)
