"""Checks of what public functions are given: errors that say what to give instead."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import Any

from commenv.errors import shown

__all__ = ["check_env_id", "check_integer", "check_kwargs", "check_number", "path_of"]


def check_integer(name: str, value: Any, least: int | None = 0) -> int:
    """An integer, as Python's own type; None as ``least`` takes all of them.

    Raises:
        TypeError: It is not an integer.
        ValueError: It is below ``least``.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, got {_brief(value)}")
    if least is not None and number < least:
        if least == 0:
            raise ValueError(f"{name} {number} is negative; use 0 or more")
        raise ValueError(f"{name} {number} is too small; use {least} or more")
    return number


def check_number(
    name: str,
    value: Any,
    least: float = 0.0,
    most: float = math.inf,
    of: str = "",
) -> None:
    """Refuses what is not a real number within limits.

    Args:
        name: What the number is called.
        value: What was given.
        least: The least that is allowed.
        most: The most.
        of: Whose setting it is, such as ``" of Delay"``.

    Raises:
        TypeError: It is not a number.
        ValueError: It is outside [least, most], or not a number (NaN).
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name}{of} must be a number, got {_brief(value)}")
    if not least <= float(value) <= most:
        if value < least == 0 and most == math.inf:
            raise ValueError(f"{name} {value}{of} is negative; give 0 or more")
        raise ValueError(f"{name} {value}{of} is outside [{least:g}, {most:g}]")


def check_env_id(env_id: Any) -> None:
    """Refuses an environment where its id is needed.

    Raises:
        TypeError: It is not a text; the message names the id of an environment.
    """
    if isinstance(env_id, str):
        return
    known = getattr(env_id, "spec", None) or env_id
    if isinstance(known := getattr(known, "id", None), str):
        cure = f"give its id, {known!r}, and its arguments by name"
    else:
        cure = "give the id that it is registered under, such as 'SimpleGrid-v0'"
    raise TypeError(
        "an environment is named by its id, because instances of it are made anew; "
        f"got {_brief(env_id)}; {cure}"
    )


def check_kwargs(name: str, value: Any) -> None:
    """Refuses what is neither None nor a dictionary of arguments by name.

    Raises:
        TypeError: It is something else.
    """
    if value is not None and not isinstance(value, Mapping):
        raise TypeError(
            f"{name} must be a dictionary of arguments by name, such as {{'size': 7}}, "
            f"got {_brief(value)}"
        )


def path_of(what: str, value: Any) -> Path:
    """A path.

    Args:
        what: Whose it is, such as ``"a folder"``.
        value: What was given.

    Raises:
        TypeError: It is not a path.
    """
    try:
        return Path(value)
    except TypeError:
        raise TypeError(
            f"{what} is named by its path, a str or a Path; got {_brief(value)}"
        ) from None


def _brief(value: Any) -> str:
    what = "the class " if isinstance(value, type) else ""
    name = value.__name__ if isinstance(value, type) else shown(repr(value), 80)
    return f"{what}{name}"
