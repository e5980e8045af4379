"""What learners have learned, as safetensors files: one per block of trials.

Each holds the arrays of ``Learner.memory`` by name, their first axis the trials. A file
is outside data: nothing in it is run, and names, shapes and types must be those of the
learner that is to go on with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from commenv.errors import ResultsError, shown
from commenv.study.storage.names import trials_in

if TYPE_CHECKING:
    from commenv.study.storage.stored_block import StoredBlock

__all__ = ["Memory", "check_memory", "packed", "read_memory", "unpacked"]

Memory: TypeAlias = dict[str, NDArray[Any]]
"""Arrays of shape (trials, ...), by name."""

_MOST_BYTES_PER_NUMBER = 8


def check_memory(memory: Mapping[str, NDArray[Any]], algorithm: str) -> None:
    """Checks that a learner's memory can be kept.

    Raises:
        ValueError: An array of something else than numbers; the message names it.
    """
    for name, values in memory.items():
        dtype = np.asarray(values).dtype
        if dtype.kind not in "biuf" or dtype.itemsize > _MOST_BYTES_PER_NUMBER:
            raise ValueError(
                f"the learner of {algorithm!r} remembers {name!r} of dtype {dtype}, "
                "which no file keeps; use arrays of bool, int or float"
            )


def packed(memory: Mapping[str, NDArray[Any]]) -> bytes:
    """Arrays as the content of a safetensors file."""
    from safetensors.numpy import save

    return save({name: np.ascontiguousarray(one) for name, one in memory.items()})


def unpacked(data: bytes) -> Memory:
    """The arrays in the content of a safetensors file.

    Raises:
        ValueError: It is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ValueError(shown(error)) from None


def read_memory(block: StoredBlock, like: Memory) -> Memory:
    """What the learners of a block have learned.

    Args:
        block: The block.
        like: The memory of a learner of the same settings.

    Returns:
        Arrays of the names, dtypes and shapes of ``like``, their first axis the block's
        trials.

    Raises:
        ResultsError: No such file, or one that is damaged or holds something else.
    """
    path = block.beside("policies")
    if (data := block.content("policies")) is None:
        raise ResultsError(
            f"{block.path} was stored without what was learned; run the study into a "
            "new folder"
        )
    try:
        memory = unpacked(data)
    except ValueError as error:
        raise ResultsError(
            f"{path} is damaged ({error}); delete it and {block.path}, and run the "
            "study again"
        ) from None
    _check(path, memory, len(trials_in(block.path) or ()), like)
    return memory


def _check(path: Path, memory: Memory, count: int, like: Memory) -> None:
    """Checks that arrays are those of so many trials."""
    found = {
        name: f"{_type_name(one.dtype)} {one.shape}" for name, one in memory.items()
    }
    expected = {
        name: f"{_type_name(values.dtype)} {(count, *values.shape[1:])}"
        for name, values in like.items()
    }
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            raise ResultsError(
                f"{path} does not fit the study's settings: {shown(name)!r} is "
                f"{shown(found.get(name, 'missing'))}, not "
                f"{expected.get(name, 'expected')}"
            )


def _type_name(dtype: np.dtype[Any]) -> str:
    """What safetensors calls a dtype, such as ``F64``."""
    return "BOOL" if dtype.kind == "b" else f"{dtype.kind.upper()}{8 * dtype.itemsize}"
