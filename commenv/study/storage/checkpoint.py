"""A snapshot as one file: safetensors for its arrays, MessagePack for their tree.

    16 bytes    "commenv-state-1", and the end of the line
    32 bytes    SHA-256 of everything that follows
    the rest    a safetensors file; its entry "tree" is the tree in MessagePack, with a
                reference in the place of each array

A file is outside data: nothing in it is run, what it says about sizes is checked
against its length before anything is made of that size, and a flipped bit is noticed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from commenv.errors import ResultsError, shown
from commenv.snapshots import Snapshot
from commenv.study.storage.safe_files import check_depth

__all__ = ["packed", "unpacked"]

_MAGIC = b"commenv-state-1\n"
_DIGEST_SIZE = hashlib.sha256().digest_size
_START = len(_MAGIC) + _DIGEST_SIZE
_ARRAY, _DTYPE = 1, 2
_DEEPEST = 50
_NATIVE = "biuf"
_PLAIN = re.compile(r"[<>|=][biufcmMSUV]\d{1,9}(\[\w+\])?")


def packed(tree: Snapshot) -> bytes:
    """A snapshot as the content of a file.

    Raises:
        TypeError: A leaf that no file of ours keeps.
    """
    from safetensors.numpy import save

    arrays: dict[str, NDArray[Any]] = {}

    def referred(leaf: Any) -> Any:
        if isinstance(leaf, np.ndarray):
            name = str(len(arrays))
            plain = leaf.dtype.kind in _NATIVE and leaf.dtype.itemsize <= 8
            own = np.asarray(leaf, order="C")
            arrays[name] = own if plain else own.reshape(-1).view(np.uint8)
            form = None if plain else [_described(leaf.dtype), list(leaf.shape)]
            return msgspec.msgpack.Ext(_ARRAY, msgspec.msgpack.encode([name, form]))
        if isinstance(leaf, np.dtype):
            form = _described(leaf)
            return msgspec.msgpack.Ext(_DTYPE, msgspec.msgpack.encode(form))
        if isinstance(leaf, np.generic):
            return leaf.item()
        raise TypeError(f"a snapshot holds {leaf!r}, which no file of ours keeps")

    structure = msgspec.msgpack.encode(tree, enc_hook=referred)
    # The hook may be called while the tree is written, so the arrays come afterwards.
    arrays["tree"] = np.frombuffer(structure, np.uint8)
    body = save(arrays)
    return b"".join([_MAGIC, hashlib.sha256(body).digest(), body])


def unpacked(data: bytes) -> Snapshot:
    """The snapshot in the content of a file.

    Raises:
        ResultsError: It is damaged or none of ours.
    """
    body = memoryview(data)[_START:]
    if data[: len(_MAGIC)] != _MAGIC:
        raise ResultsError("it does not begin as a checkpoint of this version does")
    if hashlib.sha256(body).digest() != data[len(_MAGIC) : _START]:
        raise ResultsError("its checksum is another")
    arrays = _arrays(bytes(body))
    if (structure := arrays.pop("tree", None)) is None:
        raise ResultsError("it has no tree")

    def resolved(code: int, content: memoryview) -> Any:
        if code == _ARRAY:
            return _array(arrays, msgspec.msgpack.decode(content))
        if code == _DTYPE:
            return _dtype(msgspec.msgpack.decode(content))
        raise ResultsError(f"its tree has an entry of the unknown kind {code}")

    try:
        tree = msgspec.msgpack.decode(structure.tobytes(), ext_hook=resolved)
        check_depth(tree)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise ResultsError(f"its tree is damaged ({shown(error)})") from None
    if not isinstance(tree, dict):
        raise ResultsError("its tree is no tree")
    return tree


def _arrays(body: bytes) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        # Copies, since those that are read are views that nobody may write to.
        return {name: values.copy() for name, values in load(body).items()}
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise ResultsError(f"its arrays are damaged ({shown(error)})") from None


def _array(arrays: dict[str, NDArray[Any]], reference: Any) -> NDArray[Any]:
    """The array that a reference in the tree stands for, which no other one does."""
    match reference:
        case [str(name), form] if name in arrays:
            stored = arrays.pop(name)
        case _:
            raise ResultsError(f"its tree refers to {shown(reference)!r}")
    match form:
        case None:
            return stored
        case [descr, list(shape)] if all(
            type(one) is int and one >= 0 for one in shape
        ):
            return _shaped(stored, _dtype(descr), shape)
    raise ResultsError(f"its tree describes an array as {shown(form)!r}")


def _shaped(
    stored: NDArray[Any], dtype: np.dtype[Any], shape: list[int]
) -> NDArray[Any]:
    try:
        return stored.view(np.uint8).reshape(-1).view(dtype).reshape(shape)
    except (ValueError, TypeError, OverflowError) as error:
        raise ResultsError(
            f"its bytes are no {shown(dtype)} of {shown(shape)} ({shown(error)})"
        ) from None


def _described(dtype: np.dtype[Any]) -> Any:
    """A dtype in lists and strings: ``"<f8"``, or a list of [name, dtype, shape]."""
    if dtype.fields is None:
        return dtype.str
    return [[name, *_field(dtype[name])] for name in dtype.names or ()]


def _field(dtype: np.dtype[Any]) -> Iterator[Any]:
    yield _described(dtype.base)
    yield list(dtype.shape)


def _dtype(described: Any) -> np.dtype[Any]:
    """The packed dtype that :func:`_described` describes.

    Raises:
        ResultsError: It describes none, or one that holds objects.
    """
    try:
        dtype = np.dtype(_arguments(described, _DEEPEST))
    except (ValueError, TypeError, SyntaxError, OverflowError, MemoryError) as error:
        raise ResultsError(
            f"it describes a dtype that there is not ({shown(error)})"
        ) from None
    if dtype.hasobject or dtype.itemsize == 0:
        raise ResultsError(
            f"it describes the dtype {shown(dtype)}, which no file of ours has"
        )
    return dtype


def _arguments(described: Any, deepest: int) -> Any:
    """What ``np.dtype`` makes the dtype of."""
    match described:
        case str() if _PLAIN.fullmatch(described):
            return described
        case list() if deepest and described:
            return [
                (str(name), _arguments(base, deepest - 1), tuple(shape))
                for name, base, shape in described
            ]
    raise ValueError(f"{shown(described)!r} describes none")
