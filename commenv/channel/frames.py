"""Encoded messages: a 16-byte header and a payload each, as they travel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from commenv.channel.message import (
    FREE_FORM_SCHEMA,
    check_record_dtype,
    refuse_nan,
    schema_of,
)
from commenv.channel.payload import unpack
from commenv.errors import MalformedMessage, ResultsError
from commenv.snapshots import Snapshot, array_of, check_within

__all__ = [
    "HEADER",
    "HEADER_SIZE",
    "LEARNER",
    "NO_FRAMES",
    "TRUNCATED",
    "Frames",
    "decode_frame",
    "following",
    "merge",
]

HEADER = np.dtype(
    [
        ("sender", "<u4"),
        ("episode", "<u4"),
        ("sequence", "<u4"),
        ("schema", "<u2"),
        ("flags", "<u2"),
    ]
)
HEADER_SIZE = HEADER.itemsize
LEARNER = 0xFFFF_FFFF
"""The sender's number in the header of a message that the learner sent."""
TRUNCATED = 1
"""The flag of a message that a budget has cut."""


@dataclass(frozen=True)
class Frames:
    """Encoded messages, one for each link that is not silent.

    Payloads stand in one buffer and may share bytes, as the copies of a broadcast do.

    Attributes:
        links: Integers, shape (m,): the flat (trial-major) link of each message.
        headers: ``HEADER`` array, shape (m,).
        data: uint8, shape (bytes,): the payloads' buffer.
        starts: Integers, shape (m,): where each payload begins in ``data``.
        stops: Integers, shape (m,): where it ends.
    """

    links: NDArray[np.intp]
    headers: NDArray[np.void]
    data: NDArray[np.uint8]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.links)

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Payload bytes of each message, shape (m,)."""
        return self.stops - self.starts

    def take(self, which: NDArray[Any] | slice) -> Frames:
        """The frames at the given positions, or where a mask is true."""
        if not isinstance(which, slice) and which.dtype == np.bool_:
            which = which.nonzero()[0]  # once, not for each array
        return Frames(
            self.links[which],
            self.headers[which],
            self.data,
            self.starts[which],
            self.stops[which],
        )

    def alone(self) -> Frames:
        """The same in a buffer that holds nothing else, so that it can be kept."""
        stops = np.cumsum(self.sizes)
        starts = stops - self.sizes
        return Frames(self.links, self.headers, self.payload(), starts, stops)

    def snapshot(self) -> Snapshot:
        """Everything, to be kept elsewhere; :meth:`restored` is its inverse."""
        own = self.alone()
        return {
            "links": own.links,
            "headers": own.headers,
            "data": own.data,
            "sizes": own.sizes,
        }

    @classmethod
    def restored(cls, snapshot: Snapshot, num_links: int) -> Frames:
        """What :meth:`snapshot` gave.

        Args:
            snapshot: At most one message for each link.
            num_links: How many links there are.

        Raises:
            ResultsError: It is no snapshot of such messages.
        """
        links = array_of(snapshot["links"], "links", np.intp, None)
        headers = array_of(snapshot["headers"], "headers", HEADER, len(links))
        sizes = array_of(snapshot["sizes"], "sizes", np.int64, len(links))
        data = array_of(snapshot["data"], "payloads", np.uint8, None)
        check_within(links, "links", 0, num_links - 1)
        check_within(sizes, "sizes", 0, len(data))
        stops = np.cumsum(sizes)
        if sizes.sum() != len(data) or len(np.unique(links)) != len(links):
            raise ResultsError("a snapshot has messages that are none of one sending")
        return cls(links, headers, data, stops - sizes, stops)

    def wire(self, position: int) -> bytes:
        """One whole message as it travels: header and payload."""
        payload = self.data[self.starts[position] : self.stops[position]]
        return self.headers[position].tobytes() + payload.tobytes()

    def payload(self) -> NDArray[np.uint8]:
        """The payloads one after the other; not copied where they already stand so."""
        whole = len(self) and self.starts[0] == 0 and self.stops[-1] == len(self.data)
        if whole and not np.count_nonzero(self.starts[1:] != self.stops[:-1]):
            return self.data
        parts = [
            self.data[start:stop]
            for start, stop in zip(self.starts, self.stops, strict=True)
        ]
        return np.concatenate(parts) if parts else np.empty(0, np.uint8)


NO_FRAMES = Frames(
    np.empty(0, np.intp),
    np.empty(0, HEADER),
    np.empty(0, np.uint8),
    np.empty(0, np.int64),
    np.empty(0, np.int64),
)


def following(
    sequence: NDArray[np.uint32], sent: NDArray[np.uint32] | int = 1
) -> NDArray[np.uint32]:
    """The numbers of links' next messages.

    Args:
        sequence: uint32, shape (m,): the numbers of the ones before.
        sent: Whether each was sent, 0 or 1.

    Raises:
        ValueError: A header has no larger number.
    """
    numbers = sequence + np.asarray(sent, dtype=np.uint32)
    if (numbers < sequence).any():
        raise ValueError(
            f"{int(sequence.max()):,} messages were sent on one link, the most that "
            "the header's 32-bit sequence number can count; reset the environment with "
            "a seed to begin a new channel"
        )
    return numbers


def merge(batches: Sequence[Frames]) -> Frames:
    """All frames in one, ordered by link and, within a link, as they came."""
    if len(batches) == 1:
        return batches[0]
    ends = np.cumsum([len(batch.data) for batch in batches], dtype=np.int64)
    begins = [end - len(batch.data) for end, batch in zip(ends, batches, strict=True)]
    pairs = list(zip(batches, begins, strict=True))
    everything = Frames(
        _join([batch.links for batch in batches], np.intp),
        _join([batch.headers for batch in batches], HEADER),
        _join([batch.data for batch in batches], np.uint8),
        _join([batch.starts + begin for batch, begin in pairs], np.int64),
        _join([batch.stops + begin for batch, begin in pairs], np.int64),
    )
    return everything.take(np.argsort(everything.links, kind="stable"))


def _join(parts: list[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty(0, dtype)


def decode_frame(data: bytes, dtype: np.dtype[Any] | None) -> tuple[np.void, Any]:
    """Decodes one whole message of the identity codec.

    Args:
        data: Header and payload.
        dtype: The records' dtype, or None for a free-form payload.

    Returns:
        The header and the records (read-only view of ``data``), or the payload.

    Raises:
        MalformedMessage: The bytes are no such message.
    """
    if len(data) < HEADER_SIZE:
        raise MalformedMessage(
            f"{len(data)} bytes are too few for a header of {HEADER_SIZE}"
        )
    header = np.frombuffer(data, HEADER, count=1)[0]
    expected = FREE_FORM_SCHEMA if dtype is None else schema_of(dtype)
    if header["schema"] != expected:
        raise MalformedMessage(
            f"schema {header['schema']} in the header, but {expected} is expected here"
        )
    if int(header["flags"]) & ~TRUNCATED:
        raise MalformedMessage(f"unknown flags {header['flags']:#06x} in the header")
    if dtype is None:
        return header, unpack(data[HEADER_SIZE:])
    check_record_dtype(dtype)
    if (len(data) - HEADER_SIZE) % dtype.itemsize:
        raise MalformedMessage(
            f"{len(data) - HEADER_SIZE} bytes of payload are no whole number of "
            f"records of {dtype.itemsize} bytes"
        )
    records: NDArray[np.void] = np.frombuffer(data, dtype, offset=HEADER_SIZE)
    try:
        refuse_nan(records)
    except ValueError as error:
        raise MalformedMessage(str(error)) from None
    return header, records
