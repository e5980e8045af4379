"""When a block's state is kept, so that a study that is killed loses little."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from commenv.checks import check_integer, check_number
from commenv.snapshots import Snapshot
from commenv.study.storage.checkpoint import packed

__all__ = ["Checkpoints", "Schedule"]


@dataclass(frozen=True)
class Schedule:
    """How often a block's state is kept; whichever comes first.

    Args:
        episodes: After each so many episodes; None to go by the clock alone.
        minutes: After so many minutes, at the end of an episode; infinite for never.

    Raises:
        ValueError: Fewer than 1 episode, or not more than 0 minutes.
    """

    episodes: int | None = None
    minutes: float = 1.0

    def __post_init__(self) -> None:
        if self.episodes is not None:
            check_integer("checkpoint_episodes", self.episodes, None)
            if self.episodes < 1:
                raise ValueError(
                    f"a checkpoint after each {self.episodes} episodes; use 1 or more"
                )
        check_number("checkpoint_minutes", self.minutes, -math.inf)
        if not self.minutes > 0:
            raise ValueError(
                f"a checkpoint after each {self.minutes} minutes; use more than 0, or "
                "inf for none"
            )


class Checkpoints:
    """Keeps the snapshots of one block.

    Args:
        schedule: When.
        write: Takes the content of a file.
        about: What the block is, a part of the file.
    """

    def __init__(
        self,
        schedule: Schedule,
        write: Callable[[bytes], None],
        about: Mapping[str, Any] | None = None,
    ) -> None:
        self._schedule = schedule
        self._write = write
        self._about = dict(about or {})
        self._last = time.monotonic()

    def due(self, episode: int) -> bool:
        """Whether the state after this episode, counted from 0, is to be kept."""
        each = self._schedule.episodes or math.inf
        elapsed = time.monotonic() - self._last
        return (episode + 1) % each == 0 or elapsed >= 60 * self._schedule.minutes

    def keep(self, snapshot: Snapshot) -> None:
        """Keeps a state."""
        self._write(packed({"about": self._about, "state": snapshot}))
        self._last = time.monotonic()
