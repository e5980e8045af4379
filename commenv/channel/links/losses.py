"""Links that lose messages: at random, in bursts, or at a distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from commenv.channel.link import Link, Sending, State, Transit
from commenv.channel.links.checks import check_probabilities
from commenv.checks import check_number
from commenv.rng import LinkDraws

__all__ = ["BernoulliLoss", "GilbertElliottLoss", "Range"]


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
        check_probabilities(self, "probability")

    def carry(
        self, sending: Sending, state: State, draws: LinkDraws
    ) -> tuple[Transit, State]:
        """Draws one number for every message."""
        lost = draws.uniforms(sending.links) < self.probability
        return Transit(lost), state


@dataclass(frozen=True)
class GilbertElliottLoss(Link):
    """Loss in bursts: each link is in a good or a bad state, a Markov chain.

    The state may change once in every tick, whether anything is sent or not; it starts
    in the chain's stationary distribution. Bursts last 1 / to_good ticks on average.

    Source: E. N. Gilbert, *Capacity of a Burst-Noise Channel* (1960); E. O. Elliott
    (1963) added losses in the good state.

    Args:
        to_bad: Probability in [0, 1] that a good link is bad in the next tick.
        to_good: Probability in [0, 1] that a bad link is good in the next tick.
        loss_good: Probability in [0, 1] that a good link loses a message.
        loss_bad: The same of a bad link.

    Raises:
        ValueError: A probability outside [0, 1].
    """

    to_bad: float
    to_good: float
    loss_good: float = 0.0
    loss_bad: float = 1.0

    def __post_init__(self) -> None:
        check_probabilities(self, "to_bad", "to_good", "loss_good", "loss_bad")

    @property
    def share_bad(self) -> float:
        """The share of ticks in which a link is bad; 0 where it never changes."""
        change = self.to_bad + self.to_good
        return self.to_bad / change if change else 0.0

    def start(self, num_links: int) -> State:
        """The chance of being bad, as known at a tick."""
        return {
            "bad": np.full(num_links, self.share_bad),
            "tick": np.zeros(num_links, dtype=np.int64),
        }

    def carry(
        self, sending: Sending, state: State, draws: LinkDraws
    ) -> tuple[Transit, State]:
        """Draws the state, several ticks on if there was a pause, and then the loss."""
        links = sending.links
        pause = sending.clock - state["tick"][links]
        kept = (1 - self.to_bad - self.to_good) ** pause
        chance = self.share_bad + (state["bad"][links] - self.share_bad) * kept
        bad = draws.uniforms(links) < chance
        lost = draws.uniforms(links) < np.where(bad, self.loss_bad, self.loss_good)
        after = {name: values.copy() for name, values in state.items()}
        after["bad"][links], after["tick"][links] = bad, sending.clock
        return Transit(lost), after


@dataclass(frozen=True)
class Range(Link):
    """Messages reach no further than a radius.

    The environment with the channel says where senders and receivers are.

    Args:
        radius: The farthest distance that is bridged, 0 or more.

    Raises:
        ValueError: A negative radius.
    """

    radius: float

    def __post_init__(self) -> None:
        check_number("radius", self.radius)

    def carry(
        self, sending: Sending, state: State, draws: LinkDraws
    ) -> tuple[Transit, State]:
        """Loses what has to go too far.

        Raises:
            ValueError: The channel was not told the distances.
        """
        if sending.distances is None:
            raise ValueError(
                "a link with a range needs to know where agents are; give the "
                "environment's channel a position function"
            )
        lost = sending.distances > self.radius
        return Transit(lost), state
