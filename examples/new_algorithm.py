"""A new algorithm, against distributed Q-learning: Monte Carlo control in a team.

Agents send what they earned after each of their steps, and the learner averages it
(Sutton and Barto, *Reinforcement Learning*, 2018, section 5.4, with a constant step
size). ``python examples/new_algorithm.py [FOLDER]`` checks the algorithm, prints a
table and draws return against bytes.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

import commenv
from commenv.channel import Messages
from commenv.envs import greedy_policy
from commenv.learning import Agents, Algorithm, Learner
from commenv.testing import check_algorithm

VISIT = np.dtype([("state", "<i4"), ("action", "<i4"), ("earned", "<f8")])


@dataclass(frozen=True)
class MonteCarlo(Algorithm):
    """Q(s, a) follows the discounted returns that came after it."""

    name: ClassVar[str] = "monte_carlo"
    alpha: float = 0.1  # step size
    exploration: float = 0.1  # probability of an action at random

    def agents(self, problem):
        return Visitors(problem, self.exploration)

    def learner(self, problem):
        return Averager(problem, self.alpha)


def tables(problem, *leading):
    """Q tables of zeros, one for each trial, or for each agent."""
    return np.zeros((*leading, problem.observation_space.n, problem.action_space.n))


class Visitors(Agents):
    """Act on the last Q table received, and offer what each step led to."""

    def __init__(self, problem, exploration):
        self.problem, self.exploration = problem, exploration
        self.memory = {"q": tables(problem, *problem.shape)}

    def receive(self, parameters):
        self.memory = {"q": parameters["q"]}

    def begin(self, episode):
        self.uniforms = self.problem.draws.stream("policy", episode)
        self.steps = []

    def act(self, observations, active):
        q = self.memory["q"].reshape(-1, *self.memory["q"].shape[2:])
        greedy = greedy_policy(q[np.arange(len(q)), observations])
        chances = self.exploration / q.shape[-1] + (1 - self.exploration) * greedy
        limits = chances.cumsum(axis=-1)[:, :-1]
        return (self.uniforms.next()[:, None] >= limits).sum(axis=-1)

    def observe(self, transition):
        self.steps.append(transition)

    def candidates(self):
        visits = np.zeros((len(self.steps[0].active), len(self.steps)), VISIT)
        earned = 0.0
        for index, step in reversed(list(enumerate(self.steps))):
            earned = step.active * (step.rewards + self.problem.gamma * earned)
            visits["state"][:, index] = step.observations
            visits["action"][:, index] = step.actions
            visits["earned"][:, index] = earned
        acted = np.stack([step.active for step in self.steps], axis=1)
        counts = acted.sum(axis=1).reshape(self.problem.shape)
        return Messages(visits[acted], counts), {}


class Averager(Learner):
    """Moves each Q(s, a) towards the mean of what was earned after it."""

    def __init__(self, problem, alpha):
        self.problem, self.alpha = problem, alpha
        self.memory = {"q": tables(problem, problem.shape[0])}

    def parameters(self):
        q = self.memory["q"]
        return q.reshape(len(q), -1).view([("q", "<f8", q.shape[1:])])[:, 0]

    def update(self, messages):
        q, visit = self.memory["q"], messages.records
        place = messages.trials, visit["state"], visit["action"]
        total, count = np.zeros_like(q), np.zeros_like(q)
        np.add.at(total, place, visit["earned"] - q[place])
        np.add.at(count, place, 1)
        self.memory = {"q": q + self.alpha * total / np.maximum(count, 1)}

    def policy(self):
        return greedy_policy(self.memory["q"])

    def evaluate(self, episode):
        return self.problem.evaluator.policy_values(self.policy(), episode)


def main(folder: Path, num_trials: int = 20, num_episodes: int = 400) -> Path:
    check_algorithm(MonteCarlo())
    results = commenv.run(
        "WindyGrid-v0",
        ["dql", MonteCarlo()],
        num_trials=num_trials,
        num_episodes=num_episodes,
        evaluate_every=4,
    )
    print(results)
    path = folder / "new_algorithm.png"
    results.plot(x="uplink_bytes", y="evaluation", path=path)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
