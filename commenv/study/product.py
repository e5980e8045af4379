"""The arms of a study: the product of all that they may differ in."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple

from gymnasium.error import DependencyNotInstalled

from commenv.channel import Channel
from commenv.checks import check_env_id
from commenv.envs.making import make_batched
from commenv.errors import CommenvError, UnknownNameError
from commenv.learning import Algorithm, Scheme, make_algorithm, make_scheme
from commenv.learning.plugins import ALGORITHMS, SCHEMES, check_plugin, find
from commenv.study.arm import Arm, check_whole, setting_names
from commenv.study.labels import Choice, label_of, named_choices, told_apart

__all__ = ["DEFAULT_TIME_LIMIT", "arms", "time_limit"]

DEFAULT_TIME_LIMIT = 200
"""Steps after which an episode is cut where the environment sets no limit."""

_logger = logging.getLogger("commenv")


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
        uplink: The channel from the agents to the learner.
        downlink: The channel from the learner to the agents.
        most: How many arms at most.

    Raises:
        ValueError: An unknown name or setting, a value that is not allowed, two arms
            that are the same, or more than ``most``.
    """
    channels = {
        "num_agents": _choices(num_agents, "num_agents"),
        "uplink": _choices(uplink, "uplink"),
        "downlink": _choices(downlink, "downlink"),
    }
    places = _choices(environments, "environment")
    pairs = _pairs(
        _choices(algorithms, "algorithm"),
        None if schemes is None else _choices(schemes, "scheme"),
        _settings(settings),
    )
    count = len(places) * len(pairs) * math.prod(map(len, channels.values()))
    if most is not None and count > most:
        raise ValueError(
            f"{count:,} arms, more than {most:,}; leave some out, or allow as many "
            "(most_arms=, or --yes)"
        )
    limits: dict[str, int] = {}
    labels, made = [], []
    for place, pair, *others in itertools.product(places, pairs, *channels.values()):
        environment, env_kwargs = place.value, pair.env_kwargs
        key = f"{environment} {env_kwargs}"
        if key not in limits:
            limits[key] = time_limit(environment, env_kwargs, max_episode_steps)
        agents, up, down = (choice.value for choice in others)
        own = pair.algorithm.value.scheme
        parts = [place.word, pair.settings.word, *(choice.word for choice in others)]
        labels.append(label_of(pair.algorithm, pair.scheme, own, parts))
        made.append(
            Arm(
                "",
                environment,
                env_kwargs,
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
