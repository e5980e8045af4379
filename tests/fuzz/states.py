"""Checkpoints as a target: their file format."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from functools import cache

from commenv.errors import ResultsError
from commenv.study.execution.checkpoints import Schedule
from commenv.study.storage.checkpoint import unpacked
from tests.fuzz.mutation import changed, changed_safetensors
from tests.fuzz.target import Target
from tests.study.blocks import CHANNELS, kept, study

__all__ = ["TARGETS"]

_MAGIC = b"commenv-state-1\n"
_START = len(_MAGIC) + hashlib.sha256().digest_size
_WORDS = (b"commenv-state-1", b"\xff", b"\0")


@cache
def _states() -> list[bytes]:
    """The states of two small blocks, after each of their rounds."""
    blocks = [study("dql"), study("dql", CHANNELS["queue"])]
    return [one for block in blocks for one in kept(block, Schedule(episodes=3))[1]]


def sealed(data: bytes) -> bytes:
    """A file of changed content whose checksum is right, so that more of it is read."""
    body = data[_START:]
    return _MAGIC + hashlib.sha256(body).digest() + body


def _changed(rng: random.Random, known: Sequence[bytes]) -> bytes:
    """A changed file; its checksum is put right, nearly always."""
    if rng.random() < 0.05:
        return changed(rng, known, words=_WORDS)
    body = changed_safetensors(rng, [one[_START:] for one in known])
    return sealed(known[0][:_START] + body)


TARGETS = (
    Target("state", unpacked, _states, (ResultsError,), changes=_changed, share=40),
)
