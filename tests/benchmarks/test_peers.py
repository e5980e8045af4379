import os
import random
import sys
from pathlib import Path

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
