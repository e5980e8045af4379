"""One arm of a study: what a curve shows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from numbers import Integral, Real
from typing import Any

import numpy as np

from commenv.channel import Channel
from commenv.channel.parts import wrong_part
from commenv.envs.own_worlds import arguments_of_each, grouped
from commenv.learning import Algorithm, Scheme
from commenv.learning.plugins import (
    ALGORITHMS,
    SCHEMES,
    check_plugin,
    reference_of,
    usable_plugins,
)

__all__ = [
    "MOST",
    "Arm",
    "check_count",
    "check_whole",
    "plain",
    "setting_names",
]

MOST = 10_000_000
"""Agents, trials and episodes that a study may have."""


@dataclass(frozen=True)
class Arm:
    """An environment, an algorithm, a scheme, agents and their channels.

    Attributes:
        label: What tables and figures call it.
        environment: A Gymnasium id.
        env_kwargs: The environment's arguments; or those of each agent's own, in a
            tuple.
        time_limit: Steps after which an episode is cut.
        algorithm: The algorithm with its settings.
        scheme: The scheme with its settings.
        num_agents: Agents of each trial.
        uplink: The channel from the agents to the learner.
        downlink: The channel from the learner to the agents.

    Raises:
        ValueError: A number of agents outside its range, not one dictionary of
            arguments for each, or a scheme that reads signals which its algorithm does
            not offer.
        TypeError: A channel, an algorithm or a scheme of another type.
    """

    label: str
    environment: str
    env_kwargs: dict[str, Any] | tuple[dict[str, Any], ...]
    time_limit: int
    algorithm: Algorithm
    scheme: Scheme
    num_agents: int = 5
    uplink: Channel = Channel()  # noqa: RUF009 - frozen, so safe to share
    downlink: Channel = Channel()  # noqa: RUF009

    def __post_init__(self) -> None:
        check_count("num_agents", self.num_agents)
        if isinstance(self.env_kwargs, (list, tuple)):
            own = arguments_of_each(self.env_kwargs, self.num_agents)
            object.__setattr__(self, "env_kwargs", tuple(own))
        for name in ("uplink", "downlink"):
            if not isinstance(channel := getattr(self, name), Channel):
                raise TypeError(f"{name}: {wrong_part(channel, Channel)}")
        check_plugin(self.algorithm, ALGORITHMS)
        check_plugin(self.scheme, SCHEMES)
        _check_signals(self.algorithm, self.scheme)
        self.scheme.start((1, self.num_agents))  # knows how many may send

    @cached_property
    def worlds(self) -> Sequence[tuple[Sequence[int], dict[str, Any]]]:
        """The arguments of each world that differs, after the agents that are in it."""
        if isinstance(self.env_kwargs, tuple):
            return grouped(self.env_kwargs)
        return [(range(self.num_agents), self.env_kwargs)]

    def arguments(self, agent: int = 0) -> dict[str, Any]:
        """The arguments of an agent's environment."""
        own = self.env_kwargs
        return own[agent] if isinstance(own, tuple) else own

    def describe(self) -> dict[str, Any]:
        """The arm as plain data, for the manifest."""
        return {name: plain(getattr(self, name)) for name in setting_names(self)}


def check_whole(name: str, value: Any) -> None:
    """Raises ValueError for a setting that is not an integer."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError(f"{name} must be an integer, got {value!r}")


def check_count(name: str, value: Any) -> None:
    """Raises ValueError for a setting that is not an integer of 1 to :data:`MOST`."""
    check_whole(name, value)
    if value < 1:
        raise ValueError(f"{name} is {value}; at least 1 is needed")
    if value > MOST:
        raise ValueError(f"{name} is {value}; at most {MOST:,} are handled")


def setting_names(plugin: Any) -> list[str]:
    """The fields of a plug-in, which may be a class or an object."""
    return [field.name for field in fields(plugin)] if is_dataclass(plugin) else []


def plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)  # JSON has no such number
    if isinstance(value, Real) and not isinstance(value, (int, float)):
        return plain(float(value))
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return _described(value)


def _described(thing: Any) -> dict[str, Any]:
    """A settings object as plain data: its class, and its fields."""
    settings = {name: plain(getattr(thing, name)) for name in setting_names(thing)}
    return {"class": reference_of(thing), **settings}


def _check_signals(algorithm: Algorithm, scheme: Scheme) -> None:
    missing = set(scheme.requires) - set(algorithm.signals)
    if missing:
        offering = [
            name
            for name, cls in usable_plugins(ALGORITHMS)
            if set(scheme.requires) <= set(cls.signals)
        ]
        raise ValueError(
            f"scheme {scheme.name!r} reads {', '.join(sorted(missing))}, which "
            f"{algorithm.name!r} does not offer; algorithms that do: "
            f"{', '.join(offering) or 'none installed'}"
        )
