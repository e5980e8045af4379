from __future__ import annotations

import logging

import pytest

from commenv.errors import ShardsLostError
from commenv.study.execution.backends import Kept
from commenv.study.execution.checkpoints import Schedule
from commenv.study.execution.jobs import Job, Resumption, run_job
from commenv.study.execution.plan import Block
from commenv.study.execution.sharding import CrewHere, Shards
from tests.study.blocks import CHANNELS, EPISODES, kept, state, study

pytest.importorskip("pyarrow")
pytest.importorskip("safetensors")


class Fragile(CrewHere):
    """Shards that are lost in chosen rounds of all attempts together."""

    rounds = 0
    lost_in: tuple[int, ...] = ()

    def call(self, method, arguments):
        if method == "play":
            Fragile.rounds += 1
            if Fragile.rounds in Fragile.lost_in:
                raise ShardsLostError("an actor was lost (killed)")
        return super().call(method, arguments)


def lost_in(*rounds):
    Fragile.rounds, Fragile.lost_in = 0, rounds
    return Shards(2, Fragile)


def job(one, shards, schedule=None, state=None):
    resumption = Resumption(schedule or Schedule(), {}, state)
    return Job(one, Block(0, (0, 1)), resumption, shards=shards)


def told(job):
    reports = []
    measured = run_job(job, reports.append)
    counts = [one for one in reports if not isinstance(one, Kept)]
    return repr(measured.table.to_pydict()), counts, len(reports) - len(counts)


@pytest.mark.parametrize("rounds", [(1,), (4,), (3, 5), (2, 3, 4)])
def test_a_block_whose_shards_are_lost_ends_alike_and_counts_nothing_twice(
    rounds, caplog
):
    one = study("dql", CHANNELS["chain"])
    expected, *_ = told(job(one, None))
    with caplog.at_level(logging.WARNING, "commenv"):
        table, counts, _ = told(job(one, lost_in(*rounds)))
    assert table == expected
    assert sum(counts) == 2 * EPISODES
    assert caplog.text.count("block dql:0-1 begins again") == len(rounds)


@pytest.mark.parametrize("rounds", [(1,), (1, 2), (3,), (2, 5)])
def test_it_goes_on_from_its_last_state_each_time(rounds, caplog):
    one = study("dql", CHANNELS["queue"])
    expected, *_ = told(job(one, None))
    _, files = kept(one, Schedule(episodes=3), shards=lost_in())
    resumed = job(one, lost_in(*rounds), Schedule(episodes=2), state(files[0]))
    with caplog.at_level(logging.WARNING, "commenv"):
        table, counts, states = told(resumed)
    assert table == expected
    assert sum(counts) == 2 * EPISODES
    assert states >= 1
    assert caplog.text.count("goes on from its last state") == len(rounds)


def test_shards_that_are_lost_in_the_same_place_for_ever_end_the_run():
    with pytest.raises(ShardsLostError, match=r"came no further in .* attempts"):
        told(job(study("dql"), lost_in(*range(1, 1000))))
