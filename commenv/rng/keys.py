"""Keys from ``SeedSequence``, over many spawn keys at once.

The generator of each agent has a key of its own, and to make 100,000 of them one by
one takes longer than some rounds of a study. The hash is M. E. O'Neill's, as NumPy
has it in ``numpy.random.SeedSequence``, which is promised not to change.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["spawned_keys"]

_POOL = 4
_SHIFT = np.uint32(16)
_LEFT, _RIGHT = np.uint32(0xCA01F9DD), np.uint32(0x4973F715)
_MIXING = (0x43B0D7E5, 0x931E8875)
_GENERATING = (0x8B51F9DD, 0x58F38DED)

Words = NDArray[np.uint32]


def spawned_keys(
    seed: int, spawn_keys: Sequence[int | NDArray[np.integer]]
) -> NDArray[np.uint64]:
    """What ``SeedSequence(seed, spawn_key=...).generate_state(2, np.uint64)`` gives.

    Args:
        seed: 0 or more.
        spawn_keys: The parts of the spawn key, each a number of 0 or more, or an array
            int64 of shape (n,), of numbers of 0 or more.

    Returns:
        uint64, shape (n, 2).
    """
    for place, part in enumerate(spawn_keys):
        if isinstance(part, np.ndarray) and (wide := part >= 2**32).any():
            return _of_both_widths(seed, spawn_keys, place, wide)
    entropy: list[Words] = [np.array([word], np.uint32) for word in _words(seed)]
    entropy += [np.zeros(1, np.uint32)] * (_POOL - len(entropy))
    for part in spawn_keys:
        if isinstance(part, np.ndarray):
            entropy.append(part.astype(np.uint32))
        else:
            entropy += [np.array([word], np.uint32) for word in _words(part)]
    pool = _mixed(entropy)
    hashed = _Hash(*_GENERATING)
    state = [hashed(word) for word in pool]
    words = np.stack(np.broadcast_arrays(*state), axis=-1).astype(np.uint64)
    return words[:, ::2] | words[:, 1::2] << np.uint64(32)


def _of_both_widths(
    seed: int,
    spawn_keys: Sequence[int | NDArray[np.integer]],
    place: int,
    wide: NDArray[np.bool_],
) -> NDArray[np.uint64]:
    """The keys where one part has numbers of one word and of two."""
    keys = np.empty((len(wide), 2), np.uint64)
    for words, which in ((1, ~wide), (2, wide)):
        parts = [
            part[which] if isinstance(part, np.ndarray) else part for part in spawn_keys
        ]
        number = parts[place]
        split = [number >> 32 * word & 0xFFFFFFFF for word in range(words)]
        if which.any():
            keys[which] = spawned_keys(
                seed, [*parts[:place], *split, *parts[place + 1 :]]
            )
    return keys


def _mixed(entropy: list[Words]) -> list[Words]:
    """The pool of four words after all of the entropy has gone in."""
    hashed = _Hash(*_MIXING)
    pool = [hashed(word) for word in entropy[:_POOL]]
    for source in range(_POOL):
        for place in range(_POOL):
            if place != source:
                pool[place] = _joined(pool[place], hashed(pool[source]))
    for word in entropy[_POOL:]:
        for place in range(_POOL):
            pool[place] = _joined(pool[place], hashed(word))
    return pool


class _Hash:
    """A hash of words whose constant changes from call to call."""

    def __init__(self, constant: int, factor: int) -> None:
        self._constant = constant
        self._factor = factor

    def __call__(self, words: Words) -> Words:
        mixed = words ^ np.uint32(self._constant)
        self._constant = self._constant * self._factor % 2**32
        mixed *= np.uint32(self._constant)
        return mixed ^ mixed >> _SHIFT


def _joined(one: Words, other: Words) -> Words:
    joined = one * _LEFT - other * _RIGHT
    return joined ^ joined >> _SHIFT


def _words(number: int) -> list[int]:
    """A number's 32-bit words, the lowest first; 0 has one."""
    words = [number % 2**32]
    while number := number >> 32:
        words.append(number % 2**32)
    return words
