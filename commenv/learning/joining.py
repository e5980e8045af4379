"""What shards answer, joined as if all agents had been in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from commenv.channel import Encoded
from commenv.learning.scheme import Signal
from commenv.learning.shard import Offer

__all__ = ["joined_encoded", "joined_signals"]


def joined_signals(parts: Sequence[Offer]) -> dict[str, Signal]:
    """The signals of all shards' agents, as if they had been one batch."""
    counts = np.concatenate([part.counts for part in parts], axis=1)
    return {
        name: Signal(
            signal.level,
            _joined_values([part.signals[name] for part in parts]),
            counts,
        )
        for name, signal in parts[0].signals.items()
    }


def _joined_values(signals: list[Signal]) -> NDArray[np.float64]:
    if signals[0].level == "message":
        return np.concatenate([one.values for one in signals], axis=1)
    return _interleaved([(one.values, one.counts.sum(axis=1)) for one in signals])


def _interleaved(parts: list[tuple[NDArray[Any], NDArray[Any]]]) -> NDArray[Any]:
    """Flat arrays that go trial by trial, joined so that the whole does, too.

    Args:
        parts: Each with how many of its entries belong to each trial.
    """
    pieces = [np.split(values, np.cumsum(lengths)[:-1]) for values, lengths in parts]
    return np.concatenate(
        [piece for trial in zip(*pieces, strict=True) for piece in trial]
    )


def joined_encoded(
    parts: Sequence[Encoded], shapes: Sequence[tuple[int, int]]
) -> Encoded:
    """The payloads of all shards' agents, as if they had been encoded together.

    Args:
        parts: Of each shard.
        shapes: (trials, agents) of each shard.
    """
    sizes = [one.sizes.reshape(shape) for one, shape in zip(parts, shapes, strict=True)]
    present = [
        one.present.reshape(shape) for one, shape in zip(parts, shapes, strict=True)
    ]
    data = _interleaved(
        [(one.data, size.sum(axis=1)) for one, size in zip(parts, sizes, strict=True)]
    )
    return Encoded(
        data,
        np.concatenate(sizes, axis=1).ravel(),
        np.concatenate(present, axis=1).ravel(),
    )
