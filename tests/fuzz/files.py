"""Targets for what a results folder holds, and for tables of links."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import commenv
from commenv.channel import Budget, Channel, Float16
from commenv.errors import CommenvError, ResultsError
from commenv.learning import Always
from commenv.study import verify
from commenv.study.execution.block import problem_of, world_of
from commenv.study.policies.evaluation import evaluate, render
from commenv.study.policies.loader import trained
from commenv.study.storage.checksums import read_seal
from commenv.study.storage.provenance import software
from commenv.study.storage.reconstruction import study_of
from commenv.study.storage.store import Store
from commenv.study.storage.weights import read_memory
from commenv.study.verification.invariants import unbalanced
from commenv.study.verification.rerun import _policies
from tests.fuzz.guard import nothing_else
from tests.fuzz.mutation import (
    changed,
    changed_json,
    changed_safetensors,
)
from tests.fuzz.tables import changed_parquet
from tests.fuzz.target import MEBIBYTE, Excluded, Target
from tests.study.storage.seals import reseal, reseal_manifest

__all__ = ["TARGETS", "here", "pristine", "restored", "study_folder"]

_STUDY = {"num_agents": 2, "num_trials": 2, "num_episodes": 3, "progress": False}
_SETTINGS_KEPT = ("num_trials", "num_episodes", "evaluation_episodes")
_MOST_WORK = 50
_IN_MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
_here: list[Path] = []


@cache
def pristine() -> Path:
    """A results folder, made once, of two labels; never changed."""
    root = Path(tempfile.mkdtemp(prefix="commenv-fuzz-", dir=_IN_MEMORY))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    out = root / "study"
    commenv.run(
        "SimpleGrid-v0",
        ["dql", "es"],
        uplink=Channel(codec=Float16(), budget=Budget(bytes=900)),
        settings={"dql.alpha": 0.5},
        out=out,
        **_STUDY,
    )
    return out


@contextlib.contextmanager
def study_folder() -> Iterator[Path]:
    """A folder with a copy of that study, in which nothing but readers work."""
    source = pristine()
    with tempfile.TemporaryDirectory(prefix="commenv-fuzz-", dir=_IN_MEMORY) as name:
        root = Path(name)
        shutil.copytree(source, root / "study")
        restored(root / "study")
        _here.append(root)
        _warm(root / "study")
        before = Path.cwd()
        os.chdir(root)
        try:
            with nothing_else(root):
                yield root
        finally:
            os.chdir(before)
            _here.pop()


def _warm(folder: Path) -> None:
    """Imports what is imported when it is first needed."""
    software()
    verify(folder, every=True, progress=False)
    render(evaluate(folder, episodes=1))
    results = commenv.load(folder)
    results.cost_table("lora")
    results.plot(path=folder.parent / "warm.svg")


def restored(folder: Path) -> None:
    """Puts back what an input has changed or left behind."""
    source = pristine()
    expected = {path.relative_to(source) for path in source.rglob("*")}
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.relative_to(folder) not in expected or path.is_symlink():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(source, folder, dirs_exist_ok=True)


def here() -> Path:
    """The folder in which readers work."""
    return _here[-1]


def _study() -> Path:
    return here() / "study"


def _first(kind: str, label: str = "dql") -> Path:
    """The study's file of a kind, and of a label."""
    return next((_study() / kind).glob(f"*{label}/trials-*"))


def _seed(kind: str, label: str = "dql") -> bytes:
    return next((pristine() / kind).glob(f"*{label}/trials-*")).read_bytes()


def _manifest_seeds() -> list[bytes]:
    text = (pristine() / "manifest.json").read_bytes()
    plain = json.loads(text)
    for arm in plain["study"]["arms"]:
        arm["scheme"] = {"class": f"{Always.__module__}:Always"}
    return [text, json.dumps(plain).encode()]


def read_manifest(data: bytes) -> None:
    """The manifest alone."""
    path = _study() / "manifest.json"
    path.write_bytes(data)
    reseal_manifest(_study())
    Store(_study()).manifest()


def read_settings(data: bytes) -> None:
    """The study that a manifest describes, and the policies it is to play."""
    path = _study() / "manifest.json"
    path.write_bytes(data)
    if not _is_small(data):
        raise Excluded("a long run, or one with many agents")
    reseal(_study())
    refused: list[CommenvError] = []
    for read in (study_of, lambda store: list(trained(store.directory))):
        try:
            read(Store(_study()))
        except (ResultsError, commenv.errors.MissingExtraError) as error:
            refused.append(error)
    if refused:
        raise refused[0]


def _is_small(data: bytes) -> bool:
    """Whether a manifest asks for no more than the seconds that a test may take."""
    try:
        study = json.loads(data)["study"]
        asked = [study.get(name, 1) for name in _SETTINGS_KEPT]
        for arm in study["arms"]:
            asked.append(int(arm["time_limit"]) // 10)
            asked.append(arm["num_agents"])
            asked += _numbers(arm["env_kwargs"])
            asked += _numbers(arm["algorithm"])
    except (
        *(ValueError, LookupError, TypeError, AttributeError),
        *(RecursionError, OverflowError),
    ):
        return True  # it will be refused
    return all(not isinstance(one, (int, float)) or one <= _MOST_WORK for one in asked)


def _numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for item in value for number in _numbers(item)]
    return [value] if isinstance(value, (int, float)) else []


def read_seal_file(data: bytes) -> None:
    """The checksums of a block."""
    path = _study() / "seal.json"
    path.write_bytes(data)
    read_seal(path)


def read_block(data: bytes) -> None:
    """A block's table, alone and as part of its study."""
    path = _first("blocks")
    path.write_bytes(data)
    reseal(_study())
    table = Store(_study()).block(path).table()
    unbalanced(table, None, range(2), {"label": "dql"}, 3, False)
    results = commenv.load(_study())
    str(results), results.compare("dql", "es")


def read_sizes(data: bytes) -> None:
    """The sizes of a block's messages, and what they cost."""
    _first("sizes").write_bytes(data)
    reseal(_study())
    block = Store(_study()).block(_first("blocks"))
    sizes = block.sizes()
    unbalanced(block.table(), sizes, range(2), {"label": "dql"}, 3, False)
    commenv.load(_study()).cost_table("wifi")


def _each(*reads: Callable[[], Any]) -> list[ResultsError]:
    """The errors of several readers of one file."""
    refused = []
    for read in reads:
        try:
            read()
        except ResultsError as error:
            refused.append(error)
    return refused


@cache
def _likes() -> dict[str, dict[str, Any]]:
    """What the learners of both labels remember."""
    study = study_of(Store(pristine()))
    return {
        arm.label: arm.algorithm.learner(
            problem_of(study, arm, [0], world_of(arm, 1))
        ).memory
        for arm in study.arms
    }


def read_policies(data: bytes) -> None:
    """What learners have learned, read in both ways."""
    label = ("dql", "es")[data[0] % 2] if data else "es"
    path = _first("policies", label)
    path.write_bytes(data[1:])
    reseal(_study())
    like = _likes()[label]
    block = Store(_study()).block(_first("blocks", label))
    read_memory(block, like)
    _policies(path, data[1:])


def read_folder(data: bytes) -> None:
    """A study of which one file is another, or stands elsewhere: ``OLD>NEW`` and it."""
    head, _, content = data.partition(b"\n")
    old, _, new = head.partition(b">")
    target = _inside(new or old)
    folder = _study()
    try:
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):
            _inside(old).unlink()
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        except OSError as error:
            raise Excluded(f"no such file can be: {error}") from None
        if target.name == "manifest.json" and not _is_small(content):
            raise Excluded("a long run")
        _each(lambda: _read_all(folder))
        with contextlib.suppress(OSError, ResultsError):
            reseal(folder)  # now as a forger would
        _read_all(folder)
    finally:
        restored(folder)


def _read_all(folder: Path) -> None:
    refused = _each(
        lambda: str(commenv.load(folder)),
        lambda: commenv.load(folder).cost_table("lora"),
        lambda: str(verify(folder, seed=0, progress=False)),
        lambda: render(evaluate(folder, episodes=1)),
    )
    if refused:
        raise refused[0]


def _inside(name: bytes) -> Path:
    """A path in the study; Excluded if it is none."""
    text = os.fsdecode(name)
    if not text or "\0" in text or ".." in text or text.startswith("/"):
        raise Excluded("no path in the folder")
    if len(name) > 200 or any(len(part) > 100 for part in text.split("/")):
        raise Excluded("too long for a path")
    path = _study() / text
    if path.is_dir():
        raise Excluded("a folder")
    return path


def _folder_seeds() -> list[bytes]:
    source = pristine()
    files = [path for path in source.rglob("*") if path.is_file()]
    names = [(path, str(path.relative_to(source)).encode()) for path in sorted(files)]
    moved = [b"0-00001.parquet", b"0-99999.parquet", b"0-999999999.parquet"]
    moved += [b"1-00000.parquet", b"0.parquet", b"x-00001.parquet"]
    seeds = [name + b">" + name + b"\n" + path.read_bytes() for path, name in names]
    for path, name in names:
        if name.startswith(b"blocks/") and b"-dql/" in name:
            other = name[: -len(b"0-00001.parquet")]
            seeds += [
                name + b">" + other + end + b"\n" + path.read_bytes() for end in moved
            ]
    return seeds


def changed_folder(rng: random.Random, known: Sequence[bytes]) -> bytes:
    """Another name, or another content by the rules of that file."""
    head, _, content = known[int(rng.random() * len(known))].partition(b"\n")
    if rng.random() < 0.3:
        head = changed(rng, [head], (b"/", b">", b"trials-00000-", b"-", b"9", b"02-"))
    if rng.random() < 0.8:
        if b"json" in head:
            content = changed_json(rng, [content])
        elif b"safetensors" in head:
            content = changed_safetensors(rng, [content])
        else:
            content = changed_parquet(rng, [content])
    return head.replace(b"\n", b"") + b"\n" + content


_JSON: dict[str, Any] = {
    "changes": changed_json,
    "surroundings": study_folder,
    "room": 2048 * MEBIBYTE,
}
_STORED: dict[str, Any] = {
    "surroundings": study_folder,
    "room": 2048 * MEBIBYTE,
    "seconds": 20.0,
}
_DAMAGED = (ResultsError,)

TARGETS = (
    Target("manifest", read_manifest, _manifest_seeds, _DAMAGED, share=130, **_JSON),
    Target(
        "settings",
        read_settings,
        _manifest_seeds,
        (ResultsError, commenv.errors.MissingExtraError),
        share=2,
        seconds=20.0,
        **_JSON,
    ),
    Target(
        "seal",
        read_seal_file,
        lambda: [_seed("checksums"), _seed("checksums", "es")],
        _DAMAGED,
        share=30,
        **_JSON,
    ),
    Target(
        "block",
        read_block,
        lambda: [_seed("blocks"), _seed("blocks", "es")],
        _DAMAGED,
        changes=changed_parquet,
        share=1,
        **_STORED,
    ),
    Target(
        "sizes",
        read_sizes,
        lambda: [_seed("sizes"), _seed("sizes", "es")],
        _DAMAGED,
        changes=changed_parquet,
        share=1,
        **_STORED,
    ),
    Target(
        "policies",
        read_policies,
        lambda: [b"\0" + _seed("policies"), b"\1" + _seed("policies", "es")],
        _DAMAGED,
        changes=lambda rng, known: (
            known[int(rng.random() * len(known))][:1]
            + changed_safetensors(rng, [one[1:] for one in known])
        ),
        share=20,
        **_STORED,
    ),
    Target(
        "folder",
        read_folder,
        _folder_seeds,
        (CommenvError,),
        changes=changed_folder,
        share=1,
        longest_message=20_000,
        **_STORED,
    ),
)
