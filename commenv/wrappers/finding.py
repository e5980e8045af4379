"""Finding the channel of an environment through the wrappers around it."""

from __future__ import annotations

from typing import Any

from commenv.wrappers.batched import ChannelEnv
from commenv.wrappers.message_channel import MessageChannel

__all__ = ["find_channel"]


def find_channel(env: Any) -> MessageChannel | ChannelEnv:
    """The environment with a channel inside other people's wrappers.

    Gymnasium's wrappers hide the methods of what they hold; this finds them again:
    ``commenv.channel(env).send(...)`` is the same.

    Args:
        env: An environment, possibly wrapped.

    Raises:
        ValueError: There is no channel in it.
    """
    inner = env
    while inner is not None:
        if isinstance(inner, (MessageChannel, ChannelEnv)):
            return inner
        inner = inner.__dict__.get("env") if hasattr(inner, "__dict__") else None
    raise ValueError(
        f"{env!r} has no message channel; put commenv.wrappers.MessageChannel around "
        "the environment"
    )
