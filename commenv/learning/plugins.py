"""Finding algorithms and schemes by name: entry points, or ``module:Class``."""

from __future__ import annotations

import importlib
from dataclasses import fields, is_dataclass
from importlib.metadata import entry_points
from typing import Any

import msgspec

from commenv.errors import UnknownNameError
from commenv.learning.algorithm import Algorithm
from commenv.learning.scheme import Scheme

__all__ = [
    "find",
    "is_registered",
    "make_algorithm",
    "make_scheme",
    "plugin_names",
    "reference_of",
]

ALGORITHMS = "commenv.algorithms"
SCHEMES = "commenv.schemes"


def plugin_names(group: str) -> list[str]:
    """The short names that installed packages have registered in a group."""
    return sorted({entry.name for entry in entry_points(group=group)})


def find(reference: str, group: str) -> type[Any]:
    """The class behind a short name or ``module:Class``.

    Raises:
        UnknownNameError: Nothing of that name; the message lists the nearest ones.
        ValueError: The module cannot be imported, or has no such class.
    """
    kind = group.rpartition(".")[2].removesuffix("s")
    if ":" in reference:
        return _import(reference, kind)
    for entry in entry_points(group=group, name=reference):
        return entry.load()
    raise UnknownNameError(
        kind, reference, plugin_names(group), "or name a class as module:Class"
    )


def is_registered(reference: str, group: str) -> bool:
    """Whether an installed package has registered the class ``module:Class``.

    Nothing is imported in order to find out, but for what packages have registered.
    """
    entries = entry_points(group=group)
    return any(entry.value == reference for entry in entries) or any(
        _reference(entry.load()) == reference for entry in entries
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


def reference_of(plugin: Algorithm | Scheme) -> str:
    """The ``module:Class`` by which a plug-in object can be made again."""
    return _reference(type(plugin))


def _reference(cls: type[Any]) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def _import(reference: str, kind: str) -> type[Any]:
    module_name, _, class_name = reference.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (ImportError, TypeError, ValueError) as error:
        raise ValueError(
            f"{kind} {reference!r}: cannot import {module_name!r} ({error}); is its "
            "folder on the Python path?"
        ) from error
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
            f"{reference!r} is no {base.__name__}: derive it from "
            f"{base.__module__}.{base.__name__}"
        )
    known = [field.name for field in fields(cls)] if is_dataclass(cls) else []
    for name in settings:
        if name not in known:
            raise UnknownNameError(f"setting of {reference}", name, known)
    if not is_dataclass(cls):
        return cls()
    try:
        return msgspec.convert(settings, cls)
    except msgspec.ValidationError as error:
        raise ValueError(f"setting of {reference}: {error}") from None
