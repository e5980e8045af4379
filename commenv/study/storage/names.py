"""What the files of a block are called, in every kind of folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

__all__ = ["arm_folder", "block_name", "trials_in", "words_for"]

_BLOCK = re.compile(r"trials-(\d{1,9})-(\d{1,9})")


def arm_folder(arm: int, label: str) -> str:
    """The folder of a study's arm, such as ``"00-dql"``."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", label).strip("-")
    return f"{arm:02d}-{words[:60]}"


def block_name(trials: Sequence[int]) -> str:
    """A block of consecutive trials, such as ``"trials-00000-00024"``."""
    return f"trials-{trials[0]:05d}-{trials[-1]:05d}"


def trials_in(path: Path) -> range | None:
    """The trials that a block's file holds by its name; None for other names."""
    match = _BLOCK.fullmatch(path.stem)
    return range(int(match[1]), int(match[2]) + 1) if match else None


def words_for(label: str, trials: Sequence[int]) -> str:
    """A block in messages, such as ``dql:0-24``, or ``dql:3`` for a single trial."""
    first, last = trials[0], trials[-1]
    return f"{label}:{first}" + (f"-{last}" if last > first else "")
