"""Checkpoints that somebody has tampered with: right checksum, any contents."""

from __future__ import annotations

import copy
import functools
import warnings

import numpy as np

from commenv.errors import CommenvError, EncodingError, ResultsError
from commenv.study.execution.checkpoints import Schedule
from commenv.study.execution.sharding import CrewHere, Shards
from commenv.study.storage.checkpoint import unpacked
from tests.study.blocks import CHANNELS, CODECS, kept, measured, study

STUDIES = {
    **{name: ("dql", channels) for name, channels in CHANNELS.items()},
    **{name: ("davia", channels) for name, channels in CODECS.items()},
    "ebcdql": ("ebcdql", {}),
    "es": ("es", CHANNELS["chain"]),
    "espc": ("espc", CHANNELS["queue"]),
    "stopped": ("now and then", {"stop": {"messages": 2}, "evaluate_every": 2}),
}
IN_SHARDS = {"queue in shards": "queue", "acknowledged in shards": "acknowledged"}
INTEGERS = (-1, 0, 1, 2, 7, 255, 2**31, 2**53, 2**62, -(2**62))
REALS = (np.nan, np.inf, -np.inf, -1.0, 0.0, 0.5, 1e9, 1e308)
DTYPES = ("<f8", "<i8", "<i4", "<f4", ">i8", "?")
LEAVES = (
    *(None, True, False, *INTEGERS, 2**64 - 1, *REALS, "", "0", "9" * 9, b"x"),
    *([], {}, [0], {"x": 0}, [[]] * 3),
    *(np.zeros(0), np.zeros((2**40, 0)), np.zeros((0, 2**40)), np.array(3)),
    *(np.ones(8, bool), np.ones((2, 4)), np.arange(8), np.array(["x", "y"])),
    *(np.dtype("u1"), np.dtype([("x", "<f8")]), np.dtype([("x", "u1", (2**31 - 9,))])),
)


def setting(name):
    """A tiny study, and how its block is run."""
    how = {"shards": Shards(2, CrewHere)} if name in IN_SHARDS else {}
    algorithm, channels = STUDIES[IN_SHARDS.get(name, name)]
    return study(algorithm, **_settings(channels)), how


def _settings(channels):
    if "stop" in channels:
        return channels
    return {"channels": channels}


@functools.cache
def files(name):
    """The real checkpoints of a study, one after each round."""
    one, how = setting(name)
    return kept(one, Schedule(episodes=1), **how)[1]


def paths(tree, at=()):
    """The places of everything in a tree."""
    if at:
        yield at
    if isinstance(tree, dict):
        for name, inner in tree.items():
            yield from paths(inner, (*at, name))
    elif isinstance(tree, list):
        for position, inner in enumerate(tree):
            yield from paths(inner, (*at, position))


def inside(tree, at):
    for name in at:
        tree = tree[name]
    return tree


def forged(tree, rng):
    """A tree with one or two things in it that were not there."""
    tree = copy.deepcopy(tree)
    for _ in range(int(rng.integers(1, 3))):
        places = list(paths(tree))
        at = places[rng.integers(len(places))]
        parent, name = inside(tree, at[:-1]), at[-1]
        match rng.integers(10):
            case 0:
                del parent[name]
            case 1:
                extra = _leaf(rng)
                if isinstance(parent, dict):
                    parent[str(rng.integers(3))] = extra
                else:
                    parent.append(extra)
            case 2:
                parent[name] = _leaf(rng)
            case 3:
                other = places[rng.integers(len(places))]
                parent[name] = copy.deepcopy(inside(tree, other))
            case _:
                parent[name] = _changed(parent[name], rng)
    return tree


def _leaf(rng):
    return copy.deepcopy(LEAVES[rng.integers(len(LEAVES))])


def _changed(leaf, rng):
    """Something much like it."""
    if isinstance(leaf, np.ndarray):
        return _changed_array(leaf, rng)
    if isinstance(leaf, bool) or leaf is None or isinstance(leaf, str):
        return _leaf(rng)
    if isinstance(leaf, list) and leaf:
        return leaf + copy.deepcopy(leaf[:1])
    if isinstance(leaf, int):
        return leaf + INTEGERS[rng.integers(len(INTEGERS))]
    return _leaf(rng)


def _changed_array(leaf, rng):
    kind = rng.integers(5)
    if kind == 0:
        return leaf[..., None] if rng.random() < 0.5 else leaf.reshape(-1)
    if kind == 1:
        return np.concatenate([leaf, leaf]) if rng.random() < 0.5 else leaf[:-1]
    if kind == 2 and leaf.dtype.names is None:
        with np.errstate(all="ignore"):
            return leaf.astype(DTYPES[rng.integers(len(DTYPES))])
    if leaf.size == 0:
        return np.zeros((1,) * leaf.ndim, leaf.dtype)
    flat = leaf.reshape(-1).view(np.uint8).copy()
    if leaf.dtype.names is None and rng.random() < 0.7:
        values = REALS if leaf.dtype.kind == "f" else INTEGERS
        which = rng.random(leaf.size) < rng.choice([0.2, 1.0])
        new = leaf.reshape(-1).copy()
        with np.errstate(all="ignore"):
            new[which] = np.array(values[rng.integers(len(values))]).astype(leaf.dtype)
        return new.reshape(leaf.shape)
    flat[rng.integers(len(flat))] ^= 1 << rng.integers(8)
    return flat.view(leaf.dtype).reshape(leaf.shape)


class Diverged(Exception):
    """Numbers that can be, and that no study can go on with."""


def go_on(name, data):
    """Reads a file and goes on from it to the end.

    Raises:
        ResultsError: As is proper for a file that is not this block's.
        Diverged: The numbers in it are such that the study would have failed, too.
    """
    one, how = setting(name)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        tree = unpacked(data)
        if not isinstance(tree.get("state"), dict):
            raise ResultsError("it has no state")
        played = []
        try:
            measured(one, resume=tree["state"], report=played.append, **how)
        except ResultsError:
            if len(played) > 1:
                raise AssertionError("noticed rounds later") from None
            raise
        except (CommenvError, ValueError) as error:
            if isinstance(error, EncodingError) or "NaN" in str(error):
                raise Diverged from error
            raise


def checkpoint_target(data: bytes) -> None:
    """What a fuzzer calls: any bytes as the checkpoint of a tiny block.

    Raises:
        Exception: Only of what is wrong with the code; what is wrong with the file is
            expected.
    """
    try:
        go_on("plain", data)
    except (ResultsError, Diverged):
        return
