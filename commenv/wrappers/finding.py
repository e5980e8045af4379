"""Finding the channel of an environment through the wrappers around it."""

from __future__ import annotations

from typing import Any

__all__ = ["find_channel"]

_TO_A_LEARNER = ("send", "receive", "broadcast", "receive_broadcast")
_BETWEEN_AGENTS = ("network", "ledger", "bill")
_INSIDE = ("env", "aec_env")  # where wrappers keep what they hold


def find_channel(env: Any) -> Any:
    """The environment with a channel inside other people's wrappers.

    Gymnasium's wrappers and PettingZoo's conversions hide the methods of what they
    hold; this finds them again: ``commenv.find_channel(env).send(...)`` is the same.

    Args:
        env: An environment, possibly wrapped or converted.

    Returns:
        The outermost whose class has the channel's methods: an environment of one of
        our ids, a :class:`~commenv.wrappers.MessageChannel` or its vector form, a
        :class:`~commenv.wrappers.ChannelEnv`, an environment of
        :func:`commenv.parallel_env`, or a :class:`commenv.CommunicationBudget`.

    Raises:
        ValueError: There is no channel in it.
    """
    inner = env
    while inner is not None:
        # Asked of the class: wrappers that pass attributes on would say yes, too.
        for marks in (_TO_A_LEARNER, _BETWEEN_AGENTS):
            if all(hasattr(type(inner), name) for name in marks):
                return inner
        held = getattr(inner, "__dict__", {})
        inner = next((held[name] for name in _INSIDE if name in held), None)
    raise ValueError(
        f"{env!r} has no message channel; put commenv.wrappers.MessageChannel around "
        "the environment, or make it with commenv.parallel_env"
    )
