"""Checksums of a block's files, in a file beside them that is written before the block.

A block says that all is there, so whatever moment a study is stopped at, a block has
its checksums. Whoever reads a number compares the bytes that it comes from with them.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from commenv.errors import ResultsError, shown
from commenv.study.storage.safe_files import open_regular, read_file

__all__ = [
    "MANIFEST",
    "TRACE",
    "Digest",
    "Seal",
    "digest",
    "digest_of",
    "is_as_written",
    "packed_seal",
    "read_seal",
    "read_sealed",
]

MANIFEST = "manifest"
"""Under which name a seal holds the checksum of the study's settings."""

TRACE = "trace/"
"""What the names of a trace's files in a seal begin with."""

_MOST_BYTES = 16 * 2**20


class Digest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of a file's content.

    Attributes:
        size: Its bytes.
        sha256: Its SHA-256, in hexadecimal.
    """

    size: int
    sha256: str


class Seal(msgspec.Struct, forbid_unknown_fields=True):
    """What is known of a block's files.

    Attributes:
        files: The digest of each file: ``"blocks"``, ``"sizes"``, ``"policies"``,
            :data:`MANIFEST`, and :data:`TRACE` with the names of a trace's files.
        software: What computed the block; see
            :func:`commenv.study.storage.provenance.software`.
        pruned: The trials that a callback stopped.
        rounds: Of how many rounds the study was when the block was run.
        own: SHA-256 of all the above.
    """

    files: dict[str, Digest]
    software: dict[str, str]
    pruned: list[int]
    rounds: Annotated[int, msgspec.Meta(ge=1)]
    own: str


def digest(data: bytes) -> Digest:
    """The digest of some bytes."""
    return Digest(len(data), hashlib.sha256(data).hexdigest())


def digest_of(path: Path, within: Path | None = None) -> Digest:
    """The digest of a file that need not fit in memory.

    Raises:
        OSError: As :func:`commenv.study.storage.safe_files.open_regular` says.
    """
    with open_regular(path, within=within) as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return Digest(file.tell(), sha256)


def is_as_written(path: Path, expected: Digest, within: Path) -> bool:
    """Whether a file is as it was written; it need not fit in memory.

    Raises:
        OSError: As :func:`commenv.study.storage.safe_files.open_regular` says.
    """
    with open_regular(path, within=within) as file:
        if os.fstat(file.fileno()).st_size != expected.size:
            return False
        return hashlib.file_digest(file, "sha256").hexdigest() == expected.sha256


def read_sealed(path: Path, expected: Digest, within: Path) -> bytes:
    """The content of a file, which must be as it was written.

    Raises:
        ResultsError: It is not; the message names no cure.
        OSError: As :func:`commenv.study.storage.safe_files.open_regular` says.
    """
    with open_regular(path, within=within) as file:
        size = os.fstat(file.fileno()).st_size
        data = file.read(size) if size == expected.size else b""
    if digest(data) != expected:
        raise ResultsError("it is not as it was written: its checksum is another")
    return data


def packed_seal(
    files: Mapping[str, Digest],
    software: Mapping[str, str],
    pruned: Sequence[int],
    rounds: int,
) -> bytes:
    """The content of a file of checksums; the arguments are a :class:`Seal`'s."""
    content = {
        "files": msgspec.to_builtins(dict(files)),
        "software": dict(software),
        "pruned": list(pruned),
        "rounds": rounds,
    }
    own = digest(json.dumps(content, sort_keys=True).encode()).sha256
    return json.dumps(content | {"own": own}, indent=1).encode()


def _packed(seal: Seal) -> bytes:
    return packed_seal(seal.files, seal.software, seal.pruned, seal.rounds)


def read_seal(path: Path, within: Path | None = None) -> Seal:
    """Reads a file of checksums.

    Raises:
        ResultsError: It is damaged.
        FileNotFoundError: There is none.
    """
    try:
        data = read_file(path, _MOST_BYTES, within)
        seal = msgspec.json.decode(data, type=Seal)
        if _packed(seal) != data:
            raise msgspec.ValidationError("its own checksum is another")
    except FileNotFoundError:
        raise
    except (msgspec.MsgspecError, UnicodeError, RecursionError, OSError) as error:
        raise ResultsError(f"{path} is damaged ({shown(error)})") from None
    return seal
