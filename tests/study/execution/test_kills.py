"""A small version of the killing; the large one is `python -m tests.kills`."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pandas")
pytest.importorskip("pyarrow")
pytest.importorskip("safetensors")

from tests.kills import BACKENDS, Folder, disturbed, same, sound

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc"),
]

STUDY = (
    *("--env", "SimpleGrid-v0", "--algorithm", "dql", "--algorithm", "ebcdql"),
    *("--agents", "3", "--trials", "4", "--episodes", "120", "--set", "env.size=4"),
    *("--delay", "ticks=1,spread=2", "--downlink-codec", "feedback+qsgd"),
    *("--checkpoint-episodes", "5"),
)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = Folder(tmp_path_factory.mktemp("undisturbed"), *STUDY)
    folder.finish()
    return folder


@pytest.mark.parametrize(("backend", "seed"), [("local", 1), ("processes", 2)])
def test_a_study_that_is_killed_three_times_gives_the_same_files(
    tmp_path, undisturbed, backend, seed
):
    folder = Folder(tmp_path, *STUDY, *BACKENDS[backend])
    kills, _ = disturbed(folder, 3, seed)
    assert kills["all"] > 0  # three, unless the machine is very fast
    assert same(folder, undisturbed)
    assert sound(folder)
