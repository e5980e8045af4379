from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commenv.channel import HEADER, HEADER_SIZE, Packets, decode_packet, pack
from commenv.channel.message import schema_of
from commenv.channel.wire import TRUNCATED
from commenv.errors import MalformedMessage

FAST = settings(deadline=None, derandomize=True, max_examples=200, database=None)

STEP = np.dtype([("state", "<i4"), ("reward", "<f8")])


def header(schema: int, **fields: int) -> bytes:
    one = np.zeros(1, HEADER)
    one["schema"] = schema
    for name, value in fields.items():
        one[name] = value
    return one.tobytes()


def step_frame(*rewards: float, **fields: int) -> bytes:
    records = np.zeros(len(rewards), STEP)
    records["reward"] = rewards
    return header(schema_of(STEP), **fields) + records.tobytes()


def frames(links: list[int], payloads: list[bytes]) -> Packets:
    headers = np.zeros(len(links), HEADER)
    headers["sender"] = links
    sizes = np.array([len(payload) for payload in payloads], dtype=np.int64)
    starts = np.cumsum(sizes) - sizes
    data = np.frombuffer(b"".join(payloads), np.uint8)
    return Packets(np.array(links, dtype=np.intp), headers, data, starts, sizes)


def test_a_header_is_16_bytes_in_a_fixed_layout():
    assert HEADER_SIZE == 16
    data = header(0x0A09, sender=0x04030201, episode=5, sequence=6, flags=0x0C0B)
    assert data.hex() == "010203040500000006000000090a0b0c"


def test_wire_is_header_and_payload():
    two = frames([1, 4], [b"abc", b"de"])
    assert two.links.tolist() == [1, 4]
    assert two.sizes.tolist() == [3, 2]
    assert two.wire(0) == header(0, sender=1) + b"abc"
    assert two.wire(1) == header(0, sender=4) + b"de"


def test_take_chooses_by_position_or_mask():
    three = frames([0, 1, 2], [b"a", b"bb", b"ccc"])
    last_first = three.take(np.array([2, 0]))
    assert last_first.links.tolist() == [2, 0]
    assert last_first.payload().tobytes() == b"ccca"
    masked = three.take(np.array([False, True, False]))
    assert masked.links.tolist() == [1]
    assert masked.wire(0) == header(0, sender=1) + b"bb"


def test_payload_is_not_copied_where_it_stands_whole():
    two = frames([1, 4], [b"abc", b"de"])
    assert two.payload() is two.data
    assert two.take(np.array([], dtype=int)).payload().tobytes() == b""


def test_shared_payloads_are_repeated():
    copies = Packets(
        np.array([0, 1]),
        np.zeros(2, HEADER),
        np.frombuffer(b"abc", np.uint8),
        np.array([0, 0]),
        np.array([3, 3]),
    )
    assert copies.payload().tobytes() == b"abcabc"


def test_a_frame_alone_keeps_only_its_own_bytes():
    many = frames([0, 1, 2], [b"a" * 1000, b"bb", b"c" * 1000])
    alone = many.take(np.array([1])).alone()
    assert alone.data.tobytes() == b"bb"
    assert alone.wire(0) == many.wire(1)


def test_a_frame_of_records_decodes():
    head, records = decode_packet(
        step_frame(1.5, -2, sender=7, episode=3, sequence=9), STEP
    )
    assert (head["sender"], head["episode"], head["sequence"]) == (7, 3, 9)
    assert records["reward"].tolist() == [1.5, -2]
    assert not records.flags.writeable


def test_a_frame_without_records_decodes():
    assert decode_packet(step_frame(), STEP)[1].shape == (0,)


def test_the_flag_of_a_cut_message_is_known():
    head, _ = decode_packet(step_frame(1, flags=TRUNCATED), STEP)
    assert head["flags"] == TRUNCATED


def test_a_free_form_frame_decodes():
    payload = decode_packet(header(0) + pack({"x": [1, 2]}), None)[1]
    assert payload == {"x": [1, 2]}


@pytest.mark.parametrize(
    ("data", "dtype", "message"),
    [
        (b"", STEP, "0 bytes are too few for a header"),
        (b"x" * 15, None, "15 bytes are too few for a header"),
        (header(1) + b"\x01", None, "schema 1 in the header, but 0"),
        (header(0), STEP, "schema 0 in the header"),
        (step_frame(1)[:-1], STEP, "11 bytes of payload are not a whole number"),
        (step_frame(1) + b"x", STEP, "13 bytes of payload are not a whole number"),
        (step_frame(1, flags=2), STEP, "unknown flags 0x0002"),
        (step_frame(1, flags=0x8001), STEP, "unknown flags 0x8001"),
        (step_frame(1, np.nan), STEP, "'reward' holds NaN"),
        (header(0), None, "no free-form payload"),
        (header(0) + b"\xc1", None, "no free-form payload"),
    ],
)
def test_malformed_frames(data, dtype, message):
    with pytest.raises(MalformedMessage, match=message):
        decode_packet(data, dtype)


def test_a_dtype_that_is_no_wire_format_is_the_callers_error():
    dtype = np.dtype([("x", "O")])
    with pytest.raises(TypeError, match="field 'x'"):
        decode_packet(header(schema_of(dtype)), dtype)


def decode_or_refuse(data: bytes, dtype: np.dtype | None) -> None:
    """Anything else, or more memory than the input warrants, fails the test."""
    tracemalloc.start()
    try:
        decode_packet(data, dtype)
    except MalformedMessage:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak <= 200_000 + 200 * len(data)


edits = st.lists(
    st.tuples(st.sampled_from("rid"), st.integers(0, 10_000), st.integers(0, 255)),
    max_size=4,
)


def mutate(data: bytes, changes: list[tuple[str, int, int]]) -> bytes:
    """Replaces, inserts or deletes single bytes."""
    mutated = bytearray(data)
    for kind, position, value in changes:
        at = position % (len(mutated) + 1)
        mutated[at : at + (kind != "i")] = b"" if kind == "d" else bytes([value])
    return bytes(mutated)


VALID = [
    (step_frame(1, 2, 3, sender=1, episode=2, sequence=3), STEP),
    (header(0) + pack({"w": np.arange(6.0).reshape(2, 3), "n": [1, "two"]}), None),
]


@FAST
@given(st.binary(max_size=80), st.sampled_from([STEP, None]))
def test_random_bytes_decode_or_are_malformed(data, dtype):
    decode_or_refuse(data, dtype)


@FAST
@given(st.binary(max_size=80), st.sampled_from([STEP, None]))
def test_random_payloads_decode_or_are_malformed(data, dtype):
    decode_or_refuse(header(0 if dtype is None else schema_of(dtype)) + data, dtype)


@FAST
@given(st.sampled_from(VALID), edits)
def test_damaged_frames_decode_or_are_malformed(valid, changes):
    data, dtype = valid
    decode_or_refuse(mutate(data, changes), dtype)
