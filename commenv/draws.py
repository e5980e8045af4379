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

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, Protocol, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from commenv.checks import check_integer
from commenv.keys import spawned_keys

__all__ = [
    "ENVIRONMENT",
    "AddressedUniforms",
    "Draws",
    "GeneratorUniforms",
    "Owner",
    "UniformStream",
    "WorldDraws",
    "full_purpose",
    "take_from_blocks",
]

WORDS_PER_BLOCK = 4
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
# To address a row costs as much as some hundred numbers of it.
_UNIFORMS_AT_A_TIME = 100
# Generators never restart, so they may run far ahead. Rows a power of two apart would
# compete for the same cache lines.
_UNIFORMS_OF_A_GENERATOR = 260


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


def take_from_blocks(block, position, end, rows, numbers, late, used_up):  # type: ignore[no-untyped-def]
    """Hands out the next numbers of some rows, for compilation.

    Args:
        block: Of the stream, like its ``position`` and ``end``, which index it flat.
        position: Written to, but for the rows whose blocks end too soon.
        end: Where the blocks end.
        rows: intp, each at most once.
        numbers: float64, shape (len(rows), count), written to.
        late: intp, shape (len(rows),), written to: places of the rows that get none.
        used_up: intp, shape (len(rows),), written to: rows whose blocks end with these.

    Returns:
        How many are late, and how many used up.
    """
    flat, count = block.ravel(), numbers.shape[1]
    num_late = num_used_up = 0
    for place in range(len(rows)):
        row = rows[place]
        first, after = position[row], position[row] + count
        if after > end[row]:
            late[num_late] = place
            num_late += 1
            continue
        for index in range(count):
            numbers[place, index] = flat[first + index]
        position[row] = after
        if after == end[row]:
            used_up[num_used_up] = row
            num_used_up += 1
    return num_late, num_used_up


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


class UniformStream(ABC):
    """Uniform numbers for a flat batch of instances, each with its own position.

    Blocks are drawn ahead and handed out one by one, so that a batched environment
    draws exactly what its scalar form would draw one at a time.

    Args:
        num_instances: How many instances there are.
        ahead: How many numbers to draw ahead for each, a multiple of 4.
    """

    def __init__(self, num_instances: int, ahead: int = _UNIFORMS_AT_A_TIME) -> None:
        self._block = np.empty((num_instances, ahead))
        self._end = np.arange(1, num_instances + 1) * ahead
        self._position = self._end.copy()
        self._drawn = np.zeros(num_instances, dtype=np.int64)
        self._calls_until_empty = 0

    def next(self, active: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """The next number of every active instance.

        Args:
            active: bool, shape (num_instances,). The others' positions stay. All are
                active when left out.

        Returns:
            float64 in [0, 1), shape (num_instances,); meaningless where not active.
        """
        if self._calls_until_empty == 0:
            self._refill()
        self._calls_until_empty -= 1
        numbers = self._block.take(self._position)
        self._position += 1 if active is None else active
        return numbers

    @property
    def used(self) -> NDArray[np.int64]:
        """How many numbers each instance was given: shape (num_instances,)."""
        return self._drawn - (self._end - self._position)

    def next_of(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """The next number of a few instances, for less than what a mask costs.

        Args:
            rows: The instances, each at most once. The others' positions stay.

        Returns:
            float64 in [0, 1), shape (len(rows),).
        """
        if not len(rows):
            return np.zeros(0)
        if self._calls_until_empty == 0:
            self._refill()
        positions = self._position[rows]
        self._position[rows] = positions + 1
        left = self._end[rows] - positions
        fewest = int(left[left.argmin()]) - 1
        self._calls_until_empty = min(self._calls_until_empty, fewest)
        return self._block.take(positions)

    def several_of(self, rows: NDArray[np.intp], count: int) -> NDArray[np.float64]:
        """The next ``count`` numbers of some instances; the others' positions stay.

        Args:
            rows: The instances, each at most once.
            count: How many numbers for each.

        Returns:
            float64 in [0, 1), shape (len(rows), count).
        """
        first = self._position.take(rows)
        short = first + count > self._end.take(rows)
        if np.count_nonzero(short):
            used = rows[short]
            within = (self._position[used] < self._end[used]).any()
            if within or count > self._block.shape[1]:  # blocks end amid the numbers
                active = np.zeros(len(self._position), dtype=np.bool_)
                active[rows] = True
                return np.stack([self.next(active)[rows] for _ in range(count)], axis=1)
            self._fill(used)
            first = self._position.take(rows)
        self._position[rows] = first + count
        self._calls_until_empty = max(0, self._calls_until_empty - count)
        return self._block.take(first[:, None] + np.arange(count))

    def take_into(
        self,
        rows: NDArray[np.intp],
        numbers: NDArray[np.float64],
        take: Callable[..., tuple[int, int]],
    ) -> None:
        """The same as :meth:`several_of`, for the price of one compiled call.

        Args:
            rows: The instances, each at most once.
            numbers: float64, shape (len(rows), count), written to.
            take: :func:`take_from_blocks`, compiled.
        """
        late, used_up = np.empty((2, len(rows)), dtype=np.intp)
        position, end = self._position, self._end
        num_late, num_used_up = take(
            self._block, position, end, rows, numbers, late, used_up
        )
        self._calls_until_empty = max(0, self._calls_until_empty - numbers.shape[1])
        if num_late:
            places = late[:num_late]
            numbers[places] = self.several_of(rows[places], numbers.shape[1])
        if num_used_up:
            self._fill(used_up[:num_used_up])  # now, so that none is late

    def part(self, rows: Sequence[int]) -> UniformStream:
        """A stream of the numbers of some instances, from their first one on.

        It keeps positions of its own; the numbers are the same whoever else is in it.

        Args:
            rows: The instances.
        """
        return _PartOfStream(self, rows)

    def _refill(self) -> None:
        """Draws for the rows that are used up, and counts the calls all rows can meet.

        No row uses more than one number a call, so the next look is that many calls
        away; this keeps the common call down to a gather and an addition.
        """
        rows = np.flatnonzero(self._position == self._end)
        if len(rows):
            self._fill(rows)
        self._calls_until_empty = int((self._end - self._position).min())

    def _fill(self, rows: NDArray[np.intp]) -> None:
        """Draws the next block of rows whose last one is used up."""
        ahead = self._block.shape[1]
        self._block[rows] = self._draw(rows, self._drawn[rows])
        self._drawn[rows] += ahead
        self._position[rows] -= ahead

    @abstractmethod
    def _draw(
        self, rows: NDArray[np.intp], drawn: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """A block for each of ``rows``, which have drawn ``drawn`` numbers so far."""


class _PartOfStream(UniformStream):
    """The numbers of some instances of another stream."""

    def __init__(self, stream: UniformStream, rows: Sequence[int]) -> None:
        super().__init__(len(rows), stream._block.shape[1])
        self._stream = stream
        self._rows = np.asarray(rows, dtype=np.intp)

    def _draw(
        self, rows: NDArray[np.intp], drawn: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        return self._stream._draw(self._rows[rows], drawn)


class AddressedUniforms(UniformStream):
    """The stream of one (purpose, episode) for every agent of ``draws``."""

    def __init__(self, draws: Draws, purpose: str, episode: int) -> None:
        super().__init__(len(draws.trials) * len(draws.agents))
        self._draws = draws
        self._purpose = purpose
        self._episode = episode

    def skip(self, used: NDArray[np.int64]) -> None:
        """Goes on as if each instance had been given so many numbers already.

        Args:
            used: Shape (num_instances,), 0 or more.
        """
        ahead = self._block.shape[1]
        inside = used % WORDS_PER_BLOCK  # an address is a whole block
        self._block = self._draw(np.arange(len(used)), used - inside)
        self._drawn = used - inside + ahead
        self._position = self._end - ahead + inside
        self._calls_until_empty = 0

    def _draw(
        self, rows: NDArray[np.intp], drawn: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        ahead = self._block.shape[1]
        block = np.empty((len(rows), ahead))
        for start in np.unique(drawn):
            mine = drawn == start
            block[mine] = self._draws.uniforms(
                self._purpose,
                self._episode,
                ahead,
                start=int(start),
                rows=rows[mine],
            )
        return block


class GeneratorUniforms(UniformStream):
    """A stream that reads one Gymnasium generator per instance, in order.

    Args:
        generators: One generator per instance; they run ahead of what was handed out.
    """

    def __init__(self, generators: Sequence[np.random.Generator]) -> None:
        super().__init__(len(generators), ahead=_UNIFORMS_OF_A_GENERATOR)
        self._generators = list(generators)

    def replace(self, row: int, generator: np.random.Generator) -> None:
        """Gives one instance a new generator and forgets what the old one left."""
        self._generators[row] = generator
        self._position[row] = self._end[row]
        self._calls_until_empty = 0

    def _refill(self) -> None:
        """Fills up the rows that have used half of their numbers or more.

        Instances that restart use more numbers than others. Were each row filled only
        when it is empty, some row would be empty in almost every call.
        """
        ahead = self._block.shape[1]
        left = self._end - self._position
        rows = np.flatnonzero(left <= ahead // 2)
        for row, kept in zip(rows.tolist(), left[rows].tolist(), strict=True):
            numbers = self._block[row]
            if kept:
                numbers[:kept] = numbers[-kept:]
                numbers = numbers[kept:]
            self._generators[row].random(out=numbers)
        left[rows] = ahead
        self._position = self._end - left
        self._calls_until_empty = int(left.min())

    def _fill(self, rows: NDArray[np.intp]) -> None:
        """Draws into the rows themselves: some row is used up in nearly every step."""
        ahead = self._block.shape[1]
        for row in rows.tolist():
            self._generators[row].random(out=self._block[row])
        self._drawn[rows] += ahead
        self._position[rows] -= ahead

    def _draw(
        self, rows: NDArray[np.intp], drawn: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        block = np.empty((len(rows), self._block.shape[1]))
        for row, numbers in zip(rows, block, strict=True):
            self._generators[row].random(out=numbers)
        return block


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
