import warnings

import numpy as np
import pytest

import commenv
from commenv.channel import BitErrors, Channel
from commenv.rng import Draws
from tests.faults import Unlucky

SETTINGS = {"env.fault": "-inf", "env.chance": 0.03}


def run(algorithm, **how):
    parts = {"num_agents": 4, "num_trials": 3, "num_episodes": 20, "block": 1} | how
    settings = {**SETTINGS, **parts.pop("settings", {})}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = commenv.run(
            "Unlucky-v0", algorithm, settings=settings, progress=False, **parts
        )
    return found.frame, [str(one.message) for one in said]


@pytest.mark.parametrize("algorithm", ["dql", "ebcdql", "davia", "es", "espc"])
@pytest.mark.parametrize("fault", ["-inf", "inf"])
@pytest.mark.parametrize("gamma", [0.0, 0.9])
def test_infinite_returns_are_counted_and_never_look_good(algorithm, fault, gamma):
    frame, said = run(algorithm, gamma=gamma, settings={"env.fault": fault})
    broken = unlucky_agents(0, range(3), range(4), 20)
    assert 0 < (broken > 0).sum() < broken.size
    shares = frame.pivot(index="trial", columns="episode", values="invalid").to_numpy()
    assert shares.tolist() == (broken / 4).tolist()
    discounted = (1 - gamma**6) / (1 - gamma)
    for column, sane in (("episode_return", 6.0), ("reward", discounted)):
        values = frame.pivot(index="trial", columns="episode", values=column).to_numpy()
        assert np.isneginf(values).tolist() == (broken > 0).tolist()
        assert values[broken == 0] == pytest.approx(sane)
    assert len(said) == 1
    assert "Unlucky-v0 gave returns that are not finite" in said[0]


def test_finite_returns_are_not_warned_of():
    frame, said = run("dql", settings={"env.chance": 0.0})
    assert (said, frame["invalid"].sum()) == ([], 0)


def test_messages_that_a_link_spoils_are_counted_and_are_not_the_environments_fault():
    link = BitErrors(0.02)
    frame, said = run("dql", settings={"env.chance": 0}, uplink=Channel(link=link))
    assert (frame["invalid"] > 0).mean() > 0.5
    assert said == []


def unlucky_agents(seed, trials, agents, episodes):
    """How many agents of each trial met bad luck in each round."""
    draws = Draws(seed, trials, agents, owner="environment")
    world = Unlucky()
    broken = np.zeros((len(trials), episodes), int)
    for episode in range(episodes):
        seeds = draws.seeds("environment", episode)
        for (trial, _), one in np.ndenumerate(seeds):
            world.reset(seed=int(one))
            broken[trial, episode] += (world.np_random.random(6) < 0.03).any()
    return broken
