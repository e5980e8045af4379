"""Reading a results folder: its manifest, and the tables of its finished blocks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from commenv.checks import path_of
from commenv.errors import MissingExtraError, ResultsError
from commenv.study.storage.checksums import Digest
from commenv.study.storage.files import usable
from commenv.study.storage.frame import validate
from commenv.study.storage.manifest import (
    Manifest,
    digest_of_settings,
    read_manifest,
)
from commenv.study.storage.names import arm_folder, block_name, trials_in
from commenv.study.storage.safe_files import listed
from commenv.study.storage.stored_block import StoredBlock

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["StoredStudy"]


class StoredStudy:
    """A results folder that is read.

    Args:
        directory: The folder.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = path_of("a folder", directory)
        self._manifest: Digest | None = None
        self._settings: Digest | None = None
        self._rounds: int | None = None

    @property
    def manifest_path(self) -> Path:
        """Where the settings stand."""
        return self.directory / "manifest.json"

    def manifest(self) -> Manifest:
        """The manifest, checked.

        Raises:
            ResultsError: There is none, it is not ours or damaged, or it is another
                than when it was first read.
        """
        manifest, found = read_manifest(self.manifest_path)
        if self._manifest not in (None, found):
            raise ResultsError(
                f"{self.manifest_path} was replaced since it was first read; repeat the"
                " command, or choose another folder"
            )
        if self._manifest is None:
            self._settings = digest_of_settings(manifest)
            self._rounds = manifest.study.num_episodes
        self._manifest = found
        return manifest

    @property
    def trials(self) -> range:
        """The numbers of the trials that belong into the folder.

        Raises:
            ResultsError: The manifest is damaged.
        """
        return self.manifest().study.trials

    @property
    def rounds(self) -> int:
        """How many rounds each trial is to have.

        Raises:
            ResultsError: The manifest is damaged.
        """
        if self._rounds is None:
            self.manifest()
        assert self._rounds is not None
        return self._rounds

    def block(self, path: Path) -> StoredBlock:
        """A finished block, by the file of its table."""
        return StoredBlock(self.directory, path, self._settings_digest())

    def kept_labels(self) -> list[str]:
        """The labels of the study that is kept, in its order; none if there is none.

        Raises:
            ResultsError: The manifest is not ours, or damaged, or cannot be read.
        """
        with usable(self.directory):
            if not self.manifest_path.exists():
                return []
        return self.manifest().study.labels

    def finished(self, arm: int) -> set[int]:
        """The trials of an arm that are there with all rounds, as they were written.

        Raises:
            ResultsError: A block is damaged.
        """
        there = self.blocks(arm).items()
        return {trial for trial, block in there if block.seal.rounds >= self.rounds}

    def outgrown(self, arm: int) -> list[range]:
        """The trials of each block of an arm that has fewer rounds than the study now.

        Raises:
            ResultsError: A block's checksums are missing or damaged.
        """
        return [
            trials
            for path in self.block_paths(arm)
            if self.block(path).seal.rounds < self.rounds
            and (trials := trials_in(path))
        ]

    def blocks(self, arm: int) -> dict[int, StoredBlock]:
        """The block that holds each finished trial of an arm.

        Raises:
            ResultsError: One is damaged.
        """
        found: dict[int, StoredBlock] = {}
        for path in self.block_paths(arm):
            block = self.block(path)
            found = dict.fromkeys(block.trials(), block) | found
        return found

    def block_paths(self, arm: int) -> list[Path]:
        """The files of an arm's blocks, in the order of their trials.

        Raises:
            ResultsError: A folder on the way is a link.
        """
        return [
            path
            for path in listed(self.directory, "blocks", f"{arm:02d}-")
            if path.name.startswith("trials-") and path.suffix == ".parquet"
        ]

    def trace_folder(self, arm: int, label: str, trials: Sequence[int]) -> Path:
        """Where the trace of a block of consecutive trials goes."""
        folder = self.directory / "trace" / arm_folder(arm, label)
        return folder / block_name(trials)

    def frame(self) -> pd.DataFrame:
        """All rows that are there, ordered by arm, trial and episode.

        Raises:
            ResultsError: No block is there yet, or one is damaged.
            MissingExtraError: The extra ``study`` is not installed.
        """
        try:
            import pandas as pd
            import pyarrow.parquet  # noqa: F401
        except ImportError as error:
            raise MissingExtraError("reading results", "study") from error
        parts = []
        for arm, label in enumerate(self.manifest().study.labels):
            blocks = [
                self._read_labelled(path, label) for path in self.block_paths(arm)
            ]
            if blocks:
                joined = blocks[0]
                if len(blocks) > 1:
                    joined = pd.concat(blocks, ignore_index=True)
                blocks.clear()  # a table is as large as a study's other memory
                if not _are_in_order(joined):
                    key = ["trial", "episode"]
                    joined = joined.drop_duplicates(key).sort_values(key, kind="stable")
                    joined = joined.reset_index(drop=True)
                parts.append(joined)
        if not parts:
            raise self._empty()
        frame = pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]
        validate(frame)
        return frame

    def sizes(self) -> pd.DataFrame:
        """How large the messages of all trials that are there were.

        Returns:
            A frame of :data:`commenv.study.storage.sizes.SIZE_COLUMNS`, each trial
            once.

        Raises:
            ResultsError: No block is there yet, a block was stored without its sizes,
                or one is damaged.
        """
        import pandas as pd

        parts = []
        for arm in range(len(self.manifest().study.arms)):
            known: set[int] = set()
            for path in self.block_paths(arm):
                block = self.block(path)
                trials = set(block.trials()) - known
                part = block.sizes() if trials else None
                if part is not None:
                    parts.append(part[part["trial"].isin(trials)])
                known |= trials
        if not parts:
            raise self._empty()
        return pd.concat(parts, ignore_index=True)

    def pruned(self) -> dict[str, list[int]]:
        """The trials of each label that a callback stopped; no label without any.

        Raises:
            ResultsError: A block's checksums are missing or damaged.
        """
        found = {}
        for arm, label in enumerate(self.manifest().study.labels):
            blocks = map(self.block, self.block_paths(arm))
            if trials := {trial for block in blocks for trial in block.seal.pruned}:
                found[label] = sorted(trials)
        return found

    def _empty(self) -> ResultsError:
        return ResultsError(
            f"{self.directory} holds no finished block yet; run the study again "
            "to go on with it"
        )

    def _settings_digest(self) -> Digest:
        if self._settings is None:
            self.manifest()
        assert self._settings is not None
        return self._settings

    def _read_labelled(self, path: Path, label: str) -> pd.DataFrame:
        """A block whose rows all have the label that the manifest gives its arm."""
        table = self.block(path).table()
        if not (table["label"] == label).all():
            raise ResultsError(
                f"{path} is damaged (its label is not {label!r} throughout); delete it "
                "and run the study again"
            )
        return table


def _are_in_order(rows: pd.DataFrame) -> bool:
    """Whether rows stand by trial and episode, and none stands there twice."""
    trial, episode = (rows[name].to_numpy() for name in ("trial", "episode"))
    same = trial[1:] == trial[:-1]
    later = (trial[1:] > trial[:-1]) | (same & (episode[1:] > episode[:-1]))
    return bool(later.all())
