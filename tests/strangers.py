"""Results folders that somebody has prepared, to mislead, to stall or to destroy."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import save

from commenv.study.storage.checksums import MANIFEST, Digest, packed_seal, read_seal
from commenv.study.storage.lock import LOCK
from commenv.study.storage.store import Store
from tests.study.storage.seals import reseal, settings_digest

__all__ = ["PREPARED", "contents", "outside_of"]

KINDS = ("blocks", "sizes", "policies", "checksums", "checkpoints")
PLACES = ("manifest.json", LOCK, *KINDS)
FOLDERS = (*KINDS, "trace")


def outside_of(root: Path, study: Path) -> Path:
    """What lies elsewhere: it looks like a study, so that much could be done to it."""
    outside = root / "outside"
    shutil.copytree(study, outside)
    for kind in FOLDERS:
        for name in ("00-dql/trials-00000-00000.x", "00-dql/.trials-half", "mine/note"):
            (outside / kind / name).parent.mkdir(parents=True, exist_ok=True)
            (outside / kind / name).write_text("mine")
    return outside


def contents(folder: Path) -> dict[str, tuple[int, str]]:
    """Every name in a folder, with its permissions and the hash of its content."""
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mode,
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
        )
        for path in folder.rglob("*")
    }


def place(folder: Path, kind: str) -> Path:
    """A file of a kind."""
    if kind in (LOCK, "manifest.json"):
        return folder / kind
    if kind == "checkpoints":
        return folder / kind / "00-dql" / "trials-00001-00001.newest"
    return sorted((folder / kind).glob("00-dql/trials-*"))[0]


def emptied(path: Path) -> Path:
    """A place with nothing there, in a folder that is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    return path


def pipe(kind: str) -> Callable[[Path, Path], None]:
    return lambda folder, outside: os.mkfifo(emptied(place(folder, kind)))


def endless(kind: str) -> Callable[[Path, Path], None]:
    return lambda folder, outside: emptied(place(folder, kind)).symlink_to("/dev/zero")


def linked(kind: str) -> Callable[[Path, Path], None]:
    """A file is a link to one of the same content elsewhere."""

    def prepare(folder: Path, outside: Path) -> None:
        there = place(outside, kind)
        there.parent.mkdir(parents=True, exist_ok=True)
        there.touch()
        emptied(place(folder, kind)).symlink_to(there)

    return prepare


def linked_folder(name: str) -> Callable[[Path, Path], None]:
    """A folder is a link to elsewhere."""

    def prepare(folder: Path, outside: Path) -> None:
        path = folder / name
        shutil.rmtree(path, ignore_errors=True)
        path.parent.mkdir(exist_ok=True)
        path.symlink_to(outside / name)

    return prepare


def sparse(kind: str) -> Callable[[Path, Path], None]:
    """60 GB that take no room; checksums that say so are no cure."""

    def prepare(folder: Path, outside: Path) -> None:
        path = place(folder, kind)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.truncate(60 * 10**9)
        if kind in ("blocks", "sizes", "policies"):
            manifest = settings_digest(folder)
            seal_path = place(folder, "checksums")
            seal = read_seal(seal_path)
            seal.files |= {MANIFEST: manifest, kind: Digest(60 * 10**9, "0" * 64)}
            seal_path.write_bytes(
                packed_seal(seal.files, seal.software, seal.pruned, seal.rounds)
            )

    return prepare


def nested(kind: str, depth: int) -> Callable[[Path, Path], None]:
    """Lists in lists, with the right checksum where there is one."""

    def prepare(folder: Path, outside: Path) -> None:
        path = place(folder, kind)
        deep = "[" * depth + "]" * depth
        if kind == "manifest.json":
            text = json.loads(path.read_text())
            text["study"]["uplink"] = "DEEP"
            path.write_text(json.dumps(text).replace('"DEEP"', deep))
            reseal(folder)
        elif kind == "checkpoints":
            emptied(path).write_bytes(nested_state(folder, depth))
        else:
            path.write_text('{"files": ' + deep + "}")

    return prepare


def nested_state(folder: Path, depth: int) -> bytes:
    about = Store(folder).about_checkpoints(0, "dql", [1])
    deep = b"\x91" * depth + b"\xc0"
    tree = b"\x82" + msgspec.msgpack.encode("about") + msgspec.msgpack.encode(about)
    tree += msgspec.msgpack.encode("state") + b"\x81\xa1a" + deep
    body = save({"tree": np.frombuffer(tree, np.uint8)})
    return b"commenv-state-1\n" + hashlib.sha256(body).digest() + body


def bomb(kind: str) -> Callable[[Path, Path], None]:
    """A few kilobytes that stand for millions of rows, with the right checksum."""

    def prepare(folder: Path, outside: Path) -> None:
        path = place(folder, kind)
        row = pq.read_table(path).slice(0, 1)
        rows = 4_000_000
        with pq.ParquetWriter(path, row.schema, compression="zstd") as writer:
            for _ in range(4):
                part = row.take(pa.array(np.zeros(rows // 4, np.int64)))
                writer.write_table(part)
        reseal(folder)

    return prepare


PREPARED: dict[str, Callable[[Path, Path], None]] = {
    **{f"pipe {kind}": pipe(kind) for kind in PLACES},
    **{f"endless {kind}": endless(kind) for kind in PLACES},
    **{f"link {kind}": linked(kind) for kind in PLACES},
    **{f"sparse {kind}": sparse(kind) for kind in PLACES},
    **{f"folder {kind}": linked_folder(kind) for kind in FOLDERS},
    **{f"folder {kind}/00-dql": linked_folder(f"{kind}/00-dql") for kind in FOLDERS},
    **{
        f"nested {kind} {depth}": nested(kind, depth)
        for kind in ("manifest.json", "checksums", "checkpoints")
        for depth in (200, 900, 100_000)
    },
    "bomb blocks": bomb("blocks"),
    "bomb sizes": bomb("sizes"),
}
"""What a folder may have been made of: takes the study, and what lies outside of it."""
