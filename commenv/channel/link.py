"""Links carry accepted messages: they may lose, delay, expire or distort them.

Nobody is told: a sender knows whether its message was accepted, and no more. What a
link remembers is explicit, a dictionary of arrays with one entry for each link, and
what it draws is addressed by link, so nothing depends on anybody else's messages.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from commenv.channel.parts import wrong_part
from commenv.rng import LinkDraws, MessageDraws

__all__ = ["Chain", "Link", "Payloads", "PerfectLink", "Sending", "State", "Transit"]

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


class Transit(NamedTuple):
    """What becomes of messages on a link; every array has shape (m,).

    Attributes:
        lost: bool: it never arrives.
        delay: int64: ticks until it arrives, or expires; None is at once.
        expired: bool: it waits in vain; None where none does.
    """

    lost: NDArray[np.bool_]
    delay: NDArray[np.int64] | None = None
    expired: NDArray[np.bool_] | None = None


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
    ) -> tuple[Transit, State]:
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
    ) -> tuple[Transit, State]:
        """Nothing is lost, and nothing is drawn."""
        return Transit(np.zeros(len(sending.links), dtype=np.bool_)), state


@dataclass(frozen=True)
class Chain(Link):
    """Links one after the other; a message that one of them loses meets no later one.

    Delays add up. All see the tick in which the message was sent.

    Args:
        links: At least one.

    Raises:
        TypeError: Something that is not a link.
        ValueError: No link at all.
    """

    links: tuple[Link, ...]

    def __init__(self, *links: Link) -> None:
        object.__setattr__(self, "links", links)
        if not links:
            raise ValueError("a chain of no links; give at least one, or PerfectLink()")
        for link in links:
            if not isinstance(link, Link):
                raise TypeError(
                    f"a Chain is made of links: Chain(one, other); "
                    f"{wrong_part(link, Link)}"
                )

    def start(self, num_links: int) -> State:
        """Every part's memory, under its position."""
        return {
            f"{position}.{name}": values
            for position, link in enumerate(self.links)
            for name, values in link.start(num_links).items()
        }

    def carry(
        self, sending: Sending, state: State, draws: LinkDraws
    ) -> tuple[Transit, State]:
        """What becomes of messages on all parts together."""
        after: State = {}
        count = len(sending.links)
        lost, expired = np.zeros((2, count), dtype=np.bool_)
        delay = np.zeros(count, dtype=np.int64)
        for position, link in enumerate(self.links):
            travels = ~(lost | expired)
            part, own = link.carry(
                sending.take(travels), _own(state, position), draws.part(position)
            )
            lost[travels] = part.lost
            if part.expired is not None:
                expired[travels] = part.expired
            if part.delay is not None:
                delay[travels] += part.delay
            after |= {f"{position}.{name}": values for name, values in own.items()}
        return Transit(lost, delay, expired), after

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
