"""What is kept of a block, each file compared with the checksum that it was given.

    DIR/blocks/00-dql/trials-00000-00024.parquet   one row per episode and trial
    DIR/policies/00-dql/trials-00000-00024.safetensors   what their learners learned
    DIR/sizes/00-dql/trials-00000-00024.parquet    how large their messages were
    DIR/trace/00-dql/trials-00000-00024/*.parquet  with --trace: every step and message
    DIR/checksums/00-dql/trials-00000-00024.json   of all these, and what wrote them

Each file is read once, and what is made of it is made of the bytes that were compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from commenv.errors import ResultsError, shown
from commenv.study.arm import MOST
from commenv.study.storage.checksums import (
    MANIFEST,
    TRACE,
    Digest,
    Seal,
    is_as_written,
    read_seal,
    read_sealed,
)
from commenv.study.storage.files import reason_of
from commenv.study.storage.frame import COLUMNS, NAMES, world_columns
from commenv.study.storage.names import trials_in
from commenv.study.storage.safe_parquet import metadata_of, read_table
from commenv.study.storage.sizes import SIZE_DTYPES, check_sizes

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ENDINGS", "StoredBlock"]

ENDINGS = {"policies": "safetensors", "sizes": "parquet", "checksums": "json"}
"""The kinds of files beside a block, and how their names end."""


@dataclass(frozen=True)
class StoredBlock:
    """A finished block of a results folder.

    Attributes:
        root: The folder.
        path: The file of its table.
        manifest: The digest of the settings in the folder's manifest.
    """

    root: Path
    path: Path
    manifest: Digest

    def beside(self, kind: str) -> Path:
        """Its ``policies``, ``sizes`` or ``checksums``."""
        folder = self.root / kind / self.path.parent.name
        return folder / f"{self.path.stem}.{ENDINGS[kind]}"

    @cached_property
    def seal(self) -> Seal:
        """Its checksums.

        Raises:
            ResultsError: They are missing or damaged, or the manifest is not as it was
                when they were written.
        """
        path = self.beside("checksums")
        try:
            seal = read_seal(path, self.root)
        except FileNotFoundError:
            raise ResultsError(
                f"{self.path} has no checksums: {path} is missing, so nothing tells "
                f"whether it is as it was written; {self._cure()}"
            ) from None
        except ResultsError as error:
            raise ResultsError(f"{error}; {self._cure()}") from None
        if seal.files.get(MANIFEST) != self.manifest:
            raise ResultsError(
                f"{self.root / 'manifest.json'} is not as it was when {self.path} was "
                "written; restore it, or run the study into a new folder"
            )
        return seal

    def files(self) -> dict[str, Path]:
        """Where its files stand, by the names that its checksums have for them.

        Raises:
            ResultsError: The checksums are missing or damaged.
        """
        return {name: self._place(name) for name in self.seal.files if name != MANIFEST}

    def content(self, kind: str) -> bytes | None:
        """The content of its ``blocks``, ``policies`` or ``sizes``, or of its trace.

        Returns:
            Exactly the bytes that were written; None where the block was stored without
            such a file.

        Raises:
            ResultsError: The file is missing or is not as it was written.
        """
        if (expected := self.seal.files.get(kind)) is None:
            return None
        path = self._place(kind)
        try:
            return read_sealed(path, expected, self.root)
        except FileNotFoundError:
            raise ResultsError(f"{path} is missing; {self._cure()}") from None
        except (OSError, ResultsError) as error:
            raise self._damaged(path, error) from None

    def trials(self) -> range:
        """The trials that it holds.

        Raises:
            ResultsError: It is damaged or not ours.
        """
        return self._trials_of(self._table_data())

    def table(self) -> pd.DataFrame:
        """Its table: :data:`.frame.COLUMNS`, and the columns of agents' own worlds.

        Raises:
            ResultsError: It is damaged or not ours.
        """
        import pyarrow as pa

        data = self._table_data()
        self._trials_of(data)
        try:
            dtypes: dict[str, str] = {one.name: one.dtype for one in COLUMNS}
            names = metadata_of(data).schema.to_arrow_schema().names
            frame = read_table(
                data, dtypes | dict.fromkeys(world_columns(names), "float64")
            )
        except (ResultsError, pa.ArrowException, OSError, UnicodeError) as error:
            raise self._damaged(self.path, error) from None
        pa.default_memory_pool().release_unused()  # else it keeps half as much again
        return frame

    def sizes(self) -> pd.DataFrame:
        """The histogram of its messages' sizes.

        Raises:
            ResultsError: It was stored without, or it is damaged.
        """
        import pyarrow as pa

        if (data := self.content("sizes")) is None:
            raise ResultsError(
                f"{self.path} was stored without the sizes of its messages, so no link "
                "can be applied to them; delete it (and others like it) and run the "
                "study again: equal settings give equal numbers, then with the sizes"
            )
        try:
            table = read_table(data, SIZE_DTYPES)
            check_sizes(table)
        except (ResultsError, pa.ArrowException, OSError, UnicodeError) as error:
            raise self._damaged(self.beside("sizes"), error) from None
        return table

    def problems(self) -> Iterator[str]:
        """Its files that are not as they were written, each with the cure.

        Nothing of them is kept in memory.
        """
        try:
            seal = self.seal
        except ResultsError as error:
            yield str(error)
            return
        for name, expected in seal.files.items():
            if name != MANIFEST and (found := self._problem(name, expected)):
                yield found

    def _problem(self, name: str, expected: Digest) -> str | None:
        path = self._place(name)
        try:
            if is_as_written(path, expected, self.root):
                return None
            how = "is not as it was written: its checksum is another"
        except OSError as error:
            how = f"cannot be read ({reason_of(error)})"
        return f"{path} {how}; {self._cure(path)}"

    def _place(self, name: str) -> Path:
        """Where a file that a seal names stands.

        Raises:
            ResultsError: No file of ours has that name.
        """
        if name == "blocks":
            return self.path
        if name in ENDINGS:
            return self.beside(name)
        folder = self.root / "trace" / self.path.parent.name / self.path.stem
        file = name.removeprefix(TRACE)
        if name == file or Path(file).name != file:
            raise ResultsError(
                f"{self.beside('checksums')} names the unknown file {shown(name)!r}; "
                f"{self._cure()}"
            )
        return folder / file

    def _table_data(self) -> bytes:
        if (data := self.content("blocks")) is None:
            raise self._damaged(self.path, ResultsError("it has no checksum"))
        return data

    def _trials_of(self, data: bytes) -> range:
        import pyarrow as pa

        try:
            metadata = metadata_of(data)
            names = metadata.schema.to_arrow_schema().names
        except (pa.ArrowException, OSError, UnicodeError) as error:
            raise self._damaged(self.path, error) from None
        trials, rows = trials_in(self.path), metadata.num_rows
        missing = [name for name in NAMES if name not in names]
        whole = trials and trials.stop <= min(MOST, trials.start + rows)
        if not whole or trials is None or missing:
            lack = f"it lacks {', '.join(missing)}" if missing else "see its name"
            raise ResultsError(
                f"{self.path} is not a block of ours ({lack}); delete it and run the "
                "study again"
            )
        return trials

    def _damaged(self, path: Path, error: Exception) -> ResultsError:
        return ResultsError(f"{path} is damaged ({shown(error)}); {self._cure(path)}")

    def _cure(self, path: Path | None = None) -> str:
        """What to delete, for the study to make it anew."""
        other = "" if path in (None, self.path) else f"{path} and "
        return f"delete {other}{self.path} and run the study again"
