"""A golden case: a small run, the numbers that it gives, and where they are kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Case", "Log", "Numbers", "differences", "normal", "read", "write"]

Numbers = dict[str, NDArray[Any]]

FOLDER = Path(__file__).with_name("numbers")
NEAR = 1e-9  # relative, where libraries of other machines may round otherwise
_KINDS = {"b": np.int64, "i": np.int64, "u": np.int64, "f": np.float64}
_SAID_MOST = 5


@dataclass(frozen=True)
class Case:
    """A small run.

    Args:
        name: Unique, ``group/what``; the numbers of a group are kept in one file.
        run: Gives the numbers, by names of our own.
        exact: Whether every bit must be the same on every machine; else numbers may
            differ by 1e-9 of the largest in their array.
        like: The case whose numbers it must give; it has none of its own.
        needs: Modules without which it cannot run.
        slow: Whether it takes more than a few seconds.
    """

    name: str
    run: Callable[[], Numbers]
    exact: bool = True
    like: str = ""
    needs: tuple[str, ...] = ()
    slow: bool = False

    @property
    def group(self) -> str:
        return self.name.partition("/")[0]


class Log:
    """What happens in a run, one entry after the other under each name."""

    def __init__(self) -> None:
        self._entries: dict[str, list[NDArray[Any]]] = {}

    def add(self, name: str, value: Any) -> None:
        """Enters a number, text or array, or what holds them under further names."""
        if hasattr(value, "_asdict"):
            value = value._asdict()
        if isinstance(value, Mapping):
            for key, part in value.items():
                self.add(f"{name}/{key}", part)
            return
        if isinstance(value, bytes):
            value = np.frombuffer(value, np.uint8)
        if value is None:
            value = []
        if isinstance(value, (list, tuple)) and any(map(_nested, value)):
            for place, part in enumerate(value):
                self.add(f"{name}/{place}", part)
            return
        array = np.asarray(value)
        if array.dtype.names is not None:
            for field in array.dtype.names:
                self.add(f"{name}/{field}", array[field])
            return
        self._entries.setdefault(name, []).append(array.copy())

    def numbers(self) -> Numbers:
        """All entries of a name in one array; with their sizes where those differ."""
        found: Numbers = {}
        for name, entries in self._entries.items():
            if len({(entry.shape) for entry in entries}) == 1:
                found[name] = normal(np.stack(entries))
                continue
            found[name] = normal(np.concatenate([entry.ravel() for entry in entries]))
            found[f"{name}/sizes"] = normal([entry.size for entry in entries])
        return found


def _nested(value: Any) -> bool:
    return value is None or isinstance(value, (Mapping, list, tuple, str, bytes))


def normal(values: Any) -> NDArray[Any]:
    """Integers and booleans as int64, reals as float64, texts of fixed width."""
    array = np.asarray(values)
    if array.dtype.kind in _KINDS:
        return array.astype(_KINDS[array.dtype.kind])
    return array.astype(np.str_)


def differences(found: Numbers, kept: Numbers, *, exact: bool) -> list[str]:
    """In what two results differ, a line for each array."""
    lines = [f"{name} is new" for name in found if name not in kept]
    for name, wanted in kept.items():
        if name not in found:
            lines.append(f"{name} is no longer there")
            continue
        if line := _difference(found[name], wanted, exact=exact):
            lines.append(f"{name}: {line}")
    return lines


def _difference(found: NDArray[Any], kept: NDArray[Any], *, exact: bool) -> str:
    if found.shape != kept.shape or found.dtype.kind != kept.dtype.kind:
        return f"{found.dtype} of shape {found.shape}, before {kept.dtype} {kept.shape}"
    real = found.dtype.kind == "f"
    other = ~_same_bits(found, kept) if real else found != kept
    if real and not exact:
        other &= ~_near(found, kept)
    if not other.any():
        return ""
    where = np.argwhere(other)[:_SAID_MOST]
    said = (
        f"{place.tolist()}: {found[tuple(place)]}, before {kept[tuple(place)]}"
        for place in where
    )
    return f"{np.count_nonzero(other)} of {found.size} differ; " + "; ".join(said)


def _same_bits(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.bool_]:
    both_nan = np.isnan(one) & np.isnan(other)
    return both_nan | (one.view(np.int64) == other.view(np.int64))


def _near(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.bool_]:
    finite = other[np.isfinite(other)]
    size = np.abs(finite).max(initial=0.0)
    return np.isclose(one, other, rtol=NEAR, atol=NEAR * size, equal_nan=True)


def path_of(group: str) -> Path:
    return FOLDER / f"{group}.npz"


def read(group: str) -> dict[str, Numbers]:
    """The numbers of a group by its cases' names; none where nothing is kept."""
    if not path_of(group).exists():
        return {}
    with np.load(path_of(group), allow_pickle=False) as file:
        index = json.loads(file["index"].tobytes())
        flat = {kind: file[kind] for kind in file.files if kind != "index"}
    return {
        case: {
            name: flat[kind][start : start + int(np.prod(shape))].reshape(shape)
            for name, (kind, start, shape) in arrays.items()
        }
        for case, arrays in index.items()
    }


def write(group: str, cases: Mapping[str, Numbers]) -> None:
    """Keeps the numbers of a group: flat arrays, one of each kind, and an index."""
    flat: dict[str, list[NDArray[Any]]] = {}
    ends: dict[str, int] = {}
    index: dict[str, dict[str, tuple[str, int, tuple[int, ...]]]] = {}
    for case in sorted(cases):
        index[case] = {}
        for name, array in cases[case].items():
            kind = {"i": "integers", "f": "reals", "U": "texts"}[array.dtype.kind]
            index[case][name] = (kind, ends.get(kind, 0), array.shape)
            flat.setdefault(kind, []).append(array.ravel())
            ends[kind] = ends.get(kind, 0) + array.size
    FOLDER.mkdir(exist_ok=True)
    parts: dict[str, NDArray[Any]] = {
        kind: np.concatenate(arrays) for kind, arrays in flat.items()
    }
    text = json.dumps(index, separators=(",", ":")).encode()
    np.savez_compressed(path_of(group), index=np.frombuffer(text, np.uint8), **parts)
