"""Rounds that are added to a study: the numbers of one run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest

import commenv
from commenv.errors import ResultsError
from commenv.learning.schemes import Always
from commenv.study.storage.store import Store
from commenv.testing import check_scheme
from tests.study.blocks import ALGORITHMS
from tests.study.test_merging import same, study

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

DQL = {"num_trials": 4, "block": 2}


@pytest.mark.parametrize("name", sorted(ALGORITHMS.keys() - {"davia"}))
def test_rounds_added_later_are_those_of_one_run(name, tmp_path):
    how = {"num_trials": 4, "block": 3, "evaluate_every": 4}
    study(name, **how, num_episodes=5, out=tmp_path)
    more = study(name, **how | {"block": 2}, num_episodes=9, out=tmp_path)
    whole = study(name, **how, num_episodes=9)
    same(more, whole)
    same(commenv.load(tmp_path), whole)
    found = commenv.load(tmp_path).verify(every=True, progress=False)
    assert found.verdict == "holds", str(found)


def test_trials_and_rounds_are_added_together(tmp_path):
    study("dql", num_trials=2, num_episodes=3, out=tmp_path)
    same(study("dql", **DQL, out=tmp_path), study("dql", **DQL))


def test_a_folder_between_says_what_has_all_rounds_and_verifies(tmp_path, caplog):
    class Stop(commenv.Callback):
        def on_round(self, measured):
            if measured.trial == 2 and measured.round == 3:
                raise KeyboardInterrupt

    study("dql", **DQL, num_episodes=3, out=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        study("dql", **DQL, callbacks=[Stop()], out=tmp_path)
    store = Store(tmp_path)
    assert store.finished(0) == {0, 1}
    assert store.outgrown(0) == [range(2, 4)]
    half = commenv.load(tmp_path)
    assert "2 of 4 trials of dql are there" in caplog.text
    assert half.frame.groupby("trial").size().tolist() == [5, 5, 3, 3]
    found = half.verify(every=True, progress=False)
    assert found.verdict == "holds"
    assert "dql is unfinished: 2 of 4 trials are there" in str(found)
    # The state of the third trial is gone on from: its first rounds are not told again.
    told = []

    class Listen(commenv.Callback):
        def on_round(self, measured):
            told.append((measured.trial, measured.round))

    more = study("dql", **DQL, callbacks=[Listen()], out=tmp_path)
    assert told == [(2, 4), (3, 4)]
    same(more, study("dql", **DQL))


def test_fewer_rounds_are_refused_and_change_nothing(tmp_path):
    study("dql", **DQL, out=tmp_path)
    with pytest.raises(ResultsError, match="a study of 5 rounds; their number is a"):
        study("dql", **DQL, num_episodes=4, out=tmp_path)
    same(commenv.load(tmp_path), study("dql", **DQL))


@dataclass(frozen=True)
class Half(Always):
    """Everybody sends in the first half of the rounds, and says nothing of it."""

    name: ClassVar[str] = "half"

    def select(self, signals, state, draws, left):
        decision = super().select(signals, state, draws, left)
        if draws.episode < draws.num_episodes / 2:
            return decision
        return decision[0] & False, decision[1]


@dataclass(frozen=True)
class Planned(Half):
    plans: ClassVar[bool] = True


def test_davia_plans_with_its_scheme(tmp_path):
    study("davia", num_trials=1, num_episodes=2, out=tmp_path)
    with pytest.raises(ResultsError, match="what davia does in a round depends on"):
        study("davia", num_trials=1, num_episodes=3, out=tmp_path)


def test_a_part_that_plans_gets_no_more_rounds(tmp_path):
    def run(scheme, rounds):
        how = {"num_agents": 2, "num_trials": 2, "progress": False}
        return commenv.run(
            "SimpleGrid-v0", "dql", scheme, num_episodes=rounds, out=tmp_path, **how
        )

    check_scheme(Planned())
    run(Planned(), 4)
    with pytest.raises(ResultsError, match=r"depends on how many are planned, so it"):
        run(Planned(), 8)
    assert run(Planned(), 4).frame["episode"].max() == 3


def test_a_part_that_plans_secretly_is_found_out(tmp_path):
    def run(rounds):
        how = {"num_agents": 2, "num_trials": 2, "progress": False}
        return commenv.run(
            "SimpleGrid-v0", "dql", Half(), num_episodes=rounds, out=tmp_path, **how
        )

    with pytest.raises(AssertionError, match="declare plans = True"):
        check_scheme(Half())
    frame = run(4).frame
    with pytest.raises(ResultsError, match=r"first rounds of dql.* are not those in"):
        run(8)
    pd.testing.assert_frame_equal(run(4).frame, frame)
