"""Free-form payloads as MessagePack, with arrays that keep their dtype and shape.

Whatever is decoded here may come from outside, so it is hostile until checked: nothing
is executed, and no allocation exceeds a small multiple of the input's length.
"""

from __future__ import annotations

import math
from types import NoneType
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from commenv.channel.message import refuse_subclass
from commenv.errors import MalformedMessage

__all__ = ["pack", "unpack"]

_Path = tuple[Any, Any] | None
"""The path to the surrounding container, and the key in it; None for the whole."""

_ARRAY = 1
_MAX_DIMENSIONS = 32
_ARRAY_DTYPES = frozenset(
    np.dtype(code).newbyteorder("<").str
    for code in ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
)


def pack(payload: Any) -> bytes:
    """Encodes a free-form payload as MessagePack; arrays keep dtype and shape.

    Raises:
        TypeError: It holds something other than dictionaries with string keys, lists,
            arrays of plain numbers, strings, bytes and numbers; a masked array, say.
        ValueError: It holds NaN, an integer beyond 64 bits, or itself.
    """
    try:
        _check(payload, None)
        return msgspec.msgpack.encode(payload, enc_hook=_encode_array)
    except OverflowError as error:
        raise ValueError(f"a payload's integers must fit 64 bits: {error}") from None
    except RecursionError:
        raise ValueError("a payload is nested too deeply, or holds itself") from None


def unpack(data: bytes) -> Any:
    """Decodes what :func:`pack` encoded; arrays are writable and share no memory.

    Raises:
        MalformedMessage: The bytes are no such payload.
    """
    try:
        payload = msgspec.msgpack.decode(data, ext_hook=_decode_array)
        _check(payload, None)
        return payload
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        raise MalformedMessage(f"no free-form payload: {error}") from None


class _Array(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    dtype: str
    shape: list[int]
    data: bytes


def _encode_array(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    little = value.dtype.newbyteorder("<")
    array = _Array(little.str, list(value.shape), value.astype(little).tobytes())
    return msgspec.msgpack.Ext(_ARRAY, msgspec.msgpack.encode(array))


def _decode_array(code: int, data: memoryview) -> NDArray[Any]:
    if code != _ARRAY:
        raise MalformedMessage(f"unknown extension {code} in a free-form payload")
    array = msgspec.msgpack.decode(data, type=_Array)
    if array.dtype not in _ARRAY_DTYPES or len(array.shape) > _MAX_DIMENSIONS:
        raise MalformedMessage(
            f"an array of dtype {array.dtype!r} and {len(array.shape)} dimensions"
        )
    dtype = np.dtype(array.dtype)
    if min(array.shape, default=0) < 0 or (
        math.prod(array.shape) * dtype.itemsize != len(array.data)
    ):
        raise MalformedMessage(
            f"{len(array.data)} bytes for an array of shape {tuple(array.shape)} "
            f"and dtype {dtype}"
        )
    return np.frombuffer(array.data, dtype).reshape(array.shape).copy()


def _check(payload: Any, path: _Path) -> None:
    """Raises TypeError or ValueError, with the path, unless a payload is plain."""
    if isinstance(payload, dict):
        for key, value in payload.items():
            if not isinstance(key, str):
                raise TypeError(f"{_spell(path)} has the key {key!r}; keys are strings")
            _check(value, (path, key))
    elif isinstance(payload, (list, tuple)):
        for position, value in enumerate(payload):
            _check(value, (path, position))
    elif isinstance(payload, (float, np.number, np.bool_, np.ndarray)):
        if isinstance(payload, np.ndarray):
            refuse_subclass(payload, _spell(path))
        _check_numbers(np.asarray(payload), path)
    elif not isinstance(payload, (str, bytes, int, NoneType)):
        raise TypeError(
            f"{_spell(path)} is a {type(payload).__name__!r}; use dictionaries, lists, "
            "arrays, strings, bytes and numbers"
        )


def _check_numbers(numbers: NDArray[Any], path: _Path) -> None:
    if numbers.dtype.newbyteorder("<").str not in _ARRAY_DTYPES:
        raise TypeError(
            f"{_spell(path)} has dtype {numbers.dtype}; use booleans, integers or "
            "reals of up to 8 bytes"
        )
    if numbers.dtype.kind == "f" and np.isnan(numbers).any():
        raise ValueError(
            f"{_spell(path)} holds NaN; decide before sending what NaN stands for"
        )


def _spell(path: _Path) -> str:
    """The path in words; it is kept as a chain, since few are ever spelt out."""
    keys = []
    while path is not None:
        path, key = path
        keys.append(f"[{key!r}]")
    return "payload" + "".join(reversed(keys))
