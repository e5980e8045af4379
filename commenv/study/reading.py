"""Reading a table that may come from anybody: no more memory than its file deserves.

A few bytes of Parquet can stand for billions of rows, or for one long text in many of
them. So types and numbers of rows are looked at before anything is read, and texts are
read as they are stored, each once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commenv.errors import ResultsError
from commenv.study.files import check_regular

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["lean_memory", "read_table"]

_ALWAYS_BYTES = 64 * 2**20
_BYTES_PER_BYTE = 2**14  # of a column that holds one number; tables compress far less
_BYTES_PER_NUMBER = 8


def read_table(path: Path, dtypes: Mapping[str, str]) -> pd.DataFrame:
    """The columns of a Parquet file that are asked for.

    Args:
        path: The file.
        dtypes: ``"str"``, ``"int64"`` or ``"float64"`` for each column; integers may
            stand for reals.

    Raises:
        ResultsError: A column is missing, twice there or of another type, or the table
            is far larger than its file, or a text would steer a terminal.
        pyarrow.ArrowException: It is no Parquet file.
        OSError: It is no regular file, or cannot be read.
    """
    import pyarrow.parquet as pq

    check_regular(path)
    metadata = pq.read_metadata(path)
    schema = metadata.schema.to_arrow_schema()
    for name, dtype in dtypes.items():
        count = len(schema.get_all_field_indices(name))
        if count != 1:
            raise ResultsError(f"it has {count} columns {name!r}, not one")
        if not _fits(schema.field(name).type, dtype):
            raise ResultsError(
                f"its column {name!r} holds {schema.field(name).type}, not {dtype}"
            )
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    numbers = metadata.num_rows * len(dtypes) * _BYTES_PER_NUMBER
    _check_memory(path, max(numbers, sum(group.total_byte_size for group in groups)))
    texts = [name for name, dtype in dtypes.items() if dtype == "str"]
    table = pq.read_table(path, columns=list(dtypes), read_dictionary=texts)
    for name in texts:
        table = _with_texts(path, table, name)
    # Metadata can ask pandas for any index and type.
    table = table.replace_schema_metadata(None)
    # Column by column, each freed when it is done: a table is large.
    return table.to_pandas(ignore_metadata=True, split_blocks=True, self_destruct=True)


@contextlib.contextmanager
def lean_memory() -> Iterator[None]:
    """Lets Arrow take memory from the system meanwhile: its own pool keeps it."""
    import pyarrow as pa

    before = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        yield
    finally:
        pa.set_memory_pool(before)


def _fits(kind: pa.DataType, dtype: str) -> bool:
    import pyarrow.types as types

    if types.is_dictionary(kind):
        kind = kind.value_type
    if dtype == "str":
        return types.is_string(kind) or types.is_large_string(kind)
    return types.is_integer(kind) or (dtype == "float64" and types.is_floating(kind))


def _check_memory(path: Path, size: int) -> None:
    """Raises ResultsError for a table that is far larger than its file."""
    most = _ALWAYS_BYTES + _BYTES_PER_BYTE * path.stat().st_size
    if size > most:
        raise ResultsError(
            f"it would take {size:,} bytes of memory, and a file of its size at most "
            f"{most:,}"
        )


def _with_texts(path: Path, table: pa.Table, name: str) -> pa.Table:
    """The table with a column of texts spelt out."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column: Any = table.column(name)
    for chunk in column.chunks:
        texts = chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk
        if not all(one is None or one.isprintable() for one in texts.to_pylist()):
            raise ResultsError(f"its column {name!r} holds control characters")
        longest = pc.max(pc.binary_length(texts)).as_py() or 0
        _check_memory(path, longest * len(chunk))
    position = table.schema.get_field_index(name)
    return table.set_column(position, name, column.cast(pa.string()))
