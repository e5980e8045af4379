"""Tables as Parquet: written, and read with no more memory than a file deserves.

A table may come from anybody, and a few bytes of Parquet can stand for billions of
rows, or for one long text in many of them. So types and numbers of rows are looked at
before anything is read, and texts are read as they are stored, each once.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from commenv.errors import ResultsError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

__all__ = ["lean_memory", "metadata_of", "packed_table", "read_table"]

_ALWAYS_BYTES = 64 * 2**20
# A table of one number throughout, as large as the above, has about 200.
_BYTES_PER_BYTE = 2**10
_BYTES_PER_NUMBER = 8


def metadata_of(data: bytes) -> pq.FileMetaData:
    """What the content of a Parquet file says about itself.

    Raises:
        pyarrow.ArrowException: It is not one.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pq.read_metadata(pa.BufferReader(data))


def read_table(data: bytes, dtypes: Mapping[str, str]) -> pd.DataFrame:
    """The columns of a Parquet file that are asked for.

    Args:
        data: The file's content.
        dtypes: ``"str"``, ``"int64"`` or ``"float64"`` for each column; integers may
            stand for reals.

    Raises:
        ResultsError: A column is missing, twice there or of another type, or the table
            is far larger than its file, or a text would steer a terminal.
        pyarrow.ArrowException: It is not a Parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    metadata = metadata_of(data)
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
    size = metadata.num_rows * len(dtypes) * _BYTES_PER_NUMBER
    _check_memory(data, max(size, sum(group.total_byte_size for group in groups)))
    texts = [name for name, dtype in dtypes.items() if dtype == "str"]
    table = pq.ParquetFile(
        pa.BufferReader(data), metadata=metadata, read_dictionary=texts
    ).read(columns=list(dtypes))
    for name in texts:
        size += _check_texts(name, table.column(name))
    _check_memory(data, size)
    for name in texts:
        position = table.schema.get_field_index(name)
        spelt = table.column(name).cast("string")
        table = table.set_column(position, name, spelt)
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


def _check_memory(data: bytes, size: int) -> None:
    """Raises ResultsError for a table that is far larger than its file."""
    most = _ALWAYS_BYTES + _BYTES_PER_BYTE * len(data)
    if size > most:
        raise ResultsError(
            f"it would take {size:,} bytes of memory, and a file of its size at most "
            f"{most:,}"
        )


def _check_texts(name: str, column: pa.ChunkedArray) -> int:
    """Checks a column of texts; how many bytes it has at most when it is spelt out."""
    import pyarrow as pa
    import pyarrow.compute as pc

    size = 0
    chunk: Any
    for chunk in column.chunks:
        texts = chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk
        if not all(one is None or one.isprintable() for one in texts.to_pylist()):
            raise ResultsError(f"its column {name!r} holds control characters")
        size += (pc.max(pc.binary_length(texts)).as_py() or 0) * len(chunk)
    return size


def packed_table(table: pa.Table) -> bytes:
    """A table as the content of a Parquet file."""
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()
