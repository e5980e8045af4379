"""Environments that begin episodes by themselves, inside of a channel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gymnasium.vector import AsyncVectorEnv
from gymnasium.wrappers import Autoreset

__all__ = ["refuse_autoreset"]


def refuse_autoreset(env: Any, channel: str) -> None:
    """Refuses Gymnasium's ``Autoreset`` anywhere inside an environment.

    It begins the next episode in a step that looks like any other, so the channel's
    budgets, metrics and headers would go on with the one before.

    Args:
        env: An environment or a vector environment, possibly wrapped.
        channel: What is put around it.

    Raises:
        ValueError: There is one.
    """
    for layer in _layers(env):
        if isinstance(layer, Autoreset) or _in_a_worker(layer):
            raise ValueError(
                f"Autoreset inside {channel} begins episodes that the channel does not "
                "see; put it outside, Autoreset(MessageChannel(env)), or let a vector "
                "environment reset itself (autoreset_mode='NextStep')"
            )


def _layers(env: Any) -> Iterator[Any]:
    """Wrappers from the outside in, and what they hold; sub-environments too."""
    while env is not None:
        yield env
        for inner in env.__dict__.get("envs", ()):
            yield from _layers(inner)
        env = env.__dict__.get("env")


def _in_a_worker(layer: Any) -> bool:
    """Whether sub-environments in other processes say so in their specs."""
    specs = layer.get_attr("spec") if isinstance(layer, AsyncVectorEnv) else ()
    return any(
        wrapper.name == Autoreset.__name__
        for spec in specs
        if spec is not None
        for wrapper in spec.additional_wrappers
    )
