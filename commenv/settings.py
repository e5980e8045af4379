"""Objects of dataclasses from plain settings, with errors in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

__all__ = ["with_settings"]

_WRONG_TYPE = re.compile(r"Expected `(.+)`, got `.+` - at `\$\.(\w+)(.*)`")
_WRONG_WORD = re.compile(r"Invalid enum value .+ - at `\$\.(\w+)`")
_LACKING = re.compile(r"Object missing required field `(\w+)`")
_IN_WORDS = {
    "float": "a number",
    "int": "an integer",
    "bool": "True or False",
    "str": "a word",
    "array": "a list",
    "null": "None",
}


def with_settings(cls: type[Any], settings: Mapping[str, Any], what: str) -> Any:
    """An object of a dataclass whose fields are checked against their types.

    Args:
        cls: The dataclass.
        settings: Its fields by name, as plain data.
        what: What it is called in errors.

    Raises:
        ValueError: A value of another type, one that the class refuses, or none for a
            field without a default.
    """
    try:
        return msgspec.convert(dict(settings), cls)
    except msgspec.ValidationError as error:
        words = _in_words(str(error), cls, settings, what)
        raise ValueError(words) from None


def _in_words(text: str, cls: type[Any], settings: Mapping[str, Any], what: str) -> str:
    """What msgspec says, with the value that it leaves out."""
    if match := _WRONG_TYPE.fullmatch(text):
        kinds, name, place = match.groups()
        kind = " or ".join(_IN_WORDS.get(one, one) for one in kinds.split(" | "))
        which = f"{name} of {what}" if not place else f"each entry of {name} of {what}"
        return f"{which} must be {kind}, got {settings[name]!r}"
    if match := _WRONG_WORD.fullmatch(text):
        name = match[1]
        allowed = ", ".join(map(str, _choices(cls, name)))
        return f"{name} of {what} must be one of {allowed}, got {settings[name]!r}"
    if match := _LACKING.fullmatch(text):
        return f"{what} needs {match[1]}=..., which has no default"
    return f"setting of {what}: {text}"


def _choices(cls: type[Any], name: str) -> tuple[Any, ...]:
    kind = get_type_hints(cls).get(name)
    return get_args(kind) if get_origin(kind) is Literal else ()
