"""What arms are called: by what they differ in, and no more."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

from commenv.channel import Budget, Channel, PerfectLink
from commenv.study.wording import count_of

__all__ = ["Choice", "label_of", "named_choices", "told_apart"]


class Choice(NamedTuple):
    """One value of a field of arms.

    Attributes:
        value: The value.
        word: What labels say where arms differ in it.
        given: Whether the user has named it so.
    """

    value: Any
    word: str = ""
    given: bool = False


def named_choices(
    values: Mapping[str, Any] | Sequence[Any], field: str
) -> list[Choice]:
    """The values of a field with words for them.

    Args:
        values: By name, or in a list.
        field: What they are values of: a field of arms, or ``"settings"``.
    """
    if isinstance(values, Mapping):
        return [Choice(value, str(name), True) for name, value in values.items()]
    words = _words(values, field)
    return [Choice(value, word) for value, word in zip(values, words, strict=True)]


def label_of(
    algorithm: Choice, scheme: Choice, own_scheme: str, parts: Sequence[str]
) -> str:
    """The label of an arm.

    Args:
        algorithm: Its algorithm.
        scheme: Its scheme.
        own_scheme: The name of the scheme that the algorithm would choose itself.
        parts: Words for whatever else arms differ in.
    """
    first = algorithm.word
    if scheme.given or scheme.word != own_scheme:
        first += f" + {scheme.word}"
    return ", ".join([first, *filter(None, parts)])


def told_apart(labels: Sequence[str], plugins: Sequence[Sequence[Any]]) -> list[str]:
    """The labels, with the settings of plug-ins where they would not differ.

    Args:
        labels: As they are.
        plugins: The algorithm and the scheme of each.

    Raises:
        ValueError: Two arms are the same.
    """
    twice = _repeated(labels)
    labels = [
        f"{label} ({', '.join(_changed(*own)) or 'defaults'})"
        if label in twice
        else label
        for label, own in zip(labels, plugins, strict=True)
    ]
    for label in _repeated(labels):
        raise ValueError(f"{label!r} is asked for twice; name each combination once")
    return labels


def _repeated(labels: Sequence[str]) -> list[str]:
    return [label for label, times in Counter(labels).items() if times > 1]


def _words(values: Sequence[Any], field: str) -> list[str]:
    """A word for each value, by what it differs in from the others."""
    if field in ("uplink", "downlink"):
        direction = "downlink " if field == "downlink" else ""
        return [
            direction + " ".join(parts.values())
            for parts in _differing([_parts_of(one) for one in values])
        ]
    if field == "num_agents":
        return [f"{value} agents" if value != 1 else "1 agent" for value in values]
    if field == "settings":
        return [
            " ".join(f"{name}={value}" for name, value in one.items())
            for one in _differing(values)
        ]
    return [str(getattr(value, "name", value)) for value in values]


def _differing(
    values: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Of each dictionary what not all of them have alike."""
    names = dict.fromkeys(name for one in values for name in one)
    apart = [name for name in names if len({_key(one.get(name)) for one in values}) > 1]
    return [{name: one[name] for name in apart if name in one} for one in values]


def _key(value: Any) -> Hashable:
    return value if isinstance(value, Hashable) else repr(value)


def _parts_of(channel: Channel | None) -> dict[str, str]:
    """A channel's parts in words; what has no effect is left out."""
    channel = channel or Channel()
    parts = {
        "codec": _short(channel.codec),
        "budget": _budget(channel.budget),
        "link": "perfect link"
        if isinstance(channel.link, PerfectLink)
        else _short(channel.link),
        "medium": channel.medium,
    }
    for name in ("headers", "acknowledgements"):
        parts[name] = name if getattr(channel, name) else f"no {name}"
    return parts


def _budget(budget: Budget) -> str:
    """A budget in a few words, such as ``"60 B per episode"``."""
    if budget.unlimited:
        return "no budget"
    limits = []
    if budget.messages is not None:
        limits.append(count_of(budget.messages, "message"))
    if budget.bytes is not None:
        limits.append(f"{budget.bytes} B")
    words = [" and ".join(limits), f"per {budget.per}"]
    if budget.scope != "agent":
        words.append(f"and {budget.scope}")
    if budget.exceed != "refuse":
        settings = {
            name: getattr(budget, name)
            for name in ("max_wait", "price")
            if getattr(budget, name) is not None
        }
        words += [budget.exceed, *(f"{name}={x}" for name, x in settings.items())]
    return " ".join(words)


def _short(thing: Any) -> str:
    """A codec or a link with the settings that are not its defaults."""
    name = getattr(thing, "name", None) or _snake(type(thing).__name__)
    return " ".join([name, *_changed(thing)])


def _changed(*things: Any) -> list[str]:
    """Settings that are not the defaults, those of parts within parts, too."""
    found = []
    for thing in things:
        for field in fields(thing) if is_dataclass(thing) else ():
            value = getattr(thing, field.name)
            parts = value if isinstance(value, tuple) else (value,)
            inner = [part for part in parts if is_dataclass(part)]
            if inner:
                found += _changed(*inner)
            elif value != field.default:
                found.append(f"{field.name}={value}")
    return found


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
