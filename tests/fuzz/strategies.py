"""Inputs for targets as Hypothesis strategies: valid ones, some parts replaced."""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.mutation import changed_json, changed_safetensors
from tests.fuzz.tables import changed_parquet
from tests.fuzz.target import Target

__all__ = ["inputs_of"]

_NUMBERS = st.sampled_from([0, 1, 2, 255, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1])
_ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64)
    | st.floats()
    | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=5,
)
_CELLS = st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text()


def inputs_of(target: Target) -> st.SearchStrategy[bytes]:
    """Changed inputs of a target, by the form of its files."""
    corpus = target.corpus()
    plain = _edited(st.sampled_from(corpus), target.words)
    if target.name == "policies":
        return st.sampled_from(corpus).flatmap(
            lambda one: _safetensors(one[1:]).map(lambda body: one[:1] + body)
        )
    if target.name == "state":
        from tests.fuzz.states import _START, sealed

        return st.sampled_from(corpus).flatmap(
            lambda one: _safetensors(one[_START:]).map(
                lambda body: sealed(one[:_START] + body)
            )
        )
    if target.mutate is changed_json:
        return plain | st.sampled_from(corpus).flatmap(_json)
    if target.mutate is changed_safetensors:
        return st.sampled_from(corpus).flatmap(_safetensors)
    if target.mutate is changed_parquet:
        return plain | st.sampled_from(corpus).flatmap(_parquet)
    return plain | st.binary(max_size=200)


def _edited(
    seeds: st.SearchStrategy[bytes], words: tuple[bytes, ...] = ()
) -> st.SearchStrategy[bytes]:
    """Bytes of which some stretches are replaced, removed or repeated."""
    patches = st.binary(max_size=8) | _NUMBERS.map(lambda n: n.to_bytes(4, "little"))
    if words:
        patches |= st.sampled_from(words)
    edit = st.tuples(st.integers(0, 2**20), st.integers(0, 16), patches)

    def apply(seed: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
        data = bytearray(seed)
        for at, length, patch in edits:
            at %= len(data) + 1
            data[at : at + length] = patch
        return bytes(data)

    return st.builds(apply, seeds, st.lists(edit, min_size=1, max_size=4))


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner: list[tuple[Any, ...]] = [at] if at else []
    if isinstance(value, dict):
        for key, item in value.items():
            inner += _places(item, (*at, key))
    if isinstance(value, list):
        for key, item in enumerate(value):
            inner += _places(item, (*at, key))
    return inner


def _json(text: bytes) -> st.SearchStrategy[bytes]:
    """The text with a value replaced, renamed or gone, in one to three places."""
    places = st.sampled_from(_places(json.loads(text)))
    kinds = st.sampled_from(["replaced", "renamed", "removed"])
    edit = st.tuples(places, kinds, _ODD)

    def apply(edits: list[tuple[Any, ...]]) -> bytes:
        value = json.loads(text)
        for at, kind, odd in edits:
            with contextlib.suppress(LookupError, TypeError):
                parent = value
                for key in at[:-1]:
                    parent = parent[key]
                if kind == "replaced":
                    parent[at[-1]] = odd
                else:
                    old = parent.pop(at[-1])
                    if kind == "renamed" and isinstance(parent, dict):
                        parent[str(odd)[:40]] = old
        return json.dumps(value).encode()

    return st.builds(apply, st.lists(edit, min_size=1, max_size=3))


def _safetensors(data: bytes) -> st.SearchStrategy[bytes]:
    """The file with its header changed as JSON, or any of its bytes."""
    length = int.from_bytes(data[:8], "little")

    def joined(header: bytes) -> bytes:
        return len(header).to_bytes(8, "little") + header + data[8 + length :]

    header = _json(data[8 : 8 + length].strip()).map(joined)
    return header | _edited(st.just(data))


def _parquet(data: bytes) -> st.SearchStrategy[bytes]:
    """The table with some cells replaced, or without a column."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(data))

    def apply(column: int, row: int, cell: Any, removed: bool) -> bytes:
        name = table.column_names[column]
        changed = table.drop_columns([name])
        if not removed:
            values = table.column(column).to_pylist()
            values[row % len(values)] = cell
            kind = table.schema.field(column).type
            try:
                cells = pa.array(values, kind)
            except (pa.ArrowException, TypeError, ValueError, OverflowError):
                return data
            changed = table.set_column(column, name, cells)
        buffer = io.BytesIO()
        pq.write_table(changed, buffer)
        return buffer.getvalue()

    columns = st.integers(0, table.num_columns - 1)
    return st.builds(apply, columns, st.integers(0, 99), _CELLS, st.booleans())
