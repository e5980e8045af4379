"""Warnings about finished blocks: returns that are not finite, other machines."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from commenv.study.storage.provenance import unlike

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ReturnsWatched", "note_other_machines"]

_logger = logging.getLogger("commenv")


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


def note_other_machines(computed_by: Mapping[str, str], known: set[str]) -> None:
    """Logs, once for each, that a machine of another type runs blocks.

    Args:
        computed_by: The software and the machine that computed a block.
        known: What was said so far; this is added to it.
    """
    text = "; ".join(unlike(computed_by))
    if text and text not in known:
        known.add(text)
        _logger.warning(
            "a machine that runs blocks is of another type than this one (%s): the "
            "last bits of what it computes may differ",
            text,
        )
