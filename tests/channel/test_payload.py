from __future__ import annotations

import datetime
import decimal
import tracemalloc

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from commenv.channel import pack, unpack
from commenv.errors import MalformedMessage

FAST = settings(deadline=None, derandomize=True, max_examples=100, database=None)

CODES = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"]


def same(left, right) -> bool:
    if isinstance(left, np.ndarray):
        return (
            isinstance(right, np.ndarray)
            and left.shape == right.shape
            and right.dtype == left.dtype.newbyteorder("<")
            and bool((left == right).all())
        )
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(
            same(left[k], right[k]) for k in left
        )
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right) and left == right


def array_bytes(dtype: str, shape: object, data: bytes) -> bytes:
    inner = msgspec.msgpack.encode([dtype, shape, data])
    return msgspec.msgpack.encode(msgspec.msgpack.Ext(1, inner))


def numbers_without_nan(dtype: np.dtype) -> st.SearchStrategy:
    return (
        st.floats(allow_nan=False, width=8 * dtype.itemsize)
        if dtype.kind == "f"
        else hnp.from_dtype(dtype)
    )


arrays = st.builds(
    lambda code, order: np.dtype(code).newbyteorder(order),
    st.sampled_from(CODES),
    st.sampled_from("<>"),
).flatmap(
    lambda dtype: hnp.arrays(
        dtype,
        hnp.array_shapes(min_dims=0, min_side=0, max_side=3),
        elements=numbers_without_nan(dtype),
    )
)
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.binary(max_size=5)
    | arrays
)
payloads = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@FAST
@given(payloads)
def test_payloads_round_trip(payload):
    assert same(payload, unpack(pack(payload)))


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("order", ["<", ">"])
def test_arrays_keep_values_dtype_and_shape(code, order):
    dtype = np.dtype(code).newbyteorder(order)
    whole = np.arange(12).reshape(3, 4).astype(dtype)
    for array in (whole, whole[::2, ::-1], whole.T, whole[1, 1, ...], whole[:0]):
        decoded = unpack(pack({"array": array}))["array"]
        assert decoded.tolist() == array.tolist()
        assert decoded.shape == array.shape
        assert decoded.dtype.str == np.dtype(code).newbyteorder("<").str


def test_a_zero_dimensional_array_stays_an_array():
    decoded = unpack(pack(np.array(2.5)))
    assert isinstance(decoded, np.ndarray)
    assert decoded.shape == ()
    assert decoded == 2.5


def test_numpy_scalars_become_numbers_and_tuples_lists():
    payload = {"a": np.float32(0.5), "b": np.int8(-3), "c": np.True_, "d": (1, "x")}
    assert unpack(pack(payload)) == {"a": 0.5, "b": -3, "c": True, "d": [1, "x"]}


def test_an_array_of_doubles_costs_little_beyond_its_bytes():
    assert len(pack({"w": np.zeros(100)})) == 800 + 17


@pytest.mark.parametrize(
    "value",
    [
        1j,
        {1, 2},
        object(),
        bytearray(b"x"),
        datetime.datetime(2020, 1, 1),
        decimal.Decimal(1),
        np.datetime64("2020-01-01"),
        np.complex64(1),
        np.array(["text"]),
        np.array([None]),
        np.array([1j]),
        np.zeros(2, [("x", "<f8")]),
        np.zeros(2, "M8[s]"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_payload_cannot_hold_is_refused_with_its_path(value):
    with pytest.raises(TypeError, match=r"payload\['a'\]\[1\] (is a|has dtype)"):
        pack({"a": [0, value]})


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="it is a double here")
@pytest.mark.parametrize("value", [np.longdouble(1), np.zeros(2, np.longdouble)])
def test_long_doubles_are_refused(value):
    with pytest.raises(TypeError, match="up to 8 bytes"):
        pack(value)


@pytest.mark.parametrize("key", [1, None, ("a",), b"a"])
def test_keys_are_strings(key):
    with pytest.raises(TypeError, match=r"payload\['x'\] has the key .*keys are str"):
        pack({"x": {key: 1}})


@pytest.mark.parametrize(
    "nan",
    [float("nan"), np.float32("nan"), np.array([[1.0, np.nan]]), np.array(np.nan)],
)
def test_nan_is_refused_with_its_path(nan):
    with pytest.raises(ValueError, match=r"payload\['w'\]\[2\]\['b'\] holds NaN"):
        pack({"w": [0, 1, {"b": nan}]})
    with pytest.raises(ValueError, match="payload holds NaN"):
        pack(nan)


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1])
def test_integers_beyond_64_bits_are_refused(number):
    with pytest.raises(ValueError, match="64 bits"):
        pack([number])


def test_a_payload_that_holds_itself_is_refused():
    loop: list = []
    loop.append(loop)
    with pytest.raises(ValueError, match="holds itself"):
        pack(loop)


MALFORMED = {
    "nothing": b"",
    "trailing bytes": b"\x01\x01",
    "unused code": b"\xc1",
    "invalid utf-8": b"\xa1\xff",
    "not a number": b"\xcb\x7f\xf8" + b"\0" * 6,
    "integer key": b"\x81\x01\x02",
    "list as key": b"\x81\x91\x01\x02",
    "array as key": b"\x81" + array_bytes("<f8", [1], b"12345678") + b"\x01",
    "timestamp": b"\xd6\xff\0\0\0\1",
    "broken timestamp": b"\xc7\x0c\xff" + b"\xff" * 12,
    "unknown extension": b"\xd4\x07\0",
    "deep lists": b"\x91" * 100_000 + b"\x01",
    "deep dictionaries": b"\x81\xa1a" * 100_000 + b"\x01",
    "deep keys": b"\x81\x91" * 50_000,
    "huge list": b"\xdd\xff\xff\xff\xff",
    "huge list as key": b"\x81\xdd\x7f\xff\xff\xff",
    "huge dictionary": b"\xdf\xff\xff\xff\xff",
    "huge string": b"\xdb\xff\xff\xff\xff",
    "huge bytes": b"\xc6\xff\xff\xff\xff",
    "huge extension": b"\xc9\xff\xff\xff\xff\x01",
    "huge lists in lists": b"\xdd\x00\xff\xff\xff" * 900,
    "array: empty": b"\xc7\x00\x01",
    "array: too short": array_bytes("<f8", [2], b"12345678"),
    "array: too long": array_bytes("<f8", [0], b"12345678"),
    "array: negative": array_bytes("<f8", [-1, -1], b"12345678"),
    "array: large": array_bytes("|u1", [2**62], b""),
    "array: overflow": array_bytes("<f8", [2**32, 2**32], b""),
    "array: empty and huge": array_bytes("<f8", [0, 2**62], b""),
    "array: empty and huger": array_bytes("<f8", [0, 2**64 - 1], b""),
    "array: 65 dimensions": array_bytes("|u1", [1] * 65, b"x"),
    "array: objects": array_bytes("|O", [1], b"12345678"),
    "array: text": array_bytes("<U2", [1], b"12345678"),
    "array: big-endian": array_bytes(">f8", [1], b"12345678"),
    "array: record": array_bytes("<f8,<f8", [1], b"1" * 16),
    "array: no dtype": array_bytes("nonsense", [1], b"12345678"),
    "array: no shape": array_bytes("<f8", None, b"12345678"),
    "array: fractions": array_bytes("<f8", [0.5], b"1234"),
    "array: holds NaN": array_bytes("<f8", [1], np.float64("nan").tobytes()),
    "extension in it": array_bytes("<f8", msgspec.msgpack.Ext(1, b"\x91\x01"), b""),
    "extensions nested": array_bytes(
        "<f8", [1], msgspec.msgpack.Ext(1, array_bytes("<f8", [1], b"12345678"))
    ),
    "array: huge shape": b"\xc7\x0b\x01\x93\xa3<f8\xdd\x7f\xff\xff\xff\x00",
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_hostile_bytes_are_malformed_and_cheap(data):
    tracemalloc.start()
    try:
        with pytest.raises(MalformedMessage, match="no free-form payload"):
            unpack(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= 200_000 + 200 * len(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\xdc\xff\xff" + b"\x80" * 0xFFFF,
        b"\xdc\xff\xff" + b"\xcb" + b"\0" * 0xFFFF,
        b"\xdc\x13\x88" + array_bytes("<f8", [0], b"") * 5000,
    ],
    ids=["empty dictionaries", "truncated numbers", "empty arrays"],
)
def test_many_small_objects_cost_a_multiple_of_their_bytes(data):
    tracemalloc.start()
    try:
        unpack_or_refuse(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= 200_000 + 200 * len(data)


def unpack_or_refuse(data: bytes) -> None:
    """Anything but a payload or MalformedMessage fails the test that calls it."""
    try:
        payload = unpack(data)
    except MalformedMessage:
        return
    pack(payload)  # what was decoded is a payload that may be sent


edits = st.lists(
    st.tuples(st.sampled_from("rid"), st.integers(0, 10_000), st.integers(0, 255)),
    min_size=1,
    max_size=4,
)


def mutate(data: bytes, changes: list[tuple[str, int, int]]) -> bytes:
    """Replaces, inserts or deletes single bytes."""
    mutated = bytearray(data)
    for kind, position, value in changes:
        at = position % (len(mutated) + 1)
        mutated[at : at + (kind != "i")] = b"" if kind == "d" else bytes([value])
    return bytes(mutated)


@settings(FAST, max_examples=300)
@given(st.binary(max_size=100))
def test_random_bytes_decode_or_are_malformed(data):
    unpack_or_refuse(data)


@settings(FAST, max_examples=200)
@given(payloads, edits)
def test_damaged_payloads_decode_or_are_malformed(payload, changes):
    unpack_or_refuse(mutate(pack(payload), changes))


@pytest.mark.parametrize("code", CODES)
def test_arrays_that_arrive_can_be_written_to(code):
    sent = np.ones((2, 3), code)
    arrived = unpack(pack({"nested": [sent]}))["nested"][0]
    arrived[:] = 0
    assert sent.all()


@pytest.mark.parametrize(
    "array",
    [
        np.ma.array([1.0, 2.0], mask=[False, True]),
        np.ma.masked,
        np.ones((1, 2)).view(np.matrix),
        np.ma.array([1.0, 2.0]),
    ],
    ids=["mask", "masked", "matrix", "no mask"],
)
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"a": [x]}])
def test_an_array_that_means_more_than_its_numbers_is_refused(array, wrap):
    with pytest.raises(TypeError, match=r"payload.* is a numpy.*plain numbers would"):
        pack(wrap(array))
