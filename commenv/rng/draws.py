"""Addressed random draws: a number is looked up by its address, never consumed.

A draw is a function of (seed, trial, agent, purpose, episode, index). So no result
depends on which trials or agents share a batch, on the order in which parts of a
program draw, or on what was drawn before: an evolution-strategies learner regenerates
an agent's noise from the address alone, and a checkpoint holds no generator state.

Purposes belong to an owner: what a scheme draws as ``"link"`` is not what the uplink
draws as ``"link"``. So a scheme, a codec or a link of somebody's own can't foresee what
others draw, whatever it calls its purposes.

The generator is NumPy's Philox, a counter-based generator. Its key is made from
``SeedSequence(seed, spawn_key=(trial, agent, purpose))``, the purpose as
:func:`full_purpose` has it; the third word of its counter is the episode, and the first
word counts blocks of four numbers within it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, Protocol, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from commenv.checks import check_integer
from commenv.rng.keys import spawned_keys
from commenv.rng.streams import WORDS_PER_BLOCK, AddressedUniforms, UniformStream

__all__ = ["ENVIRONMENT", "Draws", "Owner", "WorldDraws", "full_purpose"]

ENVIRONMENT = "environment"
"""The purpose of what worlds draw."""
Owner: TypeAlias = Literal[
    "algorithm",
    "downlink",
    "environment",
    "evaluation",
    "mesh",
    "picture",
    "scheme",
    "uplink",
]
"""Who draws: an owner's purposes are its own."""
_OWNERS = get_args(Owner)


class Draws:
    """Random numbers for a batch of (trials, agents), each found by its address.

    Args:
        seed: The study's seed, a non-negative integer.
        trials: The trials' own numbers (not their positions in the batch).
        agents: The agents' own numbers, or how many there are, counted from 0.
        owner: Whose draws they are; others never see the same numbers.

    Raises:
        TypeError: A seed or a number that is not an integer.
        ValueError: A negative seed, no trial or agent at all, a number of one that
            does not fit 63 bits, or an unknown owner.

    Example:
        >>> draws = Draws(seed=0, trials=[3, 7], agents=2)
        >>> alone = Draws(seed=0, trials=[7], agents=[1])
        >>> u = draws.uniforms("policy", episode=5, count=3)
        >>> v = alone.uniforms("policy", episode=5, count=3)
        >>> u.shape, bool((u[1, 1] == v[0, 0]).all())
        ((2, 2, 3), True)
    """

    def __init__(
        self,
        seed: int,
        trials: Sequence[int],
        agents: int | Sequence[int],
        *,
        owner: Owner = "algorithm",
    ) -> None:
        self.seed = check_integer("seed", seed)
        if not isinstance(trials, Iterable):
            raise TypeError(f"trials must be a sequence of integers, got {trials!r}")
        self.trials = tuple(check_integer("trial", trial, None) for trial in trials)
        several = isinstance(agents, Iterable) and not isinstance(agents, str)
        chosen: Any = agents if several else range(check_integer("agents", agents))
        self.agents = tuple(check_integer("agent", agent, None) for agent in chosen)
        if not self.trials or not self.agents:
            raise ValueError(
                f"{len(self.trials)} trials and {len(self.agents)} agents leave "
                "nobody to draw for; give at least 1 of each"
            )
        for number in (*self.trials, *self.agents):
            if not 0 <= number < 2**63:
                raise ValueError(
                    f"{number} as the number of a trial or an agent; give one from 0 "
                    "to 2**63 - 1"
                )
        if owner not in _OWNERS:
            raise ValueError(f"owner {owner!r} is none of {', '.join(_OWNERS)}")
        self.shape = (len(self.trials), len(self.agents))
        self.owner = owner
        self._others: dict[Owner, Draws] = {}
        self._keys: dict[str, NDArray[np.uint64]] = {}
        self._generator = np.random.Generator(np.random.Philox(key=0))
        self._last_normals: tuple[tuple[str, int, int], NDArray[np.float64]] | None
        self._last_normals = None

    def uniforms(
        self,
        purpose: str,
        episode: int,
        count: int,
        *,
        start: int = 0,
        rows: NDArray[np.intp] | None = None,
    ) -> NDArray[np.float64]:
        """Draws uniform on [0, 1) with the indices ``start ... start + count - 1``.

        Args:
            purpose: What the numbers are for; different purposes never share numbers,
                nor do equal purposes of different owners.
            episode: The episode that they belong to.
            count: How many for each agent.
            start: The first index, a multiple of 4.
            rows: Flat positions (trial-major) of the agents to draw for; all of them
                when left out.

        Returns:
            float64, shape (trials, agents, count), or (len(rows), count).
        """
        return self._fill("random", purpose, episode, count, start, rows)

    def normals(self, purpose: str, episode: int, count: int) -> NDArray[np.float64]:
        """Draws from the standard normal distribution: (trials, agents, count).

        The array cannot be written to. The last one is kept, since both sides of an
        algorithm may ask for it.
        """
        address = (purpose, episode, count)
        if self._last_normals is None or self._last_normals[0] != address:
            drawn = self._fill("standard_normal", purpose, episode, count, 0, None)
            drawn.flags.writeable = False
            self._last_normals = address, drawn
        return self._last_normals[1]

    def seeds(self, purpose: str, episode: int) -> NDArray[np.int64]:
        """One seed in [0, 2**31) per agent, for a foreign generator: (trials, agents).

        Gymnasium asks for a Python ``int``; 31 bits also fit older environments that
        hand their seed on to a legacy generator.
        """
        uniforms = self.uniforms(purpose, episode, 1)[..., 0]
        return (uniforms * 2**31).astype(np.int64)

    def stream(self, purpose: str, episode: int) -> AddressedUniforms:
        """The uniform draws of one episode, one after the other."""
        return AddressedUniforms(self, purpose, episode)

    def world(self, episode: int) -> WorldDraws:
        """What the owner's worlds draw from in one episode."""
        return _AddressedWorld(self, episode)

    def owned_by(self, owner: Owner) -> Draws:
        """The draws of another owner, for the same seed, trials and agents."""
        if owner == self.owner:
            return self
        if owner not in self._others:
            parts = self.seed, self.trials, self.agents
            self._others[owner] = Draws(*parts, owner=owner)
        return self._others[owner]

    def keys(self, purpose: str) -> NDArray[np.uint64]:
        """The keys of the Philox generators, for code that computes the numbers itself.

        Args:
            purpose: What the numbers are for.

        Returns:
            uint64, shape (trials * agents, 2), not to be written to.

        Raises:
            ValueError: The purpose has a NUL character.
        """
        if purpose not in self._keys:
            words = full_purpose(self.owner, purpose)
            number = int.from_bytes(words.encode(), "little")
            trials = np.repeat(np.array(self.trials), len(self.agents))
            agents = np.tile(np.array(self.agents), len(self.trials))
            self._keys[purpose] = spawned_keys(self.seed, (trials, agents, number))
        return self._keys[purpose]

    def _fill(
        self,
        method: str,
        purpose: str,
        episode: int,
        count: int,
        start: int,
        rows: NDArray[np.intp] | None,
    ) -> NDArray[np.float64]:
        if start % WORDS_PER_BLOCK:
            raise ValueError(f"start {start} is not a multiple of {WORDS_PER_BLOCK}")
        keys = self.keys(purpose)
        chosen = keys if rows is None else keys[rows]
        out = np.empty((len(chosen), count))
        bits: Any = self._generator.bit_generator
        draw = getattr(self._generator, method)
        state = bits.state
        state["buffer_pos"] = WORDS_PER_BLOCK  # forget what an earlier address left
        state["state"]["counter"] = np.array(
            [start // WORDS_PER_BLOCK, 0, episode, 0], dtype=np.uint64
        )
        for key, row in zip(chosen, out, strict=True):
            state["state"]["key"] = key
            bits.state = state
            draw(out=row)
        return out.reshape(*self.shape, count) if rows is None else out


def full_purpose(owner: Owner, purpose: str) -> str:
    """An owner's purpose as it stands in the address.

    No two are alike: it begins with the owner's name, or is an algorithm's and does not
    begin with any owner's.

    Args:
        owner: Whose purpose it is.
        purpose: Any text; ``owner`` itself for an owner's only purpose.

    Raises:
        ValueError: It has a NUL character, which its number would not show.
    """
    if "\0" in purpose:
        raise ValueError(f"purpose {purpose!r} has a NUL character; leave it out")
    if owner == "algorithm" and purpose.partition(" ")[0] not in _OWNERS:
        return purpose
    return owner if purpose == owner else f"{owner} {purpose}"


class WorldDraws(Protocol):
    """What a world asks of its source of randomness at a reset."""

    def uniforms(self) -> UniformStream:
        """The stream from which the episode's start and steps are drawn."""

    def seeds(self) -> NDArray[np.int64]:
        """One seed per instance, flat, for worlds with generators of their own."""


class _AddressedWorld:
    def __init__(self, draws: Draws, episode: int) -> None:
        self._draws = draws
        self._episode = episode

    def uniforms(self) -> UniformStream:
        return self._draws.stream(ENVIRONMENT, self._episode)

    def seeds(self) -> NDArray[np.int64]:
        return self._draws.seeds(ENVIRONMENT, self._episode).ravel()
