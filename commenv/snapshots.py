"""Taking down what a part remembers between rounds, and giving it back later.

A snapshot is a tree of dictionaries and lists whose leaves are arrays, NumPy dtypes,
numbers, strings, truth values and None, so it can be stored without running anything
when it is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from commenv.errors import ResultsError

__all__ = [
    "Resumable",
    "Snapshot",
    "array_of",
    "arrays_of",
    "check_fits",
    "check_within",
]

Snapshot: TypeAlias = dict[str, Any]

_MOST = 2**53
_NUMBERS = "iuf"


class Resumable:
    """A part whose memory can be taken down, and given back to its like.

    Its like is a part that was made with the same arguments and has done nothing yet.
    Subclasses name what they remember; parts that are resumable themselves are asked in
    turn, and everything else must be a leaf, or a dictionary of leaves.
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
            ResultsError: It is no snapshot of such a part.
        """
        for name in self._remembered:
            own = getattr(self, name)
            if not isinstance(snapshot, dict) or name not in snapshot:
                raise ResultsError(f"a snapshot lacks {name!r}")
            if isinstance(own, Resumable):
                own.restore(snapshot[name])
            else:
                check_fits(name, own, snapshot[name])
                setattr(self, name, snapshot[name])


def check_fits(name: str, own: Any, given: Any) -> None:
    """Checks that a part could have come to remember this.

    What is counted only grows, so no number lies below the one that the part began
    with, and arrays keep their dtype and shape.

    Args:
        name: What the part calls it.
        own: What the part began with; None stands for a dtype that it does not know
            yet.
        given: What a snapshot holds.

    Raises:
        ResultsError: It could not.
    """
    match own:
        case np.ndarray():
            given = array_of(given, repr(name), own.dtype, *own.shape)
            if own.dtype.kind in _NUMBERS:
                check_within(given, repr(name), own)
            return
        case dict():
            arrays_of(given, repr(name), own)
            return
        case bool() | list():
            fits = type(given) is type(own)
        case int():
            fits = type(given) is int and own <= given <= _MOST
        case None:
            fits = given is None or isinstance(given, np.dtype)
        case _:
            raise TypeError(f"{name!r} is {own!r}, which no snapshot gives back")
    if not fits:
        raise ResultsError(f"a snapshot has {given!r:.60} as {name!r}")


def check_within(
    values: NDArray[Any], what: str, low: Any = 0, high: Any = _MOST
) -> None:
    """Checks that numbers lie from ``low`` to ``high``, both included.

    Real numbers may exceed ``high``.

    Raises:
        ResultsError: They do not, or one is NaN.
    """
    if not (values >= low).all() or (
        values.dtype.kind in "iu" and not (values <= high).all()
    ):
        raise ResultsError(f"a snapshot has numbers outside their range in {what}")


def array_of(given: Any, what: str, dtype: Any, *shape: int | None) -> NDArray[Any]:
    """An array out of a snapshot.

    Args:
        given: What the snapshot holds.
        what: What it is, in words.
        dtype: What it must be an array of.
        shape: The shape that it must have, with None for any length.

    Raises:
        ResultsError: It is something else.
    """
    if not isinstance(given, np.ndarray):
        raise ResultsError(f"a snapshot has no array for {what}, but {type(given)}")
    if given.dtype != dtype or not _shaped(given, shape):
        wanted = tuple("any" if length is None else length for length in shape)
        raise ResultsError(
            f"a snapshot has {what} as {given.dtype!s:.99} of shape {given.shape}, "
            f"not {np.dtype(dtype)} of {wanted}"
        )
    return given


def arrays_of(
    given: Any, whose: str, like: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """A dictionary of arrays out of a snapshot.

    Args:
        given: What the snapshot holds.
        whose: For whom it is, in words.
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
        dtype = own.dtype
        if isinstance(given[name], np.ndarray) and _grown(dtype, given[name].dtype):
            dtype = given[name].dtype
        array_of(given[name], f"{name!r} of {whose}", dtype, *own.shape)
    return given


def _grown(own: np.dtype[Any], given: np.dtype[Any]) -> bool:
    numbers = own.kind in _NUMBERS and given.kind in _NUMBERS
    return numbers and np.can_cast(own, given, "safe")


def _shaped(given: NDArray[Any], shape: tuple[int | None, ...]) -> bool:
    return given.ndim == len(shape) and all(
        wanted in (None, length)
        for wanted, length in zip(shape, given.shape, strict=True)
    )
