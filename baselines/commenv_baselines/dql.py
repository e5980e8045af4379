r"""DQL: distributed tabular Q-learning.

Source: E. Gunn, *Communication Efficient Distributed Reinforcement Learning* (2023),
chapter 3; its Algorithm 2 are the rounds.

Deviations from the thesis, and readings of what it leaves open:

1. The update averages over the records of a state-action pair, U(s, a). The thesis
   prints U_s, which would move an action's value by what other actions met.
2. A step that terminates is not bootstrapped from; one that the time limit cuts is.
3. Ties between the best actions are broken at random, here and in the policy that is
   evaluated. With ties broken towards action 0, exploration stalls on sparse rewards.
4. The learning rate's default is 0.9, the thesis code's, where the environment's
   tables say that nothing in it is random, and 0.1 elsewhere.

Figure 3.4's DQL curve::

    commenv run --env SimpleGrid-v0 --algorithm dql --agents 5 --trials 100 \
        --episodes 1000 --gamma 0.9 --seed 0 --out results
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from commenv.channel import Messages, Received, Versions
from commenv.envs import greedy_policy
from commenv.learning import (
    Algorithm,
    Learner,
    Problem,
    Signal,
)
from commenv_baselines.table_agents import TableAgents
from commenv_baselines.tabular import (
    PairSums,
    epsilon_greedy,
    in_parts,
    possible_steps,
    senders_of,
    table_shape,
    td_errors,
)

__all__ = ["DQL", "QAgents", "QLearner"]


@dataclass(frozen=True)
class DQL(Algorithm):
    """Every agent sends its whole trajectory; the learner averages the TD errors.

    Args:
        alpha: Learning rate, in (0, 1]; None means 0.9 in a deterministic environment
            and 0.1 elsewhere. Thesis code: 0.9.
        exploration: Probability of an action drawn from all of them, epsilon in the
            thesis, in [0, 1]. Thesis code: 0.1, constant.
        initial_value: Q before the first update, in units of return. Thesis code: 0.

    Raises:
        ValueError: A setting outside its range.
    """

    name: ClassVar[str] = "dql"
    signals: ClassVar[tuple[str, ...]] = ("td_error",)

    alpha: float | None = None
    exploration: float = 0.1
    initial_value: float = 0.0

    def __post_init__(self) -> None:
        if self.alpha is not None and not 0 < self.alpha <= 1:
            raise ValueError(f"alpha {self.alpha} is outside (0, 1]")
        if not 0 <= self.exploration <= 1:
            raise ValueError(f"exploration {self.exploration} is outside [0, 1]")
        if not np.isfinite(self.initial_value):
            raise ValueError(f"initial_value {self.initial_value} is not finite")

    def agents(self, problem: Problem) -> QAgents:
        """The agents' half, for discrete spaces."""
        return QAgents(problem, self)

    def learner(self, problem: Problem) -> QLearner:
        """The learner's half, for discrete spaces."""
        return QLearner(problem, self)


class QAgents(TableAgents):
    """Act epsilon-greedily on the last Q table received, and offer their trajectory.

    They receive the field ``q`` of shape (states, actions). Signals: ``td_error``,
    about records: the TD error of each step under that table.
    """

    def __init__(self, problem: Problem, settings: DQL) -> None:
        table = table_shape(
            problem.observation_space, problem.action_space, settings.name
        )
        super().__init__(problem, np.dtype([("q", "<f8", table)]))
        self._exploration = settings.exploration
        start = np.empty(problem.shape[0], self._dtype)
        start["q"] = settings.initial_value
        self._follow(Versions.of_trials(start, problem.shape[1]))

    def candidates(self) -> tuple[Messages, Mapping[str, Signal]]:
        """The whole trajectory, and the TD errors if the scheme reads them."""
        messages = self._trajectories.messages(self._problem.shape)
        if "td_error" not in self._problem.signals:
            return messages, {}
        table = self._held[messages.senders]
        q: NDArray[np.float64] = self._versions.records["q"]
        delta = td_errors(q, table, messages.records, self._problem.gamma)
        return messages, {"td_error": Signal("record", delta, messages.counts)}

    def _follow(self, versions: Versions) -> None:
        q: NDArray[np.float64] = versions.records["q"]
        self._act_on(versions, epsilon_greedy(q, self._exploration))


class QLearner(Learner):
    """Averages the TD errors of a round, per state and action, into one Q table."""

    def __init__(self, problem: Problem, settings: DQL) -> None:
        states, actions = table_shape(
            problem.observation_space, problem.action_space, settings.name
        )
        trials = problem.shape[0]
        self._problem = problem
        self._dtype = np.dtype([("q", "<f8", (states, actions))])
        default = 0.9 if problem.deterministic else 0.1
        self.alpha = default if settings.alpha is None else settings.alpha
        self.memory = {"q": np.full((trials, states, actions), settings.initial_value)}
        self._invalid = np.zeros(trials)

    @property
    def invalid(self) -> NDArray[np.float64]:
        """Messages of the last round with a step that cannot have been: (trials,)."""
        return self._invalid

    def parameters(self) -> NDArray[np.void]:
        """Q as one record per trial, 8 |S| |A| bytes."""
        records = np.empty(len(self.memory["q"]), self._dtype)
        records["q"] = self.memory["q"]
        return records

    def update(self, messages: Received) -> None:
        """Q(s, a) += alpha * mean over U(s, a) of the TD error, with the old Q.

        Steps that cannot have been, since a link has damaged them, are left out.
        """
        q = self.memory["q"]
        sums, bad = PairSums(q.shape), [np.zeros(0, dtype=np.bool_)]
        for records, trials in in_parts(messages):
            usable = possible_steps(records, *q.shape[1:])
            bad.append(~usable)
            if not usable.all():
                records, trials = records[usable], trials[usable]
            delta = td_errors(q, trials, records, self._problem.gamma)
            sums.add((trials, records["state"], records["action"]), delta)
        self._invalid = senders_of(np.concatenate(bad), messages)
        self.memory["q"] = q + self.alpha * sums.total / np.maximum(sums.count, 1)

    def policy_of(self, parameters: NDArray[np.void]) -> NDArray[np.float64]:
        """The greedy policy, ties at random."""
        return greedy_policy(parameters["q"])

    def evaluate(self, episode: int) -> NDArray[np.float64]:
        """The value of the greedy policy."""
        return self._problem.evaluator.policy_values(self.policy(), episode)
