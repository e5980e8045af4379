"""The folder that a study is kept in: a manifest, and one file per block of trials.

    DIR/manifest.json                          what the study is, and what ran it
    DIR/blocks/00-dql/trials-00000-00024.parquet   one row per episode and trial
    DIR/policies/00-dql/trials-00000-00024.safetensors   what their learners learned
    DIR/sizes/00-dql/trials-00000-00024.parquet    how large their messages were
    DIR/checksums/00-dql/trials-00000-00024.json   of these three, and what wrote them
    DIR/checkpoints/00-dql/...                 the states of blocks that are being run
    DIR/trace/...                              with --trace: every step and message

A file is either whole or not there, so a study that was stopped at any moment goes on
from the blocks that it has.
"""

from __future__ import annotations

import importlib.util
import io
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from commenv.errors import MissingExtraError, ResultsError, shown
from commenv.study.checkpoint_folder import ACTORS, CheckpointFolder
from commenv.study.checksums import MANIFEST, digest, digest_of, packed_seal
from commenv.study.files import (
    check_regular,
    make_folder,
    unusable,
    usable,
    write_atomically,
)
from commenv.study.frame import COLUMNS, NAMES, validate
from commenv.study.lock import LOCK
from commenv.study.manifest import (
    FORMAT,
    FORMAT_VERSION,
    Manifest,
    brief,
    check_same,
    read_manifest,
)
from commenv.study.names import block_name, cell_folder, trials_in
from commenv.study.policies import Memory, packed
from commenv.study.reading import read_table
from commenv.study.sizes import SIZE_DTYPES, check_sizes
from commenv.study.software import software
from commenv.study.spec import MOST, Study
from commenv.study.statistics import Bounds

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["Store", "check_extra"]

_EXTRA = ("pandas", "pyarrow", "safetensors")
_ENDINGS = {"policies": "safetensors", "sizes": "parquet", "checksums": "json"}


class Store:
    """A results folder.

    Args:
        directory: The folder; made by :meth:`begin` if need be.

    Attributes:
        checkpoints: Of the blocks that are being run.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self.checkpoints = CheckpointFolder(self.directory)
        self._digests: dict[str, dict[str, str]] = {}

    @property
    def manifest_path(self) -> Path:
        """Where the settings stand."""
        return self.directory / "manifest.json"

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
        described = study.describe()
        try:
            if self.manifest_path.exists():
                manifest = self.manifest()
                check_same(self.directory, manifest.study, described)
                self.tidy()
                return manifest
            if self.directory.is_dir() and any(
                path.name != LOCK
                and not path.name.startswith(f".{self.manifest_path.name}.")
                for path in self.directory.iterdir()
            ):
                raise ResultsError(
                    f"{self.directory} holds other files and no manifest.json; choose "
                    "a new or empty folder"
                )
            manifest = Manifest(
                FORMAT, FORMAT_VERSION, described, optima, software(), ranges or {}
            )
            self.directory.mkdir(parents=True, exist_ok=True)
            text = json.dumps(msgspec.to_builtins(manifest), indent=1)
            write_atomically(self.manifest_path, text.encode())
        except OSError as error:
            raise self._unusable(error) from error
        return manifest

    def manifest(self) -> Manifest:
        """The manifest, checked.

        Raises:
            ResultsError: There is none, or it is not ours or damaged.
        """
        return read_manifest(self.manifest_path)

    def finished(self, cell: int) -> set[int]:
        """The trials of a cell whose blocks are there and whole."""
        return {
            trial for path in self.block_paths(cell) for trial in self.trials_of(path)
        }

    def write_block(
        self,
        cell: int,
        label: str,
        table: pa.Table,
        computed_by: Mapping[str, str] | None = None,
    ) -> Path:
        """Keeps a block of consecutive trials, and checksums of all that is kept of it.

        Args:
            cell: The cell's place in the study.
            label: Its label.
            table: What was measured.
            computed_by: What :func:`commenv.study.software.software` gave where that
                was; what it gives here when left out.

        Raises:
            ResultsError: The folder cannot be written to.
        """
        trials = table.column("trial").to_numpy()
        ends = trials.min(), trials.max()
        name = f"{cell_folder(cell, label)}/{block_name(ends)}"
        data = _parquet(table)
        try:
            files = {MANIFEST: digest_of(self.manifest_path), "blocks": digest(data)}
        except OSError as error:
            raise self._unusable(error) from error
        files |= self._digests.pop(name, {})
        by = software() if computed_by is None else computed_by
        path = self.directory / "blocks" / f"{name}.parquet"
        self._write(self.beside(path, "checksums"), packed_seal(files, by))
        self._write(path, data)
        self.checkpoints.remove(cell, label, ends)
        return path

    def write_sizes(
        self, cell: int, label: str, trials: Sequence[int], table: pa.Table
    ) -> Path:
        """Keeps how large a block's messages were; call it before :meth:`write_block`.

        Args:
            cell: The cell's place in the study.
            label: Its label.
            trials: The block's trials, which are consecutive.
            table: The histogram, with the columns of
                :data:`commenv.study.sizes.SIZE_COLUMNS`.

        Raises:
            ResultsError: The folder cannot be written to.
        """
        return self._write_beside("sizes", cell, label, trials, _parquet(table))

    def write_policies(
        self, cell: int, label: str, trials: Sequence[int], memory: Memory
    ) -> Path:
        """Keeps what a block's learners learned; call it before :meth:`write_block`.

        Raises:
            ResultsError: The folder cannot be written to.
        """
        return self._write_beside("policies", cell, label, trials, packed(memory))

    def about_checkpoints(
        self, cell: int, label: str, trials: Sequence[int], actors: int = 0
    ) -> dict[str, Any]:
        """What a block's checkpoint must say about itself to be of use here.

        Args:
            cell: The cell's place in the study.
            label: Its label.
            trials: The block's trials.
            actors: Over how many its agents are spread; 0 for one batch.

        Raises:
            ResultsError: The folder was removed.
        """
        with usable(self.directory):
            manifest = digest_of(self.manifest_path)
        return {
            "commenv": software()["commenv"],
            "manifest": manifest,
            "block": [cell, label, trials[0], trials[-1]],
            ACTORS: actors,
        }

    def block_paths(self, cell: int) -> list[Path]:
        """The files of a cell's blocks, in the order of their trials."""
        return sorted(self.directory.glob(f"blocks/{cell:02d}-*/trials-*.parquet"))

    def beside(self, block: Path, kind: str) -> Path:
        """A block's ``policies``, ``sizes`` or ``checksums``."""
        folder = self.directory / kind / block.parent.name
        return folder / f"{block.stem}.{_ENDINGS[kind]}"

    def policies_of(self, cell: int, trial: int) -> tuple[Path, range]:
        """The file with what a finished trial's learner learned, and its trials.

        Raises:
            ValueError: No finished block has the trial.
        """
        for path in self.block_paths(cell):
            trials = self.trials_of(path)
            if trial in trials:
                return self.beside(path, "policies"), trials
        finished = brief.repr(sorted(self.finished(cell)))
        raise ValueError(f"trial {trial} is not among the finished ones, {finished}")

    def trace_folder(self, cell: int, label: str, trials: Sequence[int]) -> Path:
        """Where the trace of a block of consecutive trials goes."""
        folder = self.directory / "trace" / cell_folder(cell, label)
        return folder / block_name(trials)

    def frame(self) -> pd.DataFrame:
        """All rows that are there, ordered by cell, trial and episode.

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
        for cell, described in enumerate(self.manifest().study["cells"]):
            blocks = [
                self._read_labelled(path, described["label"])
                for path in self.block_paths(cell)
            ]
            if blocks:
                key = ["trial", "episode"]
                joined = pd.concat(blocks, ignore_index=True)
                blocks.clear()  # a table is as large as a study's other memory
                if joined.duplicated(key).any():
                    joined = joined.drop_duplicates(key, ignore_index=True)
                if not pd.MultiIndex.from_frame(joined[key]).is_monotonic_increasing:
                    joined = joined.sort_values(key, kind="stable", ignore_index=True)
                parts.append(joined)
        if not parts:
            raise self._empty()
        frame = pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]
        validate(frame)
        return frame

    def sizes(self) -> pd.DataFrame:
        """How large the messages of all trials that are there were.

        Returns:
            A frame of :data:`commenv.study.sizes.SIZE_COLUMNS`, each trial once.

        Raises:
            ResultsError: No block is there yet, a block was stored without its sizes,
                or one is damaged.
        """
        import pandas as pd

        parts = []
        for cell in range(len(self.manifest().study["cells"])):
            known: set[int] = set()
            for path in self.block_paths(cell):
                trials = set(self.trials_of(path)) - known
                part = self.read_sizes(path) if trials else None
                if part is not None:
                    parts.append(part[part["trial"].isin(trials)])
                known |= trials
        if not parts:
            raise self._empty()
        return pd.concat(parts, ignore_index=True)

    def read_sizes(self, block: Path) -> pd.DataFrame:
        """The histogram beside a block.

        Raises:
            ResultsError: The block was stored without it, or it is damaged.
        """
        import pyarrow as pa

        path = self.beside(block, "sizes")
        try:
            table = read_table(path, SIZE_DTYPES)
            check_sizes(table)
        except FileNotFoundError:
            raise ResultsError(
                f"{block} was stored without the sizes of its messages, so no link can "
                "be applied to them; delete it (and others like it) and run the study "
                "again: equal settings give equal numbers, then with the sizes"
            ) from None
        except ResultsError as error:
            raise _damaged(path, error, block) from None
        except (pa.ArrowException, OSError, UnicodeError) as error:
            raise _damaged(path, error, block) from None
        return table

    def _empty(self) -> ResultsError:
        return ResultsError(
            f"{self.directory} holds no finished block yet; run the study again "
            "to go on with it"
        )

    def _write_beside(
        self, kind: str, cell: int, label: str, trials: Sequence[int], data: bytes
    ) -> Path:
        """Writes a file of a block that is to come, and remembers its checksum."""
        name = f"{cell_folder(cell, label)}/{block_name(trials)}"
        self._digests.setdefault(name, {})[kind] = digest(data)
        return self._write(
            self.beside(self.directory / "blocks" / f"{name}.parquet", kind), data
        )

    def _write(self, path: Path, data: bytes) -> Path:
        try:
            make_folder(self.directory, path.parent)
            write_atomically(path, data)
        except OSError as error:
            raise self._unusable(error) from error
        return path

    def trials_of(self, path: Path) -> range:
        """The trials that a block holds, after a look at its metadata.

        Raises:
            ResultsError: It is damaged or not ours.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        trials = trials_in(path)
        try:
            check_regular(path)
            metadata = pq.read_metadata(path)
            names = metadata.schema.to_arrow_schema().names
        except (pa.ArrowException, OSError, UnicodeError) as error:
            raise _damaged(path, error) from None
        missing = [name for name in NAMES if name not in names]
        whole = trials and trials.stop <= min(MOST, trials.start + metadata.num_rows)
        if not whole or trials is None or missing:
            lack = f"it lacks {', '.join(missing)}" if missing else "see its name"
            raise ResultsError(
                f"{path} is not a block of ours ({lack}); delete it and run the study "
                "again"
            )
        return trials

    def read_block(self, path: Path) -> pd.DataFrame:
        """A block's table, of :data:`commenv.study.frame.COLUMNS`.

        Raises:
            ResultsError: It is damaged or not ours.
        """
        import pyarrow as pa

        self.trials_of(path)
        try:
            frame = read_table(path, {one.name: one.dtype for one in COLUMNS})
        except ResultsError as error:
            raise _damaged(path, error) from None
        except (pa.ArrowException, OSError, UnicodeError) as error:
            raise _damaged(path, error) from None
        pa.default_memory_pool().release_unused()  # else it keeps half as much again
        return frame

    def _read_labelled(self, path: Path, label: str) -> pd.DataFrame:
        """A block whose rows all have the label that the manifest gives its cell."""
        table = self.read_block(path)
        if not (table["label"] == label).all():
            raise _damaged(path, ResultsError(f"its label is not {label!r} throughout"))
        return table

    def tidy(self) -> None:
        """Removes what a killed run left half done; fails where nothing may change."""
        with tempfile.TemporaryFile(dir=self.directory):
            pass
        kinds = ("blocks", "checkpoints", *_ENDINGS)
        halves = (f"{kind}/*/.trials-*" for kind in kinds)
        for pattern in (f".{self.manifest_path.name}.*", *halves):
            for path in self.directory.glob(pattern):
                path.unlink(missing_ok=True)
        for kind in _ENDINGS:
            for path in self.directory.glob(f"{kind}/*/trials-*"):
                if not self._block_beside(path).exists():
                    path.unlink(missing_ok=True)
        for checkpoint in self.directory.glob("checkpoints/*/trials-*"):
            if self._block_beside(checkpoint).exists():
                checkpoint.unlink(missing_ok=True)
        for trace in self.directory.glob("trace/*/*"):
            if not self._block_beside(trace).exists():
                shutil.rmtree(trace, ignore_errors=True)

    def _block_beside(self, path: Path) -> Path:
        """The block whose trace, policies or sizes are at a path."""
        return self.directory / "blocks" / path.parent.name / f"{path.stem}.parquet"

    def _unusable(self, error: OSError) -> ResultsError:
        return unusable(self.directory, error)


def check_extra(feature: str) -> None:
    """Raises MissingExtraError for a feature where ``study`` is not installed."""
    if not all(importlib.util.find_spec(module) for module in _EXTRA):
        raise MissingExtraError(feature, "study")


def _damaged(path: Path, error: Exception, beside: Path | None = None) -> ResultsError:
    those = "it" if beside is None else f"it and {beside}"
    return ResultsError(
        f"{path} is damaged ({shown(error)}); delete {those} and run the study again"
    )


def _parquet(table: pa.Table) -> bytes:
    """A table as the content of a Parquet file."""
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()
