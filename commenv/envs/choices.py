"""A space of a few choices that answers quickly."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

__all__ = ["Choices"]

_PLAIN = frozenset({int, np.int64})


class Choices(spaces.Discrete[Any]):
    """``Discrete(n)``, which tells sooner whether it contains a plain integer.

    Gymnasium's own form looks up the limits of NumPy's dtypes first, which takes longer
    than the rest of a step on a grid.

    Args:
        n: How many choices, 0 ... n - 1.
    """

    def __init__(self, n: int) -> None:
        super().__init__(n)
        self._count = int(n)

    def contains(self, x: Any) -> bool:
        """Whether ``x`` is one of the choices; as in Gymnasium."""
        if type(x) in _PLAIN:
            return bool(0 <= x < self._count)
        return super().contains(x)
