"""What a link profile is: from the size of a message to seconds and joules."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import ClassVar, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Cost", "Direction", "LinkProfile", "check_numbers", "fragments"]

Direction: TypeAlias = Literal["uplink", "downlink"]


class Cost(NamedTuple):
    """What messages cost, one entry for each; float64 arrays of shape (m,).

    Attributes:
        seconds: The time on air.
        sender: Joules of the radio that sends.
        receiver: Joules of one radio that receives.
    """

    seconds: NDArray[np.float64]
    sender: NDArray[np.float64]
    receiver: NDArray[np.float64]


@dataclass(frozen=True)
class LinkProfile(ABC):
    """A physical model of a link, as far as the sizes of messages tell.

    A frozen dataclass; every constant is a field with its source in the docstring, so
    that it can be changed.

    Attributes:
        name: What the command line calls it.
        source: Where the model comes from, in one line.
        leaves_out: What neither seconds nor joules include, in one line.
    """

    name: ClassVar[str]
    source: ClassVar[str]
    leaves_out: ClassVar[str]

    @property
    def described(self) -> str:
        """Name and source, in one line."""
        return f"{self.name}: {self.source}"

    @abstractmethod
    def cost(self, sizes: NDArray[np.int64], direction: Direction) -> Cost:
        """What messages cost.

        Args:
            sizes: int64, shape (m,): bytes of each message, payload and header.
            direction: ``"uplink"`` from an agent to the learner, or ``"downlink"``.

        Raises:
            ResultsError: A size that the profile does not cover.
        """


def check_numbers(
    profile: LinkProfile, **ranges: tuple[float, float] | tuple[float, float, str]
) -> None:
    """Checks settings of a profile.

    Args:
        profile: Whose fields they are.
        ranges: For each field the least and the most it may be, and its unit.

    Raises:
        ValueError: A value that is not a number, or outside its range.
    """
    whole = {field.name for field in fields(profile) if field.type == "int"}
    for name, (least, most, *unit) in ranges.items():
        value = getattr(profile, name)
        kinds = (int, np.integer) if name in whole else (int, float, np.number)
        kind = "a whole number" if name in whole else "a number"
        fits = isinstance(value, kinds) and not isinstance(value, bool)
        # An infinite end is no value; a large int would be none to math.isfinite.
        if not fits or not least <= value <= most or value in (math.inf, -math.inf):
            measured = f" {unit[0]}" if unit else ""
            raise ValueError(
                f"{profile.name} {name} is {value!r}; give {kind} from {least:g} to "
                f"{most:g}{measured}"
            )


def fragments(
    sizes: NDArray[np.int64], most: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Messages cut into frames, all full but the last.

    Args:
        sizes: int64, shape (m,): bytes.
        most: Bytes that a frame carries.

    Returns:
        How many full frames come before the last one, and the last one's bytes: int64,
        shape (m,) each. An empty message is one empty frame.
    """
    full = np.maximum(-(-sizes // most) - 1, 0)
    return full, sizes - full * most
