"""Trials that are added later, run apart and merged: the numbers of one run."""

from __future__ import annotations

import json

import numpy as np
import pytest

import commenv
from commenv.errors import ResultsError
from commenv.study.storage.provenance import software
from tests.study.blocks import ALGORITHMS

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")


def study(name, **how):
    environment, algorithm, scheme, own = ALGORITHMS[name]
    how = {"num_trials": 10, "num_agents": 3, "num_episodes": 5} | how
    return commenv.run(
        environment,
        algorithm,
        scheme,
        settings=own,
        max_episode_steps=20,
        evaluation_episodes=2,
        progress=False,
        **how,
    )


def same(found, expected):
    """All numbers, the sizes of messages, optima and ranges are equal bit for bit."""
    pd.testing.assert_frame_equal(found.frame, expected.frame, check_exact=True)
    keys = ["label", "direction", "trial", "size"]
    tables = [
        one.sizes().sort_values([key for key in keys if key in one.sizes().columns])
        for one in (found, expected)
    ]
    left, right = (one.reset_index(drop=True) for one in tables)
    pd.testing.assert_frame_equal(left, right, check_exact=True)
    assert found.optimum == expected.optimum
    assert found.ranges == expected.ranges
    assert found.settings == expected.settings


def policies(folder, trials):
    return [
        np.asarray(commenv.load_policy(folder, trial=trial).policy) for trial in trials
    ]


@pytest.mark.parametrize("name", ALGORITHMS)
def test_trials_added_later_and_shards_merged_are_those_of_one_run(name, tmp_path):
    whole = study(name)
    later, out = tmp_path / "later", tmp_path / "merged"
    study(name, num_trials=5, out=later)
    same(study(name, out=later), whole)
    same(commenv.load(later), whole)
    shards = [(0, 3), (4, 6), (7, 9)]
    for first, last in shards:
        folder = tmp_path / f"{first}"
        part = study(name, first_trial=first, last_trial=last, block=2, out=folder)
        assert part.frame["trial"].unique().tolist() == list(range(first, last + 1))
    same(commenv.merge(out, [tmp_path / f"{first}" for first, _ in shards]), whole)
    assert commenv.load(out).verify(progress=False).verdict == "holds"
    added = [commenv.load(tmp_path / f"{first}") for first, _ in reversed(shards)]
    same(added[0] + added[1] + added[2], whole)


def test_merged_policies_act_and_the_trace_is_there(tmp_path):
    for first in (0, 2):
        how = {"num_trials": 4, "first_trial": first, "last_trial": first + 1}
        study("dql", **how, trace=True, out=tmp_path / f"{first}")
    commenv.merge(tmp_path / "all", [tmp_path / "0", tmp_path / "2"])
    study("dql", num_trials=4, trace=True, out=tmp_path / "once")
    for one, other in zip(
        policies(tmp_path / "all", range(4)),
        policies(tmp_path / "once", range(4)),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
    steps = [
        pd.concat(
            map(pd.read_parquet, sorted(folder.glob("trace/*/*/steps-*"))),
            ignore_index=True,
        )
        for folder in (tmp_path / "all", tmp_path / "once")
    ]
    both = (
        one.sort_values([*one.columns[:4]], kind="stable", ignore_index=True)
        for one in steps
    )
    pd.testing.assert_frame_equal(*both, check_exact=True)
    assert commenv.load(tmp_path / "all").verify(progress=False).verdict == "holds"


def test_a_merge_of_some_shards_is_gone_on_with(tmp_path, caplog):
    study("dql", last_trial=3, out=tmp_path / "0")
    study("dql", first_trial=6, out=tmp_path / "6")
    commenv.merge(tmp_path / "all", [tmp_path / "6", tmp_path / "0"])
    assert "8 of 10 trials of dql are there" in caplog.text
    same(study("dql", out=tmp_path / "all"), study("dql"))


def test_what_was_merged_halfway_is_merged_again(tmp_path):
    study("dql", last_trial=4, block=1, out=tmp_path / "0")
    study("dql", first_trial=5, out=tmp_path / "5")
    commenv.merge(tmp_path / "all", [tmp_path / "0", tmp_path / "5"])
    block = next((tmp_path / "all").glob("blocks/*/trials-00002*"))
    block.unlink()
    again = commenv.merge(tmp_path / "all", [tmp_path / "0", tmp_path / "5"])
    same(again, study("dql"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gamma": 0.5}, r"differ in settings \(gamma: 0.9 in .*a, 0.5 in .*b\)"),
        ({"seed": 3}, r"settings \(seed: 0 in"),
        ({"num_agents": 2}, r"arms\[0\].num_agents: 3 in .*a, 2 in .*b"),
        ({"first_trial": 3}, r"dql:3 is in .*a and in .*b; shards do not overlap"),
    ],
)
def test_shards_that_do_not_fit_are_named(tmp_path, changes, words):
    study("dql", last_trial=4, out=tmp_path / "a")
    study("dql", **({"first_trial": 5} | changes), out=tmp_path / "b")
    with pytest.raises(ResultsError, match=words):
        commenv.merge(tmp_path / "all", [tmp_path / "a", tmp_path / "b"])
    assert not (tmp_path / "all" / "manifest.json").exists()


def test_other_software_is_named(tmp_path, monkeypatch):
    study("dql", last_trial=4, out=tmp_path / "a")
    monkeypatch.setattr(
        "commenv.study.storage.store.software", lambda: {"commenv": "9.9", "numpy": "1"}
    )
    study("dql", first_trial=5, out=tmp_path / "b")
    with pytest.raises(ResultsError, match=r"in software \(.*commenv: .* '9.9' in"):
        commenv.merge(tmp_path / "all", [tmp_path / "a", tmp_path / "b"])


def test_shards_of_machines_of_two_types_are_merged_and_the_log_says_so(
    tmp_path, monkeypatch, caplog
):
    study("dql", last_trial=4, out=tmp_path / "a")
    here = software()
    monkeypatch.setattr(
        "commenv.study.storage.store.software", lambda: here | {"cpu": "an abacus"}
    )
    study("dql", first_trial=5, out=tmp_path / "b")
    found = commenv.merge(tmp_path / "all", [tmp_path / "a", tmp_path / "b"])
    assert found.frame["trial"].nunique() == 10
    assert "machines of two types (cpu: " in caplog.text
    assert "'an abacus' in " in caplog.text


@pytest.mark.parametrize(
    ("folders", "words"),
    [([], "name the folders to merge"), ("a", "in a list"), (["all"], "is one of")],
)
def test_folders_that_make_no_sense_are_refused(tmp_path, folders, words):
    given = [tmp_path / one for one in folders] if folders != "a" else "a"
    with pytest.raises(ValueError, match=words):
        commenv.merge(tmp_path / "all", given)


def test_a_damaged_shard_is_not_merged(tmp_path):
    study("dql", last_trial=4, out=tmp_path / "a")
    block = next(tmp_path.glob("a/policies/*/*"))
    data = bytearray(block.read_bytes())
    data[-1] ^= 1
    block.write_bytes(bytes(data))
    with pytest.raises(ResultsError, match="is damaged"):
        commenv.merge(tmp_path / "all", [tmp_path / "a"])


def test_fewer_trials_than_there_are_is_refused(tmp_path):
    study("dql", num_trials=3, out=tmp_path)
    before = json.loads((tmp_path / "manifest.json").read_text())
    with pytest.raises(ResultsError, match=r"a study of 3 trials; .* as many or more"):
        study("dql", num_trials=2, out=tmp_path)
    assert json.loads((tmp_path / "manifest.json").read_text()) == before


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"first_trial": 10}, "first_trial is 10; 10 trials are numbered 0 to 9"),
        ({"last_trial": 10}, "last_trial is 10"),
        ({"first_trial": -1}, "first_trial is -1"),
        ({"first_trial": 1.5}, "first_trial must be an integer, got 1.5"),
        (
            {"first_trial": 5, "last_trial": 4},
            "last_trial 4 comes before first_trial 5",
        ),
    ],
)
def test_shards_outside_the_study_are_refused(how, words):
    with pytest.raises(ValueError, match=words):
        study("dql", **how)


def test_results_are_added():
    one, other = study("dql", num_trials=2), study("davia", num_trials=2)
    both = one + other
    assert list(both.optimum) == ["dql", "davia"]
    assert len(both.frame) == len(one.frame) + len(other.frame)
    assert str(both.compare("dql", "davia", bounds=(-10, 0)))
    with pytest.raises(ResultsError, match="both results have trial 0 of 'dql'"):
        one + one
    unlike = study("dql", num_trials=4, first_trial=2, gamma=0.5)
    with pytest.raises(ResultsError, match=r"other settings \(gamma: 0.9"):
        one + unlike
    assert one.__add__(3) is NotImplemented
