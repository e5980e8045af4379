"""Messages out of a Gymnasium space: what they weigh, and what receivers see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from commenv.channel.message import refuse_subclass

__all__ = ["MessageForm"]

_KINDS = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)


class MessageForm:
    """The record in which elements of a space travel.

    A Box travels as its numbers stand in memory, Discrete and MultiDiscrete as the
    smallest unsigned integers that hold them, MultiBinary as bits, eight to the byte.

    Args:
        space: Box, Discrete, MultiDiscrete or MultiBinary.

    Attributes:
        space: As given.
        dtype: Of the record of one message.
        blank: What a receiver sees before it has heard anything: zeros, or the
            element of the space nearest to them.

    Raises:
        ValueError: Another kind of space, or one whose elements hold nothing.
    """

    def __init__(self, space: gym.Space[Any]) -> None:
        if not isinstance(space, _KINDS):
            raise ValueError(
                f"message_space {space} is no Box, Discrete, MultiDiscrete or "
                "MultiBinary; flatten it into one of them"
            )
        self.space = space
        self._shape: tuple[int, ...] = tuple(space.shape or ())
        self._size = int(np.prod(self._shape, dtype=np.int64))
        if not self._size:
            raise ValueError(
                f"message_space {space} has shape {self._shape}, so its messages would "
                "hold nothing; give it at least one number"
            )
        self._low, self._high = _limits(space)
        self._bounded = bool(np.isfinite([self._low, self._high]).any())
        self.dtype = np.dtype([("message", *self._wire())])
        zero = np.zeros(self._shape, space.dtype)
        self.blank: NDArray[Any] = np.clip(zero, self._low, self._high)

    def pack(self, messages: Sequence[Any], names: Sequence[str]) -> NDArray[np.void]:
        """Messages as records.

        Args:
            messages: Elements of the space.
            names: Who sends each, for errors.

        Returns:
            Structured array, shape (m,).

        Raises:
            TypeError: A message with a meaning beyond its numbers, such as a mask.
            ValueError: A message that the space does not contain, and whose it is.
        """
        kinds = set(map(type, messages)) - {np.ndarray}
        if any(issubclass(kind, np.ndarray) for kind in kinds):
            for message, name in zip(messages, names, strict=True):
                refuse_subclass(message, f"the message of agent {name!r}")
        values = self._elements(messages)
        if values is None:
            values = self._one_by_one(messages, names)
        records = np.empty(len(names), self.dtype)
        if isinstance(self.space, spaces.MultiBinary):
            bits = values.reshape(len(names), -1).astype(np.uint8)
            records["message"] = np.packbits(bits, axis=1)
        elif isinstance(self.space, spaces.Box):
            records["message"] = values
        else:
            records["message"] = values - self._low
        return records

    def unpack(self, records: NDArray[np.void]) -> NDArray[Any]:
        """What receivers see: an array of shape (m, ...).

        Numbers that distortion or a codec has moved out of the space are moved to its
        nearest element.
        """
        values = records["message"]
        if isinstance(self.space, spaces.MultiBinary):
            bits = np.unpackbits(values, axis=1, count=self._size)
            return bits.reshape(-1, *self._shape).astype(self.space.dtype)
        if isinstance(self.space, spaces.Box):
            return np.clip(values, self._low, self._high) if self._bounded else values
        whole = values.astype(np.int64) + self._low
        return np.clip(whole, self._low, self._high).astype(self.space.dtype)

    def inbox(self, senders: int) -> gym.Space[Any]:
        """The space of the messages of so many senders, one row for each."""
        space, shape = self.space, (senders, *self._shape)
        if isinstance(space, spaces.MultiBinary):
            return spaces.MultiBinary(shape)
        if isinstance(space, spaces.Box):
            low, high = (np.broadcast_to(one, shape) for one in (space.low, space.high))
            return spaces.Box(low.copy(), high.copy(), dtype=space.dtype.type)
        sizes = np.broadcast_to(self._high - self._low + 1, shape).copy()
        start = np.broadcast_to(self._low, shape).copy()
        return spaces.MultiDiscrete(sizes, dtype=space.dtype.type, start=start)

    def _wire(self) -> tuple[Any, ...]:
        """Dtype and shape of the record's one field."""
        if isinstance(self.space, spaces.MultiBinary):
            return ("u1", (-(-self._size // 8),))
        if isinstance(self.space, spaces.Box):
            return (np.dtype(self.space.dtype).newbyteorder("<"), self._shape)
        most = int((self._high - self._low).max())
        return (np.min_scalar_type(most).newbyteorder("<"), self._shape)

    def _elements(self, messages: Sequence[Any]) -> NDArray[Any] | None:
        """The messages in one array; None where one of them is not in the space.

        Reals are compared in the space's own dtype, in which they travel: 0.7 is not
        above the limit of ``Box(-0.7, 0.7, dtype=np.float32)``.
        """
        try:
            given = np.array(messages)
        except ValueError:  # they differ in shape
            return None
        dtype = self.space.dtype
        real = dtype.kind == "f"
        kinds = "iuf" if real else "iub"
        if given.dtype.kind not in kinds or given.shape[1:] != self._shape:
            return None
        values = given  # a whole number beyond the dtype would come round in a cast
        if real and given.dtype != dtype:
            with np.errstate(over="ignore"):
                values = given.astype(dtype)
            if np.count_nonzero(np.isinf(values) & np.isfinite(given)):
                return None
        inside = (values >= self._low) & (values <= self._high)
        if np.count_nonzero(inside) < values.size:
            return None
        return values.astype(dtype, copy=False)

    def _one_by_one(
        self, messages: Sequence[Any], names: Sequence[str]
    ) -> NDArray[Any]:
        """The messages, where NumPy has no common type for those of all agents.

        Raises:
            ValueError: The first message that is not in the space, and whose it is.
        """
        rows = []
        for message, name in zip(messages, names, strict=True):
            if (row := self._elements([message])) is None:
                raise ValueError(
                    f"agent {name!r} sends {message!r}, which is not in the message "
                    f"space {self.space}"
                )
            rows.append(row)
        return np.concatenate(rows)


def _limits(space: gym.Space[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The least and the greatest element, component by component."""
    if isinstance(space, spaces.Box):
        return space.low, space.high
    if isinstance(space, spaces.MultiBinary):
        zeros = np.zeros(space.shape, space.dtype)
        return zeros, zeros + 1
    if isinstance(space, spaces.Discrete):
        start = np.asarray(space.start, np.int64)
        return start, start + int(space.n) - 1
    assert isinstance(space, spaces.MultiDiscrete)
    low = np.asarray(space.start, np.int64)
    return low, low + np.asarray(space.nvec, np.int64) - 1
