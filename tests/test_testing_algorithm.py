"""check_algorithm passes our algorithms, and catches each kind of broken one."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pytest
from commenv_baselines.dql import DQL, QAgents, QLearner

from commenv.channel import Messages
from commenv.envs import greedy_policy
from commenv.learning import Signal, make_algorithm, plugin_names
from commenv.learning.plugins import ALGORITHMS
from commenv.testing import check_algorithm

SMALL = {
    "es": {"hidden_sizes": [4]},
    "espc": {"hidden_sizes": [4]},
    "fed-a2c": {"hidden_sizes": [4], "local_steps": 16},
    "fed-dqn": {"hidden_sizes": [4], "local_steps": 16, "learning_starts": 8},
    "fed-ppo": {
        "hidden_sizes": [4],
        "local_steps": 16,
        "n_steps": 16,
        "batch_size": 16,
        "n_epochs": 1,
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("name", plugin_names(ALGORITHMS))
def test_every_installed_algorithm_conforms(name):
    check_algorithm(make_algorithm(name, SMALL.get(name, {})), "WindyGrid-v0")


def test_policies_on_real_observations_conform():
    check_algorithm(
        make_algorithm("es", SMALL["es"]),
        "commenv/CartPole-v1",
        num_rounds=3,
        max_episode_steps=30,
    )


@dataclass(frozen=True)
class Broken(DQL):
    """Q-learning, but for one half."""

    name: ClassVar[str] = "broken"
    own_agents: ClassVar[Any] = QAgents
    own_learner: ClassVar[Any] = QLearner

    def agents(self, problem):
        return self.own_agents(problem, self)

    def learner(self, problem):
        return self.own_learner(problem, self)


def broken(*, agents=QAgents, learner=QLearner, signals=("td_error",)):
    made = type("Made", (Broken,), {"own_agents": agents, "own_learner": learner})
    made.signals = signals
    globals()["Made"] = made  # where pickle looks for it
    made.__module__ = __name__
    return made()


class BaselineOverAllTrials(QLearner):
    def update(self, messages):
        super().update(messages)
        self.memory["q"] = self.memory["q"] - 1e-9 * self.memory["q"].mean()


class HiddenMomentum(QLearner):
    velocity = 0.0

    def update(self, messages):
        before = self.memory["q"]
        super().update(messages)
        self.velocity = 0.5 * self.velocity + self.memory["q"] - before
        self.memory["q"] = before + self.velocity


class Grows(QLearner):
    def update(self, messages):
        super().update(messages)
        self.memory["log"] = np.zeros((len(self.memory["q"]), 1))


class Lists(QLearner):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.memory["rounds"] = [0]


class OneForAllTrials(QLearner):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.memory["rounds"] = np.zeros(1)


class Diverges(QLearner):
    def update(self, messages):
        self.memory["q"] = self.memory["q"] + np.inf


class BareParameters(QLearner):
    def parameters(self):
        return self.memory["q"]


class NoPolicy(QLearner):
    def policy(self):
        raise NotImplementedError("Q-learning has no policy()")


class AnotherPolicy(QLearner):
    def policy(self):
        return greedy_policy(-self.memory["q"])

    def evaluate(self, episode):
        own = greedy_policy(self.memory["q"])
        return self._problem.evaluator.policy_values(own, episode)


class NoProbabilities(QLearner):
    def policy(self):
        return self.memory["q"]

    def evaluate(self, episode):
        return np.zeros(len(self.memory["q"]))


class ValueOfOne(QLearner):
    def evaluate(self, episode):
        return super().evaluate(episode)[:1]


class CountsItsBatch(QAgents):
    def act(self, observations, active):
        return (super().act(observations, active) + self._problem.shape[1]) % 4


class GlobalDraws(QAgents):
    def act(self, observations, active):
        np.random.random()  # noqa: NPY002 - what the check must find
        return super().act(observations, active)


class Remembers(QAgents):
    rounds = 0

    def begin(self, episode):
        super().begin(episode)
        self.rounds += 1

    def act(self, observations, active):
        return (super().act(observations, active) + self.rounds) % 4


class Infinite(QAgents):
    def candidates(self):
        messages, signals = super().candidates()
        records = messages.records.copy()
        records["reward"] = np.inf
        return Messages(records, messages.counts), signals


class Undeclared(QAgents):
    def candidates(self):
        return super().candidates()[0], {}


class OneSignalForAll(QAgents):
    def candidates(self):
        messages, _ = super().candidates()
        return messages, {"td_error": Signal("record", np.zeros(1), messages.counts)}


@pytest.mark.parametrize(
    ("algorithm", "message"),
    [
        (broken(learner=BaselineOverAllTrials), r"for trial \[0\] alone"),
        (broken(learner=HiddenMomentum), "resumed after round 1"),
        (broken(learner=Grows), "keep names and shapes as they are"),
        (broken(learner=Lists), r"memory 'rounds' is \[0\]; use arrays"),
        (broken(learner=OneForAllTrials), r"'rounds' has shape \(1,\)"),
        (broken(learner=Diverges), r"parameters\(\) holds numbers in 'q'"),
        (broken(learner=BareParameters), "return a structured array"),
        (broken(learner=NoPolicy), r"no policy\(\); say what was learned"),
        (broken(learner=AnotherPolicy), r"but policy\(\) is worth"),
        (broken(learner=NoProbabilities), "are not probabilities"),
        (broken(learner=ValueOfOne), "return one value for each trial"),
        (broken(agents=CountsItsBatch), "with its agents in 2 shards"),
        (broken(agents=GlobalDraws), "numpy's global generator"),
        (broken(agents=Remembers), "resumed after round 1"),
        (broken(agents=Infinite), r"candidates\(\) holds numbers in 'reward'"),
        (broken(agents=Undeclared), r"signals \['td_error'\], and does not offer"),
        (broken(agents=OneSignalForAll), r"has shape \(1,\); it must be"),
        (DQL, r"DQL is a class; pass an instance"),
        (object(), "is not an algorithm; pass a name"),
    ],
    ids=lambda value: (
        getattr(value, "own_agents", type(value)).__name__
        + getattr(value, "own_learner", type(value)).__name__
    ),
)
def test_a_broken_algorithm_is_caught(algorithm, message):
    if isinstance(algorithm, Broken):
        globals()["Made"] = type(algorithm)
    with pytest.raises(AssertionError, match=message):
        check_algorithm(algorithm)


def test_an_algorithm_that_cannot_travel_is_caught():
    @dataclass(frozen=True)
    class Local(DQL):
        name: ClassVar[str] = "local"
        shape: Any = field(default=None)

    with pytest.raises(AssertionError, match=r"cannot be pickled.*top of a module"):
        check_algorithm(Local())


@pytest.mark.parametrize("count", ["num_agents", "num_rounds"])
def test_a_check_of_one_would_show_nothing(count):
    with pytest.raises(ValueError, match=f"{count} is 1; a check needs at least 2"):
        check_algorithm(DQL(), **{count: 1})
