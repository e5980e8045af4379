"""The folder that a study is kept in: a manifest, and files for each block of trials.

    DIR/manifest.json           what the study is, and what ran it
    DIR/blocks/00-dql/...       what was measured; see :mod:`.stored_block`
    DIR/policies, DIR/sizes, DIR/trace
                                what else is kept of each block
    DIR/checksums/00-dql/...    of all that, and of the manifest
    DIR/checkpoints/00-dql/...  the states of blocks that are being run

A file is either whole or not there, so a study that was stopped at any moment goes on
from the blocks that it has. Nothing in the folder that leads out of it is followed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from commenv.errors import ResultsError
from commenv.study.spec import Study
from commenv.study.storage.checkpoint_folder import ACTORS, CheckpointFolder
from commenv.study.storage.checksums import (
    MANIFEST,
    TRACE,
    Digest,
    digest,
    digest_of,
    is_as_written,
    packed_seal,
)
from commenv.study.storage.files import make_folder, remove, usable, write_atomically
from commenv.study.storage.frame import Bounds
from commenv.study.storage.lock import LOCK, Lock
from commenv.study.storage.manifest import (
    GROWING,
    Manifest,
    brief,
    check_same,
    packed_manifest,
)
from commenv.study.storage.names import arm_folder, block_name
from commenv.study.storage.provenance import software
from commenv.study.storage.safe_files import listed
from commenv.study.storage.safe_parquet import packed_table
from commenv.study.storage.schema import StudySettings
from commenv.study.storage.stored_block import ENDINGS, StoredBlock
from commenv.study.storage.stored_study import StoredStudy
from commenv.study.storage.weights import Memory, packed

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Store"]


class Store(StoredStudy):
    """A results folder.

    Args:
        directory: The folder; made by :meth:`begin` if need be.
        lock: Of the run that writes to it, if one does.

    Attributes:
        checkpoints: Of the blocks that are being run.
        written: Bytes of finished blocks that were written so far.
    """

    def __init__(self, directory: str | Path, lock: Lock | None = None) -> None:
        super().__init__(directory)
        self.checkpoints = CheckpointFolder(self.directory, self.check_ours)
        self._lock = lock
        self.written = 0
        self._digests: dict[str, dict[str, Digest]] = {}

    def begin(
        self,
        study: Study,
        optima: dict[str, float | None],
        ranges: dict[str, dict[str, Bounds]] | None = None,
    ) -> Manifest:
        """Makes the folder for a study, or finds it begun with the same settings.

        Raises:
            ResultsError: The folder holds something else, or cannot be written to.
        """
        planning = [
            arm.label for arm in study.arms if arm.algorithm.plans or arm.scheme.plans
        ]
        settings = StudySettings.of(study)
        return self._begin(settings, optima, software(), ranges or {}, planning)

    def begin_as(self, settings: StudySettings, like: Manifest) -> Manifest:
        """Makes the folder for a study of these settings, or finds it begun.

        Args:
            settings: The study's.
            like: Holds all that a manifest says beside it.

        Raises:
            ResultsError: As :meth:`begin` does.
        """
        return self._begin(settings, like.optima, like.software, like.ranges, ())

    def _begin(
        self,
        settings: StudySettings,
        optima: dict[str, float | None],
        by: dict[str, str],
        ranges: dict[str, dict[str, Bounds]],
        planning: Sequence[str],
    ) -> Manifest:
        with usable(self.directory):
            if self._is_new():
                self.directory.mkdir(parents=True, exist_ok=True)
                data = packed_manifest(settings, optima, by, ranges)
                write_atomically(self.manifest_path, data)
            self._grow(settings, planning)
            manifest = self.manifest()
            check_same(self.directory, manifest.study, settings)
            self.tidy()
        return manifest

    def _grow(self, settings: StudySettings, planning: Sequence[str]) -> None:
        """Takes up that a study is to have more trials or rounds than before.

        Raises:
            ResultsError: Fewer, or more rounds for arms that plan with their number.
        """
        old = self.manifest()
        asked = {name: getattr(settings, name) for name in GROWING}
        had = {name: getattr(old.study, name) for name in GROWING}
        if asked == had:
            return
        for name, unit in zip(GROWING, ("trials", "rounds"), strict=True):
            if asked[name] < had[name] and not self._may_shrink_to(name, asked[name]):
                raise ResultsError(
                    f"{self.directory} is a study of {had[name]} {unit}; their number "
                    "is a total, so give as many or more, or choose another folder"
                )
        grown = msgspec.structs.replace(old.study, **asked)
        if grown != settings:
            return
        if planning and asked["num_episodes"] > had["num_episodes"]:
            raise ResultsError(
                f"{self.directory} is a study of {had['num_episodes']} rounds, and "
                f"what {planning[0]} does in a round depends on how many are planned, "
                "so it gets no more; choose another folder"
            )
        data = packed_manifest(grown, old.optima, old.software, old.ranges)
        self.check_ours()
        write_atomically(self.manifest_path, data)
        self._manifest = None

    def _may_shrink_to(self, name: str, asked: int) -> bool:
        """Whether nothing in the folder has more rounds than are asked for now.

        So a study that was to get more rounds, and got none, can be left as it was.
        """
        if name != "num_episodes" or self.checkpoints.paths():
            return False
        arms = range(len(self.manifest().study.arms))
        blocks = (self.block(path) for arm in arms for path in self.block_paths(arm))
        return all(block.seal.rounds <= asked for block in blocks)

    def _is_new(self) -> bool:
        """Whether there is no manifest yet, and nothing of anybody else."""
        try:
            names = {path.name for path in self.directory.iterdir()}
        except FileNotFoundError:
            return True
        name = self.manifest_path.name
        if name in names:
            return False
        if others := {one for one in names if not one.startswith((LOCK, f".{name}."))}:
            raise ResultsError(
                f"{self.directory} holds other files ({brief.repr(min(others))}) and "
                f"no {name}; choose a new or empty folder"
            )
        return True

    def check_ours(self) -> None:
        """Checks that the folder is still the one that this run began with.

        Raises:
            ResultsError: It was removed or replaced, or its manifest was.
        """
        if self._lock is not None:
            self._lock.check()
        # Every file that is written asks, and a manifest of many arms is long to parse.
        if self._manifest is None or not self._is_manifest(self._manifest):
            self.manifest()

    def _is_manifest(self, known: Digest) -> bool:
        """Whether the manifest's file is still the one that was read."""
        try:
            return is_as_written(self.manifest_path, known, self.directory)
        except OSError:
            return False

    def outgrown_block(
        self, arm: int, label: str, trials: Sequence[int]
    ) -> StoredBlock | None:
        """What is there of a block, if it has fewer rounds than the study has now.

        Raises:
            ResultsError: The folder was removed or replaced.
        """
        self.check_ours()
        name = f"{arm_folder(arm, label)}/{block_name(trials)}.parquet"
        path = self.directory / "blocks" / name
        if not path.exists() or not self._is_outgrown(path):
            return None
        return self.block(path)

    def forget(self, block: StoredBlock) -> None:
        """Removes a block's table, which says that all is there, before a longer one.

        Raises:
            ResultsError: Nothing may be changed in the folder any more.
        """
        with usable(self.directory):
            self.check_ours()
            block.path.unlink(missing_ok=True)

    def write_block(
        self,
        arm: int,
        label: str,
        table: pa.Table,
        computed_by: Mapping[str, str] | None = None,
        pruned: Sequence[int] = (),
    ) -> Path:
        """Keeps a block of consecutive trials, and checksums of all that is kept of it.

        Args:
            arm: The arm's place in the study.
            label: Its label.
            table: What was measured.
            computed_by: What :func:`commenv.study.storage.provenance.software` gave
                where that was; what it gives here when left out.
            pruned: Its trials that a callback stopped.

        Raises:
            ResultsError: The folder cannot be written to.
        """
        trials = table.column("trial").to_numpy()
        ends = trials.min(), trials.max()
        name = f"{arm_folder(arm, label)}/{block_name(ends)}"
        data = packed_table(table)
        self.check_ours()
        files = {MANIFEST: self._settings_digest(), "blocks": digest(data)}
        files |= self._digests.pop(name, {})
        files |= self._trace_digests(self.trace_folder(arm, label, ends))
        by = software() if computed_by is None else computed_by
        path = self.directory / "blocks" / f"{name}.parquet"
        sealed = packed_seal(files, by, pruned, self.rounds)
        self._write(self.block(path).beside("checksums"), sealed)
        self._write(path, data)
        self.checkpoints.remove(arm, label, ends)
        return path

    def adopt(self, block: StoredBlock) -> None:
        """Takes over a block from the folder of another shard of the same study.

        Raises:
            ResultsError: One of its files is not as it was written, or this folder
                cannot be written to.
        """
        seal, files = block.seal, {}
        for name, path in block.files().items():
            if name != "blocks":
                files[path] = block.content(name)
        sealed = packed_seal(seal.files, seal.software, seal.pruned, seal.rounds)
        files[block.beside("checksums")] = sealed
        files[block.path] = block.content("blocks")  # last: it says that all is there
        for path, data in files.items():
            assert data is not None
            self._write(self.directory / path.relative_to(block.root), data)

    def write_sizes(
        self, arm: int, label: str, trials: Sequence[int], table: pa.Table
    ) -> Path:
        """Keeps how large a block's messages were; call it before :meth:`write_block`.

        Args:
            arm: The arm's place in the study.
            label: Its label.
            trials: The block's trials, which are consecutive.
            table: The histogram, with the columns of
                :data:`commenv.study.storage.sizes.SIZE_COLUMNS`.

        Raises:
            ResultsError: The folder cannot be written to.
        """
        return self._write_beside("sizes", arm, label, trials, packed_table(table))

    def write_policies(
        self, arm: int, label: str, trials: Sequence[int], memory: Memory
    ) -> Path:
        """Keeps what a block's learners learned; call it before :meth:`write_block`.

        Raises:
            ResultsError: The folder cannot be written to.
        """
        return self._write_beside("policies", arm, label, trials, packed(memory))

    def about_checkpoints(
        self, arm: int, label: str, trials: Sequence[int], actors: int = 0
    ) -> dict[str, Any]:
        """What a block's checkpoint must say about itself to be of use here.

        Args:
            arm: The arm's place in the study.
            label: Its label.
            trials: The block's trials.
            actors: Over how many its agents are spread; 0 for one batch.

        Raises:
            ResultsError: The folder was removed.
        """
        block = [arm, label, trials[0], trials[-1]]
        return {**self.about_states(), "block": block, ACTORS: actors}

    def about_states(self) -> dict[str, str]:
        """What every checkpoint must say about itself to be of use here."""
        return {
            "commenv": software()["commenv"],
            "manifest": self._settings_digest().sha256,
        }

    def _write_beside(
        self, kind: str, arm: int, label: str, trials: Sequence[int], data: bytes
    ) -> Path:
        """Writes a file of a block that is to come, and remembers its checksum."""
        name = f"{arm_folder(arm, label)}/{block_name(trials)}"
        self._digests.setdefault(name, {})[kind] = digest(data)
        block = self.block(self.directory / "blocks" / f"{name}.parquet")
        return self._write(block.beside(kind), data)

    def _trace_digests(self, folder: Path) -> dict[str, Digest]:
        """Of the files of a block's trace, if it has one."""
        with usable(self.directory):
            return {
                f"{TRACE}{path.name}": digest_of(path, self.directory)
                for path in (sorted(folder.iterdir()) if folder.is_dir() else ())
            }

    def _write(self, path: Path, data: bytes) -> Path:
        with usable(self.directory):
            self.check_ours()
            make_folder(self.directory, path.parent)
            write_atomically(path, data)
        self.written += len(data)
        return path

    def tidy(self) -> None:
        """Removes what a killed run left half done; fails where nothing may change.

        Raises:
            ResultsError: The folder was replaced, or something in it leads out of it.
            OSError: Nothing can be written to it.
        """
        self.check_ours()
        with tempfile.TemporaryFile(dir=self.directory):
            pass
        kinds = ("blocks", "checkpoints", *ENDINGS, "trace")
        found = {kind: listed(self.directory, kind) for kind in kinds}
        halves = list(self.directory.glob(f".{self.manifest_path.name}.*"))
        for kind, paths in found.items():
            halves += [path for path in paths if self._is_over(kind, path)]
        for path in halves:
            remove(path)

    def _is_over(self, kind: str, path: Path) -> bool:
        """Whether a file, or a trace's folder, is half done or of no use any more."""
        if path.name.startswith((".trials-", ".draft.")):
            return True
        if kind == "blocks" or not path.name.startswith("trials-"):
            return False
        block = self.directory / "blocks" / path.parent.name / f"{path.stem}.parquet"
        if kind == "checkpoints":
            return block.exists() and not self._is_outgrown(block)
        return not block.exists()

    def _is_outgrown(self, path: Path) -> bool:
        """Whether a block has fewer rounds than the study has now."""
        try:
            return self.block(path).seal.rounds < self.rounds
        except ResultsError:  # whoever reads the block says so
            return False
