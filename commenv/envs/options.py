"""Checking the options of a reset: a misspelt one must not be dropped silently."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from commenv.errors import UnknownNameError, nearest

__all__ = ["check_options"]


def check_options(
    options: Mapping[str, Any] | None, known: Iterable[str] = (), env: object = None
) -> None:
    """Refuses options that are meant for this environment and would have no effect.

    Others pass: Gymnasium lets wrappers share the dictionary, and the test kits put in
    what no environment knows.

    Args:
        options: What ``reset`` was given.
        known: The options that there are.
        env: The environment; the arguments of its class are not options.

    Raises:
        TypeError: They are not a dictionary.
        UnknownNameError: An option that is close to a known one.
        ValueError: The seed, or an argument of the environment.
    """
    if not options:
        return
    if not isinstance(options, Mapping):
        raise TypeError(f"options must be a dictionary, got {options!r}")
    known = tuple(known)
    arguments = inspect.signature(type(env)).parameters if env is not None else ()
    for name in options:
        if name in known:
            continue
        if nearest(name, known):
            raise UnknownNameError("reset option", name, known)
        if name == "seed":
            raise ValueError("the option 'seed' has no effect; pass reset(seed=...)")
        if name in arguments:
            raise ValueError(
                f"the option {name!r} has no effect: it is an argument of "
                f"{type(env).__name__}, for gym.make(..., {name}=...)"
            )
