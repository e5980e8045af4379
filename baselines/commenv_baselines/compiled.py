"""Whole episodes on tables, compiled: the same numbers as step by step, only sooner.

The dynamics are the process's tables, read as data, and the random numbers are those
of :mod:`commenv.rng`, computed here from their addresses; so a row is played from its
start to its end before the next one, whoever else is in the batch.

Importing this module imports Numba and reads what it compiled the last time; the first
import compiles for some seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

__all__ = ["Dynamics", "Episodes", "Tables", "play", "uniform"]


class Dynamics(NamedTuple):
    """A process as the compiled code reads it; see ``TabularMDP`` for the shapes.

    Attributes:
        cuts: float64, shape (S, A, K - 1): where a uniform number changes the outcome
            (:func:`commenv.envs.flat.thresholds`).
        next_state: int64, shape (S, A, K).
        reward: float64, shape (S, A, K).
        terminated: bool, shape (S, A, K).
        limit: The time limit in steps.
    """

    cuts: NDArray[np.float64]
    next_state: NDArray[np.int64]
    reward: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    limit: int


class Tables(NamedTuple):
    """Policies, as the thresholds at which a uniform number changes the action.

    Attributes:
        thresholds: float64, shape (tables, S, A - 1).
        held: intp, shape (rows,): whose is which.
    """

    thresholds: NDArray[np.float64]
    held: NDArray[np.intp]


class Episodes(NamedTuple):
    """What is written while episodes are played.

    Attributes:
        records: Of ``tabular.STEP``, shape (room,): row by row, in time order.
        lengths: int64, shape (rows,).
        returns: float64, shape (rows,): without discount.
        discounted: float64, shape (rows,).
    """

    records: NDArray[np.void]
    lengths: NDArray[np.int64]
    returns: NDArray[np.float64]
    discounted: NDArray[np.float64]


def _compiled(function: Callable[..., Any]) -> Any:
    """Compiles a function, and keeps the result where a folder can be written to."""
    try:
        return numba.njit(cache=True)(function)
    except RuntimeError:  # no such folder
        return numba.njit(function)


_MULTIPLIERS = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
_FIRST_MULTIPLIER, _SECOND_MULTIPLIER = _MULTIPLIERS
_FIRST_BUMP, _SECOND_BUMP = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
_ROUNDS = 10
_UNUSED_BITS = np.uint64(11)
_TO_UNIT = 2.0**-53


def _upper_half(typing_context, one, other):  # type: ignore[no-untyped-def]
    """The upper half of a product of two 64-bit words, one instruction of most CPUs."""

    def build(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        wide = ir.IntType(128)
        product = builder.mul(*(builder.zext(word, wide) for word in arguments))
        upper = builder.lshr(product, ir.Constant(wide, 64))
        return builder.trunc(upper, ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), build


_high: Any = intrinsic(_upper_half)


@_compiled
def _philox(block, episode, first_key, second_key):  # type: ignore[no-untyped-def]
    """Four words of Philox4x64-10 (Salmon and others 2011), as NumPy counts them."""
    a, b, c, d = np.uint64(block + 1), np.uint64(0), np.uint64(episode), np.uint64(0)
    for _ in range(_ROUNDS):
        low, high = a * _FIRST_MULTIPLIER, _high(a, _FIRST_MULTIPLIER)
        other_low, other_high = c * _SECOND_MULTIPLIER, _high(c, _SECOND_MULTIPLIER)
        a, b, c, d = other_high ^ b ^ first_key, other_low, high ^ d ^ second_key, low
        first_key += _FIRST_BUMP
        second_key += _SECOND_BUMP
    return a, b, c, d


@_compiled
def uniform(index, words, episode, key):  # type: ignore[no-untyped-def]
    """The number at an index of the stream with this key and episode, in [0, 1).

    Args:
        index: From 0.
        words: uint64, shape (4,): the block that the index before was in; it is filled
            again where another begins.
        episode: Of the stream.
        key: uint64, shape (2,).
    """
    place = index % 4
    if place == 0:
        words[:] = _philox(index // 4, episode, key[0], key[1])
    return np.float64(words[place] >> _UNUSED_BITS) * _TO_UNIT


@_compiled
def play(dynamics, tables, starts, keys, world_keys, episode, gamma, first, out):  # type: ignore[no-untyped-def]
    """Plays an episode of one row after the other, for as long as there is room.

    Args:
        dynamics: The process.
        tables: The policies.
        starts: int64, shape (rows,): the first states.
        keys: uint64, shape (rows, 2): of the policies' numbers, one for each step.
        world_keys: The same of the worlds', whose number 0 the start has used; without
            rows where no step is random.
        episode: Which addresses the numbers of both.
        gamma: The discount.
        first: (row, record): where to begin.
        out: What is written, from there on.

    Returns:
        (row, record): where it ended. A row that found no room has to be played again.
    """
    row, begin = first
    room, random = len(out.records), len(world_keys) > 0
    thresholds, cuts = tables.thresholds, dynamics.cuts
    num_thresholds, num_cuts = thresholds.shape[2], cuts.shape[2]
    words, world_words = np.empty(4, np.uint64), np.empty(4, np.uint64)
    while row < len(starts):
        table, key = tables.held[row], keys[row]
        world_key = world_keys[row] if random else key
        state, total, discounted, discount = starts[row], 0.0, 0.0, 1.0
        if random:
            uniform(0, world_words, episode, world_key)
        length, ended = 0, False
        while not ended and length < dynamics.limit:
            if begin + length == room:
                return row, begin
            number = uniform(length, words, episode, key)
            action = 0
            for place in range(num_thresholds):
                action += number >= thresholds[table, state, place]
            outcome = 0
            if random:
                number = uniform(length + 1, world_words, episode, world_key)
                for place in range(num_cuts):
                    outcome += number >= cuts[state, action, place]
            following = dynamics.next_state[state, action, outcome]
            reward = dynamics.reward[state, action, outcome]
            ended = dynamics.terminated[state, action, outcome]
            step = out.records[begin + length]
            step.state, step.action, step.reward = state, action, reward
            step.next_state = ~following if ended else following
            total += reward
            discounted += discount * reward
            discount *= gamma
            length += 1
            state = following
        out.lengths[row], out.returns[row] = length, total
        out.discounted[row] = discounted
        begin += length
        row += 1
    return row, begin
