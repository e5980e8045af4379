"""Compiled rounds are twins of those that are played step by step."""

import logging
import sys

import gymnasium as gym
import numpy as np
import pandas as pd
import pytest
from commenv_baselines import compiled, table_agents
from commenv_baselines.davia import DAVIA
from commenv_baselines.dql import DQL, QAgents

import commenv
from commenv.channel import BernoulliLoss, Chain, Channel, Delay, Versions
from commenv.envs import TabularMDP
from commenv.envs.batch import TabularBatch
from commenv.learning import Problem
from commenv.rng import Draws
from commenv.wrappers import ChannelEnv

TRIALS, AGENTS = [4, 0, 7], 5


@pytest.fixture(autouse=True)
def always_worth_it(monkeypatch):
    monkeypatch.setattr(table_agents, "WORTH_COMPILING", 0)
    table_agents._load_compiled.cache_clear()


def step_by_step(monkeypatch):
    monkeypatch.setattr(table_agents, "_load_compiled", lambda: None)


def test_numbers_are_those_of_the_addressed_draws():
    draws = Draws(5, TRIALS, AGENTS)
    for episode in (0, 3, 2**40):
        expected = draws.uniforms("policy", episode, 41).reshape(-1, 41)
        for row, key in enumerate(draws.keys("policy")):
            words = np.empty(4, np.uint64)
            drawn = [
                compiled.uniform(index, words, episode, key) for index in range(41)
            ]
            assert drawn == expected[row].tolist()


def random_mdp(seed):
    rng = np.random.default_rng(seed)
    states, actions, outcomes = rng.integers([2, 1, 1], [9, 5, 4])
    size = (states, actions, outcomes)
    chances = rng.random(size) * (rng.random(size) < 0.7)
    chances[..., -1] += chances.sum(axis=-1) == 0
    start = rng.random(states) * (rng.random(states) < 0.5)
    start[0] += start.sum() == 0
    return TabularMDP(
        chances / chances.sum(axis=-1, keepdims=True),
        rng.integers(states, size=size),
        rng.normal(size=size),
        rng.random(size) < 0.1,
        start / start.sum(),
    )


def problem_on(mdp):
    world = TabularBatch(mdp, 1)
    return Problem(
        draws=Draws(11, TRIALS, AGENTS),
        observation_space=world.single_observation_space,
        action_space=world.single_action_space,
        gamma=0.9,
        num_episodes=1000,
        evaluator=None,
        signals=frozenset({"td_error"}),
        mdp=mdp,
    )


def rounds_on(mdp, algorithm, limit, versions_of):
    """What agents offer and the environment measures in some rounds."""
    world = TabularBatch(mdp, len(TRIALS) * AGENTS, limit)
    env = ChannelEnv(world, TRIALS, AGENTS, gamma=0.83)
    problem = problem_on(mdp)
    agents = algorithm.agents(problem)
    dtype = algorithm.learner(problem).parameters().dtype
    seen = []
    for episode in range(6):
        observations, _ = env.reset(seed=11 if episode == 0 else None)
        agents.begin(episode)
        agents.receive_versions(versions_of(episode, dtype))
        agents.play(env.instances, observations)
        messages, signals = agents.candidates()
        metrics = env.metrics
        seen += [messages.records, messages.counts]
        seen += [signal.values for _, signal in sorted(signals.items())]
        seen += [metrics.reward, metrics.episode_return, metrics.episode_length]
        assert not env.active.any()
    return seen


def random_versions(episode, dtype):
    rng = np.random.default_rng(episode)
    records = np.zeros(4, dtype)
    values = records[dtype.names[0]]
    values[:] = rng.integers(-1, 2, values.shape)  # with ties
    return Versions(records, rng.integers(4, size=(len(TRIALS), AGENTS)))


@pytest.mark.parametrize("exploration", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("algorithm", [DQL, DAVIA])
@pytest.mark.parametrize("seed", range(8))
def test_random_processes_are_played_bit_by_bit_alike(
    seed, algorithm, exploration, monkeypatch
):
    mdp, limit = random_mdp(seed), [1, 7, 70, 300][seed % 4]
    settings = algorithm(exploration=exploration)
    one = rounds_on(mdp, settings, limit, random_versions)
    step_by_step(monkeypatch)
    other = rounds_on(mdp, settings, limit, random_versions)
    for mine, theirs in zip(one, other, strict=True):
        assert mine.dtype == theirs.dtype
        assert mine.tobytes() == theirs.tobytes()


LOSSY = {"downlink": Channel(link=Chain(BernoulliLoss(0.3), Delay(1, spread=2)))}


@pytest.mark.parametrize(
    ("world", "algorithm", "how"),
    [
        ("SimpleGrid-v0", "dql", {}),
        ("WindyGrid-v0", "ebcdql", {"max_episode_steps": 13}),
        ("WindyGrid-v0", "dql", LOSSY | {"num_agents": 1}),
        ("commenv/FrozenLake-v0", "davia", LOSSY),
        ("FrozenLake-v1", "dql", {"settings": {"exploration": 0.7}}),
        ("CliffWalking-v1", "davia", {"max_episode_steps": 50, "gamma": 1.0}),
    ],
)
def test_studies_give_the_same_numbers_with_and_without(
    world, algorithm, how, monkeypatch
):
    def study(**more):
        sizes = {"num_agents": 3, "num_trials": 5, "num_episodes": 20}
        return commenv.run(world, algorithm, **sizes | how, progress=False, **more)

    played = []
    play = compiled.play
    monkeypatch.setattr(
        compiled, "play", lambda *arguments: played.append(1) or play(*arguments)
    )
    with_it = study().frame
    assert len(played) >= 20
    pd.testing.assert_frame_equal(study(block=2).frame, with_it, check_exact=True)
    step_by_step(monkeypatch)
    pd.testing.assert_frame_equal(study().frame, with_it, check_exact=True)


@pytest.mark.parametrize("installed", [True, False])
def test_the_log_says_how_agents_act(installed, monkeypatch, caplog):
    if not installed:
        monkeypatch.setitem(sys.modules, "commenv_baselines.compiled", None)
        monkeypatch.delattr("commenv_baselines.compiled")
    with caplog.at_level(logging.DEBUG, logger="commenv"):
        commenv.run("SimpleGrid-v0", num_trials=2, num_episodes=3, progress=False)
    ((level, line),) = said_of_agents(caplog)
    assert level == ("DEBUG" if installed else "INFO")
    assert ("act step by step" in line) is not installed
    assert ("play compiled" in line) is installed


def test_what_is_not_worth_it_is_not_compiled(monkeypatch, caplog):
    monkeypatch.setattr(table_agents, "WORTH_COMPILING", 200_000)
    with caplog.at_level(logging.INFO, logger="commenv"):
        commenv.run("SimpleGrid-v0", num_trials=2, num_episodes=3, progress=False)
    assert not said_of_agents(caplog)


def said_of_agents(caplog):
    """Levels and lines of the log, but for what is said of the results folder."""
    return [
        (one.levelname, one.message)
        for one in caplog.records
        if "results folder" not in one.message
    ]


class Restless(QAgents):
    """Always goes up, whatever the policy says."""

    def act(self, observations, active):
        return np.zeros(len(observations), dtype=np.int64)


class Restlessly(DQL):
    name = "restlessly"

    def agents(self, problem):
        return Restless(problem, self)


def test_agents_that_act_otherwise_are_asked_for_every_action():
    mdp = random_mdp(1)
    seen = rounds_on(mdp, Restlessly(), 9, random_versions)
    records = [array for array in seen if array.dtype.names]
    assert len(records) == 6
    assert all((steps["action"] == 0).all() for steps in records)


def test_who_watches_sees_every_step():
    seen = []

    class Watcher:
        def on_step(self, episode, index, active, *details):
            seen.append(int(active.sum()))

    mdp = TabularMDP.from_env(gym.make("SimpleGrid-v0"))
    env = ChannelEnv(TabularBatch(mdp, 15, 5), TRIALS, AGENTS)
    env.instances.observer = Watcher()
    observations, _ = env.reset(seed=0)
    agents = DQL().agents(problem_on(mdp))
    agents.begin(0)
    agents.play(env.instances, observations)
    assert seen == [15] * 5


class Doubting(QAgents):
    """Takes what it receives for half as much."""

    def receive(self, parameters):
        halved = parameters.copy()
        halved["q"] /= 2
        super().receive(halved)


def test_a_class_that_overrides_receive_alone_is_asked_through_it():
    mdp = random_mdp(2)
    agents = Doubting(problem_on(mdp), DQL())
    records = np.zeros(3, [("q", "<f8", (mdp.num_states, mdp.num_actions))])
    records["q"] = 8.0
    agents.receive_versions(Versions.of_trials(records, AGENTS))
    assert (agents.memory["q"] == 4.0).all()
    assert agents.memory["q"].shape == (3, 5, mdp.num_states, mdp.num_actions)


def test_agents_can_be_given_their_memory_back():
    mdp = random_mdp(3)
    problem = problem_on(mdp)
    one, other = DQL().agents(problem), DQL().agents(problem)
    dtype = DQL().learner(problem).parameters().dtype
    one.receive_versions(random_versions(0, dtype))
    other.memory = one.memory
    np.testing.assert_array_equal(other.memory["q"], one.memory["q"])
    states = np.zeros(15, dtype=np.int64)
    for agents in (one, other):
        agents.begin(0)
    everybody = np.ones(15, dtype=bool)
    assert (one.act(states, everybody) == other.act(states, everybody)).all()


@pytest.mark.parametrize("algorithm", [DQL, DAVIA])
def test_agents_have_one_policy_for_each_version(algorithm):
    mdp = random_mdp(4)
    agents = algorithm().agents(problem_on(mdp))
    assert len(agents._policy.thresholds) == len(TRIALS)
    dtype = algorithm().learner(problem_on(mdp)).parameters().dtype
    agents.receive_versions(random_versions(0, dtype))
    assert len(agents._policy.thresholds) == 4
