"""A run writes to the folder that it began with, and to no other of the same name."""

from __future__ import annotations

import shutil

import pytest

import commenv
from commenv.errors import ResultsError
from commenv.study.execution.writer import Writer
from commenv.study.storage import provenance, stored_study
from commenv.study.storage.lock import LOCK
from commenv.study.storage.manifest import read_manifest
from tests.strangers import contents

pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

HOW = {"num_agents": 1, "num_trials": 3, "num_episodes": 4, "progress": False}


def run(out, **changes):
    return commenv.run(
        "SimpleGrid-v0", "dql", out=out, **(HOW | {"block": 1} | changes)
    )


def replaced(out, monkeypatch, told, **changes):
    """Runs a study whose folder is replaced when it is told something.

    Returns:
        The error, and what the folder held when it was new and what it holds now.
    """
    hear, before = getattr(Writer, told), {}

    def hear_and_replace(self, said):
        if not before:
            shutil.rmtree(out)
            with monkeypatch.context() as patch:
                patch.setattr(Writer, told, hear)
                run(out, num_episodes=5)
            (out / LOCK).touch()  # the other run is not over
            for path in out.glob("*/*/trials-0000[12]*"):
                path.unlink()
            before.update(contents(out))
        return hear(self, said)

    monkeypatch.setattr(Writer, told, hear_and_replace)
    with pytest.raises(ResultsError) as seen:
        run(out, **changes)
    return str(seen.value), before, contents(out)


@pytest.mark.parametrize(
    ("told", "changes"),
    [
        ("take", {}),
        ("hear", {"checkpoint_episodes": 1}),
        ("hear", {"trace": True}),
        ("take", {"trace": True}),
    ],
)
def test_a_study_begun_anew_under_the_same_name_is_left_alone(
    tmp_path, monkeypatch, told, changes
):
    error, before, after = replaced(tmp_path / "out", monkeypatch, told, **changes)
    assert "was removed, moved or replaced during the run" in error
    assert before
    assert after == before


def test_a_manifest_that_is_replaced_during_a_run_stops_it(tmp_path, monkeypatch):
    out, other = tmp_path / "out", tmp_path / "other"
    run(other, num_episodes=5)
    take = Writer.take

    def replace_and_take(self, measured):
        shutil.copy(other / "manifest.json", out / "manifest.json")
        return take(self, measured)

    monkeypatch.setattr(Writer, "take", replace_and_take)
    with pytest.raises(ResultsError, match=r"manifest.json was replaced since"):
        run(out)
    assert not list(out.glob("blocks/*/*"))


def test_a_manifest_is_not_parsed_for_each_file_that_is_written(tmp_path, monkeypatch):
    parsed = []

    def noted(path):
        parsed.append(path)
        return read_manifest(path)

    monkeypatch.setattr(stored_study, "read_manifest", noted)
    counts = []
    for block in (3, 1):
        parsed.clear()
        run(tmp_path / str(block), block=block)
        counts.append(len(parsed))
    assert counts[0] == counts[1]


def test_the_software_is_looked_up_once(tmp_path, monkeypatch):
    provenance._software.cache_clear()
    asked = []
    original = provenance._cpu
    monkeypatch.setattr(provenance, "_cpu", lambda: asked.append(1) or original())
    run(tmp_path / "out")
    assert len(asked) == 1
