"""Importing what a user names as ``module:name``, and what packages have registered."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import EntryPoint, distributions
from types import ModuleType
from typing import Any

from commenv.errors import PluginError

__all__ = ["check_unclaimed", "import_named", "imported", "registered", "search"]

_only_modules: set[str] = set()


def search(folder: str) -> None:
    """Lets modules be found in a folder too, after all others.

    What the folder says about packages is not read: it registers no plug-ins.
    """
    if folder not in sys.path:
        sys.path.append(folder)
        _only_modules.add(folder)


def registered(group: str) -> tuple[EntryPoint, ...]:
    """The entry points of a group that installed packages have, each name once."""
    return tuple(entries[0] for entries in _claims(group).values())


def check_unclaimed(entry: EntryPoint) -> None:
    """Refuses a name that several packages have registered in one group.

    Raises:
        PluginError: They have; the message names them.
    """
    entries = _claims(entry.group).get(entry.name, ())
    if len(entries) > 1:
        owners = " and ".join(
            repr(one.dist.name) if one.dist is not None else "an unknown package"
            for one in entries
        )
        raise PluginError(
            f"{entry.name!r} is registered in {entry.group} by the packages {owners}; "
            "uninstall one of them, or name what you mean as module:Name"
        )


def _claims(group: str) -> dict[str, tuple[EntryPoint, ...]]:
    """The entry points of a group by name; a name of several packages has several."""
    folders = tuple(path for path in sys.path if path not in _only_modules)
    return _registered(group, folders, tuple(_changed_at(folders)))


@lru_cache(maxsize=16)
def _registered(
    group: str, folders: tuple[str, ...], changed: tuple[int, ...]
) -> dict[str, tuple[EntryPoint, ...]]:
    seen: set[str] = set()
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for distribution in distributions(path=list(folders)):
        name = str(distribution.metadata["Name"]).lower().replace("-", "_")
        if name not in seen:  # an earlier folder hides a later one
            seen.add(name)
            for entry in distribution.entry_points.select(group=group):
                found[entry.name] = (*found.get(entry.name, ()), entry)
    return found


def _changed_at(folders: Iterable[str]) -> Iterable[int]:
    """When each folder was changed last; a package may be installed meanwhile."""
    for folder in folders:
        try:
            yield os.stat(folder or ".").st_mtime_ns
        except OSError:
            yield 0


def imported(reference: str, what: str) -> Any:
    """What ``module:name`` stands for.

    Args:
        reference: The module's name, a colon, and a name in it.
        what: What it is called in errors, such as ``"codec"``.

    Raises:
        ValueError: The module cannot be imported, or has no such name.
    """
    module, _, name = reference.partition(":")
    found = import_named(module, f"{what} {reference!r}")
    try:
        return getattr(found, name)
    except AttributeError as error:
        raise ValueError(f"{what} {reference!r} cannot be imported: {error}") from error


def import_named(module: str, what: str) -> ModuleType:
    """A module that a user has named.

    Raises:
        ValueError: It cannot be imported, whatever it raises meanwhile.
    """
    try:
        return importlib.import_module(module)
    except Exception as error:  # it is somebody's own code
        reason = str(error)
        if not isinstance(error, ImportError):
            reason = f"{type(error).__name__}: {error}"
        raise ValueError(
            f"{what} cannot be imported: cannot import {module!r} ({reason}); is its "
            "folder on the Python path?"
        ) from error
