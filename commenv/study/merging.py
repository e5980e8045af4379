"""Joining the shards of a study, which several machines have run, into one folder."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import structs

from commenv.checks import path_of
from commenv.errors import ResultsError, shown
from commenv.study.loader import load
from commenv.study.results import Results
from commenv.study.storage.extra import check_extra
from commenv.study.storage.lock import locked
from commenv.study.storage.manifest import SHARE, Manifest, differences
from commenv.study.storage.names import words_for
from commenv.study.storage.provenance import MACHINE
from commenv.study.storage.store import Store
from commenv.study.storage.stored_block import StoredBlock

__all__ = ["merge"]

_logger = logging.getLogger("commenv")


def merge(out: str | Path, directories: Sequence[str | Path]) -> Results:
    """Joins shards of a study, trials that were run apart, into one results folder.

    Files are checked and copied; the shards stay as they are. The numbers are those of
    one run. Trials that no shard has are missing in the folder, too: run the study into
    it, and they are added.

    Args:
        out: The folder to write, new or left by a merge that was interrupted.
        directories: The folders of the shards.

    Returns:
        The results in ``out``.

    Raises:
        ValueError: No folder, or ``out`` is one of them.
        ResultsError: One is not a results folder or is damaged, two differ in a setting
            or in software, or hold the same trial; the message says which.
        MissingExtraError: The extra ``study`` is not installed.
    """
    check_extra("merging studies")
    if isinstance(directories, (str, Path)) or not directories:
        raise ValueError("name the folders to merge, in a list")
    folders = [path_of("a folder", one) for one in directories]
    if path_of("out", out).resolve() in {one.resolve() for one in folders}:
        raise ValueError(f"{out} is one of the folders to merge; choose a new one")
    stores = [Store(folder) for folder in folders]
    manifests = [store.manifest() for store in stores]
    for folder, manifest in zip(folders[1:], manifests[1:], strict=True):
        _check_alike(folders[0], manifests[0], folder, manifest)
    blocks = _blocks(stores, manifests[0])
    total = max(manifest.study.num_trials for manifest in manifests)
    study = structs.replace(
        manifests[0].study, num_trials=total, first_trial=0, last_trial=None
    )
    with locked(path_of("out", out)) as lock:
        store = Store(out, lock)
        if store.kept_labels():
            _check_alike(store.directory, store.manifest(), folders[0], manifests[0])
        store.begin_as(study, manifests[0])
        for block in blocks:
            if not (store.directory / block.path.relative_to(block.root)).exists():
                store.adopt(block)
    return load(out)


def _check_alike(one: Path, first: Manifest, other: Path, second: Manifest) -> None:
    """Raises ResultsError where two folders hold different studies.

    Shards may come from machines of several types, which the log says.
    """
    for what, left_out, old, new in (
        ("settings", SHARE, first.study.plain(), second.study.plain()),
        ("software", MACHINE, first.software, second.software),
    ):
        parts = (_without(left_out, old), _without(left_out, new))
        if words := _in_words(one, other, *parts):
            raise ResultsError(
                f"{one} and {other} differ in {what} ({words}); merge shards of one "
                "study"
            )
    machines = (
        {name: manifest.software.get(name) for name in MACHINE}
        for manifest in (first, second)
    )
    if words := _in_words(one, other, *machines):
        _logger.warning(
            "%s and %s were computed on machines of two types (%s): the last bits of "
            "what they hold may differ from those of one run",
            one,
            other,
            words,
        )


def _without(names: Sequence[str], given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in names}


def _in_words(
    one: Path, other: Path, old: Mapping[str, Any], new: Mapping[str, Any]
) -> str:
    """Where two folders differ; nothing where they do not."""
    words = "; ".join(differences(old, new)).replace(" there, ", f" in {one}, ")
    return shown(words.replace("asked for", f"in {other}"), 1000)


def _blocks(stores: Sequence[Store], manifest: Manifest) -> list[StoredBlock]:
    """All blocks of all folders, no trial twice."""
    found: list[StoredBlock] = []
    for arm, label in enumerate(manifest.study.labels):
        holders: dict[int, Path] = {}
        for store in stores:
            blocks = store.blocks(arm)
            for trial in blocks:
                if trial in holders:
                    which = words_for(label, [trial])
                    raise ResultsError(
                        f"{which} is in {holders[trial]} and in {store.directory}; "
                        "shards do not overlap: leave one out"
                    )
            holders |= dict.fromkeys(blocks, store.directory)
            found += dict.fromkeys(blocks.values())
    return found
