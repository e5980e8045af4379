"""Values on the command line."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from decimal import Decimal
from typing import Any

from commenv.errors import UnknownNameError, shown
from commenv.settings import with_settings

__all__ = ["made", "settings_of", "value_of"]

_PERCENT = re.compile(r"-?(\d{1,20}(\.\d{0,20})?|\.\d{1,20})%")
_WORDS: dict[str, Any] = {"True": True, "False": False, "None": None}


def value_of(text: str) -> Any:
    """A value that is JSON or as in Python, a list without brackets, or else a word.

    A percentage, such as ``10%``, is the number that it stands for.

    Raises:
        ValueError: It is nested more deeply than can be read.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _PERCENT.fullmatch(text):
        return float(Decimal(text[:-1]).scaleb(-2))  # the same double as 0.1
    for read in (json.loads, float):  # float takes .5, which JSON does not allow
        try:
            return read(text)
        except RecursionError:
            raise ValueError(
                f"{shown(text, 40)!r} is nested too deeply for a value; give a number, "
                "a word or a list"
            ) from None
        except ValueError:
            continue
    if "," in text:
        return [value_of(part) for part in filter(None, text.strip("()").split(","))]
    return text


def made(cls: type[Any], text: str, what: str) -> Any:
    """An object of a dataclass from ``value`` or ``name=value,...``.

    Args:
        cls: The dataclass.
        text: Its settings; the first may stand without its name.
        what: What it is called in errors.

    Raises:
        ValueError: An unknown setting, or a value that is not allowed.
    """
    return with_settings(cls, settings_of(cls, text, what), what)


def settings_of(cls: type[Any], text: str, what: str) -> dict[str, Any]:
    """The settings of a dataclass that a text gives; see :func:`made`."""
    known = [field.name for field in fields(cls)]
    settings: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        name, equals, value = part.partition("=")
        if not equals:
            if settings or not known:
                raise ValueError(f"{what}: {part!r} has no name; write name=value")
            name, value = known[0], part
        if name not in known:
            raise UnknownNameError(f"setting of {what}", name, known)
        if name in settings:
            raise ValueError(f"{name} of {what} is given twice; give it once")
        settings[name] = value_of(value)
    return settings
