"""Targets for what comes over a link: framed messages, through every codec."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from commenv.channel import (
    HEADER,
    HEADER_SIZE,
    QSGD,
    BitErrors,
    Channel,
    Codec,
    Decoder,
    Delta,
    Encoder,
    ErrorFeedback,
    Float16,
    Identity,
    Int8,
    Messages,
    Packets,
    RandomK,
    ScaledSign,
    Sparse,
    TopK,
    Uniform,
    decode_packet,
)
from commenv.channel.delivered import free_form_of, received
from commenv.channel.message import schema_of
from commenv.channel.payload import pack, unpack
from commenv.channel.shapes import uplink_wiring
from commenv.errors import MalformedMessage
from commenv.rng import Draws
from tests.fuzz.target import Target

__all__ = ["TARGETS"]

DTYPES = tuple(
    np.dtype(fields)
    for fields in (
        [("state", "<i4"), ("action", "u1"), ("error", "<f8")],
        [("gradient", "<f8", (9,))],
        [("a", "<f4", (2, 3)), ("flag", "?"), ("b", "<f2"), ("n", "<u8")],
    )
)
PLAIN = np.dtype([("key", "<u8"), ("flags", "?", (3,))])
CODECS: tuple[Codec, ...] = (
    *(Identity(), Float16(), Int8(), Uniform(bits=3), Uniform(bits=16), QSGD()),
    *(QSGD(levels=255), ScaledSign(), TopK(k=2), TopK(k=2**31 - 1), RandomK(k=3)),
    *(RandomK(k=2, unbiased=True), Sparse(), ErrorFeedback(TopK(k=1))),
    *(Delta(key_every=2), Delta(Sparse()), Delta(QSGD(), history=2, key_every=4)),
)
_LINKS = 2


class Case(NamedTuple):
    """One way of reading: a codec and records; no codec for whole frames."""

    codec: Codec | None
    dtype: np.dtype[Any] | None
    decoder: Decoder | None


@cache
def cases() -> tuple[Case, ...]:
    """Every codec with every form of records, and frames by themselves."""
    draws = Draws(0, [0], _LINKS)
    made = [Case(None, dtype, None) for dtype in (*DTYPES, PLAIN, None)]
    pairs = [(codec, dtype) for codec in CODECS for dtype in DTYPES]
    for codec, dtype in [*pairs, (Identity(), PLAIN), (Identity(), None)]:
        decoder = Decoder(damaging(codec), uplink_wiring(draws))
        decoder.begin(dtype)
        made.append(Case(codec, dtype, decoder))
    return tuple(made)


def read_message(data: bytes) -> None:
    """Reads a frame, or what came over links: which of all cases is the first byte."""
    case = cases()[data[0] % len(cases())] if data else cases()[0]
    if case.decoder is None:
        decode_packet(data[1:], case.dtype)
        return
    case.decoder.begin(case.dtype)  # nothing is left of earlier inputs
    delivered = case.decoder.decode(packets_of(data[1:]))
    if case.dtype is None:
        free_form_of([delivered], _LINKS)
    else:
        received([delivered], case.dtype, (1, _LINKS))


def damaging(codec: Codec) -> Channel:
    """A channel whose link may damage what the codec has made."""
    return Channel(codec, link=BitErrors(0.1), acknowledgements=True)


def packets_of(data: bytes) -> Packets:
    """Frames that each stand behind two bytes of their length."""
    wires, at = [], 0
    while at + 2 + HEADER_SIZE <= len(data) and len(wires) < 4:
        stop = at + 2 + HEADER_SIZE + int.from_bytes(data[at : at + 2], "little")
        wires.append(data[at + 2 : stop])
        at = stop
    headers = np.frombuffer(b"".join(wire[:HEADER_SIZE] for wire in wires), HEADER)
    links = np.sort(headers["sender"].astype(np.intp) % _LINKS)
    payloads = [wire[HEADER_SIZE:] for wire in wires]
    stops = np.cumsum([len(one) for one in payloads], dtype=np.int64)
    starts = stops - [len(one) for one in payloads] if payloads else stops
    whole = np.frombuffer(b"".join(payloads), np.uint8)
    return Packets(links, headers, whole, starts, stops - starts)


def _header(schema: int, sequence: int, sender: int = 0) -> bytes:
    header = np.zeros(1, HEADER)
    header["schema"], header["sequence"], header["sender"] = schema, sequence, sender
    return header.tobytes()


def _records(dtype: np.dtype[Any], count: int) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(0)
    records = np.zeros(count, dtype)
    for name in dtype.names or ():
        values = rng.normal(size=records[name].shape) * 4
        records[name] = np.abs(values) if dtype[name].base.kind in "bu" else values
    return records


def message_seeds() -> list[bytes]:
    """A valid input or two of every case."""
    return [bytes([position]) + body for position, body in _bodies()]


def _bodies() -> Iterator[tuple[int, bytes]]:
    for position, (codec, dtype, _) in enumerate(cases()):
        if codec is None:
            payload = pack(PAYLOADS[0])
            if dtype is not None:
                payload = _records(dtype, 2).tobytes()
            yield position, _header(schema_of(dtype) if dtype else 0, 3) + payload
        elif dtype is None:
            yield position, b"".join(_framed(pack(one), 0) for one in PAYLOADS[:3])
        else:
            yield position, b"".join(_encoded(codec, dtype))


def _encoded(codec: Codec, dtype: np.dtype[Any]) -> Iterator[bytes]:
    """Two rounds of messages as they travel."""
    encoder = Encoder(damaging(codec), uplink_wiring(Draws(0, [0], _LINKS)))
    for number in range(2):
        records = _records(dtype, _LINKS)
        encoded = encoder.encode(Messages(records, np.ones((1, _LINKS), np.int64)))
        encoder.on_receipt(np.ones((1, _LINKS), dtype=np.bool_))
        stops = np.cumsum(encoded.sizes)
        for link, (stop, size) in enumerate(zip(stops, encoded.sizes, strict=True)):
            payload = encoded.data[stop - size : stop].tobytes()
            yield _framed(payload, number, schema_of(dtype), link)


def _framed(payload: bytes, number: int, schema: int = 0, sender: int = 0) -> bytes:
    return (
        len(payload).to_bytes(2, "little") + _header(schema, number, sender) + payload
    )


PAYLOADS: tuple[Any, ...] = (
    {"weights": np.arange(6.0).reshape(2, 3), "name": "a", "step": 3},
    [1, -1, 2**63, 0.5, None, True, b"bytes", "é", [], {}],
    np.zeros((2, 0, 3), dtype="<f4"),
    {"nested": {"deeply": [[[np.int8(3)]]]}, "mask": np.array([True, False])},
)
_MESSAGEPACK = (
    *(b"\xc7\x05\x01", b"\xc9\xff\xff\xff\xff\x01", b"\xdd\xff\xff\xff\xff", b"\xc1"),
    *(b"\xdf\x7f\xff\xff\xff", b"\xdb\x7f\xff\xff\xff", b"\xa3<f8", b"\xa2|O", b"\x93"),
    *(b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", b"\xa3<M8", b"\xc6\x7f\xff\xff\xff"),
    *(b"\x91" * 600, b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", b"\xd6\xff\0\0\0\0"),
)
_NUMBERS = (
    *(b"\xff\xff\xff\xff", b"\0\0\x80\x7f", b"\0\0\0\0\0\0\xf0\x7f", b"\0\0\xc0\x7f"),
    *(b"\0\0\0\0\0\0\xf8\x7f", b"\0\x7c", b"\0\x7e", b"\x01\0", b"\0\0\x80\xff"),
)

TARGETS = (
    Target(
        "message",
        read_message,
        message_seeds,
        documented=(MalformedMessage,),
        words=_NUMBERS,
        share=600,
    ),
    Target(
        "payload",
        unpack,
        lambda: [pack(payload) for payload in PAYLOADS],
        documented=(MalformedMessage,),
        words=_MESSAGEPACK,
        share=150,
    ),
)
