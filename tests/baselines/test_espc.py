"""ESPC: the thesis' settings, what its scheme is told, and its toy problem."""

import numpy as np
import pytest
from commenv_baselines.es import ES, Noise
from commenv_baselines.espc import ESPC
from gymnasium import spaces

import commenv
from commenv.channel import Received
from commenv.channel.wire import HEADER
from commenv.learning import Evaluator, Problem, SchemeDraws, Transition
from commenv.learning.schemes import ProbabilisticUtility
from commenv.rng import Draws

AGENTS = 50


class NoEvaluator(Evaluator):
    def table_values(self, policy, episode):
        raise NotImplementedError

    def values(self, act, episode):
        raise NotImplementedError


def problem(seeds):
    return Problem(
        draws=Draws(0, seeds, AGENTS),
        observation_space=spaces.Box(-1, 1, (24,)),
        action_space=spaces.Discrete(2),  # q = 24 * 2 + 2 = 50 without hidden layers
        gamma=1.0,
        num_episodes=300,
        evaluator=NoEvaluator(),
        signals=frozenset(ProbabilisticUtility.requires),
    )


class Toy:
    """Both halves and the scheme on F = C - |theta + noise e - t|^2, with no world."""

    def __init__(self, settings, scheme, constant, seeds):
        task = problem(seeds)
        self.agents, self.learner = settings.agents(task), settings.learner(task)
        self.scheme, self.state = scheme, scheme.start(task.shape)
        self.draws, self.settings, self.constant = task.draws, settings, constant
        self.noise = Noise(task.draws, 50, antithetic=False)
        self.target = np.stack(
            [np.random.default_rng(seed).normal(size=50) for seed in seeds]
        )
        self.target *= 2 / np.linalg.norm(self.target, axis=1, keepdims=True)

    def round(self, episode):
        """Plays one round; returns who sent."""
        self.agents.begin(episode)
        theta = self.learner.parameters()["theta"][:, None]
        perturbed = theta + self.settings.noise * self.noise.of(episode)
        distance = ((perturbed - self.target[:, None]) ** 2).sum(axis=-1)
        rewards = (self.constant - distance).ravel()
        nobody = np.zeros(len(rewards), bool)
        self.agents.observe(
            Transition(None, None, rewards, None, nobody, nobody, ~nobody)
        )
        messages, signals = self.agents.candidates()
        draws = SchemeDraws(self.draws, episode, 300)
        mask, self.state = self.scheme.select(signals, self.state, draws, None)
        sent = messages.select(mask)
        headers = np.zeros(mask.sum(), HEADER)
        headers["sender"] = np.nonzero(mask)[1]
        headers["episode"] = episode
        ones = np.ones(mask.sum(), int)
        self.learner.update(Received(sent.records, sent.counts, headers, ones))
        return mask

    def play(self):
        """The final squared distances, and the mean number of messages in a round."""
        sent = np.mean([self.round(episode).sum(axis=1) for episode in range(300)])
        theta = self.learner.memory["theta"]
        return ((theta - self.target) ** 2).sum(axis=1), sent


def toy_settings(**settings):
    common = {"optimizer": "normalized", "learning_rate": 0.05, "noise": 0.05}
    return ESPC(**(common | {"l2": 0.0, "hidden_sizes": ()} | settings))


def scheme_of(settings):
    return ProbabilisticUtility(m=25, **settings.scheme_settings())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("baseline", "constant", "mean", "deviation"),
    [
        ("none", 10.0, 0.84, 0.11),
        ("none", -10.0, 10.0, 1.1),
        ("window", 10.0, 0.01, 0.005),
        ("window", -10.0, 0.01, 0.005),
    ],
)
def test_the_quadratic_toy_depends_on_the_offset_unless_it_is_centred(
    baseline, constant, mean, deviation
):
    settings = toy_settings(baseline=baseline)
    finals, sent = Toy(settings, scheme_of(settings), constant, range(20)).play()
    error = deviation * np.sqrt(1 / 20 + 1 / 8)  # the reference has 8 seeds
    assert abs(finals.mean() - mean) < 3 * error
    assert 22 < sent < 28


def test_an_offset_changes_neither_decisions_nor_updates_of_the_centred_form():
    settings = toy_settings(baseline="window")
    plain, moved = (
        Toy(settings, scheme_of(settings), constant, range(3)) for constant in (0, 64)
    )
    for episode in range(20):
        np.testing.assert_array_equal(plain.round(episode), moved.round(episode))
    theta = plain.learner.memory["theta"]
    np.testing.assert_allclose(moved.learner.memory["theta"], theta, atol=1e-9)


def test_its_settings_are_the_thesis_on_cart_pole():
    settings = ESPC()
    assert (settings.shaping, settings.optimizer) == ("raw", "adam")
    assert (settings.learning_rate, settings.noise, settings.l2) == (0.01, 0.05, 0.05)
    assert (settings.hidden_sizes, settings.initial) == ((8, 8), "zero")


def test_its_scheme_is_told_the_window_and_whether_returns_are_centred():
    assert ESPC(window=7).scheme_settings() == {"k": 7, "mode": "literal"}
    centred = ESPC(baseline="window").scheme_settings()
    assert centred == {"k": 5, "mode": "centered"}
    assert ES(baseline="window").scheme_settings() == {}
    assert set(ProbabilisticUtility.requires) <= set(ESPC.signals)


@pytest.mark.parametrize("baseline", ["none", "window"])
def test_blocks_change_no_bit_and_half_of_the_agents_send(baseline):
    settings = ESPC(baseline=baseline)
    scheme = ProbabilisticUtility(m=5, **settings.scheme_settings())
    arguments = {"num_agents": 10, "num_trials": 4, "num_episodes": 10}
    arguments |= {"progress": False, "evaluation_episodes": 1, "gamma": 1.0}
    whole = commenv.run("CartPole-v1", settings, scheme, **arguments).frame
    parts = commenv.run("CartPole-v1", settings, scheme, block=3, **arguments).frame
    assert parts.equals(whole)
    np.testing.assert_allclose(whole["size"], 8 * whole["frequency"])
    assert 0.3 < whole["frequency"].mean() < 0.7
