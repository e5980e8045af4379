"""What a results folder's manifest holds, read from anywhere and compared."""

from __future__ import annotations

import json
import reprlib
from pathlib import Path
from typing import Any

import msgspec

from commenv.errors import ResultsError, shown
from commenv.study.storage.checksums import Digest, digest
from commenv.study.storage.files import unusable
from commenv.study.storage.safe_files import check_depth, read_file
from commenv.study.storage.schema import StudySettings

__all__ = [
    "GROWING",
    "SHARE",
    "Manifest",
    "brief",
    "check_same",
    "differences",
    "digest_of_settings",
    "packed_manifest",
    "read_manifest",
]

FORMAT = "commenv study"
FORMAT_VERSION = 4
_MOST_BYTES = 16 * 2**20


class Manifest(msgspec.Struct, forbid_unknown_fields=True):
    """What ``manifest.json`` holds.

    Attributes:
        format: Always ``"commenv study"``.
        version: Of the folder's layout.
        study: The settings.
        optima: The exact optimal value of each label's environment, where known.
        software: What :func:`commenv.study.storage.provenance.software` gave at the
            start.
        ranges: What :func:`commenv.study.execution.ranges.ranges_of` gave for each
            label.
        sha256: Of all the above.
    """

    format: str
    version: int
    study: StudySettings
    optima: dict[str, float | None]
    software: dict[str, str]
    ranges: dict[str, dict[str, tuple[float, float]]]
    sha256: str


class _Version(msgspec.Struct):
    """What is known of a manifest before anything else."""

    format: str
    version: int


SHARE = ("num_trials", "first_trial", "last_trial")
"""The settings that no trial depends on: how many there are, and which are here."""


GROWING = ("num_trials", "num_episodes")
"""What a study may get more of; the first trials and rounds stay as they are."""


def packed_manifest(
    study: StudySettings,
    optima: dict[str, float | None],
    software: dict[str, str],
    ranges: dict[str, dict[str, tuple[float, float]]],
) -> bytes:
    """The content of a new manifest; the arguments are a :class:`Manifest`'s."""
    content = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "study": study.plain(),
        "optima": {
            label: None if value is None else float(value)
            for label, value in optima.items()
        },
        "software": software,
        "ranges": ranges,
    }
    content = json.loads(json.dumps(content))  # as a reader will find it
    return json.dumps(content | {"sha256": _own(content)}, indent=1).encode()


def digest_of_settings(manifest: Manifest) -> Digest:
    """The digest of all that a block depends on.

    Of a study that has got more trials or rounds, or was merged of shards, it is the
    same.
    """
    left_out = {*SHARE, *GROWING}
    plain = manifest.study.plain()
    study = {name: x for name, x in plain.items() if name not in left_out}
    content = [study, manifest.optima, manifest.ranges]
    return digest(json.dumps(content, sort_keys=True).encode())


def _own(content: dict[str, Any]) -> str:
    return digest(json.dumps(content, sort_keys=True).encode()).sha256


def read_manifest(path: Path) -> tuple[Manifest, Digest]:
    """Reads a manifest, and checks it.

    Returns:
        The manifest, and the digest of the file that it was read from.

    Raises:
        ResultsError: There is none, or it is not ours or damaged.
    """
    try:
        data = read_file(path, _MOST_BYTES)
        return _manifest_of(path, data), digest(data)
    except FileNotFoundError:
        raise ResultsError(
            f"{path.parent} is not a results folder: it has no manifest.json"
        ) from None
    except OSError as error:
        if error.errno:
            raise unusable(path.parent, error) from error
        raise _damaged(path, error) from None
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> ResultsError:
    return ResultsError(
        f"{path} is damaged or not ours ({shown(error)}); restore it, or run the study "
        "into a new folder"
    )


def _manifest_of(path: Path, data: bytes) -> Manifest:
    """What a manifest's content says.

    Raises:
        ResultsError: It is of another version.
        msgspec.MsgspecError: It is damaged, as other errors of decoding say too.
    """
    said = msgspec.json.decode(data, type=_Version)
    if said.format != FORMAT or said.version != FORMAT_VERSION:
        raise ResultsError(
            f"{path} is {shown(said.format)!r}, version {said.version}; this commenv "
            f"reads {FORMAT!r}, version {FORMAT_VERSION}: run the study again, into a "
            "new folder"
        )
    manifest = msgspec.json.decode(data, type=Manifest)
    content = msgspec.to_builtins(manifest)
    check_depth(content)
    labels = manifest.study.labels
    if set(labels) != manifest.optima.keys():
        raise msgspec.ValidationError("its labels and optima differ")
    for known in manifest.ranges.values():
        if not all(low <= high for low, high in known.values()):
            raise msgspec.ValidationError("a range ends before it begins")
    if not all(map(str.isprintable, labels)):
        raise msgspec.ValidationError("a label holds control characters")
    if content.pop("sha256") != _own(content):
        raise msgspec.ValidationError("it was changed: its checksum is another")
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


def check_same(directory: Path, old: StudySettings, new: StudySettings) -> None:
    """Raises ResultsError where a folder holds a study with other settings."""
    different = differences(old.plain(), new.plain())
    if different:
        raise ResultsError(
            f"{directory} holds a study with other settings ({'; '.join(different)}); "
            "repeat those settings to continue it, or choose another folder"
        )
