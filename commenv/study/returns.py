"""Warning of returns that are not finite, whichever algorithm met them."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ReturnsWatched"]


class ReturnsWatched:
    """Warns once a study: a simulator that crashes now and then should be heard of."""

    def __init__(self) -> None:
        self._said = False

    def look(self, table: pa.Table) -> None:
        """Looks at the results of one label's block."""
        if self._said:
            return
        invalid = np.isneginf(table["reward"].to_numpy())
        invalid |= np.isneginf(table["episode_return"].to_numpy())
        if invalid.any():
            self._said = True
            environment, label = table["environment"][0], table["label"][0]
            share = f"{invalid.mean():.2%}"
            warnings.warn(
                f"{environment} gave returns that are not finite, first seen in "
                f"{share} of the rounds of some trials of {str(label)!r}: reward and "
                "episode_return are -inf there, and the column invalid says the share "
                "of the agents. Give a finite reward where the simulator fails",
                RuntimeWarning,
                stacklevel=2,
            )
