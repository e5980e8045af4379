"""Links on which messages wait: a delay, and a cap on the rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from commenv.channel.link import Link, Sending, State, Transit
from commenv.channel.links.checks import check_positive, check_whole
from commenv.rng import LinkDraws

__all__ = ["Delay", "RateCap"]


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
        check_whole(self, "ticks", "spread", "expiry")
        check_positive(self, "bytes_per_tick")

    def carry(
        self, sending: Sending, state: State, draws: LinkDraws
    ) -> tuple[Transit, State]:
        """Draws one number for every message, if there is a spread."""
        wait = np.full(len(sending.links), self.ticks, dtype=np.int64)
        if self.spread:
            drawn = draws.uniforms(sending.links) * (self.spread + 1)
            wait += drawn.astype(np.int64)
        if self.bytes_per_tick is not None:
            wait += (sending.sizes // self.bytes_per_tick).astype(np.int64)
        never = np.zeros(len(wait), dtype=np.bool_)
        return Transit(never, *_expiring(wait, self.expiry)), state


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
        check_positive(self, "bytes_per_tick", "burst")
        check_whole(self, "max_wait")

    def start(self, num_links: int) -> State:
        """Full buckets."""
        return {
            "tokens": np.full(num_links, self._most),
            "tick": np.zeros(num_links, dtype=np.int64),
        }

    def carry(
        self, sending: Sending, state: State, draws: LinkDraws
    ) -> tuple[Transit, State]:
        """Takes the tokens of every message, below zero where it has to wait."""
        links = sending.links
        gained = (sending.clock - state["tick"][links]) * self.bytes_per_tick
        tokens = np.minimum(state["tokens"][links] + gained, self._most)
        # A message longer than the bucket goes once the bucket is full.
        needed = np.minimum(sending.sizes, self._most)
        lacking = np.maximum(needed - tokens, 0)
        wait = np.ceil(lacking / self.bytes_per_tick).astype(np.int64)
        delay, expired = _expiring(wait, self.max_wait)
        meanwhile = wait * self.bytes_per_tick
        at_departure = np.minimum(tokens + meanwhile, self._most)  # more spills over
        spent = at_departure - meanwhile - sending.sizes
        after = {name: values.copy() for name, values in state.items()}
        if expired is not None:
            spent = np.where(expired, tokens, spent)
        after["tokens"][links] = spent
        after["tick"][links] = sending.clock
        return Transit(np.zeros(len(links), dtype=np.bool_), delay, expired), after

    @property
    def _most(self) -> float:
        return float(self.bytes_per_tick if self.burst is None else self.burst)


def _expiring(
    wait: NDArray[np.int64], most: int | None
) -> tuple[NDArray[np.int64], NDArray[np.bool_] | None]:
    """Delays, and who expires, where nothing waits longer than ``most``."""
    if most is None:
        return wait, None
    return np.minimum(wait, most), wait > most
