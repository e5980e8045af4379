"""What to give where a channel was given the wrong kind of part."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from commenv.errors import nearest, shown

__all__ = ["wrong_part"]


def wrong_part(value: Any, kind: type[Any]) -> str:
    """Words for an error: what was given, and what to give instead.

    Args:
        value: What was given.
        kind: Of which class an instance is needed.
    """
    what = f"{'an' if kind.__name__[0] in 'AEIOU' else 'a'} {kind.__name__}"
    if isinstance(value, type):
        if issubclass(value, kind):
            return (
                f"{value.__name__} is a class; give an instance, {value.__name__}(...)"
            )
        return f"the class {value.__name__} is not {what}; give an instance of one"
    given = shown(repr(value), 80)
    return f"{given} is not {what}; give an instance{_example(value, kind)}"


def _example(value: Any, kind: type[Any]) -> str:
    """The class that is most likely meant, or a typical one."""
    typical = {
        "Budget": "Budget(messages=1, bytes=64)",
        "Channel": "Channel(budget=Budget(messages=1))",
        "Codec": "TopK(k=3)",
        "Link": "BernoulliLoss(0.1)",
    }
    if type(value).__name__ == "Budget" and kind.__name__ == "Channel":
        return ", Channel(budget=...)"
    if isinstance(value, str):
        names: dict[str, str] = {}
        for cls in _below(kind):
            names[cls.__name__] = cls.__name__
            if isinstance(short := getattr(cls, "name", None), str):
                names[short] = cls.__name__
        if value in names:
            return f", {names[value]}(...)"
        if near := nearest(value, names, 1):
            return f", such as {names[near[0]]}(...)"
    example = typical.get(kind.__name__)
    return f", such as {example}" if example else ""


def _below(kind: type[Any]) -> Iterator[type[Any]]:
    """The public classes that are derived from one."""
    for cls in kind.__subclasses__():
        if not cls.__name__.startswith("_"):
            yield cls
        yield from _below(cls)
