"""Schemes that look at nothing: controls for those that do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from commenv.channel import Left
from commenv.learning.scheme import Decision, Scheme, SchemeDraws, Signals, State
from commenv.learning.schemes.chosen import check_whole

__all__ = ["Always", "Bernoulli", "Never", "Periodic"]


@dataclass(frozen=True)
class Always(Scheme):
    """Everybody sends everything, in every round."""

    name: ClassVar[str] = "always"
    separable: ClassVar[bool] = True

    def select(
        self, signals: Signals, state: State, draws: SchemeDraws, left: Left
    ) -> Decision:
        """A mask of messages that is true everywhere."""
        return np.ones(left.messages.shape, dtype=np.bool_), state


@dataclass(frozen=True)
class Never(Scheme):
    """Nobody ever sends: what is learned then was not learned from messages."""

    name: ClassVar[str] = "never"
    separable: ClassVar[bool] = True

    def select(
        self, signals: Signals, state: State, draws: SchemeDraws, left: Left
    ) -> Decision:
        """A mask of messages that is false everywhere."""
        return np.zeros(left.messages.shape, dtype=np.bool_), state


@dataclass(frozen=True)
class Bernoulli(Scheme):
    """Every agent sends with the same probability, independently.

    Args:
        p: The probability, in [0, 1].

    Raises:
        ValueError: p outside [0, 1].
    """

    name: ClassVar[str] = "bernoulli"
    separable: ClassVar[bool] = True

    p: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise ValueError(f"p {self.p} is outside [0, 1]")

    def select(
        self, signals: Signals, state: State, draws: SchemeDraws, left: Left
    ) -> Decision:
        """A mask of messages, one draw for each agent."""
        return draws.uniforms()[..., 0] < self.p, state


@dataclass(frozen=True)
class Periodic(Scheme):
    """Everybody sends in every k-th round, beginning with the first.

    Args:
        k: The period in rounds, at least 1.

    Raises:
        ValueError: k below 1.
    """

    name: ClassVar[str] = "periodic"
    separable: ClassVar[bool] = True

    k: int = 2

    def __post_init__(self) -> None:
        check_whole("k", self.k)
        if self.k < 1:
            raise ValueError(f"k {self.k} is below 1; a period has at least one round")

    def select(
        self, signals: Signals, state: State, draws: SchemeDraws, left: Left
    ) -> Decision:
        """A mask of messages that is the same for everybody."""
        turn = draws.episode % self.k == 0
        return np.full(left.messages.shape, turn, dtype=np.bool_), state
