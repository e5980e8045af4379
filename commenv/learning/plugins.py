"""Finding algorithms and schemes by name: entry points, or ``module:Class``."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from importlib.metadata import EntryPoint
from typing import Any

import numpy as np

from commenv.errors import PluginError, UnknownNameError, shown
from commenv.importing import check_unclaimed, import_named, registered
from commenv.learning.algorithm import Algorithm
from commenv.learning.scheme import Scheme
from commenv.settings import with_settings

__all__ = [
    "check_plugin",
    "find",
    "is_registered",
    "make_algorithm",
    "make_scheme",
    "plugin_names",
    "reference_of",
    "usable_plugins",
]

ALGORITHMS = "commenv.algorithms"
SCHEMES = "commenv.schemes"
_BASES: dict[str, type[Any]] = {ALGORITHMS: Algorithm, SCHEMES: Scheme}
_logger = logging.getLogger("commenv")


def plugin_names(group: str) -> list[str]:
    """The short names that installed packages have registered in a group."""
    return sorted(entry.name for entry in registered(group))


def find(reference: str, group: str) -> type[Any]:
    """The class behind a short name or ``module:Class``.

    Raises:
        UnknownNameError: Nothing of that name; the message lists the nearest ones.
        ValueError: The module cannot be imported, or has no such class.
        PluginError: The package that has registered the name is broken.
    """
    kind = group.rpartition(".")[2].removesuffix("s")
    if ":" in reference:
        return _import(reference, kind)
    for entry in registered(group):
        if entry.name == reference:
            return _loaded(entry, group)
    raise UnknownNameError(
        kind, reference, plugin_names(group), "or name a class as module:Class"
    )


def usable_plugins(group: str) -> Iterator[tuple[str, type[Any]]]:
    """The short names of a group and their classes.

    Those of broken packages are left out, with a warning in the log.
    """
    for entry in sorted(registered(group), key=lambda one: one.name):
        try:
            yield entry.name, _loaded(entry, group)
        except PluginError as error:
            _logger.warning("%s", error)


def is_registered(reference: str, group: str) -> bool:
    """Whether an installed package has registered the class ``module:Class``.

    Nothing is imported in order to find out, but for what packages have registered.
    """
    return any(entry.value == reference for entry in registered(group)) or any(
        _reference(cls) == reference for _, cls in usable_plugins(group)
    )


def make_algorithm(reference: str, settings: dict[str, Any]) -> Algorithm:
    """An algorithm with the given settings, the others at their defaults.

    Raises:
        ValueError: An unknown algorithm or setting, or a value that is not allowed.
    """
    algorithm: Algorithm = _make(reference, ALGORITHMS, Algorithm, settings)
    return algorithm


def make_scheme(reference: str, settings: dict[str, Any]) -> Scheme:
    """A scheme with the given settings, the others at their defaults.

    Raises:
        ValueError: An unknown scheme or setting, or a value that is not allowed.
    """
    scheme: Scheme = _make(reference, SCHEMES, Scheme, settings)
    return scheme


def check_plugin(plugin: Any, group: str) -> None:
    """Refuses what is not an algorithm or scheme that a study can keep account of.

    Raises:
        TypeError: It is no such object, or has no name.
        ValueError: Its settings are no fields of a dataclass, or its name is that of
            another one that is installed.
    """
    base = _BASES[group]
    kind = base.__name__.lower()
    if isinstance(plugin, type) and issubclass(plugin, base):
        raise TypeError(
            f"{plugin.__name__} is a class; pass an instance, {plugin.__name__}(...)"
        )
    if not isinstance(plugin, base):
        raise TypeError(
            f"{plugin!r} is not {_a(kind)}; pass a name, or an instance of a class "
            f"derived from commenv.learning.{base.__name__}"
        )
    name = getattr(plugin, "name", None)
    if not isinstance(name, str):
        raise TypeError(f"{kind} {type(plugin).__name__} has no name; set name = '...'")
    if vars(plugin) and not is_dataclass(plugin):
        raise ValueError(
            f"the settings of {kind} {name!r} ({', '.join(vars(plugin))}) would "
            "not be kept with the results; make it a dataclass(frozen=True) with its "
            "settings as fields"
        )
    taken = name in plugin_names(group) and find(name, group)
    if taken and not isinstance(plugin, taken):
        raise ValueError(
            f"{kind} {type(plugin).__name__} has the name {name!r}, which "
            f"{_reference(taken)} has; give it another"
        )


def reference_of(plugin: Algorithm | Scheme) -> str:
    """The ``module:Class`` by which a plug-in object can be made again."""
    return _reference(type(plugin))


def _reference(cls: type[Any]) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aA' else 'a'} {noun}"


def _loaded(entry: EntryPoint, group: str) -> type[Any]:
    """The class behind an entry point."""
    check_unclaimed(entry)
    base = _BASES[group]
    package = entry.dist.name if entry.dist is not None else "an unknown package"
    what = f"{base.__name__.lower()} {entry.name!r} of the package {package!r}"
    cure = "mend that package, or uninstall it"
    try:
        found = entry.load()
    except (Exception, SystemExit) as error:  # it is somebody else's code
        reason = f"{type(error).__name__}: {shown(error)}"
        raise PluginError(f"{what} cannot be imported ({reason}); {cure}") from error
    if not isinstance(found, type) or not issubclass(found, base):
        raise PluginError(
            f"{what} is not a class derived from commenv.learning.{base.__name__}, but "
            f"{shown(repr(found), 60)}; {cure}"
        )
    return found


def _import(reference: str, kind: str) -> type[Any]:
    module_name, _, class_name = reference.partition(":")
    module = import_named(module_name, f"{kind} {reference!r}")
    found = getattr(module, class_name, None)
    if not isinstance(found, type):
        known = [
            name
            for name, value in vars(module).items()
            if isinstance(value, type) and value.__module__ == module_name
        ]
        raise UnknownNameError(f"class in {module_name!r}", class_name, known)
    return found


def _make(reference: str, group: str, base: type[Any], settings: dict[str, Any]) -> Any:
    cls = find(reference, group)
    if not issubclass(cls, base):
        raise ValueError(
            f"{reference!r} is not {_a(base.__name__)}; derive it from "
            f"{base.__module__}.{base.__name__}"
        )
    if missing := getattr(cls, "__abstractmethods__", ()):
        raise ValueError(
            f"{reference!r} is abstract: name a class that has {', '.join(missing)}"
        )
    known = [field.name for field in fields(cls)] if is_dataclass(cls) else []
    for name in settings:
        if name not in known:
            raise UnknownNameError(f"setting of {reference}", name, known)
    if not is_dataclass(cls):
        return _without_settings(cls, reference)
    plain = {name: _plain(value) for name, value in settings.items()}
    return with_settings(cls, plain, reference)


def _without_settings(cls: type[Any], reference: str) -> Any:
    try:
        return cls()
    except TypeError as error:
        raise ValueError(
            f"{reference!r} cannot be made without arguments ({error}); make it a "
            "dataclass(frozen=True) with its settings as fields"
        ) from error


def _plain(value: Any) -> Any:
    """A setting without NumPy's types, as sweeps over arrays give them."""
    return value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value
