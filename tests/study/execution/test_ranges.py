from __future__ import annotations

import numpy as np
import pytest

from commenv.envs import TabularMDP
from commenv.envs.batch import TabularBatch
from commenv.study.execution import ranges
from commenv.study.execution.ranges import (
    ranges_by_label,
    ranges_of,
    return_range,
    value_range,
)
from tests.study.studies import built

pytest.importorskip("pandas")


def chain():
    """Two states; action 0 stays for 1, action 1 earns 0 or 8, by chance, and ends."""
    stay = [(1.0, 0, 1.0, False)]
    gamble = [(0.75, 1, 0.0, True), (0.25, 1, 8.0, True), (0.0, 1, 99.0, True)]
    end = [(1.0, 1, 0.0, True)]
    return TabularMDP.from_transitions(
        {0: {0: stay, 1: gamble}, 1: {0: end, 1: end}}, [1.0, 0.0]
    )


def test_a_policys_value_lies_between_that_of_the_worst_and_of_the_best():
    # Staying for 3 steps is worth 1 + .5 + .25; to gamble is worth 2 at once, and most
    # after staying once: 1 + .5 * 2. The worst is to gamble after 0 steps or to stay.
    low, high = value_range(chain(), 0.5, 3)
    policies = [(1 + 0.5 + 0.25), 2.0, 1 + 0.5 * 2, 1 + 0.5 + 0.25 * 2]
    assert (low, high) == (min(policies), max(policies))


def test_a_return_lies_between_the_worst_and_the_best_luck():
    world = TabularBatch(chain(), 1, max_episode_steps=3)
    # Gamble and lose at once; gamble and win at once, or stay and win later for less.
    assert return_range(world, 0.5, 3) == (0.0, 8.0)
    assert return_range(world, 1.0, 3) == (0.0, 10.0)


def label(environment, **settings):
    study = built(
        environment,
        "es",
        settings=settings,
        num_agents=1,
        num_trials=1,
        num_episodes=1,
        gamma=0.9,
    )
    return ranges_of(study, study.arms[0])


def test_the_grids():
    known = label("SimpleGrid-v0")
    longest = -(1 - 0.9**200) / 0.1
    shortest = -(1 - 0.9**7) / 0.1
    assert known["evaluation"] == pytest.approx((longest, shortest))
    assert known["reward"] == pytest.approx((longest, shortest))
    assert known["episode_return"] == (-200, -7)
    assert label("commenv/FrozenLake-v0")["episode_return"] == (0, 1)
    windy = label("WindyGrid-v0")
    # No policy can count on the wind; an episode can have luck.
    assert windy["evaluation"][1] < windy["reward"][1] == pytest.approx(shortest)


def test_cart_pole_has_no_tables_but_its_rewards_are_known():
    known = label("commenv/CartPole-v1")
    assert known["episode_return"] == (1, 500)
    assert known["evaluation"] == pytest.approx((1, (1 - 0.9**500) / 0.1))
    lost = label("commenv/CartPole-v1", **{"env.sutton_barto_reward": True})
    assert lost["episode_return"] == (-500, 0)


def test_of_other_peoples_environments_nothing_is_known():
    assert label("MountainCar-v0") == {}


@pytest.mark.parametrize("environment", ["WindyGrid-v0", "commenv/CartPole-v1"])
def test_what_a_study_measures_lies_within(environment):
    import commenv

    results = commenv.run(
        environment,
        "es",
        num_agents=2,
        num_trials=3,
        num_episodes=20,
        max_episode_steps=30,
        evaluate_every=5,
        progress=False,
    )
    assert results.ranges["es"].keys() == {"evaluation", "reward", "episode_return"}
    for column, (low, high) in results.ranges["es"].items():
        values = results.frame[column].dropna().to_numpy(np.float64)
        assert low - 1e-9 <= values.min() <= values.max() <= high + 1e-9


def test_worlds_that_arms_share_are_looked_at_once(monkeypatch):
    study = built(
        ["SimpleGrid-v0", "WindyGrid-v0"],
        "dql",
        settings=[{"alpha": a, "env.size": n} for a in (0.1, 0.2, 0.3) for n in (3, 4)],
    )
    expected = {arm.label: ranges_of(study, arm) for arm in study.arms}
    looked = []

    def noted(study, arm):
        looked.append(arm.label)
        return ranges_of(study, arm)

    monkeypatch.setattr(ranges, "ranges_of", noted)
    assert ranges_by_label(study) == expected
    assert len(expected) == 12
    assert len(looked) == 4
