"""Checksums of a block's files, in a file beside them that is written before the block.

A block says that all is there, so whatever moment a study is stopped at, a block has
its checksums, unless it was stored by a version that wrote none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import msgspec

from commenv.errors import ResultsError, shown
from commenv.study.files import check_regular

__all__ = ["MANIFEST", "Seal", "digest", "digest_of", "packed_seal", "read_seal"]

MANIFEST = "manifest"
"""Under which name a seal holds the checksum of the study's manifest."""


class Seal(msgspec.Struct, forbid_unknown_fields=True):
    """What is known of a block's files.

    Attributes:
        files: SHA-256 in hexadecimal of each file, by kind: ``"blocks"``, ``"sizes"``,
            ``"policies"`` and :data:`MANIFEST`.
        software: What computed the block; see
            :func:`commenv.study.software.software`.
        own: SHA-256 of all the above.
    """

    files: dict[str, str]
    software: dict[str, str]
    own: str


def digest(data: bytes) -> str:
    """The SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal.

    Raises:
        OSError: The file is missing, is no regular one, or cannot be read.
    """
    check_regular(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def packed_seal(files: Mapping[str, str], software: Mapping[str, str]) -> bytes:
    """The content of a file of checksums; the arguments are a :class:`Seal`'s."""
    content = {"files": dict(files), "software": dict(software)}
    return json.dumps(content | {"own": _own(content)}, indent=1).encode()


def read_seal(path: Path) -> Seal:
    """Reads a file of checksums.

    Raises:
        ResultsError: It is damaged.
        FileNotFoundError: There is none.
    """
    try:
        check_regular(path)
        seal = msgspec.json.decode(path.read_bytes(), type=Seal)
        if seal.own != _own({"files": seal.files, "software": seal.software}):
            raise msgspec.ValidationError("its own checksum is another")
    except FileNotFoundError:
        raise
    except (msgspec.MsgspecError, UnicodeError, RecursionError, OSError) as error:
        raise ResultsError(f"{path} is damaged ({shown(error)})") from None
    return seal


def _own(content: Mapping[str, Mapping[str, str]]) -> str:
    return digest(json.dumps(content, sort_keys=True).encode())
