"""The wire format of one message: a header of 16 bytes, and its payload."""

from __future__ import annotations

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
from commenv.errors import MalformedMessage

__all__ = ["HEADER", "HEADER_SIZE", "LEARNER", "TRUNCATED", "decode_packet"]

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


def decode_packet(data: bytes, dtype: np.dtype[Any] | None) -> tuple[np.void, Any]:
    """Decodes one whole message of the identity codec.

    Args:
        data: Header and payload.
        dtype: The records' dtype, or None for a free-form payload.

    Returns:
        The header and the records (read-only view of ``data``), or the payload.

    Raises:
        MalformedMessage: The bytes are not such a message.
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
            f"{len(data) - HEADER_SIZE} bytes of payload are not a whole number of "
            f"records of {dtype.itemsize} bytes"
        )
    records: NDArray[np.void] = np.frombuffer(data, dtype, offset=HEADER_SIZE)
    try:
        refuse_nan(records)
    except ValueError as error:
        raise MalformedMessage(str(error)) from None
    return header, records
