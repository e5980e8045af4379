"""What a communication scheme is: it decides which candidate messages are sent."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from commenv.channel import Left
from commenv.errors import CommenvError
from commenv.rng import Draws

__all__ = ["Decision", "Scheme", "SchemeDraws", "Signal", "Signals", "State", "decided"]


@dataclass(frozen=True)
class Signal:
    """A number about every candidate record, or about every candidate message.

    Attributes:
        level: ``"record"`` or ``"message"``.
        values: float64. For messages of shape (trials, agents); for records flat,
            shape (number of records,), trial-major and in time order per agent.
        counts: Records per agent, shape (trials, agents).
    """

    level: Literal["record", "message"]
    values: NDArray[np.float64]
    counts: NDArray[np.int64]

    def padded(self, fill: float) -> NDArray[np.float64]:
        """The values as (trials, agents, T), T the most records of any agent.

        Args:
            fill: What stands behind an agent's last record.

        Raises:
            ValueError: A signal about messages, which has one value per agent.
        """
        if self.level != "record":
            raise ValueError("a signal about messages has no records to pad")
        most = int(self.counts.max(initial=0))
        present = np.arange(most) < self.counts[..., None]
        out = np.full(present.shape, fill)
        out[present] = self.values
        return out


Signals = Mapping[str, Signal]
"""What is known about the candidates, by name."""
State = dict[str, NDArray[Any]]
"""What a scheme remembers: arrays of shape (trials, agents, ...)."""
Decision = tuple[NDArray[np.bool_], State]
"""A mask of messages or of records, and the next state."""


class SchemeDraws:
    """Random numbers for one decision of a scheme, and of nobody else.

    Args:
        draws: The batch's addressed draws, of any owner.
        episode: The round that is decided about, counted from 0.
        num_episodes: How many rounds are planned.
        team: How many agents each trial has, where ``draws`` are those of some alone.

    Attributes:
        episode: As given.
        num_episodes: As given.
        num_agents: How many agents each trial has, n in the thesis.
    """

    def __init__(
        self, draws: Draws, episode: int, num_episodes: int, team: int | None = None
    ) -> None:
        self._draws = draws.owned_by("scheme")
        self.episode = episode
        self.num_episodes = num_episodes
        self.num_agents = draws.shape[1] if team is None else team

    def uniforms(self, count: int = 1, purpose: str = "scheme") -> NDArray[np.float64]:
        """Uniform on [0, 1): float64, shape (trials, agents, count).

        Args:
            count: How many for each agent.
            purpose: Different ones never share numbers; none are those of the links,
                codecs, environments or algorithms, whatever it is called.
        """
        return self._draws.uniforms(purpose, self.episode, count)


class Scheme(ABC):
    """Decides, after each episode, who sends which of its candidate records.

    A scheme selects and never edits. Its state is a dictionary of arrays of shape
    (trials, agents, ...). They plug in through the entry-point group
    ``commenv.schemes``, or as ``module:Class``.

    Attributes:
        name: What results call it.
        requires: The names of the signals that it reads.
        needs_global: Whether an agent's decision looks at other agents' signals, which
            real agents could not see.
        separable: Whether it can be asked about some of a trial's agents apart from the
            others, so that agents on several machines need no common decision. How many
            agents there are in all is ``draws.num_agents`` then. Schemes that do not
            say so decide in one place, which costs every round a second message to each
            machine.
        plans: Whether its decisions depend on how many rounds are planned
            (``draws.num_episodes``). A study with it gets no more rounds later.
    """

    name: ClassVar[str]
    requires: ClassVar[tuple[str, ...]] = ()
    needs_global: ClassVar[bool] = False
    separable: ClassVar[bool] = False
    plans: ClassVar[bool] = False

    def start(self, shape: tuple[int, int]) -> State:
        """The state before the first round; empty by default.

        Later states have the same names and shapes: a checkpoint is held against this
        one.
        """
        return {}

    @abstractmethod
    def select(
        self, signals: Signals, state: State, draws: SchemeDraws, left: Left
    ) -> Decision:
        """Chooses what is sent.

        Args:
            signals: What is known about the candidates, by name.
            state: As returned from the last round.
            draws: Random numbers for this round.
            left: What is left of the uplink's budget.

        Returns:
            A mask of shape (trials, agents) for messages or (number of records,) for
            records, and the next state. An agent with no record left is silent.
        """


def decided(
    scheme: Scheme, signals: Signals, state: State, draws: SchemeDraws, left: Left
) -> Decision:
    """A scheme's decision; one that fails is named.

    Raises:
        CommenvError: As the scheme raised it.
        ValueError: What it raised, named.
        RuntimeError: It failed otherwise.
        TypeError: It returned something else than a decision.
    """
    about = f"scheme {scheme.name!r} in round {draws.episode}"
    try:
        decision = scheme.select(signals, state, draws, left)
    except CommenvError:
        raise
    except ValueError as error:
        raise ValueError(f"{about}: {error}") from error
    except Exception as error:
        words = f"{type(error).__name__}: {error}"
        raise RuntimeError(f"{about} failed ({words})") from error
    if not isinstance(decision, tuple) or len(decision) != 2:
        raise TypeError(f"{about} returned {decision!r}; return mask, state")
    if not isinstance(decision[0], np.ndarray):
        raise TypeError(
            f"{about} returned the mask {decision[0]!r}; return an array of bool"
        )
    return decision
