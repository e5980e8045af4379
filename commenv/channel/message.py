"""Messages before they are encoded: records of a packed dtype, or free-form payloads.

A message is k records of one NumPy structured dtype, and the dtype *is* the wire
format: k * itemsize bytes of payload. A gradient is one record with a subarray field.
Payloads of no fixed form (nested dictionaries of arrays and scalars) are
:class:`FreeForm`.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "FreeForm",
    "Messages",
    "Received",
    "check_record_dtype",
    "refuse_nan",
    "refuse_subclass",
    "schema_of",
]

_WIRE_KINDS = "biuf"
_WIDEST_NUMBER = 8  # a long double differs between machines
# These differ from plain arrays in where they are stored and how they are spelt.
_PLAIN_ARRAYS = frozenset((np.ndarray, np.memmap, np.recarray))
FREE_FORM_SCHEMA = 0


class Messages:
    """The messages of many agents: one flat record array and how many are whose.

    Args:
        records: Structured array, shape (sum of counts,): the agents' records in
            trial-major order, each agent's in time order. Kept, not copied.
        counts: Integers, shape (trials, agents): records in each agent's message; an
            agent with 0 is silent.

    Raises:
        TypeError: The records' dtype is no wire format (see
            :func:`check_record_dtype`), or they are a masked array, say (see
            :func:`refuse_subclass`).
        ValueError: The counts are no whole numbers or do not add up to the records,
            or a record holds NaN.
    """

    def __init__(self, records: NDArray[np.void], counts: NDArray[np.integer]) -> None:
        refuse_subclass(records, "records")
        check_record_dtype(records.dtype)
        self.records = records
        if (kind := np.asarray(counts).dtype).kind not in "biu":
            raise ValueError(f"counts have dtype {kind}; give whole numbers")
        self.counts: NDArray[np.int64] = np.asarray(counts).astype(np.int64)
        negative, total = np.count_nonzero(self.counts < 0), self.counts.sum()
        if self.counts.ndim != 2:
            raise ValueError(
                f"counts has shape {self.counts.shape}; give one count for each of "
                "(trials, agents)"
            )
        if records.ndim != 1 or negative or total != len(records):
            least = self.counts.min(initial=0)
            raise ValueError(
                f"counts add up to {total} records (the least is {least}), but "
                f"records has shape {records.shape}"
            )
        refuse_nan(records)

    @classmethod
    def trusted(cls, records: NDArray[np.void], counts: NDArray[np.int64]) -> Messages:
        """The same of what is known to be right, without looking at it again."""
        messages = cls.__new__(cls)
        messages.records, messages.counts = records, counts
        return messages

    @classmethod
    def silent(cls, dtype: np.dtype[np.void], shape: tuple[int, int]) -> Messages:
        """Nothing from anybody."""
        return cls(np.empty(0, dtype), np.zeros(shape, dtype=np.int64))

    @property
    def shape(self) -> tuple[int, int]:
        """(trials, agents)."""
        trials, agents = self.counts.shape
        return trials, agents

    @property
    def senders(self) -> NDArray[np.intp]:
        """For each record, the flat (trial-major) position of its agent."""
        return np.repeat(np.arange(self.counts.size), self.counts.ravel())

    @property
    def trials(self) -> NDArray[np.intp]:
        """For each record, the position of its trial in the batch."""
        return np.repeat(np.arange(self.counts.shape[0]), self.counts.sum(axis=1))

    def select(self, mask: NDArray[np.bool_]) -> Messages:
        """The messages that a scheme lets through.

        Args:
            mask: bool; shape (trials, agents) keeps or silences whole messages, shape
                (number of records,) keeps single records.

        Raises:
            ValueError: A mask of another shape or dtype.
        """
        check_mask(mask, self.counts)
        keep = mask
        if mask.shape == self.counts.shape:
            keep = np.repeat(mask.ravel(), self.counts.ravel())
        if keep.all():
            return self
        counts = np.bincount(self.senders[keep], minlength=self.counts.size)
        return Messages.trusted(self.records[keep], counts.reshape(self.counts.shape))


def check_mask(mask: NDArray[np.bool_], counts: NDArray[np.int64]) -> None:
    """Checks a mask of messages, or of their records.

    Args:
        mask: The mask.
        counts: Records of each message, shape (trials, agents).

    Raises:
        ValueError: It has another shape or dtype.
    """
    if mask.dtype != np.bool_:
        raise ValueError(f"the mask has dtype {mask.dtype}; give booleans")
    records = (int(counts.sum()),)
    if mask.shape not in (counts.shape, records):
        raise ValueError(
            f"the mask has shape {mask.shape}; give {counts.shape} to choose "
            f"messages, or {records} to choose records"
        )


class Received(Messages):
    """Messages that arrived, with the headers they arrived under.

    Args:
        records: As in :class:`Messages`; an agent's messages stand in order of arrival.
        counts: As in :class:`Messages`, over all messages of an agent.
        headers: Structured array, shape (number of messages,), ordered as the records.
        lengths: Integers, shape (number of messages,): records in each message.
    """

    def __init__(
        self,
        records: NDArray[np.void],
        counts: NDArray[np.integer],
        headers: NDArray[np.void],
        lengths: NDArray[np.integer],
    ) -> None:
        super().__init__(records, counts)
        self.headers = headers
        self.lengths = lengths


class FreeForm:
    """One payload of no fixed form per agent.

    Args:
        payloads: Flat (trial-major), one for each agent: nested dictionaries with
            string keys, lists, arrays, strings, bytes and numbers; None is silence.
        shape: (trials, agents).

    Raises:
        ValueError: Not one payload for each agent.
    """

    def __init__(self, payloads: Sequence[Any], shape: tuple[int, int]) -> None:
        if len(payloads) != shape[0] * shape[1]:
            raise ValueError(
                f"{len(payloads)} payloads for {shape[0]} x {shape[1]} agents; give "
                "one each, None for an agent that is silent"
            )
        self.payloads = list(payloads)
        self.shape = shape

    def select(self, mask: NDArray[np.bool_]) -> FreeForm:
        """The same with the agents outside ``mask`` silenced.

        Args:
            mask: bool, shape (trials, agents).

        Raises:
            ValueError: A mask of another shape or dtype.
        """
        if mask.dtype != np.bool_ or mask.shape != self.shape:
            raise ValueError(
                f"the mask has dtype {mask.dtype} and shape {mask.shape}; give "
                f"booleans of shape {self.shape}"
            )
        kept = [
            payload if keep else None
            for payload, keep in zip(self.payloads, mask.ravel(), strict=True)
        ]
        return FreeForm(kept, self.shape)


@lru_cache(maxsize=256)
def check_record_dtype(dtype: np.dtype[Any]) -> None:
    """Raises TypeError unless ``dtype`` can be a wire format.

    A wire format is a packed structured dtype of little-endian booleans, integers and
    reals (or arrays of them): every byte of it has one meaning on every machine.
    """
    if dtype.names is None or dtype.fields is None or dtype.itemsize == 0:
        raise TypeError(
            f"records have dtype {dtype}; a message needs a structured dtype such as "
            "np.dtype([('state', '<i4'), ('reward', '<f8')])"
        )
    end = 0
    for name in dtype.names:
        field, offset = dtype.fields[name][:2]
        number = field.base
        plain = number.kind in _WIRE_KINDS and number.itemsize <= _WIDEST_NUMBER
        if not plain or number.str.startswith(">"):
            raise TypeError(
                f"field {name!r} has dtype {number.str!r}; a message takes "
                f"little-endian booleans, integers and reals of up to "
                f"{_WIDEST_NUMBER} bytes"
            )
        if offset != end:
            raise TypeError(
                f"field {name!r} begins at byte {offset}, not {end}: the dtype has "
                "padding; build it without align=True"
            )
        end += field.itemsize
    if end != dtype.itemsize:
        raise TypeError(
            f"the dtype's fields fill {end} of its {dtype.itemsize} bytes; build it "
            "without align=True"
        )


@lru_cache(maxsize=256)
def schema_of(dtype: np.dtype[Any]) -> int:
    """The number (1 to 65535) that a header names a record dtype by."""
    return zlib.crc32(repr(dtype.descr).encode()) % 0xFFFF + 1


def refuse_nan(records: NDArray[np.void]) -> None:
    """Raises ValueError if a field of ``records`` holds NaN."""
    for name in records.dtype.names or ():
        values = records[name]
        if values.dtype.kind == "f" and (count := np.count_nonzero(np.isnan(values))):
            raise ValueError(
                f"field {name!r} holds NaN in {count} of {values.size} values; a "
                "message carries numbers: decide before sending what NaN stands for"
            )


def refuse_subclass(given: Any, what: str) -> None:
    """Raises TypeError for an array that means more than its numbers.

    Only numbers travel: a masked array would arrive without its mask, a quantity
    without its unit, a matrix without its product.

    Args:
        given: An array or anything else; what is not an array passes.
        what: It, in words.
    """
    kind = type(given)
    if isinstance(given, np.ndarray) and kind not in _PLAIN_ARRAYS:
        raise TypeError(
            f"{what} is a {kind.__module__}.{kind.__qualname__}, of which only the "
            "plain numbers would arrive; make it a plain array, with .filled(value) or "
            "numpy.asarray(...), say, and send what else matters beside it"
        )
