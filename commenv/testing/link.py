"""Whether a link keeps its promises."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from commenv.channel import Link, LinkDraws, Payloads, Sending
from commenv.rng import Draws

__all__ = ["check_link"]

_TRIALS, _AGENTS, _TICKS = 3, 4, 12
_WIRE = np.dtype([("value", "<f8", (2,))])


def check_link(link: Link) -> None:
    """Checks that a link keeps the promises that channels rely on.

    It returns a fate for every message, with delays of 0 or more, a state of the shapes
    that it started with, and payloads as long as they were. What happens on one link
    does not depend on what is sent on others; it leaves its inputs alone, gives the
    same answers when asked again, and survives pickling.

    Args:
        link: The link, with the settings to check it under.

    Raises:
        AssertionError: A promise that is broken.
    """
    assert isinstance(link, Link), f"{link!r} is no Link"
    everything = _ticks(link)
    _same(everything, _ticks(link), "answers differently when asked again")
    copied = pickle.loads(pickle.dumps(link))
    _same(everything, _ticks(copied), "answers differently after pickling")
    for trial in range(_TRIALS):
        mine = everything[:, trial : trial + 1]
        _same(mine, _ticks(link, [trial]), f"treats trial {trial} differently alone")
    quiet = _ticks(link, others_silent=True)
    _same(everything[:, :, 0], quiet[:, :, 0], "looks at other links' messages")


def _ticks(
    link: Link, trials: list[int] | None = None, others_silent: bool = False
) -> NDArray[np.float64]:
    """Each tick's fates and payloads, (ticks, trials, agents, numbers)."""
    chosen = list(range(_TRIALS)) if trials is None else trials
    draws = LinkDraws(Draws(7, chosen, _AGENTS), "link")
    count = len(chosen) * _AGENTS
    state = link.start(count)
    shapes = {name: values.shape for name, values in state.items()}
    seen = np.zeros((_TICKS, count, 5))
    for tick in range(_TICKS):
        random = np.random.default_rng(tick)
        speaking = random.random((_TRIALS, _AGENTS)) < 0.8
        if others_silent:
            speaking[:, 1:] = False
        sizes = random.integers(20, 60, (_TRIALS, _AGENTS))[chosen].ravel()
        distances = random.random((_TRIALS, _AGENTS))[chosen].ravel()
        links = np.flatnonzero(speaking[chosen].ravel())
        sending = Sending(links, sizes[links], tick + 1, distances[links])
        before = {name: values.copy() for name, values in state.items()}
        transit, after = link.carry(sending, state, draws)
        assert all(np.array_equal(before[name], state[name]) for name in before), (
            "changes its state in place; return a new one"
        )
        for name, part in zip(transit._fields, transit, strict=True):
            assert part is None or part.shape == links.shape, (
                f"returns {name} of shape {part.shape} for {len(links)} messages"
            )
        nothing = np.zeros(len(links), dtype=np.int64)
        delay = nothing if transit.delay is None else transit.delay
        expired = nothing if transit.expired is None else transit.expired
        assert (delay >= 0).all(), f"delays messages by {delay.min()}"
        found = {name: values.shape for name, values in after.items()}
        assert found == shapes, f"state has {found}; start() gave {shapes}"
        state = after
        seen[tick, links, 0] = transit.lost
        seen[tick, links, 1] = delay * ~transit.lost
        seen[tick, links, 2] = expired
        seen[tick, links, 3:] = _distorted(link, links, tick, draws)
    return seen.reshape(_TICKS, len(chosen), _AGENTS, 5)


def _distorted(
    link: Link, links: NDArray[np.intp], tick: int, draws: LinkDraws
) -> NDArray[np.float64]:
    """What arrives of two numbers that are the same for everybody."""
    data = np.tile(np.array([1.0, -2.5]), len(links)).view(np.uint8)
    sizes = np.full(len(links), _WIRE.itemsize)
    sequence = np.full(len(links), tick, np.uint32)
    payloads = Payloads(data.copy(), sizes, links, sequence, _WIRE)
    arrived = link.distort(payloads, draws)
    assert np.array_equal(payloads.data, data), "changes payloads in place; copy them"
    assert arrived.dtype == np.uint8 and arrived.shape == data.shape, (  # noqa: PT018
        f"returns {arrived.shape} bytes for {data.shape}"
    )
    changed = not np.array_equal(arrived, data)
    assert link.distorts or not changed, "distorts, but says distorts = False"
    bits = np.unpackbits(arrived.reshape(-1, 2, 8), axis=-1).astype(np.float64)
    return bits @ np.arange(1.0, 65.0)


def _same(one: Any, other: Any, wrong: str) -> None:
    assert np.array_equal(one, other), wrong
