"""Values on the command line."""

from __future__ import annotations

import contextlib
import json
from typing import Any

__all__ = ["value_of"]

_WORDS: dict[str, Any] = {"True": True, "False": False, "None": None}


def value_of(text: str) -> Any:
    """A value that is JSON or as in Python, a list without brackets, or else a word."""
    if text in _WORDS:
        return _WORDS[text]
    for read in (json.loads, float):  # float takes .5, which is no JSON
        with contextlib.suppress(ValueError):
            return read(text)
    if "," in text:
        return [value_of(part) for part in filter(None, text.strip("()").split(","))]
    return text
