"""What communication costs in bytes: ideally, and as charged."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from commenv.channel import HEADER_SIZE
from commenv.wrappers.metrics import Traffic

__all__ = ["Bill"]


class Bill(NamedTuple):
    """Bytes of each sender; every array is int64 of shape (agents,).

    Attributes:
        payload: Of messages that left it: what an ideal channel would carry.
        headers: Their headers, 16 bytes each.
        acknowledgements: Confirmations of its messages' copies, 16 bytes each.
        silence: A header for each step in which it said nothing.
        polls: A header for each step in which it was asked for a message.
        charged: All that is charged: the payload, and those of the others that the
            channel was told to charge.
    """

    payload: NDArray[np.int64]
    headers: NDArray[np.int64]
    acknowledgements: NDArray[np.int64]
    silence: NDArray[np.int64]
    polls: NDArray[np.int64]
    charged: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        traffic: Traffic,
        silent: NDArray[np.int64],
        steps: NDArray[np.int64],
        *,
        silence: bool,
        polls: bool,
    ) -> Bill:
        """The bill of an episode.

        Args:
            traffic: What was sent in it, of shape (1, agents).
            silent: Steps in which each agent said nothing.
            steps: Steps in which it could have.
            silence: Whether silence is charged.
            polls: Whether polls are.
        """
        payload, headers = traffic.payload[0].copy(), traffic.header[0]
        confirmed = traffic.acknowledgements[0] * HEADER_SIZE
        quiet, asked = silent * HEADER_SIZE, steps * HEADER_SIZE
        charged = (
            payload
            + headers * traffic.headers
            + confirmed
            + quiet * silence
            + asked * polls
        )
        return cls(payload, headers, confirmed, quiet, asked, charged)
