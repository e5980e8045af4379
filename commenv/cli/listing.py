"""``commenv list``: what there is, and what each of it takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import partial
from typing import Any, NamedTuple

import gymnasium as gym

from commenv.channel import Budget
from commenv.cli.channel import AROUND, CODECS, LINKS
from commenv.envs.making import arguments_of, class_of, is_env_id, parameters
from commenv.errors import CommenvError, UnknownNameError, nearest
from commenv.importing import import_named, imported
from commenv.learning.plugins import ALGORITHMS, SCHEMES, find, plugin_names
from commenv.registration import env_ids, parallel_ids, plain_ids, shared_ids
from commenv.study.cost import PROFILES
from commenv.study.reproduction import find_reproduction, reproduction_names

__all__ = ["explained", "overview"]


class _Entry(NamedTuple):
    """What a name stands for.

    Attributes:
        doc: Its docstring.
        settings: Asked for its settings and their defaults, which may import much;
            ``inspect.Parameter.empty`` where one must be given.
        notes: Lines below them.
    """

    doc: str
    settings: Callable[[], Mapping[str, Any]]
    notes: tuple[str, ...] = ()


class _Kind(NamedTuple):
    """What can be listed.

    Attributes:
        noun: What one of it is called.
        title: What all of them are called, and what else there is.
        names: Their names.
        look_up: What a name stands for.
        usage: How settings are given; ``{name}`` is the name, ``{setting}`` the first.
    """

    noun: str
    title: str
    names: Callable[[], list[str]]
    look_up: Callable[[str], _Entry]
    usage: str


def overview() -> str:
    """All names of all kinds, each with the first line of its documentation."""
    lines = []
    for kind in _KINDS:
        names = kind.names()
        width = max(14, *map(len, names))
        lines.append(kind.title)
        lines += [f"  {name:<{width}} {_summary(kind, name)}" for name in names]
    return "\n".join([*lines, "settings of one of them: commenv list NAME"])


def explained(name: str) -> str:
    """What a name of any kind stands for, and its settings with their defaults.

    Raises:
        UnknownNameError: Nothing is called so; the message lists the nearest names.
        ValueError: ``module:Class`` cannot be imported.
        ImportError: It lacks a package, or its own package is broken.
    """
    if "+" in name:  # a codec around another one
        return "\n".join(explained(part) for part in name.split("+"))
    return "\n".join(
        _page(known, kind, kind.look_up(known)) for kind, known in _meant(name)
    )


def _summary(kind: _Kind, name: str) -> str:
    try:
        return kind.look_up(name).doc.partition("\n")[0]
    except CommenvError as error:  # another package is broken, or is missing
        return f"({error})"


def _meant(name: str) -> list[tuple[_Kind, str]]:
    """The kinds that have a name, and what each of them calls it."""
    if ":" in name:
        return [(_ENVIRONMENTS if is_env_id(name) else _CLASSES, name)]
    exact = [(kind, name) for kind in _KINDS if name in kind.names()]
    if exact or name in gym.registry:
        return exact or [(_ENVIRONMENTS, name)]
    known = {
        alias: (kind, each)
        for kind in _KINDS
        for each in kind.names()
        for alias in (each.rpartition("/")[2], each)
    }
    if name in known:
        return [known[name]]
    near = nearest(name, known) or nearest(name, gym.registry)
    cure = "commenv list shows all names; a class is named module:Class"
    raise UnknownNameError("name", name, near, cure)


def _page(name: str, kind: _Kind, entry: _Entry) -> str:
    lines = [f"{name} ({kind.noun}): {entry.doc}", ""]
    settings = entry.settings()
    if settings:
        first, default = next(iter(settings.items()))
        value = "..." if default in (None, inspect.Parameter.empty) else _shown(default)
        lines.append(kind.usage.format(name=name, setting=f"{first}={value}"))
    else:
        lines.append("no settings")
    lines += [f"  {one} = {_shown(value)}" for one, value in settings.items()]
    return "\n".join([*lines, *entry.notes, ""])


def _shown(default: Any) -> str:
    if default is inspect.Parameter.empty:
        return "(required)"
    return str(dict(default) if isinstance(default, Mapping) else default)


def _class(cls: type[Any]) -> _Entry:
    """A class, by its docstring and its fields, or else its arguments."""
    notes = []
    for what, verb in (("signals", "offers"), ("requires", "reads")):
        if signals := getattr(cls, what, ()):
            names = signals if isinstance(signals, tuple) else ("one that is set",)
            notes.append(f"{verb} the signals {', '.join(names)}")
    if isinstance(scheme := getattr(cls, "scheme", None), str):
        notes.append(f"its scheme is {scheme}")
    return _Entry(_doc(cls), partial(_settings, cls), tuple(notes))


def _settings(cls: type[Any]) -> dict[str, Any]:
    if not is_dataclass(cls):
        return parameters(cls)
    return {
        field.name: field.default_factory()
        if field.default_factory is not MISSING
        else inspect.Parameter.empty
        if field.default is MISSING
        else field.default
        for field in fields(cls)
    }


def _doc(thing: Any) -> str:
    return inspect.cleandoc(thing.__doc__ or "no documentation")


def _environment(env_id: str) -> _Entry:
    return _Entry(_doc(class_of(env_id)), partial(arguments_of, env_id))


def _parallel_environment(env_id: str) -> _Entry:
    """An environment of PettingZoo's form, which is a module of ours."""
    module = import_named({**parallel_ids(), **shared_ids()}[env_id], env_id)
    if env_id in shared_ids():
        public = [getattr(module, name) for name in module.__all__]
        return _class(next(one for one in public if isinstance(one, type)))
    return _Entry(_doc(module), partial(_parallel_settings, env_id))


def _parallel_settings(env_id: str) -> dict[str, Any]:
    from commenv.multiagent import parallel_env

    own = dict(zip(parallel_ids(), env_ids(), strict=True))[env_id]
    settings = {**parameters(parallel_env), "num_agents": 5, **arguments_of(own)}
    return {name: value for name, value in settings.items() if name != "env_id"}


def _reproduction(name: str) -> _Entry:
    found = find_reproduction(name)
    return _Entry(_doc(found), dict, (f"figures: {', '.join(found.figures)}",))


def _plugins(noun: str, group: str, option: str) -> _Kind:
    return _Kind(
        noun,
        f"{noun}s (and every module:Class)",
        partial(plugin_names, group),
        lambda name: _class(find(name, group)),
        f"settings, as in {option} {{name}} --set {{setting}}:",
    )


def _classes(noun: str, title: str, known: Mapping[str, type[Any]], use: str) -> _Kind:
    return _Kind(noun, title, lambda: [*known], lambda name: _class(known[name]), use)


_ENVIRONMENTS = _Kind(
    "environment",
    "environments (and every other Gymnasium id)",
    lambda: [*env_ids(), *plain_ids()],
    _environment,
    "arguments, as in --env {name} --set env.{setting}:",
)
_CLASSES = _Kind(
    "class", "classes", list, lambda name: _class(imported(name, "name")), "settings:"
)
_KINDS = (
    _ENVIRONMENTS,
    _Kind(
        "PettingZoo environment",
        "environments for PettingZoo",
        lambda: [*parallel_ids(), *shared_ids()],
        _parallel_environment,
        'arguments, as in pettingzoo.make("parallel", "{name}", {setting}):',
    ),
    _plugins("algorithm", ALGORITHMS, "--algorithm"),
    _plugins("scheme", SCHEMES, "--scheme"),
    _classes(
        "codec",
        "codecs (--codec, --downlink-codec, and every module:Class)",
        CODECS,
        "settings, as in --codec {name},{setting}:",
    ),
    _classes(
        "codec around another one",
        "codecs around another one (--codec NAME+top_k, --downlink-codec NAME+top_k)",
        AROUND,
        "settings, as in --codec {name}+top_k:",
    ),
    _classes(
        "link",
        "links (--NAME, --downlink-NAME)",
        {name: cls for name, (cls, _) in LINKS.items()},
        "settings, as in --{name} {setting}:",
    ),
    _classes(
        "budget",
        "budgets (--uplink-budget, --downlink-budget)",
        {"budget": Budget},
        "settings, as in --uplink-budget {setting}:",
    ),
    _classes(
        "cost profile",
        "cost profiles (show --link, and every FILE.csv)",
        PROFILES,
        "settings, as in --link {name},{setting}:",
    ),
    _Kind(
        "reproduction",
        "reproductions (reproduce --reproduction, and every module:name)",
        reproduction_names,
        _reproduction,
        "settings:",
    ),
)
