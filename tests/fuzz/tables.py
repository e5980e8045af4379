"""Changes of Parquet files: their bytes, or values, types and columns of the table."""

from __future__ import annotations

import contextlib
import io
import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.fuzz.mutation import changed, odd_value

__all__ = ["changed_parquet"]


def changed_parquet(rng: random.Random, known: Sequence[bytes]) -> bytes:
    """A file with changed bytes, or a table with other values, types or columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = known[int(rng.random() * len(known))]
    if rng.random() < 0.5:
        return changed(rng, [data], (b"PAR1", b"label", b"\xff\xff\xff\x7f", b"\x15"))
    try:
        table = pq.read_table(io.BytesIO(data))
        for _ in range(1 + int(rng.random() * 2)):
            table = _changed_table(rng, table)
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression=rng.choice(["zstd", "none"]))
    except (
        pa.ArrowException,
        OSError,
        ValueError,
        TypeError,
        LookupError,
        OverflowError,
    ):
        return changed(rng, [data])
    return buffer.getvalue()


def _changed_table(rng: random.Random, table: Any) -> Any:
    import pyarrow as pa

    position = int(rng.random() * table.num_columns)
    name = table.column_names[position]
    chance = rng.random()
    if chance < 0.1:
        return table.drop_columns([name])
    if chance < 0.15:
        return table.append_column(name, table.column(position))
    if chance < 0.2:
        return table.slice(int(rng.random() * table.num_rows), int(rng.random() * 3))
    if chance < 0.25:
        return pa.concat_tables([table, table])
    values = table.column(position).to_pylist()
    if chance < 0.45:
        kinds = (pa.float16(), pa.uint64(), pa.int8(), pa.string(), pa.bool_())
        kinds += (pa.large_string(), pa.decimal128(30, 3), pa.timestamp("ns"))
        kinds += (pa.binary(), pa.dictionary(pa.int8(), pa.string()), pa.null())
        kinds += (pa.list_(pa.float64()), pa.struct([("x", pa.int64())]))
        kind = kinds[int(rng.random() * len(kinds))]
        empty = pa.nulls(len(values), kind)
        with contextlib.suppress(pa.ArrowException):
            empty = table.column(position).cast(kind)
        return table.set_column(position, name, empty)
    if not values:
        return table
    odd = odd_value(rng)
    numbers = (None, -1, 2**53, 2**62, 2**63 - 1, -(2**63), np.nan, np.inf, 1e308, 0.5)
    if rng.random() < 0.7:
        odd = numbers[int(rng.random() * len(numbers))]
    rows = (
        range(len(values)) if rng.random() < 0.3 else [int(rng.random() * len(values))]
    )
    for row in rows:
        values[row] = odd
    kind = table.schema.field(position).type
    return table.set_column(
        position, name, pa.array(values, kind if rng.random() < 0.6 else None)
    )
