from __future__ import annotations

import dataclasses

import pytest

from commenv.channel import Budget, Channel
from commenv.errors import BudgetExceededError, ShardsLostError
from commenv.learning.schemes import Always, TDError
from commenv.study.execution.checkpoints import Schedule
from commenv.study.execution.jobs import Job, Resumption, run_job
from commenv.study.execution.plan import Block
from commenv.study.execution.sharding import CrewHere, Shards, shares_of
from tests.study.blocks import (
    ALGORITHMS,
    CHANNELS,
    CODECS,
    EPISODES,
    kept,
    measured,
    state,
    study,
)
from tests.study.studies import built

COUNTS = [1, 2, 3, 4]


def shards(count):
    return Shards(count, CrewHere)


def alike(one, count):
    return repr(measured(one, shards=shards(count))) == repr(measured(one))


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", ALGORITHMS)
def test_shards_give_the_numbers_of_one_batch(name, count):
    assert alike(study(name), count)


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("name", ["dql", "davia"])
def test_whatever_the_channel_does(name, channels):
    assert alike(study(name, CHANNELS[channels]), 3)


@pytest.mark.parametrize("channels", CODECS)
def test_whatever_codecs_remember(channels):
    assert alike(study("davia", CODECS[channels]), 3)


@pytest.mark.parametrize("scheme", ["random", "top", "never"])
def test_whoever_decides(scheme):
    one = built(
        "SimpleGrid-v0",
        ["espc"],
        [scheme],
        {},
        20,
        num_agents=4,
        num_trials=2,
        num_episodes=EPISODES,
    )
    assert alike(one, 3)


@pytest.mark.parametrize("count", COUNTS)
def test_antithetic_pairs_find_each_other(count):
    one = built(
        "SimpleGrid-v0",
        ["es"],
        None,
        {"antithetic": True},
        20,
        num_agents=6,
        num_trials=2,
        num_episodes=EPISODES,
    )
    assert alike(one, count)


@dataclasses.dataclass(frozen=True)
class HereAlone(TDError):
    """Decides about records, and does not say that it is separable."""

    separable = False


@dataclasses.dataclass(frozen=True)
class Misshapen(Always):
    separable = False

    def select(self, signals, state, draws, left):
        mask, after = super().select(signals, state, draws, left)
        return mask[:, :1], after


def with_scheme(scheme):
    return built(
        "SimpleGrid-v0",
        ["dql"],
        [scheme],
        None,
        20,
        num_agents=4,
        num_trials=2,
        num_episodes=EPISODES,
    )


def test_a_scheme_that_chooses_records_elsewhere():
    assert alike(with_scheme(HereAlone()), 3)


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"the mask has shape \(2, 1\)"):
        measured(with_scheme(Misshapen()), shards=shards(2))


@pytest.mark.parametrize("channels", [{}, *CHANNELS.values(), *CODECS.values()])
def test_shards_go_on_from_every_round(channels):
    one = study("davia", channels)
    expected = repr(measured(one))
    result, files = kept(one, Schedule(episodes=1), shards=shards(3))
    assert repr(result) == expected
    assert len(files) == EPISODES - 1
    for data in files:
        again = measured(one, resume=state(data), shards=shards(3))
        assert repr(again) == expected


def test_shares_are_as_equal_as_can_be():
    assert shares_of(7, 3) == [slice(0, 2), slice(2, 4), slice(4, 7)]
    with pytest.raises(ValueError, match="4 actors for 3 agents"):
        shares_of(3, 4)


def test_an_error_in_a_shard_names_the_agent():
    uplink = Channel(budget=Budget(messages=0, exceed="raise"))
    with pytest.raises(BudgetExceededError, match="agent 0 of trial 0 on the uplink"):
        measured(study("dql", {"uplink": uplink}), shards=shards(2))


class FrailCrew(CrewHere):
    """Is lost in the second round that it plays, as often as it is told."""

    losses = 0

    def __init__(self, makers):
        super().__init__(makers)
        self._rounds = 0

    def call(self, method, arguments):
        answers = super().call(method, arguments)
        self._rounds += method == "play"
        if self._rounds == 2 and FrailCrew.losses:
            FrailCrew.losses -= 1
            raise ShardsLostError("it was lost")
        return answers


@pytest.mark.parametrize("channels", [{}, CHANNELS["chain"], CODECS["feedback"]])
def test_whoever_is_lost_goes_on_from_the_same_state_as_before(channels):
    one = study("davia", channels)
    expected = measured(one)
    _, files = kept(one, Schedule(episodes=3), shards=shards(2))
    never = Schedule(minutes=float("inf"))
    FrailCrew.losses = 2
    reports = []
    found = run_job(
        Job(
            one,
            Block(0, (0, 1)),
            Resumption(never, {}, state(files[0])),
            shards=Shards(2, FrailCrew),
        ),
        reports.append,
    )
    assert FrailCrew.losses == 0
    assert repr(found.table.to_pydict()) == repr(expected[0])
    assert found.sizes.to_pydict() == expected[1]
    assert sum(reports) == 2 * EPISODES
