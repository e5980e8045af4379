"""Changes of valid inputs: bits, cuts, splices, lengths, words, and parts of JSON."""

from __future__ import annotations

import copy
import json
import random
import struct
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["Mutate", "changed", "changed_json", "changed_safetensors", "odd_value"]

Mutate = Callable[[random.Random, Sequence[bytes]], bytes]
"""A new input from some known ones."""

_NUMBERS = (0, 1, 2, 7, 8, 16, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 2**24)
_NUMBERS += (2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**63, 2**64 - 1)
_WIDTHS = (("<B", 1), ("<H", 2), (">H", 2), ("<I", 4), (">I", 4), ("<Q", 8), (">Q", 8))
_MOST_BYTES = 1 << 16
_LIKELY_RANDOM = 0.04
_ODD: tuple[Any, ...] = (
    *(None, True, False, "", " ", "a:b", "os:system", "os.path:join", "evil:Class"),
    *(0, -1, 1, 2, 2**31, 2**63, 2**64, -(2**63), 10**30, 10**400, 0.5, -0.0, 1e308),
    *("nan", "inf", "-inf", "\x00", "\ud800", "é", "../..", "x" * 5000, "1" * 5000),
    *([], {}, [[]], [{}], {"": None}, {"class": "os:system"}, {"class": None}),
    *([0] * 300, {"class": "commenv.channel.codec:Identity"}),
)


def changed(
    rng: random.Random, known: Sequence[bytes], words: Sequence[bytes] = ()
) -> bytes:
    """One of the known inputs after one to four changes, or bytes at random."""
    if rng.random() < _LIKELY_RANDOM:
        return rng.randbytes(int(rng.random() * 200))
    data = bytearray(known[int(rng.random() * len(known))])
    for _ in range(1 + int(rng.random() * 4)):
        change = _CHANGES[int(rng.random() * len(_CHANGES))]
        change(rng, data, known, words)
    return bytes(data[:_MOST_BYTES])


def _flip(rng: random.Random, data: bytearray, known: Any, words: Any) -> None:
    if data:
        data[int(rng.random() * len(data))] ^= 1 << int(rng.random() * 8)


def _byte(rng: random.Random, data: bytearray, known: Any, words: Any) -> None:
    if data:
        data[int(rng.random() * len(data))] = int(rng.random() * 256)


def _cut(rng: random.Random, data: bytearray, known: Any, words: Any) -> None:
    del data[int(rng.random() * (len(data) + 1)) :]


def _remove(rng: random.Random, data: bytearray, known: Any, words: Any) -> None:
    at = int(rng.random() * (len(data) + 1))
    del data[at : at + 1 + int(rng.random() * 16)]


def _repeat(rng: random.Random, data: bytearray, known: Any, words: Any) -> None:
    at = int(rng.random() * (len(data) + 1))
    data[at:at] = data[at : at + 1 + int(rng.random() * 32)] * (
        1 + int(rng.random() * 3)
    )


def _insert(rng: random.Random, data: bytearray, known: Any, words: Any) -> None:
    at = int(rng.random() * (len(data) + 1))
    data[at:at] = rng.randbytes(1 + int(rng.random() * 8))


def _splice(rng: random.Random, data: bytearray, known: Any, words: Any) -> None:
    other = known[int(rng.random() * len(known))]
    cut = int(rng.random() * (len(other) + 1))
    data[int(rng.random() * (len(data) + 1)) :] = other[cut:]


def _number(rng: random.Random, data: bytearray, known: Any, words: Any) -> None:
    """Overwrites what may be a length."""
    form, width = _WIDTHS[int(rng.random() * len(_WIDTHS))]
    number = _NUMBERS[int(rng.random() * len(_NUMBERS))] % (1 << (8 * width))
    at = int(rng.random() * (len(data) + 1))
    data[at : at + width] = struct.pack(form, number)


def _word(rng: random.Random, data: bytearray, known: Any, words: Any) -> None:
    if words:
        word = words[int(rng.random() * len(words))]
        at = int(rng.random() * (len(data) + 1))
        data[at : at + len(word) * int(rng.random() * 2)] = word


_CHANGES = (
    *(_flip, _byte, _cut, _remove, _repeat, _insert, _splice, _number, _number),
    *(_word, _word),
)


def odd_value(rng: random.Random) -> Any:
    """A value that few expect."""
    return copy.deepcopy(_ODD[int(rng.random() * len(_ODD))])


def changed_json(rng: random.Random, known: Sequence[bytes]) -> bytes:
    """One of the known texts with some of its values, keys or brackets changed."""
    text = known[int(rng.random() * len(known))]
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return changed(rng, known)
    if rng.random() < 0.2:
        return changed(rng, known, (b"null", b"[", b"{", b'"', b"1e999", b"-", b"\xff"))
    for _ in range(1 + int(rng.random() * 3)):
        value = _changed_part(rng, value)
    return json.dumps(value).encode()


def _changed_part(rng: random.Random, value: Any) -> Any:
    """The value with an odd one, or without a part, somewhere inside."""
    if not isinstance(value, (dict, list)) or not value or rng.random() < 0.02:
        return odd_value(rng)
    keys = list(value) if isinstance(value, dict) else range(len(value))
    key: Any = keys[int(rng.random() * len(keys))]
    chance = rng.random()
    if chance < 0.6:
        value[key] = _changed_part(rng, value[key])
    elif chance < 0.75:
        value[key] = odd_value(rng)
    elif chance < 0.85:
        del value[key]
    elif isinstance(value, dict):
        value[str(odd_value(rng))[:40]] = copy.deepcopy(value[key])
    else:
        value.append(copy.deepcopy(value[key]))
    return value


def changed_safetensors(rng: random.Random, known: Sequence[bytes]) -> bytes:
    """One of the known files with its header changed as JSON, or any of its bytes."""
    data = known[int(rng.random() * len(known))]
    if rng.random() < 0.5 or len(data) < 8:
        return changed(rng, known, (b'"F64"', b"BOOL", b"data_offsets", b"[0,8]"))
    length = int.from_bytes(data[:8], "little")
    header = changed_json(rng, [data[8 : 8 + length].strip()])
    return len(header).to_bytes(8, "little") + header + data[8 + length :]
