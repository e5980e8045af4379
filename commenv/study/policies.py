"""What learners have learned, as safetensors files: one per block of trials.

Each holds the arrays of ``Learner.memory`` by name, their first axis the trials. A file
is outside data: nothing in it is run, and names, shapes and types must be those of the
learner that is to go on with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from commenv.errors import ResultsError, shown
from commenv.study.files import check_regular

__all__ = ["Memory", "check_memory", "packed", "read_memory"]

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


def read_memory(path: Path, trials: range, trial: int, like: Memory) -> Memory:
    """One trial's arrays out of a block's file.

    Args:
        path: The file.
        trials: The trials that it holds.
        trial: One of them.
        like: The memory of a learner of the same settings for one trial.

    Returns:
        Arrays of the names, shapes and dtypes of ``like``.

    Raises:
        ResultsError: No such file, or one that is damaged or holds something else.
    """
    from safetensors import SafetensorError, safe_open

    try:
        check_regular(path)
        with safe_open(path, framework="numpy") as file:
            _check(path, file, len(trials), like)
            row = trial - trials.start
            return {name: file.get_slice(name)[row : row + 1] for name in like}
    except FileNotFoundError:
        raise ResultsError(
            f"{path} is missing, so what was learned is not kept; run the study into "
            "a new folder"
        ) from None
    except (SafetensorError, OSError) as error:
        raise ResultsError(
            f"{path} is damaged ({shown(error)}); delete it and the block of that "
            "name, and run the study again"
        ) from None


def _check(path: Path, file: Any, count: int, like: Memory) -> None:
    """Whether a file's header lists what it should; nothing else is read."""
    found = {}
    for name in file.keys():  # noqa: SIM118 - no mapping
        header = file.get_slice(name)
        found[name] = f"{header.get_dtype()} {tuple(header.get_shape())}"
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
