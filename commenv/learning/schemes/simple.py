"""Schemes that look at nothing: controls for those that do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from commenv.channel import Left
from commenv.learning.scheme import Decision, Scheme, SchemeDraws, Signals, State

__all__ = ["Always", "Bernoulli", "Never", "Periodic", "RandomChoice"]


@dataclass(frozen=True)
class Always(Scheme):
    """Everybody sends everything, in every round."""

    name: ClassVar[str] = "always"

    def select(
        self,
        signals: Signals,
        state: State,
        draws: SchemeDraws,
        left: Left,
    ) -> Decision:
        """A mask of messages that is true everywhere."""
        return np.ones(left.messages.shape, dtype=np.bool_), state


@dataclass(frozen=True)
class Never(Scheme):
    """Nobody ever sends: what is learned then was not learned from messages."""

    name: ClassVar[str] = "never"

    def select(
        self,
        signals: Signals,
        state: State,
        draws: SchemeDraws,
        left: Left,
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

    p: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise ValueError(f"p {self.p} is outside [0, 1]")

    def select(
        self,
        signals: Signals,
        state: State,
        draws: SchemeDraws,
        left: Left,
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

    k: int = 2

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"k {self.k} is below 1; a period has at least one round")

    def select(
        self,
        signals: Signals,
        state: State,
        draws: SchemeDraws,
        left: Left,
    ) -> Decision:
        """A mask of messages that is the same for everybody."""
        turn = draws.episode % self.k == 0
        return np.full(left.messages.shape, turn, dtype=np.bool_), state


@dataclass(frozen=True)
class RandomChoice(Scheme):
    """m of a trial's n agents send, drawn without replacement in every round.

    Real agents would have to agree on the draw, so it needs global knowledge.

    Args:
        m: How many send, 0 to n; None means half of them, rounded down.

    Raises:
        ValueError: m negative, or above the number of agents.
    """

    name: ClassVar[str] = "random"
    needs_global: ClassVar[bool] = True

    m: int | None = None

    def __post_init__(self) -> None:
        check_m(self.m)

    def start(self, shape: tuple[int, int]) -> State:
        """No state; checks m against the number of agents."""
        how_many(self.m, shape)
        return {}

    def select(
        self,
        signals: Signals,
        state: State,
        draws: SchemeDraws,
        left: Left,
    ) -> Decision:
        """A mask of messages with m true in each trial."""
        ranks = draws.uniforms()[..., 0].argsort(axis=1).argsort(axis=1)
        return ranks < how_many(self.m, ranks.shape), state


def check_m(m: int | None) -> None:
    """Raises ValueError for a negative number of senders."""
    if m is not None and m < 0:
        raise ValueError(f"m {m} is negative; 0 agents is the least that can send")


def how_many(m: int | None, shape: tuple[int, ...]) -> int:
    """m, or half the agents for None.

    Raises:
        ValueError: More senders than agents.
    """
    agents = shape[1]
    if m is not None and m > agents:
        raise ValueError(f"m {m} senders of {agents} agents; give at most {agents}")
    return agents // 2 if m is None else m
