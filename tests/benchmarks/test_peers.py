import os
import random
import sys
from pathlib import Path

import numpy as np
import pytest

PEERS = Path(__file__).parents[2] / "benchmarks" / "peers"
CORE = max(os.sched_getaffinity(0))


@pytest.fixture
def peers(monkeypatch):
    monkeypatch.syspath_prepend(str(PEERS))
    import python_peer
    import turns

    yield python_peer, turns
    for path in PEERS.glob("*.py"):
        sys.modules.pop(path.stem, None)


def test_plain_q_learning_finds_the_shortest_path(peers):
    python_peer, _ = peers
    curve = python_peer.trial(random.Random(0), num_agents=5, num_episodes=300)
    assert curve[-1] == pytest.approx(-(1 - 0.9**7) / (1 - 0.9))


def test_a_contestant_beside_itself_has_a_ratio_for_both_clocks(peers):
    _, turns = peers
    one, other = (
        turns.Contestant(name, "numpy_peer", "windy_grid", 5, settings={"num_envs": 8})
        for name in "ab"
    )
    results, versions = turns.compete(one, [other], rounds=2, core=CORE)
    assert results["b"].keys() == {"clock", "processor"}
    assert all(ratio > 0 for ratio in results["b"].values())
    assert versions["ours"].keys() == {"numpy"}


def test_a_peer_that_cannot_take_part_says_why(peers, tmp_path, monkeypatch):
    _, turns = peers
    monkeypatch.setattr(turns, "ROOT", tmp_path)
    refusing = tmp_path / ".venv-peer-refusing"
    refusing.mkdir()
    (refusing / "refused.txt").write_text("WARNING: slow\nERROR: no such version\n\n")
    settings = {"num_envs": 8}
    ours = turns.Contestant("ours", "numpy_peer", "windy_grid", 5, settings=settings)
    rivals = [
        turns.Contestant("refusing", "numpy_peer", "windy_grid", 5, "refusing"),
        turns.Contestant("absent", "numpy_peer", "windy_grid", 5, "absent"),
        turns.Contestant("broken", "no_such_peer", "windy_grid", 5),
    ]
    results, _ = turns.compete(ours, rivals, rounds=1, core=CORE)
    assert results["refusing"] == "not installable: ERROR: no such version"
    assert results["absent"] == "not installed: run `make bench-peers`"
    assert "No module named 'no_such_peer'" in results["broken"]


def test_a_contestant_that_needs_more_cores_than_there_are_says_so(peers):
    _, turns = peers
    settings = {"num_envs": 8}
    plain = ("numpy_peer", "windy_grid", 5)
    ours = turns.Contestant("ours", *plain, settings=settings)
    many = turns.Contestant("many", *plain, settings=settings, cores=10**6)
    results, _ = turns.compete(ours, [many], rounds=1, core=CORE)
    assert results["many"].startswith("needs 1000000 cores, but has ")


def test_works_on_several_cores_are_judged_by_the_clock(peers):
    import compare
    import works

    _, turns = peers
    pair = turns.Contestant("ours", "any", "any", 1, cores=2)
    work = works.Work("both", pair, [turns.Contestant("peer", "any", "any", 1)])
    found = {"peer": {"processor": 9.0, "clock": 1.5}}
    work.goals["peer"] = 1.7
    assert compare.rows(work, found) == ["| both | peer |  | 1.50 | 1.7 | no |"]
    work.goals["peer"] = 1.4
    assert compare.rows(work, found) == ["| both | peer |  | 1.50 | 1.4 | yes |"]


def test_policies_of_ants_look_at_27_numbers_and_stay_inside_the_action_space(peers):
    import ants

    act = ants.policies(3)
    seen = np.random.default_rng(1).normal(size=(3, 105)) * 100
    actions = act(seen)
    assert actions.shape == (3, 8)
    assert actions.dtype == np.float32
    assert (np.abs(actions) <= 1).all()
    np.testing.assert_array_equal(actions, act(seen[:, :27]))
