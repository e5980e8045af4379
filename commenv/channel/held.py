"""Checks of messages that a snapshot of a channel holds: waiting, or under way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from commenv.channel.frames import TRUNCATED, Frames
from commenv.channel.ledger import Fate, Ledger, Unit
from commenv.errors import ResultsError

__all__ = ["check_headers", "check_in_flight"]


def check_in_flight(
    held: Sequence[Frames], ledger: Ledger, listening: NDArray[np.intp]
) -> None:
    """Checks that just these messages are in flight.

    Args:
        held: The messages.
        ledger: Where their fate is entered.
        listening: The flat links that messages can be on.

    Raises:
        ResultsError: The ledger says otherwise, or one is on another link.
    """
    found = np.zeros((2, *ledger.shape), dtype=np.int64)
    for frames in held:
        if not np.isin(frames.links, listening).all():
            raise ResultsError("a snapshot has messages on links that there are not")
        found.reshape(2, -1)[Unit.MESSAGES, frames.links] += 1
        found.reshape(2, -1)[Unit.PAYLOAD, frames.links] += frames.sizes
    for unit in (Unit.MESSAGES, Unit.PAYLOAD):
        if (found[unit] != ledger.count(Fate.IN_FLIGHT, unit)).any():
            raise ResultsError("a snapshot has other messages than its ledger")


def check_headers(given: NDArray[np.void], newest: NDArray[np.void]) -> None:
    """Checks that a channel can have sent messages with these headers.

    Args:
        given: ``HEADER`` array, shape (m,).
        newest: The same, as the channel would write them now.

    Raises:
        ResultsError: It cannot.
    """
    fits: list[Any] = [given[name] == newest[name] for name in ("sender", "schema")]
    fits += [given[name] <= newest[name] for name in ("episode", "sequence")]
    fits.append(given["flags"] & ~np.uint16(TRUNCATED) == 0)
    if not np.all(fits):
        raise ResultsError("a snapshot has messages of another channel")
