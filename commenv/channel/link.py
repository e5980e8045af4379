"""Links carry accepted messages: they may lose, delay, expire or distort them.

Nobody is told: a sender knows whether its message was accepted, and no more. What a
link remembers is explicit, a dictionary of arrays with one entry for each link, and
what it draws is addressed by link, so nothing depends on anybody else's messages.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from commenv.channel.randomness import LinkDraws, MessageDraws

__all__ = [
    "AdditiveNoise",
    "BernoulliLoss",
    "BitErrors",
    "Chain",
    "Delay",
    "GilbertElliottLoss",
    "Link",
    "Passage",
    "Payloads",
    "PerfectLink",
    "Range",
    "RateCap",
    "Sending",
]

State = dict[str, NDArray[Any]]


class Sending(NamedTuple):
    """Messages that are put on the link together, at most one for each.

    Attributes:
        links: Integers, shape (m,): the flat (trial-major) link of each message.
        sizes: int64, shape (m,): bytes on the air, header included.
        clock: The channel's tick.
        distances: float64, shape (m,): from sender to receiver, where the environment
            says where they are; else None.
    """

    links: NDArray[np.intp]
    sizes: NDArray[np.int64]
    clock: int
    distances: NDArray[np.float64] | None = None

    def take(self, which: NDArray[np.bool_]) -> Sending:
        """The messages where a mask is true."""
        distances = None if self.distances is None else self.distances[which]
        return Sending(self.links[which], self.sizes[which], self.clock, distances)


class Passage(NamedTuple):
    """What becomes of messages on a link; every array has shape (m,).

    Attributes:
        lost: bool: it never arrives.
        wait: int64: ticks until it arrives, or expires; 0 is at once.
        expired: bool: it waits in vain.
    """

    lost: NDArray[np.bool_]
    wait: NDArray[np.int64]
    expired: NDArray[np.bool_]

    @classmethod
    def clear(cls, count: int) -> Passage:
        """Everything arrives at once."""
        nothing = np.zeros(count, dtype=np.bool_)
        return cls(nothing, np.zeros(count, dtype=np.int64), nothing)


class Payloads(NamedTuple):
    """What messages carry.

    Attributes:
        data: uint8, shape (bytes,): the payloads one after the other.
        sizes: int64, shape (m,): bytes of each.
        links: Integers, shape (m,): the flat link of each.
        sequence: uint32, shape (m,): the number of each message on its link.
        wire: What the payloads are arrays of, where they carry numbers as numbers.
    """

    data: NDArray[np.uint8]
    sizes: NDArray[np.int64]
    links: NDArray[np.intp]
    sequence: NDArray[np.uint32]
    wire: np.dtype[np.void] | None

    def draws(self, draws: LinkDraws) -> MessageDraws:
        """A link's random numbers for these messages."""
        return draws.of(self.links, self.sequence)


class Link(ABC):
    """What happens to messages between the sender and the receiver."""

    def start(self, num_links: int) -> State:
        """What is remembered before the first message, arrays of (num_links, ...).

        The default remembers nothing.
        """
        return {}

    @abstractmethod
    def carry(
        self, sending: Sending, state: State, draws: LinkDraws
    ) -> tuple[Passage, State]:
        """What becomes of messages, and what is remembered afterwards.

        Args:
            sending: The messages.
            state: What was remembered; it is not changed.
            draws: This link's random numbers; :meth:`LinkDraws.uniforms` may be asked
                several times.
        """

    @property
    def distorts(self) -> bool:
        """Whether payloads may arrive other than they were sent."""
        return False

    def distort(self, payloads: Payloads, draws: LinkDraws) -> NDArray[np.uint8]:
        """The payloads' bytes as they arrive; the default changes nothing.

        Raises:
            ValueError: Payloads that this link cannot carry.
        """
        return payloads.data


@dataclass(frozen=True)
class PerfectLink(Link):
    """Everything arrives, at once and unharmed."""

    def carry(
        self, sending: Sending, state: State, draws: LinkDraws
    ) -> tuple[Passage, State]:
        """Nothing is lost, and nothing is drawn."""
        return Passage.clear(len(sending.links)), state


@dataclass(frozen=True)
class Chain(Link):
    """Links one after the other; a message that one of them loses meets no later one.

    Waits add up. All see the tick in which the message was sent.

    Args:
        links: At least one.

    Raises:
        TypeError: Something that is no link.
        ValueError: No link at all.
    """

    links: tuple[Link, ...]

    def __init__(self, *links: Link) -> None:
        object.__setattr__(self, "links", links)
        if not links:
            raise ValueError("a chain of no links; give at least one, or PerfectLink()")
        for link in links:
            if not isinstance(link, Link):
                raise TypeError(f"{link!r} in a chain is no Link")

    def start(self, num_links: int) -> State:
        """Every part's memory, under its position."""
        return {
            f"{position}.{name}": values
            for position, link in enumerate(self.links)
            for name, values in link.start(num_links).items()
        }

    def carry(
        self, sending: Sending, state: State, draws: LinkDraws
    ) -> tuple[Passage, State]:
        """What becomes of messages on all parts together."""
        after: State = {}
        count = len(sending.links)
        lost, expired = np.zeros((2, count), dtype=np.bool_)
        wait = np.zeros(count, dtype=np.int64)
        for position, link in enumerate(self.links):
            under_way = ~(lost | expired)
            part, own = link.carry(
                sending.take(under_way), _own(state, position), draws.part(position)
            )
            lost[under_way], expired[under_way] = part.lost, part.expired
            wait[under_way] += part.wait
            after |= {f"{position}.{name}": values for name, values in own.items()}
        return Passage(lost, wait, expired), after

    @property
    def distorts(self) -> bool:
        """Whether any part does."""
        return any(link.distorts for link in self.links)

    def distort(self, payloads: Payloads, draws: LinkDraws) -> NDArray[np.uint8]:
        """What all parts make of the payloads."""
        for position, link in enumerate(self.links):
            data = link.distort(payloads, draws.part(position))
            payloads = payloads._replace(data=data)
        return payloads.data


def _own(state: State, position: int) -> State:
    """What one part of a chain remembers, under its own names."""
    prefix = f"{position}."
    return {
        name.removeprefix(prefix): values
        for name, values in state.items()
        if name.startswith(prefix)
    }


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
        _check_probabilities(self, "probability")

    def carry(
        self, sending: Sending, state: State, draws: LinkDraws
    ) -> tuple[Passage, State]:
        """Draws one number for every message."""
        lost = draws.uniforms(sending.links) < self.probability
        return Passage.clear(len(lost))._replace(lost=lost), state


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
        _check_probabilities(self, "to_bad", "to_good", "loss_good", "loss_bad")

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
    ) -> tuple[Passage, State]:
        """Draws the state, several ticks on if there was a pause, and then the loss."""
        links = sending.links
        pause = sending.clock - state["tick"][links]
        kept = (1 - self.to_bad - self.to_good) ** pause
        chance = self.share_bad + (state["bad"][links] - self.share_bad) * kept
        bad = draws.uniforms(links) < chance
        lost = draws.uniforms(links) < np.where(bad, self.loss_bad, self.loss_good)
        after = {name: values.copy() for name, values in state.items()}
        after["bad"][links], after["tick"][links] = bad, sending.clock
        return Passage.clear(len(links))._replace(lost=lost), after


@dataclass(frozen=True)
class Delay(Link):
    """Messages arrive later: after fixed, random or size-dependent ticks.

    A message waits ``ticks``, and a whole number of ticks from 0 to ``spread`` with
    equal chances, and a tick for every ``bytes_per_tick`` bytes that it fills (header
    included). Later messages may overtake.

    Args:
        ticks: 0 or more.
        spread: 0 or more.
        bytes_per_tick: Above 0; None lets size cost nothing.
        expiry: A message that would wait longer expires after so many ticks, 0 or
            more; None lets all arrive.

    Raises:
        ValueError: A value outside its range.
    """

    ticks: int = 0
    spread: int = 0
    bytes_per_tick: float | None = None
    expiry: int | None = None

    def __post_init__(self) -> None:
        _check_whole(self, "ticks", "spread", "expiry")
        _check_positive(self, "bytes_per_tick")

    def carry(
        self, sending: Sending, state: State, draws: LinkDraws
    ) -> tuple[Passage, State]:
        """Draws one number for every message, if there is a spread."""
        wait = np.full(len(sending.links), self.ticks, dtype=np.int64)
        if self.spread:
            drawn = draws.uniforms(sending.links) * (self.spread + 1)
            wait += drawn.astype(np.int64)
        if self.bytes_per_tick is not None:
            wait += (sending.sizes // self.bytes_per_tick).astype(np.int64)
        return _expiring(wait, self.expiry), state


@dataclass(frozen=True)
class RateCap(Link):
    """A token bucket: so many bytes a tick, and no more than a burst at once.

    A message leaves when there are tokens for all its bytes (header included), the
    messages of a link one after the other; meanwhile it is in flight. One that would
    wait too long expires and takes no tokens.

    Args:
        bytes_per_tick: Tokens that a link gets in every tick, above 0.
        burst: The most that it holds, above 0; what it starts with. None means
            ``bytes_per_tick``. A longer message is sent on credit.
        max_wait: Ticks that a message waits at most, 0 or more; None for no limit.

    Raises:
        ValueError: A value outside its range.
    """

    bytes_per_tick: float
    burst: float | None = None
    max_wait: int | None = None

    def __post_init__(self) -> None:
        _check_positive(self, "bytes_per_tick", "burst")
        _check_whole(self, "max_wait")

    def start(self, num_links: int) -> State:
        """Full buckets."""
        return {
            "tokens": np.full(num_links, self._most),
            "tick": np.zeros(num_links, dtype=np.int64),
        }

    def carry(
        self, sending: Sending, state: State, draws: LinkDraws
    ) -> tuple[Passage, State]:
        """Takes the tokens of every message, below zero where it has to wait."""
        links = sending.links
        gained = (sending.clock - state["tick"][links]) * self.bytes_per_tick
        tokens = np.minimum(state["tokens"][links] + gained, self._most)
        # A message longer than the bucket goes once the bucket is full.
        needed = np.minimum(sending.sizes, self._most)
        lacking = np.maximum(needed - tokens, 0)
        wait = np.ceil(lacking / self.bytes_per_tick).astype(np.int64)
        passage = _expiring(wait, self.max_wait)
        meanwhile = wait * self.bytes_per_tick
        at_departure = np.minimum(tokens + meanwhile, self._most)  # more spills over
        spent = at_departure - meanwhile - sending.sizes
        after = {name: values.copy() for name, values in state.items()}
        after["tokens"][links] = np.where(passage.expired, tokens, spent)
        after["tick"][links] = sending.clock
        return passage, after

    @property
    def _most(self) -> float:
        return float(self.bytes_per_tick if self.burst is None else self.burst)


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
        if not self.radius >= 0:
            raise ValueError(f"radius {self.radius} is negative; give 0 or more")

    def carry(
        self, sending: Sending, state: State, draws: LinkDraws
    ) -> tuple[Passage, State]:
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
        return Passage.clear(len(lost))._replace(lost=lost), state


class _Distorting(Link):
    """Everything arrives at once, but not unharmed."""

    def carry(
        self, sending: Sending, state: State, draws: LinkDraws
    ) -> tuple[Passage, State]:
        """Nothing is lost here."""
        return Passage.clear(len(sending.links)), state

    @property
    def distorts(self) -> bool:
        """Yes."""
        return True


@dataclass(frozen=True)
class BitErrors(_Distorting):
    """Every bit of a payload is flipped with the same probability, independently.

    Headers arrive whole. A payload that can no longer be read is lost; what can be
    read is delivered, wrong as it may be.

    Args:
        rate: Probability of each bit, in [0, 1].

    Raises:
        ValueError: A rate outside [0, 1].
    """

    rate: float

    def __post_init__(self) -> None:
        _check_probabilities(self, "rate")

    def distort(self, payloads: Payloads, draws: LinkDraws) -> NDArray[np.uint8]:
        """Flips bits."""
        uniforms = payloads.draws(draws).uniforms(payloads.sizes, 8)
        flips = np.packbits(uniforms < self.rate, axis=1).ravel()
        return payloads.data ^ flips


@dataclass(frozen=True)
class AdditiveNoise(_Distorting):
    """Gaussian noise is added to every real number of a payload.

    Args:
        deviation: The noise's standard deviation, in the numbers' own unit, 0 or more.

    Raises:
        ValueError: A negative deviation.
    """

    deviation: float

    def __post_init__(self) -> None:
        if not 0 <= self.deviation < math.inf:
            raise ValueError(
                f"deviation {self.deviation} of AdditiveNoise is negative or not finite"
            )

    def distort(self, payloads: Payloads, draws: LinkDraws) -> NDArray[np.uint8]:
        """Adds noise.

        Raises:
            ValueError: The codec's payloads are no numbers that noise can be added to.
        """
        wire = payloads.wire
        if wire is None:
            raise ValueError(
                "additive noise needs payloads of plain numbers, such as Identity's or "
                "Float16's; use BitErrors with other codecs and free-form payloads"
            )
        records = payloads.data.copy().view(wire)
        names = [name for name in wire.names or () if wire[name].base.kind == "f"]
        widths = [math.prod(wire[name].shape) for name in names]
        lengths = payloads.sizes // wire.itemsize
        noise = payloads.draws(draws).normals(lengths, sum(widths)) * self.deviation
        columns = np.split(noise, np.cumsum(widths)[:-1], axis=1)
        for name, column in zip(names, columns, strict=True):
            numbers = records[name]
            records[name] = numbers + column.reshape(numbers.shape)
        return records.view(np.uint8)


def _expiring(wait: NDArray[np.int64], most: int | None) -> Passage:
    """Messages that wait, and expire where they would wait longer than ``most``."""
    expired = np.zeros(len(wait), np.bool_) if most is None else wait > most
    shown = wait if most is None else np.minimum(wait, most)
    return Passage(np.zeros(len(wait), dtype=np.bool_), shown, expired)


def _check_probabilities(link: Link, *names: str) -> None:
    for name in names:
        if not 0 <= (value := getattr(link, name)) <= 1:
            raise ValueError(
                f"{name} {value} of {type(link).__name__} is outside [0, 1]"
            )


def _check_whole(link: Link, *names: str) -> None:
    for name in names:
        value = getattr(link, name)
        if value is None and name in ("expiry", "max_wait"):
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ValueError(
                f"{name} {value!r} of {type(link).__name__} is no whole number of 0 or "
                "more"
            )


def _check_positive(link: Link, *names: str) -> None:
    for name in names:
        value = getattr(link, name)
        if value is not None and not 0 < value < math.inf:
            raise ValueError(
                f"{name} {value} of {type(link).__name__} is not above 0 and finite"
            )
