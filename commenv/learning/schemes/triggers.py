"""Schemes that send where a signal says that it is worth it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from commenv.channel import Left
from commenv.learning.scheme import Decision, Scheme, SchemeDraws, Signals, State

__all__ = ["Gain", "TDError"]

_LARGEST_EXPONENT = 700.0


@dataclass(frozen=True)
class TDError(Scheme):
    """Sends a record whose TD error stands out from the agent's recent ones.

    A record is sent iff ``|delta| >= max(rho * L, threshold)``, where L follows the
    agent's errors: ``L = (1 - beta) L + beta |delta|`` after every step, sent or not; L
    starts at 0 and is kept across episodes.

    Source: Jarne Ornia and Mazo (2021), there "EBd-Q".

    Args:
        beta: How fast L follows, in (0, 1].
        rho: The share of L that an error must reach, above 0.
        threshold: The least error that is sent, in units of return, 0 or more. Silence
            leaves an error of Q of up to about threshold / (1 - gamma) in a
            deterministic environment.
        order: ``"test_first"``, or ``"update_first"``, which moves L before the test
            and never fires where rho * beta >= 1.

    Raises:
        ValueError: A setting outside its range.
    """

    name: ClassVar[str] = "td_error"
    requires: ClassVar[tuple[str, ...]] = ("td_error",)
    separable: ClassVar[bool] = True

    beta: float = 0.05
    rho: float = 0.9
    threshold: float = 0.01
    order: Literal["test_first", "update_first"] = "test_first"

    def __post_init__(self) -> None:
        if not 0 < self.beta <= 1:
            raise ValueError(f"beta {self.beta} is outside (0, 1]")
        if not 0 < self.rho < math.inf:
            raise ValueError(f"rho {self.rho} is not above 0 and finite")
        if not 0 <= self.threshold < math.inf:
            raise ValueError(f"threshold {self.threshold} is negative or not finite")
        if self.order not in ("test_first", "update_first"):
            raise ValueError(
                f"order {self.order!r} is neither 'test_first' nor 'update_first'"
            )

    def start(self, shape: tuple[int, int]) -> State:
        """L = 0 for everybody."""
        return {"level": np.zeros(shape)}

    def select(
        self, signals: Signals, state: State, draws: SchemeDraws, left: Left
    ) -> Decision:
        """A mask of records; one whose error is not a number stays unsent."""
        signal = signals["td_error"]
        errors = np.abs(signal.padded(np.nan))
        level = state["level"]
        sent = np.zeros(errors.shape, dtype=np.bool_)
        for step in range(errors.shape[-1]):
            error = errors[..., step]
            follows = (1 - self.beta) * level + self.beta * error
            reference = level if self.order == "test_first" else follows
            sent[..., step] = error >= np.maximum(self.rho * reference, self.threshold)
            level = np.where(np.isnan(error), level, follows)
        recorded = np.arange(errors.shape[-1]) < signal.counts[..., None]
        return sent[recorded], {"level": level}


@dataclass(frozen=True)
class Gain(Scheme):
    """Sends where the learner's objective is predicted to fall enough.

    A message is sent iff ``gain <= -lambda / rho^(N - 1 - k)``, gain the predicted
    change of the objective, k the round and N the number of rounds: a threshold whose
    magnitude is large early and falls to lambda at the end.

    Source: Gatsis (2021). The thesis prints the test without its minus sign, which
    would send at convergence.

    Args:
        least: lambda, the least fall that is sent in the last round, in units of the
            objective, 0 or more.
        rho: How much the threshold falls from round to round, in (0, 1].

    Raises:
        ValueError: A setting outside its range.
    """

    name: ClassVar[str] = "gain"
    requires: ClassVar[tuple[str, ...]] = ("gain",)
    separable: ClassVar[bool] = True
    plans: ClassVar[bool] = True

    least: float = 1e-4
    rho: float = 0.999

    def __post_init__(self) -> None:
        if not 0 <= self.least < math.inf:
            raise ValueError(f"least {self.least} is negative or not finite")
        if not 0 < self.rho <= 1:
            raise ValueError(f"rho {self.rho} is outside (0, 1]")

    def threshold(self, episode: int, num_episodes: int) -> float:
        """The gain at or below which is sent, at most 0.

        rho^-(N - 1 - k) overflows in long studies, so it is taken in logarithms and
        stops growing at e^700.
        """
        if self.least == 0:
            return 0.0
        exponent = math.log(self.least) - (num_episodes - 1 - episode) * math.log(
            self.rho
        )
        return -math.exp(min(exponent, _LARGEST_EXPONENT))

    def select(
        self, signals: Signals, state: State, draws: SchemeDraws, left: Left
    ) -> Decision:
        """A mask of messages."""
        limit = self.threshold(draws.episode, draws.num_episodes)
        return signals["gain"].values <= limit, state
