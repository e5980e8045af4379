"""Codecs inside codecs that remember: read so that what is left out stays bounded."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from commenv.channel.codec import (
    Codec,
    Decoded,
    Encoded,
    Incoming,
)
from commenv.channel.codecs.records import (
    Fields,
    check_finite,
    check_single,
    fields_of,
)
from commenv.channel.message import Messages
from commenv.channel.parts import wrong_part
from commenv.errors import EncodingError
from commenv.rng import MessageDraws

__all__ = [
    "check_carried",
    "check_inner",
    "decode_inner",
    "parts_of",
    "read_back",
    "spread",
    "start_inner",
]


def check_inner(codec: object) -> None:
    """Checks what another codec is put around.

    Raises:
        TypeError: It is not a codec, remembers by itself, or does not say how large its
            error is.
    """
    if not isinstance(codec, Codec) or codec.remembers:
        wrong = f"{codec!r} remembers by itself"
        if not isinstance(codec, Codec):
            wrong = wrong_part(codec, Codec)
        raise TypeError(f"a codec without a memory is needed inside; {wrong}")
    if codec.relative_error(1) is None:
        raise TypeError(
            f"codec {codec.name!r} does not say how large its error is, and what it "
            "leaves out could grow without bound; define relative_error(count)"
        )


def start_inner(codec: Codec, shape: tuple[int, int], dtype: np.dtype[np.void]) -> None:
    """Lets a codec check its records.

    Raises:
        TypeError: It keeps a memory.
        EncodingError: It is not a contraction of so many numbers.
    """
    if codec.start(shape, dtype) or codec.start_receiver(shape, dtype):
        raise TypeError(f"{codec!r} is not a codec without a memory")
    _factor(codec, fields_of(dtype, codec.name).count)


def _factor(codec: Codec, count: int) -> float:
    """What is read is multiplied by it, so that the codec is a contraction.

    Raises:
        EncodingError: No factor is known for records of ``count`` numbers.
    """
    bound = codec.relative_error(count)
    if bound is not None and codec.unbiased:
        return 1 / (1 + bound)
    if bound is None or not bound < 1:
        size = "unknown" if bound is None else f"up to {bound:.3g} times its square"
        raise EncodingError(
            f"{codec!r} is not a contraction of {count:,} numbers: the squared error "
            f"of a message is {size}, so what is left out could grow without bound; "
            "send fewer numbers, give the codec more bits, or use one that is a "
            "contraction of any number of them (int8, sign, top_k)"
        )
    return 1.0


def check_carried(codec: Codec, wanted: NDArray[np.float64]) -> None:
    """Raises ValueError for numbers that a codec would cut off.

    What was cut off would be owed, and grow for as long as messages are as large.
    """
    most = np.abs(wanted).max(initial=0.0)
    if most > codec.largest:
        raise ValueError(
            f"codec {codec.name!r} carries numbers up to {codec.largest:g}, but with "
            f"what earlier messages left out one is {most:g}; send smaller numbers, or "
            "use a codec that scales them (int8, top_k)"
        )


def parts_of(
    messages: Messages, codec: str
) -> tuple[Fields, NDArray[np.uint8], NDArray[np.float64]]:
    """The fields of messages of one record, their other bytes, and their numbers."""
    check_single(messages, codec)
    fields = fields_of(messages.records.dtype, codec)
    rest, numbers = fields.split(messages.records)
    check_finite(numbers, messages, codec)
    return fields, rest, numbers


def read_back(
    codec: Codec, encoded: Encoded, fields: Fields, draws: MessageDraws
) -> NDArray[np.float64]:
    """What the receiver will read of payloads: float64, shape (messages, n)."""
    links = np.flatnonzero(encoded.present)
    incoming = Incoming(
        encoded.data, encoded.sizes[links], links, draws.sequence[links]
    )
    decoded = decode_inner(codec, incoming, fields, draws.take(links))
    return fields.split(decoded.records)[1]


def decode_inner(
    codec: Codec, incoming: Incoming, fields: Fields, draws: MessageDraws
) -> Decoded:
    """What payloads hold, read so that the codec is a contraction.

    Raises:
        MalformedMessage: Bytes that the codec did not write.
    """
    decoded = codec.decode(incoming, fields.dtype, {}, draws)
    factor = _factor(codec, fields.count)
    if factor == 1:
        return decoded
    rest, numbers = fields.split(decoded.records)
    return decoded._replace(records=fields.join(rest, numbers * factor))


def spread(
    values: NDArray[Any], senders: NDArray[np.intp], shape: tuple[int, ...]
) -> NDArray[Any]:
    """Values of messages at their senders' places; 0 elsewhere."""
    flat = np.zeros((shape[0] * shape[1], *shape[2:]), values.dtype)
    flat[senders] = values
    return flat.reshape(shape)
