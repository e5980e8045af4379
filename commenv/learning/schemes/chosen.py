"""Schemes in which m of a trial's n agents send, as nobody alone could decide."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from numbers import Integral
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from commenv.channel import Left
from commenv.learning.scheme import Decision, Scheme, SchemeDraws, Signals, State

__all__ = ["RandomChoice", "TopUtility", "check_m", "check_whole", "how_many"]


@dataclass(frozen=True)
class _ChosenAgents(Scheme):
    """The m agents of each trial that stand first in some order."""

    needs_global: ClassVar[bool] = True

    m: int | None = None

    def __post_init__(self) -> None:
        check_m(self.m)

    def start(self, shape: tuple[int, int]) -> State:
        """No state; checks m against the number of agents."""
        how_many(self.m, shape)
        return {}

    def select(
        self, signals: Signals, state: State, draws: SchemeDraws, left: Left
    ) -> Decision:
        """A mask of messages with m true in each trial."""
        order = np.argsort(self._rank(signals, draws), axis=1, kind="stable")
        places = np.argsort(order, axis=1)
        return places < how_many(self.m, places.shape), state

    @abstractmethod
    def _rank(self, signals: Signals, draws: SchemeDraws) -> NDArray[np.float64]:
        """What agents are ordered by, lowest first: shape (trials, agents)."""


@dataclass(frozen=True)
class RandomChoice(_ChosenAgents):
    """m of a trial's n agents send, drawn without replacement in every round.

    Real agents would have to agree on the draw, so it needs global knowledge.

    Args:
        m: How many send, 0 to n; None means half of them, rounded down.

    Raises:
        ValueError: m negative, or above the number of agents.
    """

    name: ClassVar[str] = "random"

    def _rank(self, signals: Signals, draws: SchemeDraws) -> NDArray[np.float64]:
        return draws.uniforms()[..., 0]


@dataclass(frozen=True)
class TopUtility(_ChosenAgents):
    """The m agents of a trial with the largest utility send: an oracle.

    Agents would have to know each other's utilities, so it needs global knowledge: it
    bounds what a decentralised scheme with the same utility can reach. Among equal
    utilities the lower agent number comes first.

    Args:
        m: How many send, 0 to n; None means half of them, rounded down.
        signal: The signal about messages that ranks them, the largest first.

    Raises:
        ValueError: m negative or above the number of agents, or a signal about records.
    """

    name: ClassVar[str] = "top"

    signal: str = "utility"

    @property
    def requires(self) -> tuple[str, ...]:  # type: ignore[override]
        """The signal that ranks the messages."""
        return (self.signal,)

    def _rank(self, signals: Signals, draws: SchemeDraws) -> NDArray[np.float64]:
        signal = signals[self.signal]
        if signal.level != "message":
            raise ValueError(
                f"signal {self.signal!r} is about records, and 'top' ranks messages; "
                "choose a signal about messages"
            )
        return -signal.values


def check_m(m: int | None) -> None:
    """Raises ValueError for a number of senders that is negative or not whole."""
    if m is None:
        return
    check_whole("m", m)
    if m < 0:
        raise ValueError(f"m {m} is negative; 0 agents is the least that can send")


def check_whole(name: str, value: object) -> None:
    """Raises ValueError for a count that is no whole number."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError(f"{name} {value!r} is no whole number")


def how_many(m: int | None, shape: tuple[int, ...]) -> int:
    """m, or half the agents for None.

    Raises:
        ValueError: More senders than agents.
    """
    agents = shape[1]
    if m is not None and m > agents:
        raise ValueError(f"m {m} senders of {agents} agents; give at most {agents}")
    return agents // 2 if m is None else m
