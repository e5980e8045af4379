"""What a results folder's manifest holds, read from anywhere and compared."""

from __future__ import annotations

import json
import reprlib
from pathlib import Path
from typing import Annotated, Any

import msgspec

from commenv.errors import ResultsError, shown
from commenv.study.files import unusable
from commenv.study.spec import MOST

__all__ = [
    "Manifest",
    "Settings",
    "brief",
    "check_same",
    "differences",
    "read_manifest",
]

FORMAT = "commenv study"
FORMAT_VERSION = 1
_MOST_BYTES = 16 * 2**20


class Manifest(msgspec.Struct, forbid_unknown_fields=True):
    """What ``manifest.json`` holds.

    Attributes:
        format: Always ``"commenv study"``.
        version: Of the folder's layout.
        study: The settings, as :meth:`commenv.study.spec.Study.describe` gives them.
        optima: The exact optimal value of each label's environment, where known.
        software: What :func:`commenv.study.software.software` gave at the start.
        ranges: What :func:`commenv.study.ranges.ranges_of` gave for each label.
    """

    format: str
    version: int
    study: dict[str, Any]
    optima: dict[str, float | None]
    software: dict[str, str]
    ranges: dict[str, dict[str, tuple[float, float]]] = {}


_Count = Annotated[int, msgspec.Meta(ge=1, le=MOST)]


class _Cell(msgspec.Struct):
    label: str
    environment: str
    algorithm: dict[str, Any]
    scheme: dict[str, Any]


class Settings(msgspec.Struct):
    """What every reader takes from a manifest's study without looking again."""

    cells: list[_Cell]
    num_agents: _Count
    num_trials: _Count
    num_episodes: _Count
    gamma: float
    seed: int
    stop: dict[str, float] | None = None


def read_manifest(path: Path) -> Manifest:
    """Reads a manifest, and checks it.

    Raises:
        ResultsError: There is none, or it is not ours or damaged.
    """
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise ResultsError(
                f"{path} is no regular file; restore it, or run the study into a "
                "new folder"
            )
        if path.stat().st_size > _MOST_BYTES:
            raise ResultsError(f"{path} is too large for a manifest of ours")
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
        cells = msgspec.convert(manifest.study, Settings).cells
        if {cell.label for cell in cells} != manifest.optima.keys():
            raise msgspec.ValidationError("its labels and optima differ")
        for known in manifest.ranges.values():
            if not all(low <= high for low, high in known.values()):
                raise msgspec.ValidationError("a range ends before it begins")
        if not all(cell.label.isprintable() for cell in cells):
            raise msgspec.ValidationError("a label holds control characters")
    except FileNotFoundError:
        raise ResultsError(
            f"{path.parent} is no results folder: it has no manifest.json"
        ) from None
    except OSError as error:
        raise unusable(path.parent, error) from error
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ResultsError(
            f"{path} is damaged or not ours ({shown(error)}); run the study into a "
            "new folder"
        ) from None
    if manifest.format != FORMAT or manifest.version != FORMAT_VERSION:
        raise ResultsError(
            f"{path} is {shown(manifest.format)!r}, version {manifest.version}; "
            f"this commenv reads {FORMAT!r}, version {FORMAT_VERSION}"
        )
    return manifest


brief = reprlib.Repr()
"""Shows values in a few characters."""
brief.maxstring = brief.maxother = 60


def differences(old: Any, new: Any, path: str = "") -> list[str]:
    """Where plain structures differ, as ``"gamma: 0.9 there, 0.5 asked for"``."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            line
            for name in sorted(old.keys() | new.keys())
            for line in differences(
                old.get(name), new.get(name), f"{path}.{name}" if path else name
            )
        ]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [
            line
            for position, (one, other) in enumerate(zip(old, new, strict=True))
            for line in differences(one, other, f"{path}[{position}]")
        ]
    if old == new:
        return []
    if isinstance(old, list) and isinstance(new, list):
        return [f"{path}: {len(old)} there, {len(new)} asked for"]
    return [f"{path}: {brief.repr(old)} there, {brief.repr(new)} asked for"]


def check_same(directory: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Raises ResultsError where a folder holds a study with other settings."""
    # What JSON makes of the new settings is what the old ones went through.
    different = differences(old, json.loads(json.dumps(new)))
    if different:
        raise ResultsError(
            f"{directory} holds a study with other settings ({'; '.join(different)}); "
            "repeat those settings to continue it, or choose another folder"
        )
