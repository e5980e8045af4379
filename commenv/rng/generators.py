"""Streams that read Gymnasium's generators."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from commenv.rng.streams import UniformStream

__all__ = ["GeneratorUniforms"]

# Generators never restart, so they may run far ahead. Rows a power of two apart would
# compete for the same cache lines.
_UNIFORMS_OF_A_GENERATOR = 260


class GeneratorUniforms(UniformStream):
    """A stream that reads one Gymnasium generator per instance, in order.

    Args:
        generators: One generator per instance; they run ahead of what was handed out.
    """

    def __init__(self, generators: Sequence[np.random.Generator]) -> None:
        super().__init__(len(generators), ahead=_UNIFORMS_OF_A_GENERATOR)
        self._generators = list(generators)

    def replace(self, row: int, generator: np.random.Generator) -> None:
        """Gives one instance a new generator and forgets what the old one left."""
        self._generators[row] = generator
        self._position[row] = self._end[row]
        self._calls_until_empty = 0

    def _refill(self) -> None:
        """Fills up the rows that have used half of their numbers or more.

        Instances that restart use more numbers than others. Were each row filled only
        when it is empty, some row would be empty in almost every call.
        """
        ahead = self._block.shape[1]
        left = self._end - self._position
        rows = np.flatnonzero(left <= ahead // 2)
        for row, kept in zip(rows.tolist(), left[rows].tolist(), strict=True):
            numbers = self._block[row]
            if kept:
                numbers[:kept] = numbers[-kept:]
                numbers = numbers[kept:]
            self._generators[row].random(out=numbers)
        left[rows] = ahead
        self._position = self._end - left
        self._calls_until_empty = int(left.min())

    def _fill(self, rows: NDArray[np.intp]) -> None:
        """Draws into the rows themselves: some row is used up in nearly every step."""
        ahead = self._block.shape[1]
        for row in rows.tolist():
            self._generators[row].random(out=self._block[row])
        self._drawn[rows] += ahead
        self._position[rows] -= ahead

    def _draw(
        self, rows: NDArray[np.intp], drawn: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        block = np.empty((len(rows), self._block.shape[1]))
        for row, numbers in zip(rows, block, strict=True):
            self._generators[row].random(out=numbers)
        return block
