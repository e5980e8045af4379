"""Saving what a component remembers between rounds, and restoring it later.

A snapshot is a tree of dictionaries and lists whose leaves are arrays, NumPy dtypes,
numbers, strings, truth values and None, so it can be stored without running anything
when it is read. A file's digest says that a snapshot is what was stored; restoring
checks no more than the shape, which differs where a snapshot is of other settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from commenv.errors import ResultsError

__all__ = ["Resumable", "Snapshot", "array_of", "arrays_of", "entry"]

Snapshot: TypeAlias = dict[str, Any]

_NUMBERS = "iuf"


class Resumable:
    """A component that can be saved, and restored into another one like it.

    That one was made with the same arguments and has done nothing yet. Subclasses name
    what they remember; components that are resumable themselves are asked in turn, and
    everything else is a leaf, or a dictionary or list of leaves.
    """

    _remembered: ClassVar[tuple[str, ...]] = ()

    def snapshot(self) -> Snapshot:
        """What it remembers now: its own arrays, so store them before it goes on."""
        return {
            name: one.snapshot() if isinstance(one, Resumable) else one
            for name in self._remembered
            for one in (getattr(self, name),)
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Takes over what another one remembered.

        Raises:
            ResultsError: It is not a snapshot of such a component.
        """
        for name in self._remembered:
            own, given = getattr(self, name), entry(snapshot, name)
            if isinstance(own, Resumable):
                own.restore(given)
            else:
                setattr(self, name, _like(own, given, name))


def entry(snapshot: Snapshot, name: str) -> Any:
    """What a snapshot holds under a name.

    Raises:
        ResultsError: It holds nothing there.
    """
    if not isinstance(snapshot, dict) or name not in snapshot:
        raise ResultsError(f"a snapshot lacks {name!r}")
    return snapshot[name]


def _like(own: Any, given: Any, name: str) -> Any:
    """What a snapshot holds, in the shape of what a component began with.

    Raises:
        ResultsError: Its arrays have other dtypes, shapes or names.
    """
    match own:
        case np.ndarray():
            return array_of(given, repr(name), own.dtype, *own.shape)
        case dict():
            return arrays_of(given, repr(name), own)
    return given


def array_of(given: Any, what: str, dtype: Any, *shape: int) -> NDArray[Any]:
    """An array out of a snapshot.

    Args:
        given: What the snapshot holds.
        what: What it is, in words.
        dtype: What it must be an array of.
        shape: The shape that it must have.

    Raises:
        ResultsError: It is something else.
    """
    if not isinstance(given, np.ndarray):
        raise ResultsError(f"a snapshot has {type(given)} for {what}, not an array")
    if given.dtype != dtype or given.shape != shape:
        raise ResultsError(
            f"a snapshot has {what} as {given.dtype!s:.99} of shape {given.shape}, "
            f"not {np.dtype(dtype)} of {shape}"
        )
    return given


def arrays_of(
    given: Any, whose: str, like: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """A dictionary of arrays out of a snapshot.

    Args:
        given: What the snapshot holds.
        whose: Whose it is, in words.
        like: What they begin with: arrays of the same names and shapes. A number's
            dtype may have grown since.

    Raises:
        ResultsError: It is something else.
    """
    if not isinstance(given, dict) or given.keys() != like.keys():
        names = list(given)[:9] if isinstance(given, dict) else type(given)
        raise ResultsError(
            f"a snapshot has {names!r:.99} for {whose}, not the arrays {list(like)}"
        )
    for name, own in like.items():
        dtype = _grown(own.dtype, getattr(given[name], "dtype", own.dtype))
        array_of(given[name], f"{name!r} of {whose}", dtype, *own.shape)
    return given


def _grown(own: np.dtype[Any], given: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype that a number may have by now."""
    numbers = own.kind in _NUMBERS and given.kind in _NUMBERS
    return given if numbers and np.can_cast(own, given, "safe") else own
