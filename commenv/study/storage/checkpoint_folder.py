"""Where the states of unfinished blocks are kept: the newest, and the one before it.

    DIR/checkpoints/00-dql/trials-00000-00024.newest
    DIR/checkpoints/00-dql/trials-00000-00024.before

They are gone once the block is finished.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from commenv.errors import ResultsError
from commenv.snapshots import Snapshot
from commenv.study.storage.checkpoint import unpacked
from commenv.study.storage.files import make_folder, usable, write_atomically
from commenv.study.storage.names import arm_folder, block_name, trials_in
from commenv.study.storage.safe_files import listed, read_file

__all__ = ["ACTORS", "CheckpointFolder"]

ACTORS = "actors"
"""Under which name a checkpoint says over how many actors its agents were spread."""

_NEWEST, _BEFORE = ".newest", ".before"
_logger = logging.getLogger("commenv")


class CheckpointFolder:
    """The checkpoints of a results folder.

    Args:
        directory: The results folder.
        check_ours: Raises ResultsError where nothing may be written to it any more.
    """

    def __init__(
        self, directory: Path, check_ours: Callable[[], None] = lambda: None
    ) -> None:
        self._directory = directory
        self._check_ours = check_ours

    def begun(self, arm: int) -> list[range]:
        """The trials of each of an arm's blocks that has a checkpoint."""
        found = {
            trials
            for path in self.paths(f"{arm:02d}-")
            if path.suffix in (_NEWEST, _BEFORE) and (trials := trials_in(path))
        }
        return sorted(found, key=lambda trials: (trials.start, trials.stop))

    def paths(self, prefix: str = "") -> list[Path]:
        """The files of all states that are kept, of arms whose folder begins so.

        Raises:
            ResultsError: A folder on the way is a link.
        """
        found = listed(self._directory, "checkpoints", prefix)
        return [path for path in found if path.name.startswith("trials-")]

    def content(self, path: Path) -> Snapshot:
        """What a file holds.

        Raises:
            ResultsError: It is damaged or none of ours.
            OSError: It cannot be read; see
                :func:`commenv.study.storage.safe_files.open_regular`.
        """
        return unpacked(read_file(path, within=self._directory))

    def write(self, arm: int, label: str, trials: Sequence[int], data: bytes) -> None:
        """Keeps a block's state; the newest one until now becomes the one before it.

        Raises:
            ResultsError: The folder cannot be written to.
        """
        newest, before = self._paths(arm, label, trials)
        with usable(self._directory):
            self._check_ours()
            make_folder(self._directory, newest.parent)
            with contextlib.suppress(FileNotFoundError):
                os.replace(newest, before)
            write_atomically(newest, data)

    def read(
        self, arm: int, label: str, trials: Sequence[int], about: dict[str, Any]
    ) -> Snapshot | None:
        """The newest state of a block that can be used; None where there is none.

        The log names each that cannot be.

        Args:
            arm: The arm's place in the study.
            label: Its label.
            trials: The block's trials.
            about: What must have been said about the state when it was kept.

        Raises:
            ResultsError: The newest one was kept with another number of actors.
        """
        for path in self._paths(arm, label, trials):
            try:
                return _state(path, self.content(path), about)
            except FileNotFoundError:
                continue
            except _OtherActorsError:
                raise
            except (ResultsError, OSError) as error:
                _logger.warning(
                    "the checkpoint %s is of no use (%s); trials %d to %d go on from "
                    "an earlier state",
                    path,
                    error,
                    trials[0],
                    trials[-1],
                )
        return None

    def remove(self, arm: int, label: str, trials: Sequence[int]) -> None:
        """Forgets a block's states, since it is finished."""
        with usable(self._directory):
            for path in self._paths(arm, label, trials):
                path.unlink(missing_ok=True)

    def _paths(self, arm: int, label: str, trials: Sequence[int]) -> tuple[Path, Path]:
        folder = self._directory / "checkpoints" / arm_folder(arm, label)
        stem = folder / block_name(trials)
        return stem.with_suffix(_NEWEST), stem.with_suffix(_BEFORE)


class _OtherActorsError(ResultsError):
    """A state that is of use, but not to this run."""


def _state(path: Path, tree: Snapshot, about: dict[str, Any]) -> Snapshot:
    said = tree.get("about")
    if not _is(said, about):
        if isinstance(said, dict) and _is({**said, ACTORS: about.get(ACTORS)}, about):
            raise _OtherActorsError(
                f"{path} was kept with {_actors(said.get(ACTORS))}, and this run has "
                f"{_actors(about.get(ACTORS))}; use as many to go on from it, or "
                "delete it and the one beside it to begin these trials again"
            )
        raise ResultsError("it is of another version of commenv, or of another study")
    state = tree.get("state")
    if not isinstance(state, dict):
        raise ResultsError("it has no state")
    return state


def _actors(count: object) -> str:
    return f"{count} actors" if count else "no actors"


def _is(given: Any, about: dict[str, Any]) -> bool:
    try:
        return bool(given == about)
    except ValueError:  # an array, which is neither equal nor unequal as a whole
        return False
