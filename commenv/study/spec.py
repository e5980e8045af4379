"""What a study is: environments x algorithms x schemes, and how each is run."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any

import numpy as np
from gymnasium.error import DependencyNotInstalled

from commenv.channel import Channel
from commenv.channel.parts import wrong_part
from commenv.checks import check_env_id
from commenv.envs.making import make_batched
from commenv.errors import CommenvError, UnknownNameError
from commenv.learning import (
    Algorithm,
    Scheme,
    make_algorithm,
    make_scheme,
)
from commenv.learning.plugins import (
    ALGORITHMS,
    SCHEMES,
    check_plugin,
    find,
    reference_of,
    usable_plugins,
)
from commenv.seeds import integer_seed

__all__ = [
    "DEFAULT_TIME_LIMIT",
    "MOST",
    "STOP_QUANTITIES",
    "Cell",
    "Study",
    "cells",
    "check_count",
    "time_limit",
]

DEFAULT_TIME_LIMIT = 200
"""Steps after which an episode is cut where the environment sets no limit."""

STOP_QUANTITIES = ("env_steps", "messages", "uplink_bytes", "total_bytes")
"""What ``stop`` can limit: totals since the start, per agent (means over agents)."""

_COUNTS = (
    "num_agents",
    "num_trials",
    "num_episodes",
    "evaluate_every",
    "evaluation_episodes",
)
MOST = 10_000_000
"""Agents, trials and episodes that a study may have."""
_logger = logging.getLogger("commenv")


@dataclass(frozen=True)
class Cell:
    """One curve of a study: an environment, an algorithm and a scheme.

    Attributes:
        label: What tables and figures call it.
        environment: A Gymnasium id.
        env_kwargs: The environment's arguments.
        time_limit: Steps after which an episode is cut.
        algorithm: The algorithm with its settings.
        scheme: The scheme with its settings.
    """

    label: str
    environment: str
    env_kwargs: dict[str, Any]
    time_limit: int
    algorithm: Algorithm
    scheme: Scheme

    def describe(self) -> dict[str, Any]:
        """The cell as plain data, for the manifest."""
        return {
            "label": self.label,
            "environment": self.environment,
            "env_kwargs": _plain(self.env_kwargs),
            "time_limit": self.time_limit,
            "algorithm": _describe(self.algorithm),
            "scheme": _describe(self.scheme),
        }


@dataclass(frozen=True)
class Study:
    """Everything that a study's numbers depend on.

    Attributes:
        cells: The curves.
        num_agents: Agents of each trial.
        num_trials: Trials of each cell, numbered from 0.
        num_episodes: Rounds of each trial.
        gamma: The discount of the metric and of every algorithm, in [0, 1].
        seed: Of all draws.
        uplink: The channel from the agents to the learner.
        downlink: The channel from the learner to the agents.
        stop: Totals per agent after which a trial stops, by quantity.
        evaluate_every: Rounds from one evaluation to the next; the last round of a
            trial is always evaluated.
        evaluation_episodes: Episodes of an evaluation, where there are no tables.
        trace: Whether every step and message is kept too.

    Raises:
        ValueError: A number outside its range, an unknown quantity in ``stop``, or a
            scheme that reads signals which its algorithm does not offer.
    """

    cells: tuple[Cell, ...]
    num_agents: int = 5
    num_trials: int = 20
    num_episodes: int = 1000
    gamma: float = 0.9
    seed: int = 0
    uplink: Channel = Channel()  # noqa: RUF009 - frozen, so safe to share
    downlink: Channel = Channel()  # noqa: RUF009
    stop: Mapping[str, float] | None = None
    evaluate_every: int = 1
    evaluation_episodes: int = 10
    trace: bool = False

    def __post_init__(self) -> None:
        if not self.cells:
            raise ValueError("a study of nothing; name an environment and an algorithm")
        object.__setattr__(self, "seed", integer_seed(self.seed))
        for name in _COUNTS:
            value = getattr(self, name)
            check_count(name, value)
            if value > MOST:
                raise ValueError(f"{name} is {value}; at most {MOST:,} are handled")
        for name in ("uplink", "downlink"):
            if not isinstance(channel := getattr(self, name), Channel):
                raise TypeError(f"{name}: {wrong_part(channel, Channel)}")
        for cell in self.cells:
            check_plugin(cell.algorithm, ALGORITHMS)
            check_plugin(cell.scheme, SCHEMES)
            _check_signals(cell.algorithm, cell.scheme)
            cell.scheme.start((1, self.num_agents))  # knows how many may send
        if not isinstance(self.gamma, Real) or not 0 <= self.gamma <= 1:
            raise ValueError(f"gamma {self.gamma!r} is outside [0, 1]")
        if not isinstance(self.stop or {}, Mapping):
            raise TypeError(
                f"stop is {self.stop!r}; give a dictionary, such as "
                "{'uplink_bytes': 1e6}"
            )
        for quantity, limit in (self.stop or {}).items():
            if quantity not in STOP_QUANTITIES:
                raise UnknownNameError("stop quantity", quantity, STOP_QUANTITIES)
            if not isinstance(limit, Real) or not 0 < limit < math.inf:
                raise ValueError(
                    f"stop {quantity}={limit!r}; give a finite number above 0"
                )

    def in_order_of(self, labels: Sequence[str]) -> Study:
        """The same study with its cells in the order of these labels.

        No number depends on their order. With other labels it stays as it is.
        """
        if sorted(labels) != sorted(cell.label for cell in self.cells):
            return self
        cells = sorted(self.cells, key=lambda cell: labels.index(cell.label))
        return replace(self, cells=tuple(cells))

    def describe(self) -> dict[str, Any]:
        """The study as plain data: what a later run must match to continue it."""
        described: dict[str, Any] = {
            field.name: _plain(getattr(self, field.name))
            for field in fields(self)
            if field.name not in ("cells", "uplink", "downlink")
        }
        described["uplink"] = _describe(self.uplink)
        described["downlink"] = _describe(self.downlink)
        described["cells"] = [cell.describe() for cell in self.cells]
        return described


def check_whole(name: str, value: Any) -> None:
    """Raises ValueError for a setting that is not an integer."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError(f"{name} must be an integer, got {value!r}")


def check_count(name: str, value: Any) -> None:
    """Raises ValueError for a setting that is not an integer of 1 or more."""
    check_whole(name, value)
    if value < 1:
        raise ValueError(f"{name} is {value}; at least 1 is needed")


def cells(
    environments: str | Sequence[str],
    algorithms: str | Algorithm | Sequence[str | Algorithm],
    schemes: str | Scheme | Sequence[str | Scheme] | None = None,
    settings: Mapping[str, Any] | None = None,
    max_episode_steps: int | None = None,
) -> tuple[Cell, ...]:
    """The product of environments, algorithms and schemes, with their labels.

    Args:
        environments: Gymnasium ids.
        algorithms: Short names, ``module:Class``, or objects with their settings.
        schemes: The same; each algorithm's own scheme when left out.
        settings: ``{"alpha": 0.5}`` for every algorithm that has such a setting,
            ``{"dql.alpha": 0.5}`` for one algorithm or scheme, ``{"env.size": 7}`` for
            the environments. Objects keep the settings that they came with.
        max_episode_steps: The time limit; when left out the environment's own, or
            :data:`DEFAULT_TIME_LIMIT` where it has none.

    Raises:
        ValueError: An unknown name or setting, or a value that is not allowed.
    """
    if not isinstance(settings or {}, Mapping):
        raise TypeError(f"settings are {settings!r}; give a dictionary by name")
    asked = {str(name): value for name, value in (settings or {}).items()}
    env_kwargs = {
        name.removeprefix("env."): asked.pop(name)
        for name in list(asked)
        if name.startswith("env.")
    }
    unused = set(asked)
    pairs = [
        (algorithm, scheme)
        for algorithm in [
            _configure(one, ALGORITHMS, asked, unused) for one in _listed(algorithms)
        ]
        for scheme in _schemes(algorithm, schemes, asked, unused)
    ]
    _check_used(unused, [plugin for pair in pairs for plugin in pair])
    product = [
        (environment, algorithm, scheme)
        for environment in _listed(environments)
        for algorithm, scheme in pairs
    ]
    limits = {
        environment: time_limit(environment, env_kwargs, max_episode_steps)
        for environment in _listed(environments)
    }
    return tuple(
        Cell(label, environment, env_kwargs, limits[environment], algorithm, scheme)
        for label, (environment, algorithm, scheme) in zip(
            _labels(product), product, strict=True
        )
    )


def time_limit(
    environment: str, env_kwargs: dict[str, Any], asked: int | None = None
) -> int:
    """Steps after which an episode is cut: as asked, the environment's own, or 200.

    Raises:
        ValueError: An environment that cannot be made.
        ImportError: It lacks a package.
    """
    check_env_id(environment)
    if asked is not None:
        check_whole("max_episode_steps", asked)
    try:
        world = make_batched(
            environment, 1, env_kwargs=env_kwargs, max_episode_steps=asked
        )
    except (CommenvError, ValueError):
        raise
    except (DependencyNotInstalled, ImportError) as error:
        raise ImportError(f"{environment} lacks a package: {error}") from error
    except Exception as error:  # whatever a foreign constructor may raise
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(
            f"{environment} cannot be made with {env_kwargs} ({reason})"
        ) from error
    world.close()
    if world.max_episode_steps is None:
        _logger.info(
            "%s sets no time limit: its episodes are cut after %d steps",
            environment,
            DEFAULT_TIME_LIMIT,
        )
    return world.max_episode_steps or DEFAULT_TIME_LIMIT


def _listed(one_or_many: Any) -> list[Any]:
    listed = isinstance(one_or_many, Iterable) and not isinstance(one_or_many, str)
    return list(one_or_many) if listed else [one_or_many]


def _schemes(
    algorithm: Algorithm, schemes: Any, asked: Mapping[str, Any], unused: set[str]
) -> list[Scheme]:
    """The schemes asked for, or the algorithm's own as the algorithm sets it."""
    if schemes is None:
        own = algorithm.scheme_settings()
        return [_configure(algorithm.scheme, SCHEMES, asked, unused, own)]
    return [_configure(one, SCHEMES, asked, unused) for one in _listed(schemes)]


def _configure(
    plugin: Any,
    group: str,
    asked: Mapping[str, Any],
    unused: set[str],
    default: Mapping[str, Any] = MappingProxyType({}),
) -> Any:
    """The plug-in itself, or one made by name with the settings meant for it."""
    if not isinstance(plugin, str):
        check_plugin(plugin, group)
        return plugin
    cls = find(plugin, group)
    known = _setting_names(cls)
    chosen = dict(default)
    chosen |= {name: value for name, value in asked.items() if name in known}
    used = {name for name in asked if name in known}
    for specific in (f"{getattr(cls, 'name', plugin)}.", f"{plugin}."):
        own = {name for name in asked if name.startswith(specific)}
        chosen |= {name.removeprefix(specific): asked[name] for name in own}
        used |= own
    unused -= used
    make: Any = make_algorithm if group == ALGORITHMS else make_scheme
    return make(plugin, chosen)


def _check_used(unused: set[str], plugins: list[Any]) -> None:
    for name in sorted(unused):
        known = {setting for plugin in plugins for setting in _setting_names(plugin)}
        raise UnknownNameError(
            "setting", name, known, "prefix it with env. to mean the environment"
        )


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


def _labels(product: list[tuple[str, Algorithm, Scheme]]) -> list[str]:
    """Short labels that differ: more is said only where it must be."""
    several_environments = len({environment for environment, _, _ in product}) > 1
    labels = []
    for environment, algorithm, scheme in product:
        label = algorithm.name
        if scheme.name != algorithm.scheme:
            label += f" + {scheme.name}"
        if several_environments:
            label += f", {environment}"
        labels.append(label)
    twice = _repeated(labels)
    labels = [
        f"{label} ({_changed(algorithm, scheme)})" if label in twice else label
        for label, (_, algorithm, scheme) in zip(labels, product, strict=True)
    ]
    for label in _repeated(labels):
        raise ValueError(f"{label!r} is asked for twice; name each combination once")
    return labels


def _repeated(labels: list[str]) -> set[str]:
    return {label for label, times in Counter(labels).items() if times > 1}


def _changed(*plugins: Any) -> str:
    parts = [
        f"{field.name}={getattr(plugin, field.name)}"
        for plugin in plugins
        for field in (fields(plugin) if is_dataclass(plugin) else ())
        if getattr(plugin, field.name) != field.default
    ]
    return ", ".join(parts) or "defaults"


def _setting_names(plugin: Any) -> list[str]:
    """The fields of a plug-in, which may be a class or an object."""
    return [field.name for field in fields(plugin)] if is_dataclass(plugin) else []


def _settings_of(plugin: Any) -> dict[str, Any]:
    return {name: getattr(plugin, name) for name in _setting_names(plugin)}


def _describe(thing: Any) -> dict[str, Any]:
    """A settings object as plain data: its class, and its fields."""
    described: dict[str, Any] = {"class": reference_of(thing)}
    described |= {name: _plain(value) for name, value in _settings_of(thing).items()}
    return described


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)  # JSON has no such number
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return _describe(value)
