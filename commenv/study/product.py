"""The arms of a study: the product of all that they may differ in."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple

from commenv.channel import Channel
from commenv.envs.own_worlds import OwnArguments, arguments_of_each, grouped
from commenv.errors import UnknownNameError
from commenv.learning import Algorithm, Scheme, make_algorithm, make_scheme
from commenv.learning.plugins import ALGORITHMS, SCHEMES, check_plugin, find
from commenv.study.arm import Arm, setting_names
from commenv.study.labels import Choice, label_of, named_choices, told_apart
from commenv.study.time_limit import time_limit

__all__ = ["arms"]


class _Pair(NamedTuple):
    """An algorithm and a scheme with one choice of settings."""

    algorithm: Choice
    scheme: Choice
    settings: Choice
    env_kwargs: dict[str, Any]


def arms(
    environments: str | Sequence[str] | Mapping[str, str],
    algorithms: Any,
    schemes: Any = None,
    settings: Any = None,
    max_episode_steps: int | None = None,
    *,
    num_agents: int | Sequence[int] | Mapping[str, int] = 5,
    env_kwargs: OwnArguments | Mapping[str, OwnArguments] = None,
    uplink: Channel | Sequence[Channel] | Mapping[str, Channel] | None = None,
    downlink: Channel | Sequence[Channel] | Mapping[str, Channel] | None = None,
    most: int | None = None,
) -> tuple[Arm, ...]:
    """The product of everything that arms may differ in, with their labels.

    Each argument is one value, a list of values, or a dictionary of values by the name
    that labels are to call them.

    Args:
        environments: Gymnasium ids.
        algorithms: Short names, ``module:Class``, or objects with their settings.
        schemes: The same; each algorithm's own scheme when left out.
        settings: ``{"alpha": 0.5}`` for every algorithm that has such a setting,
            ``{"dql.alpha": 0.5}`` for one algorithm or scheme, ``{"env.size": 7}`` for
            the environments. Objects keep the settings that they came with. A
            dictionary whose values are all dictionaries holds settings by name.
        max_episode_steps: The time limit; when left out the environment's own, or
            :data:`DEFAULT_TIME_LIMIT` where it has none.
        num_agents: Agents of each trial.
        env_kwargs: The environments' arguments: one dictionary for all agents, a list
            with one for each agent, or a function of the agent's number. A dictionary
            of these by name, at least one of them a list or a function, is a product.
        uplink: The channel from the agents to the learner.
        downlink: The channel from the learner to the agents.
        most: How many arms at most.

    Raises:
        ValueError: An unknown name or setting, a value that is not allowed, two arms
            that are the same, as many dictionaries of arguments as there are not
            agents, or more than ``most``.
    """
    others = {
        "num_agents": _choices(num_agents, "num_agents"),
        "env_kwargs": _arguments(env_kwargs),
        "uplink": _choices(uplink, "uplink"),
        "downlink": _choices(downlink, "downlink"),
    }
    places = _choices(environments, "environment")
    pairs = _pairs(
        _choices(algorithms, "algorithm"),
        None if schemes is None else _choices(schemes, "scheme"),
        _settings(settings),
    )
    count = len(places) * len(pairs) * math.prod(map(len, others.values()))
    if most is not None and count > most:
        raise ValueError(
            f"{count:,} arms, more than {most:,}; leave some out, or allow as many "
            "(most_arms=, or --yes)"
        )
    limits: dict[str, int] = {}
    labels, made = [], []
    for place, pair, *rest in itertools.product(places, pairs, *others.values()):
        agents, own_arguments, up, down = (choice.value for choice in rest)
        arguments = _together(pair.env_kwargs, own_arguments, agents)
        key = f"{place.value} {arguments}"
        if key not in limits:
            limits[key] = time_limit(place.value, arguments, max_episode_steps)
        own = pair.algorithm.value.scheme
        parts = [place.word, pair.settings.word, *(choice.word for choice in rest)]
        labels.append(label_of(pair.algorithm, pair.scheme, own, parts))
        made.append(
            Arm(
                "",
                place.value,
                arguments,
                limits[key],
                pair.algorithm.value,
                pair.scheme.value,
                agents,
                Channel() if up is None else up,
                Channel() if down is None else down,
            )
        )
    labels = told_apart(labels, [(arm.algorithm, arm.scheme) for arm in made])
    return tuple(
        replace(arm, label=label) for arm, label in zip(made, labels, strict=True)
    )


def _choices(values: Any, field: str) -> list[Choice]:
    """The values of a field; words for them where there are several."""
    if isinstance(values, Mapping) and values:
        return named_choices(values, field)
    many = isinstance(values, Iterable) and not isinstance(values, (str, Mapping))
    listed = list(values) if many else [values]
    if not listed:
        raise ValueError(f"{field} is an empty list; name at least one")
    return (
        named_choices(listed, field) if len(listed) > 1 else list(map(Choice, listed))
    )


def _arguments(env_kwargs: Any) -> list[Choice]:
    """The choices of environments' arguments.

    Arguments may be dictionaries themselves, so that a list or a function tells that a
    dictionary holds choices by name.
    """

    def by_agent(value: Any) -> bool:
        return callable(value) or (
            isinstance(value, (list, tuple))
            and all(one is None or isinstance(one, Mapping) for one in value)
        )

    named = isinstance(env_kwargs, Mapping) and all(
        value is None or isinstance(value, Mapping) or by_agent(value)
        for value in env_kwargs.values()
    )
    if named and any(map(by_agent, env_kwargs.values())):
        return named_choices(env_kwargs, "env_kwargs")
    return [Choice(env_kwargs)]


def _together(
    settings: dict[str, Any], own: OwnArguments, num_agents: int
) -> dict[str, Any] | tuple[dict[str, Any], ...]:
    """The arguments from settings, and those of all agents or of each.

    Raises:
        ValueError: An argument is given both ways, or not one dictionary for each.
    """
    count = 1 if own is None or isinstance(own, Mapping) else num_agents
    each = arguments_of_each(own, count)
    for name in sorted({name for one in each for name in one} & settings.keys()):
        raise ValueError(
            f"{name!r} is given as an argument and as the setting 'env.{name}'; give "
            "it once"
        )
    together = tuple({**settings, **one} for one in each)
    return together[0] if len(grouped(together)) == 1 else together


def _pairs(
    algorithms: list[Choice], schemes: list[Choice] | None, settings: list[Choice]
) -> list[_Pair]:
    """Algorithms with schemes, with each choice of settings."""
    pairs = []
    for choice in settings:
        asked = {str(name): value for name, value in choice.value.items()}
        env_kwargs = {
            name.removeprefix("env."): asked.pop(name)
            for name in list(asked)
            if name.startswith("env.")
        }
        unused = set(asked)
        own = [
            (algorithm, scheme)
            for algorithm in _plugins(algorithms, ALGORITHMS, asked, unused)
            for scheme in _schemes(algorithm.value, schemes, asked, unused)
        ]
        _check_used(unused, [one.value for pair in own for one in pair])
        pairs += [_Pair(*pair, choice, env_kwargs) for pair in own]
    return pairs


def _settings(settings: Any) -> list[Choice]:
    """The choices of settings."""
    if settings is None:
        return [Choice({})]
    if isinstance(settings, Mapping):
        named = bool(settings) and all(
            isinstance(value, Mapping) and "." not in str(name)
            for name, value in settings.items()
        )
        return named_choices(settings, "settings") if named else [Choice(settings)]
    listed = isinstance(settings, Sequence) and not isinstance(settings, str)
    if not listed or not all(isinstance(one, Mapping) for one in settings):
        raise TypeError(
            f"settings are {settings!r}; give a dictionary by name, or a list of "
            "dictionaries to compare"
        )
    return _choices(settings, "settings")


def _plugins(
    plugins: list[Choice], group: str, asked: Mapping[str, Any], unused: set[str]
) -> list[Choice]:
    """Algorithms or schemes with their settings; their word is their name."""
    return [
        one._replace(
            value=(made := _configure(one.value, group, asked, unused)),
            word=one.word if one.given else made.name,
        )
        for one in plugins
    ]


def _schemes(
    algorithm: Algorithm,
    schemes: list[Choice] | None,
    asked: Mapping[str, Any],
    unused: set[str],
) -> list[Choice]:
    """The schemes asked for, or the algorithm's own as the algorithm sets it."""
    if schemes is None:
        own = algorithm.scheme_settings()
        scheme: Scheme = _configure(algorithm.scheme, SCHEMES, asked, unused, own)
        return [Choice(scheme, scheme.name)]
    return _plugins(schemes, SCHEMES, asked, unused)


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
    known = setting_names(cls)
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
        known = {setting for plugin in plugins for setting in setting_names(plugin)}
        raise UnknownNameError(
            "setting", name, known, "prefix it with env. to mean the environment"
        )
