"""Trials run at once, added later and merged of shards, killed in between: one result.

Every algorithm takes every way, on processes and on Ray.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import commenv
from commenv.learning.plugins import ALGORITHMS, plugin_names
from tests.kills import BACKENDS, Folder, disturbed
from tests.study.execution.backends.rays import around_ray

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")
pytest.importorskip("safetensors")
pytest.importorskip("stable_baselines3")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc"),
]

OURS = ("dql", "ebcdql", "davia", "es", "espc", "fed-a2c", "fed-dqn", "fed-ppo")
STUDY = (
    *("--env", "SimpleGrid-v0", "--agents", "2", "--episodes", "4"),
    *(word for name in OURS for word in ("--algorithm", name)),
    *("--set", "env.size=3", "--set", "local_steps=16", "--set", "hidden_sizes=[4]"),
    *("--set", "fed-ppo.n_steps=16", "--set", "fed-ppo.batch_size=16"),
    *("--set", "fed-ppo.n_epochs=1", "--evaluate-every", "2"),
    *("--max-episode-steps", "20", "--checkpoint-episodes", "2"),
    *("--downlink-loss", "0.2"),
)
SHARDS = [(0, 3), (4, 6), (7, 9)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = Folder(tmp_path_factory.mktemp("whole"), *STUDY, "--trials", "10")
    folder.finish()
    return folder.out


@pytest.fixture(params=["processes", "ray"])
def backend(request):
    if request.param == "ray":
        pytest.importorskip("ray")
    with around_ray():
        yield BACKENDS[request.param]


def killed_once(path, *options):
    folder = Folder(path, *STUDY, *options)
    assert disturbed(folder, 1, seed=3)[0]["all"] <= 1  # none, if it was very fast
    return folder.out


def check_same(out, whole):
    one, other = commenv.load(out), commenv.load(whole)
    pd.testing.assert_frame_equal(one.frame, other.frame, check_exact=True)
    assert one.optimum == other.optimum
    assert one.ranges == other.ranges
    key = ["label", "trial", "direction", "payload"]
    sizes = (
        found.sizes().sort_values(key, ignore_index=True) for found in (one, other)
    )
    pd.testing.assert_frame_equal(*sizes, check_exact=True)
    for name in ("dql", "davia"):  # a policy that is a table
        policies = (
            commenv.load_policy(folder, label=name, trial=9).policy
            for folder in (out, whole)
        )
        np.testing.assert_array_equal(*policies)
    assert one.verify(progress=False).verdict == "holds"


def test_all_our_algorithms_are_among_them():
    assert set(OURS) <= set(plugin_names(ALGORITHMS))
    own = {name for name in plugin_names(ALGORITHMS) if ":" not in name}
    assert own == set(OURS)


def test_five_trials_and_five_more(tmp_path, whole, backend):
    out = killed_once(tmp_path, *backend, "--trials", "5")
    assert commenv.load(out).frame["trial"].max() == 4
    assert killed_once(tmp_path, *backend, "--trials", "10") == out
    check_same(out, whole)


def test_three_shards(tmp_path, whole, backend):
    for first, last in SHARDS:
        own = ("--first-trial", f"{first}", "--last-trial", f"{last}")
        folder = Folder(tmp_path / f"{first}", *STUDY, *backend, "--trials", "10", *own)
        disturbed(folder, 1 if first else 0, seed=first)
    shards = [tmp_path / f"{first}" / "out" for first, _ in SHARDS]
    commenv.merge(tmp_path / "all", shards)
    check_same(tmp_path / "all", whole)
