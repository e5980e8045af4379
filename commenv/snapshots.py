"""Taking down what a part remembers between rounds, and giving it back later.

A snapshot is a tree of dictionaries and lists whose leaves are arrays, NumPy dtypes,
numbers, strings, truth values and None, so it can be stored without running anything
when it is read.
"""

from __future__ import annotations

from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from commenv.errors import ResultsError

__all__ = ["Resumable", "Snapshot", "arrays_of", "check_fits"]

Snapshot: TypeAlias = dict[str, Any]


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
            if name not in snapshot:
                raise ResultsError(f"a snapshot lacks {name!r}")
            if isinstance(own, Resumable):
                own.restore(snapshot[name])
            else:
                check_fits(name, own, snapshot[name])
                setattr(self, name, snapshot[name])


def check_fits(name: str, own: Any, given: Any) -> None:
    """Checks that an array is given for an array, of the same dtype and shape.

    Raises:
        ResultsError: It is not.
    """
    if not isinstance(own, np.ndarray):
        return
    if not isinstance(given, np.ndarray):
        raise ResultsError(f"a snapshot has no array {name!r}, but {type(given)}")
    if (given.dtype, given.shape) != (own.dtype, own.shape):
        raise ResultsError(
            f"a snapshot has {name!r} as {given.dtype} of shape {given.shape}, "
            f"not {own.dtype} of {own.shape}"
        )


def arrays_of(given: Any, whose: str) -> dict[str, NDArray[Any]]:
    """A dictionary of arrays out of a snapshot.

    Raises:
        ResultsError: It is something else; ``whose`` says in words for whom it was.
    """
    if not isinstance(given, dict) or not all(
        isinstance(name, str) and isinstance(values, np.ndarray)
        for name, values in given.items()
    ):
        raise ResultsError(f"a snapshot has no arrays for {whose}")
    return given
