"""Checksums made again after a change, as a forger would; readers must hold out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from commenv.errors import ResultsError
from commenv.study.storage.checksums import (
    MANIFEST,
    Digest,
    digest,
    digest_of,
    packed_seal,
    read_seal,
)
from commenv.study.storage.manifest import digest_of_settings, read_manifest
from commenv.study.storage.stored_block import StoredBlock

__all__ = ["reseal", "reseal_manifest", "settings_digest"]


def reseal(folder: Path, **software: str) -> None:
    """Makes all checksums of a study those of its files as they are."""
    reseal_manifest(folder)
    manifest = settings_digest(folder)
    for path in folder.glob("blocks/*/*.parquet"):
        block = StoredBlock(folder, path, manifest)
        seal = read_seal(block.beside("checksums"))
        files = {MANIFEST: manifest, "blocks": digest_of(path)}
        for kind in ("sizes", "policies"):
            if block.beside(kind).exists():
                files[kind] = digest_of(block.beside(kind))
        sealed = packed_seal(files, seal.software | software, seal.pruned, seal.rounds)
        block.beside("checksums").write_bytes(sealed)


def settings_digest(folder: Path) -> Digest:
    """What seals say of a manifest's settings; any digest where they are unreadable."""
    try:
        return digest_of_settings(read_manifest(folder / "manifest.json")[0])
    except ResultsError:
        return digest(b"")


def reseal_manifest(folder: Path) -> None:
    """Makes a manifest's own checksum the right one, if it has one."""
    path = folder / "manifest.json"
    try:
        content: Any = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return
    if isinstance(content, dict) and "sha256" in content:
        del content["sha256"]
        own = digest(json.dumps(content, sort_keys=True).encode()).sha256
        path.write_text(json.dumps(content | {"sha256": own}, indent=1))
