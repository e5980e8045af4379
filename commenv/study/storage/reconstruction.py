"""A study made again from what its manifest says.

A manifest is outside data, and names code. Classes that commenv's channel has or that
installed packages have registered are used; every other name only if the caller names
it again in ``allow``, because importing a module runs it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import is_dataclass
from typing import Any

import msgspec
from msgspec import structs

import commenv.channel
from commenv.channel import Channel
from commenv.errors import (
    CannotRerunError,
    CommenvError,
    MissingExtraError,
    ResultsError,
    UnknownNameError,
    shown,
)
from commenv.learning import Always, make_algorithm, make_scheme
from commenv.learning.plugins import ALGORITHMS, SCHEMES, find, is_registered
from commenv.study.arm import Arm, plain, setting_names
from commenv.study.spec import Study
from commenv.study.storage.manifest import differences
from commenv.study.storage.schema import ArmSettings, StudySettings
from commenv.study.storage.store import Store
from commenv.study.time_limit import time_limit

__all__ = ["rebuilt", "study_of", "unfit", "without_channels"]

_NOT_FINITE = ("inf", "-inf", "nan")


def study_of(store: Store, allow: Collection[str] = ()) -> Study:
    """The study that a folder's manifest describes.

    Args:
        store: The folder.
        allow: See :func:`rebuilt`.

    Raises:
        CannotRerunError: The manifest names what is not allowed or not there.
        ResultsError: The manifest is damaged, or describes what this commenv cannot
            make again.
        MissingExtraError: An algorithm needs an extra that is not installed.
    """
    settings = store.manifest().study
    study = rebuilt(store, settings, allow)
    other = differences(settings.plain(), StudySettings.of(study).plain())
    if other:
        which = shown("; ".join(other).replace("asked for", "here"), 1000)
        raise ResultsError(
            f"the settings in {store.manifest_path} are not those that this commenv "
            f"makes of them ({which}); use the version of commenv that the manifest "
            "names"
        )
    return study


def without_channels(arm: ArmSettings) -> ArmSettings:
    """What of an arm its policies need to act again: no scheme of its own, no channel.

    So none of the code that these name need be there, or allowed.
    """
    perfect = plain(Channel())
    return structs.replace(
        arm, scheme=plain(Always()), uplink=perfect, downlink=perfect
    )


def rebuilt(
    store: Store, settings: StudySettings, allow: Collection[str] = ()
) -> Study:
    """The study that settings in a folder's manifest describe, or a part of them.

    Args:
        store: The folder.
        settings: Out of its manifest.
        allow: Every ``module:Name`` in them that may be imported; what is registered,
            or is of commenv's channel, needs no such leave.

    Raises:
        CannotRerunError: They name what is not allowed or not there.
        ResultsError: They cannot be used here.
        MissingExtraError: An algorithm needs an extra that is not installed.
    """
    maker = _Maker(store, allow)
    try:
        given = {name: getattr(settings, name) for name in setting_names(Study)}
        return Study(**given | {"arms": tuple(map(maker.arm, settings.arms))})
    except (ResultsError, MissingExtraError):
        raise
    except (CommenvError, ValueError, TypeError, ImportError) as error:
        raise unfit(store, error) from error


class _Maker:
    """Makes objects of what a manifest says about them."""

    def __init__(self, store: Store, allow: Collection[str]) -> None:
        self._store, self._allow = store, allow

    def arm(self, arm: ArmSettings) -> Arm:
        _check_allowed(self._store, arm.environment, self._allow)
        env_kwargs = self._value(arm.env_kwargs)
        return Arm(
            label=arm.label,
            environment=arm.environment,
            env_kwargs=env_kwargs,
            time_limit=self._time_limit(arm, env_kwargs),
            algorithm=self._plugin(arm.algorithm, ALGORITHMS, make_algorithm),
            scheme=self._plugin(arm.scheme, SCHEMES, make_scheme),
            num_agents=arm.num_agents,
            uplink=self._channel(arm.uplink),
            downlink=self._channel(arm.downlink),
        )

    def _time_limit(self, arm: ArmSettings, env_kwargs: Any) -> int:
        try:
            return time_limit(arm.environment, env_kwargs, arm.time_limit)
        except UnknownNameError as error:
            raise CannotRerunError(
                f"{shown(error)}; {self._store.manifest_path} names it: install or "
                "import what registers it, or name it as module:Env-v0 when running"
            ) from error

    def _channel(self, described: dict[str, Any]) -> Channel:
        return msgspec.convert(self._value(described), Channel)

    def _plugin(self, described: dict[str, Any], group: str, make: Any) -> Any:
        settings = dict(described)
        reference = str(settings.pop("class", None))
        if not is_registered(reference, group):
            _check_allowed(self._store, reference, self._allow)
        return make(reference, self._value(settings))

    def _value(self, value: Any) -> Any:
        """A setting, of which dictionaries with a class become its objects."""
        if isinstance(value, list):
            return [self._value(item) for item in value]
        if isinstance(value, str) and value in _NOT_FINITE:
            return float(value)
        if not isinstance(value, dict):
            _check_allowed(self._store, value, self._allow)
            return value
        settings = {k: self._value(item) for k, item in value.items() if k != "class"}
        if "class" not in value:
            return settings
        cls = self._class(value["class"])
        return msgspec.convert(settings, cls) if is_dataclass(cls) else cls()

    def _class(self, reference: Any) -> type[Any]:
        reference = str(reference)
        if reference in (known := _channel_classes()):
            return known[reference]
        for group in (ALGORITHMS, SCHEMES):
            if is_registered(reference, group):
                return find(reference, group)
        _check_allowed(self._store, reference, self._allow)
        return find(reference, SCHEMES)


def _channel_classes() -> dict[str, type[Any]]:
    """The classes of commenv's channel, as manifests name them."""
    public = [getattr(commenv.channel, name) for name in commenv.channel.__all__]
    return {
        f"{cls.__module__}:{cls.__qualname__}": cls
        for cls in public
        if isinstance(cls, type)
    }


def _check_allowed(store: Store, settings: Any, allow: Collection[str]) -> None:
    """Refuses every ``module:Name`` in settings that the caller does not allow.

    Raises:
        CannotRerunError: There is one; the message names it.
    """
    if isinstance(settings, dict):
        settings = list(settings.values())
    if isinstance(settings, (list, tuple)):
        for setting in settings:
            _check_allowed(store, setting, allow)
    elif isinstance(settings, str) and ":" in settings and settings not in allow:
        raise CannotRerunError(
            f"{store.manifest_path} names {shown(settings)!r}, which no installed "
            "package has registered, and importing it would run its code; if you trust "
            f"it, allow it: --allow {shown(settings)}"
        )


def unfit(store: Store, error: Exception) -> ResultsError:
    """What to raise where the settings in a manifest cannot be used."""
    why = shown(error, 1000)
    lacking = isinstance(error, ImportError) or isinstance(error.__cause__, ImportError)
    return (CannotRerunError if lacking else ResultsError)(
        f"the settings in {store.manifest_path} cannot be used here: {why}"
    )
