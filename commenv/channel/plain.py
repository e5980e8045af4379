"""A channel's description as plain data, such as JSON keeps, and back."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import msgspec
import numpy as np

from commenv.channel.budget import Budget
from commenv.channel.channel import Channel
from commenv.channel.codec import Codec
from commenv.channel.link import Link

__all__ = ["channel_from", "plain_channel"]

_CLASS = "class"
_PARTS = (Channel, Budget, Codec, Link)


def plain_channel(channel: Any) -> Any:
    """A channel as nested dictionaries, lists and numbers, with the names of classes.

    Gymnasium writes an environment's arguments to JSON without their classes, so that a
    codec or a link would be lost; :func:`channel_from` reads this form.

    Args:
        channel: A channel, or anything else, which is returned as it is.

    Returns:
        The plain data; the channel itself, where a part of it is not a dataclass or has
        a field that JSON does not know.
    """
    if not isinstance(channel, Channel):
        return channel
    try:
        return _plain(channel)
    except TypeError:
        return channel


def channel_from(plain: Any) -> Any:
    """The channel that :func:`plain_channel` has described.

    Nothing is imported: somebody else's codec or link must have been before.

    Args:
        plain: What it gave; what is not a dictionary is returned as it is.

    Raises:
        ValueError: A class that is not a part of a channel, or whose module was not
            imported; or fields that it does not have.
    """
    ours = isinstance(plain, Mapping) and _CLASS in plain
    return _made(plain) if ours else plain


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if not isinstance(value, _PARTS) or not is_dataclass(value):
        raise TypeError(f"{value!r} has no plain form")
    kind = type(value)
    described = {_CLASS: f"{kind.__module__}:{kind.__qualname__}"}
    return described | {
        field.name: _plain(getattr(value, field.name)) for field in fields(value)
    }


def _made(value: Any) -> Any:
    if isinstance(value, list):
        return [_made(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    reference = str(value.get(_CLASS))
    module, _, name = reference.partition(":")
    kind = getattr(sys.modules.get(module), name, None)
    if not isinstance(kind, type) or not issubclass(kind, _PARTS):
        raise ValueError(
            f"{reference[:99]!r} is not a class of a codec, link, budget or channel; "
            "import its module first, or give a Channel"
        )
    settings = {key: _made(item) for key, item in value.items() if key != _CLASS}
    try:
        return msgspec.convert(settings, kind)
    except msgspec.ValidationError as error:
        raise ValueError(f"not a description of {reference}: {error}") from None
