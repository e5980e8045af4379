"""Compiled rounds of ES on Cart Pole are twins of those played step by step."""

import numpy as np
import pandas as pd
import pytest
from commenv_baselines import es
from commenv_baselines.es import ES, ESAgents
from commenv_baselines.policies import MLP
from gymnasium import spaces

import commenv
from commenv.channel import BernoulliLoss, Budget, Chain, Channel, Delay
from commenv.envs import CartPoleBatch
from commenv.learning import Problem
from commenv.rng import Draws
from commenv.wrappers import ChannelEnv

LOSSY = {"downlink": Channel(link=Chain(BernoulliLoss(0.3), Delay(1, spread=2)))}
SHAPES = [(), (5,), (8, 8), (3, 7, 2)]


@pytest.fixture
def rounds(monkeypatch):
    """How many rounds were compiled, of what is always worth it."""
    monkeypatch.setattr(es, "WORTH_COMPILING", 0)
    played = []
    play = CartPoleBatch.play
    monkeypatch.setattr(
        CartPoleBatch, "play", lambda *given: played.append(1) or play(*given)
    )
    return played


def study(algorithm="es", **more):
    sizes = {"num_agents": 6, "num_trials": 4, "num_episodes": 12, "gamma": 1.0}
    return commenv.run(
        "commenv/CartPole-v1", algorithm, **sizes | more, progress=False
    ).frame


@pytest.mark.parametrize(
    ("algorithm", "how"),
    [
        ("es", {}),
        ("espc", {"gamma": 0.93, "max_episode_steps": 30}),
        ("espc", {"settings": {"baseline": "window"}, "num_agents": 70}),
        ("es", {"env_kwargs": {"sutton_barto_reward": True}}),
        ("es", {"settings": {"antithetic": True, "hidden_sizes": ()}, **LOSSY}),
        ("es", {"settings": {"hidden_sizes": (3,), "initial": "random"}}),
        ("es", {"uplink": Channel(budget=Budget(messages=1, exceed="terminate"))}),
    ],
)
def test_studies_give_the_same_numbers_with_and_without(
    algorithm, how, rounds, monkeypatch
):
    with_it = study(algorithm, **how)
    assert len(rounds) >= 12
    pd.testing.assert_frame_equal(
        study(algorithm, block=3, **how), with_it, check_exact=True
    )
    count = len(rounds)
    monkeypatch.setattr(es, "WORTH_COMPILING", np.inf)
    pd.testing.assert_frame_equal(study(algorithm, **how), with_it, check_exact=True)
    assert len(rounds) == count


def test_policies_and_lengths_are_the_same_to_the_last_bit(rounds, monkeypatch):
    compiled = [policies_of(seed) for seed in range(4)]
    assert len(rounds) == 4 * 8
    monkeypatch.setattr(es, "WORTH_COMPILING", np.inf)
    for seed, seen in enumerate(compiled):
        for mine, theirs in zip(seen, policies_of(seed), strict=True):
            assert mine.tobytes() == theirs.tobytes()
    assert len(rounds) == 4 * 8


def problem(draws, world, **more):
    return Problem(
        draws=draws,
        observation_space=world.single_observation_space,
        action_space=world.single_action_space,
        gamma=0.97,
        num_episodes=10,
        evaluator=None,
        signals=frozenset({"return", "utility"}),
        **more,
    )


def agents_on(seed, hidden_sizes=(8, 8), make=ESAgents, limit=40):
    world = CartPoleBatch(3 * 90, limit)  # more than a block of lanes
    env = ChannelEnv(world, [4, 0, 7], 90, gamma=0.83)
    settings = ES(hidden_sizes=hidden_sizes, noise=1.0)
    return env, make(problem(Draws(seed, [4, 0, 7], 90), world), settings)


def policies_of(seed):
    """What agents offer and the environment measures in some rounds."""
    env, agents = agents_on(seed, SHAPES[seed])
    seen = []
    for episode in range(8):
        observations, _ = env.reset(seed=seed if episode == 0 else None)
        agents.begin(episode)
        agents.play(env.instances, observations)
        messages, signals = agents.candidates()
        seen += [messages.records, *(one.values for one in signals.values())]
        metrics = env.metrics
        seen += [metrics.reward, metrics.episode_return, metrics.episode_length]
        assert not env.active.any()
        agents.memory["theta"] = agents.memory["theta"] + 0.1 * episode
    return seen


class Stubborn(ESAgents):
    """Always pushes to the right, whatever the policy says."""

    def act(self, observations, active):
        return np.ones(len(observations), dtype=np.int64)


class Watcher:
    def __init__(self):
        self.seen = []

    def on_step(self, episode, index, active, *details):
        self.seen.append(int(active.sum()))


@pytest.mark.parametrize("who", ["watched", "acts otherwise", "has ended"])
def test_who_needs_every_step_is_played_step_by_step(who, rounds):
    make = Stubborn if who == "acts otherwise" else ESAgents
    env, agents = agents_on(0, make=make, limit=9)
    observations, _ = env.reset(seed=0)
    if who == "watched":
        env.instances.observer = Watcher()
    if who == "has ended":
        env.active[:4] = False
    agents.begin(0)
    agents.play(env.instances, observations)
    assert not rounds
    assert not env.active.any()
    if who == "watched":
        assert env.instances.observer.seen[0] == 270
        assert len(env.instances.observer.seen) == 9


def test_agents_in_worlds_of_their_own_are_played_step_by_step(rounds):
    worlds = [{"sutton_barto_reward": bool(agent % 2)} for agent in range(6)]
    study(env_kwargs=worlds, num_episodes=2)
    assert not rounds


@pytest.mark.parametrize("actions", [2, 3, 5])
@pytest.mark.parametrize("shape", SHAPES)
def test_columns_choose_as_the_rows_do(shape, actions):
    rng = np.random.default_rng(actions)
    mlp = MLP(
        spaces.Box(-9, 9, (6,)), spaces.Discrete(actions, start=actions - 2), shape
    )
    theta = rng.normal(size=(600, mlp.num_parameters))
    theta[:50] = 0.0  # all outputs are equal
    columns, rows = mlp.columns(theta), np.arange(600)
    while len(rows):
        holes, before = [], len(rows)
        while len(rows) and rng.random() < 0.95:
            hole = rng.integers(len(rows))
            rows[hole] = rows[-1]
            rows = rows[:-1]
            holes.append(hole)
        observations = rng.normal(size=(6, 600)).astype(np.float32)
        observations[rng.integers(6), :5] = np.nan
        if not len(rows):
            break
        got = columns(observations, len(rows), np.array(holes, dtype=np.int64))
        expected = mlp.act(theta[rows], observations[:, : len(rows)].T)
        assert before - len(holes) == len(rows)
        np.testing.assert_array_equal(got[: len(rows)], expected)


def test_other_observations_and_actions_have_no_columns():
    box, choice = spaces.Box(-1, 1, (2,)), spaces.Discrete(2)
    for one, other in ((choice, choice), (box, box)):
        mlp = MLP(one, other, (2,))
        assert mlp.columns(np.zeros((3, mlp.num_parameters))) is None
