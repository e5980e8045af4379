"""Links carry accepted messages, and may lose them; nobody is told."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from commenv.draws import UniformStream

__all__ = ["BernoulliLoss", "Link", "PerfectLink"]


class Link(ABC):
    """What happens to a message between the sender and the receiver."""

    @abstractmethod
    def lost(
        self, sending: NDArray[np.bool_], uniforms: UniformStream
    ) -> NDArray[np.bool_]:
        """Which of the messages under way are lost.

        Args:
            sending: bool, shape (links,): who has a message on the way.
            uniforms: One stream per link; the n-th message of a link takes its n-th
                number, so a loss depends on nobody else's messages.

        Returns:
            bool, shape (links,); meaningless where nothing is on the way.
        """


@dataclass(frozen=True)
class PerfectLink(Link):
    """Everything arrives, at once and unharmed."""

    def lost(
        self, sending: NDArray[np.bool_], uniforms: UniformStream
    ) -> NDArray[np.bool_]:
        """Nothing is lost, and nothing is drawn."""
        return np.zeros_like(sending)


@dataclass(frozen=True)
class BernoulliLoss(Link):
    """Every message is lost with the same probability, independently.

    Args:
        probability: In [0, 1].

    Raises:
        ValueError: A probability outside [0, 1].
    """

    probability: float

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"loss probability {self.probability} is outside [0, 1]")

    def lost(
        self, sending: NDArray[np.bool_], uniforms: UniformStream
    ) -> NDArray[np.bool_]:
        """Draws one number for every message on the way."""
        return uniforms.next(sending) < self.probability
