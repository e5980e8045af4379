"""Worlds whose agents talk by their own actions, past any channel around them."""

from __future__ import annotations

import warnings
from typing import Any

__all__ = ["warn_of_own_channel"]


def warn_of_own_channel(env: Any) -> None:
    """Warns, and names the environment, if its agents' actions hold symbols for others.

    Those of MPE say so: an agent of their world that is not ``silent`` says one of
    ``dim_c`` symbols in each step, which the others observe.
    """
    world = getattr(getattr(env, "unwrapped", None), "world", None)
    symbols = getattr(world, "dim_c", 0)
    speakers = [
        repr(agent.name)
        for agent in getattr(world, "agents", ())
        if getattr(agent, "silent", True) is False
    ]
    if not (symbols and speakers):
        return
    name = (getattr(env, "metadata", None) or {}).get("name", type(env).__name__)
    warnings.warn(
        f"{name} has a channel of its own, which no budget limits and no metric "
        f"counts: the actions of {', '.join(speakers)} hold one of {symbols} symbols "
        "that others observe. To meter them, always give the symbol 0 there and send "
        f"them as messages instead (message_space=Discrete({symbols})); see "
        "CommunicationBudget",
        stacklevel=3,  # the line that wraps it
    )
