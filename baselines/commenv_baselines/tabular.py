"""What tabular baselines share: policies from Q tables, and recorded trajectories."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from commenv.channel import Messages, Received
from commenv.envs import greedy_policy
from commenv.envs.values import best_values
from commenv.learning import Transition
from commenv.rng import UniformStream

__all__ = [
    "STEP",
    "PairSums",
    "PolicyTable",
    "Trajectories",
    "epsilon_greedy",
    "in_parts",
    "next_state_of",
    "table_shape",
    "td_errors",
]

STEP = np.dtype(
    [("state", "<i4"), ("action", "<i4"), ("reward", "<f8"), ("next_state", "<i4")]
)
"""One step (s, a, r, s') on the wire, 20 bytes; one that terminates stores ``~s'``."""

_RECORDS_AT_A_TIME = 2**18


def table_shape(
    observation_space: gym.Space[Any], action_space: gym.Space[Any], algorithm: str
) -> tuple[int, int]:
    """(states, actions) of a table over two discrete spaces.

    Raises:
        ValueError: A space that is not discrete, or does not count from 0.
    """
    for name, space in (("observation", observation_space), ("action", action_space)):
        if not isinstance(space, gym.spaces.Discrete):
            raise ValueError(
                f"{algorithm} keeps a table and needs discrete spaces, but the {name} "
                f"space is {space}; discretise it, or use an algorithm that "
                "approximates"
            )
        if space.start != 0:
            raise ValueError(
                f"{algorithm} needs {name}s that count from 0, not from {space.start}"
            )
    assert isinstance(observation_space, gym.spaces.Discrete)
    assert isinstance(action_space, gym.spaces.Discrete)
    return int(observation_space.n), int(action_space.n)


def epsilon_greedy(q: NDArray[np.float64], exploration: float) -> NDArray[np.float64]:
    """Action probabilities, shape (..., states, actions): greedy, ties at random.

    Args:
        q: Action values, shape (..., states, actions).
        exploration: The probability of an action drawn from all of them, in [0, 1].
    """
    return (1 - exploration) * greedy_policy(q) + exploration / q.shape[-1]


class PolicyTable:
    """Draws actions for a flat batch, each row from one of the tables.

    Args:
        probabilities: float64, shape (tables, states, actions).
        held: intp, shape (rows,): the table of each row; its own when left out.

    Attributes:
        thresholds: float64, shape (tables, states, actions - 1): how many of them a
            uniform number reaches is the action.
    """

    def __init__(
        self,
        probabilities: NDArray[np.float64],
        held: NDArray[np.intp] | None = None,
    ) -> None:
        tables, states, actions = probabilities.shape
        cumulative = probabilities[..., :-1].copy()
        for action in range(1, actions - 1):  # NumPy is slow along short last axes
            cumulative[..., action] += cumulative[..., action - 1]
        self.thresholds = cumulative
        self._flat = cumulative.reshape(tables * states, actions - 1)
        self._first = (np.arange(tables) if held is None else held) * states

    def draw(
        self,
        states: NDArray[np.integer],
        active: NDArray[np.bool_],
        uniforms: UniformStream,
    ) -> NDArray[np.int64]:
        """One action for each row; those of inactive rows mean nothing."""
        thresholds = self._flat.take(self._first + states, axis=0)
        return (uniforms.next(active)[:, None] >= thresholds).sum(axis=1)


class Trajectories:
    """The steps of an episode, as records, for a flat batch of agents."""

    def __init__(self, num_rows: int) -> None:
        self._num_rows = num_rows
        self.clear()

    def clear(self) -> None:
        """Forgets the last episode."""
        self._parts = [(np.empty(0, dtype=np.intp), np.empty(0, STEP))]
        self._taken: tuple[NDArray[np.void], NDArray[np.int64]] | None = None

    def add(self, transition: Transition) -> None:
        """Records a step of the active agents."""
        rows = np.flatnonzero(transition.active)
        records = np.empty(len(rows), STEP)
        following = transition.next_observations[rows]
        records["state"] = transition.observations[rows]
        records["action"] = transition.actions[rows]
        records["reward"] = transition.rewards[rows]
        records["next_state"] = np.where(
            transition.terminated[rows], ~following, following
        )
        self._parts.append((rows, records))

    def take(self, records: NDArray[np.void], lengths: NDArray[np.int64]) -> None:
        """Takes a whole episode instead.

        Args:
            records: Of ``STEP``, row by row and in time order.
            lengths: How many are whose, shape (rows,).
        """
        self._taken = records, lengths

    def messages(self, shape: tuple[int, int]) -> Messages:
        """Every agent's whole trajectory, in time order: ``shape`` (trials, agents)."""
        if self._taken is None:
            rows, records = map(np.concatenate, zip(*self._parts, strict=True))
            lengths = np.bincount(rows, minlength=self._num_rows)
            self.take(records[np.argsort(rows, kind="stable")], lengths)
        assert self._taken is not None
        records, lengths = self._taken
        return Messages(records, lengths.reshape(shape))


def next_state_of(
    records: NDArray[np.void],
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The next state of each record, and whether its step terminated."""
    stored = records["next_state"].astype(np.int64)
    terminated = stored < 0
    return np.where(terminated, ~stored, stored), terminated


def possible_steps(
    records: NDArray[np.void], states: int, actions: int
) -> NDArray[np.bool_]:
    """Which records a table of (states, actions) can learn from.

    A link may have damaged the others, bit by bit.
    """
    following = records["next_state"]
    # As unsigned numbers negative ones are huge: one comparison finds both kinds.
    possible: NDArray[np.bool_] = records["state"].view(np.uint32) < states
    possible &= records["action"].view(np.uint32) < actions
    possible &= (following < states) & (following >= -states)
    possible &= np.isfinite(records["reward"])
    return possible


def in_parts(
    messages: Received,
) -> Iterator[tuple[NDArray[np.void], NDArray[np.intp]]]:
    """All records in their order, a bounded number at a time.

    Yields:
        Records and the positions of their trials, both of shape (n,).
    """
    ends = np.cumsum(messages.counts.sum(axis=1))
    for begin in range(0, len(messages.records), _RECORDS_AT_A_TIME):
        records = messages.records[begin : begin + _RECORDS_AT_A_TIME]
        inside = np.clip(ends, begin, begin + len(records))
        counts = np.diff(inside, prepend=begin)
        yield records, np.repeat(np.arange(len(counts)), counts)


class PairSums:
    """Sums of numbers by trial, state and action, added one after the other.

    Args:
        shape: (trials, states, actions).

    Attributes:
        total: float64, of that shape.
        count: int64, of that shape: how many.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.total = np.zeros(shape)
        self.count = np.zeros(shape, dtype=np.int64)

    def add(
        self, pairs: tuple[NDArray[np.integer], ...], numbers: NDArray[np.float64]
    ) -> None:
        """Adds numbers of shape (n,), each to its (trial, state, action)."""
        shape, size = self.total.shape, self.total.size
        place = np.ravel_multi_index(pairs, shape)
        self.count += np.bincount(place, minlength=size).reshape(shape)
        if self.total.any():  # goes on from the sums, so that no bit tells of parts
            place = np.concatenate([np.arange(size), place])
            numbers = np.concatenate([self.total.ravel(), numbers])
        total = np.bincount(place, weights=numbers, minlength=size)
        self.total = np.asarray(total.reshape(shape), dtype=np.float64)


def senders_of(bad: NDArray[np.bool_], messages: Received) -> NDArray[np.float64]:
    """How many agents of each trial sent a bad record: float64, shape (trials,)."""
    trials, agents = messages.shape
    if not bad.any():
        return np.zeros(trials)
    senders = np.unique(messages.senders[bad])
    return np.bincount(senders // agents, minlength=trials).astype(np.float64)


def td_errors(
    q: NDArray[np.float64],
    table: NDArray[np.intp],
    records: NDArray[np.void],
    gamma: float,
) -> NDArray[np.float64]:
    """delta(u) = r + gamma (1 - terminated) max_b Q(s', b) - Q(s, a) of each record.

    Args:
        q: Tables, shape (tables, states, actions).
        table: Which table each record is judged by, shape (records,).
        records: Of dtype ``STEP``, shape (records,).
        gamma: The discount.

    Returns:
        float64, shape (records,).
    """
    _, states, actions = q.shape
    following, terminated = next_state_of(records)
    first = table * states
    ahead = np.where(terminated, 0.0, best_values(q).take(first + following))
    now = q.take((first + records["state"]) * actions + records["action"])
    return records["reward"] + gamma * ahead - now
