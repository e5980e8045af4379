r"""DAVIA: distributed approximate value iteration, gradients sent on predicted gain.

Source: K. Gatsis, *Federated Reinforcement Learning at the Edge* (2021); E. Gunn,
*Communication Efficient Distributed Reinforcement Learning* (2023), chapter 3.

The value function is linear, w'phi. On its trajectory of T steps an agent forms::

    y_t = r_t + gamma (1 - terminated) V(s_{t+1}),  V(s) = max_b w'phi(s, b)
    g   = (1/T) sum_t phi_t (phi_t'w - y_t),        Phi = (1/T) sum_t phi_t phi_t'
    J(w) = (1/2T) sum_t (phi_t'w - y_t)^2

and may send g. The learner averages what it received: w -= eta * mean of the g.

Deviations, and readings of what the thesis leaves open:

1. The predicted gain is J(w - eta g) - J(w) = -eta g'g + (eta^2 / 2) g' Phi g, and a
   gradient is sent iff it is at most -lambda / rho^(N - 1 - k) (the scheme ``gain``).
   The thesis drops "- J(w)" and the minus sign, and would send at convergence.
2. Features are one-hot in (s, a) unless told otherwise: model-free, as DQL is. With
   ``features="afterstate"`` they are one-hot in the most probable next cell, as in the
   thesis' code: the agents then know the dynamics, which no other algorithm does.
3. The defaults (lambda 1e-4, rho 0.999, eta 1, exploration 0.1) are ours. The thesis'
   code: Simple Grid lambda 0.05, rho 0.9999, eta 1, ridge 0.001, exploration 0.8
   falling by 0.01 an episode to 0.05.
4. An agent whose episode has no step sends nothing.

Figure 3.4's DAVIA curve, with the defaults::

    commenv run --env SimpleGrid-v0 --algorithm davia --agents 5 --trials 100 \
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
from commenv.envs.values import best_values
from commenv.learning import Algorithm, Learner, Problem, Signal
from commenv_baselines.features import FeatureTable, find_features
from commenv_baselines.table_agents import TableAgents
from commenv_baselines.tabular import (
    epsilon_greedy,
    next_state_of,
    senders_of,
)

__all__ = ["DAVIA", "DAVIAAgents", "DAVIALearner"]


@dataclass(frozen=True)
class DAVIA(Algorithm):
    """Agents send the gradient of their fitting error; the learner averages them.

    Args:
        step_size: eta, the learner's step, above 0. Default 1, the thesis code's.
        exploration: Probability of an action drawn from all of them, in [0, 1].
        initial_exploration: The same in the first round, in [0, 1]; None means
            ``exploration`` throughout. Thesis code: 0.8, falling to 0.05.
        exploration_decay: How much it falls from round to round until it has reached
            ``exploration``, 0 or more. Thesis code: 0.01.
        ridge: Added times w to every gradient, 0 or more; shrinks w. Thesis code:
            0.001; default 0, which leaves the optimum where it is.
        features: ``"state_action"``, ``"afterstate"`` (model-informed), or
            ``"module:function"``, a function of the problem that returns features of
            shape (states, actions, d).

    Raises:
        ValueError: A setting outside its range.
    """

    name: ClassVar[str] = "davia"
    scheme: ClassVar[str] = "gain"
    signals: ClassVar[tuple[str, ...]] = ("gain",)

    step_size: float = 1.0
    exploration: float = 0.1
    initial_exploration: float | None = None
    exploration_decay: float = 0.0
    ridge: float = 0.0
    features: str = "state_action"

    def __post_init__(self) -> None:
        if not 0 < self.step_size < np.inf:
            raise ValueError(f"step_size {self.step_size} is not above 0 and finite")
        for name in ("exploration", "initial_exploration"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"{name} {value} is outside [0, 1]")
        if not self.exploration_decay >= 0:
            raise ValueError(f"exploration_decay {self.exploration_decay} is below 0")
        if not 0 <= self.ridge < np.inf:
            raise ValueError(f"ridge {self.ridge} is negative or not finite")

    def exploration_in(self, episode: int) -> float:
        """The probability of a random action in a round, counted from 0."""
        if self.initial_exploration is None:
            return self.exploration
        fallen = self.initial_exploration - episode * self.exploration_decay
        return max(self.exploration, fallen)

    def agents(self, problem: Problem) -> DAVIAAgents:
        """The agents' half, for discrete spaces."""
        return DAVIAAgents(problem, self, find_features(self.features, problem))

    def learner(self, problem: Problem) -> DAVIALearner:
        """The learner's half, for discrete spaces."""
        return DAVIALearner(problem, self, find_features(self.features, problem))


class DAVIAAgents(TableAgents):
    """Act on the last weights received, and offer the gradient of their episode.

    They receive w, the field ``w`` of shape (d,). Signals: ``gain``, about messages:
    the predicted change of J over one step of the learner, were this the only gradient
    that it received.
    """

    def __init__(
        self, problem: Problem, settings: DAVIA, features: FeatureTable
    ) -> None:
        super().__init__(problem, np.dtype([("w", "<f8", (features.size,))]))
        self._settings = settings
        self._features = features
        self._exploration = settings.exploration_in(0)
        self._gradients = np.dtype([("gradient", "<f8", (features.size,))])
        start = np.zeros(problem.shape[0], self._dtype)
        self._follow(Versions.of_trials(start, problem.shape[1]))

    def begin(self, episode: int) -> None:
        """Starts an empty trajectory and the episode's exploration."""
        super().begin(episode)
        self._exploration = self._settings.exploration_in(episode)

    def candidates(self) -> tuple[Messages, Mapping[str, Signal]]:
        """One gradient for each agent that took a step, and its predicted gain."""
        steps = self._trajectories.messages(self._problem.shape)
        with np.errstate(invalid="ignore"):  # 0 times an infinite reward
            gradient, gain = self.gradient(steps)
        gradient[np.isnan(gradient)] = np.inf  # which the learner leaves out as well
        moved = steps.counts > 0
        records = np.zeros(int(moved.sum()), self._gradients)
        records["gradient"] = gradient[moved.ravel()]
        counts = moved.astype(np.int64)
        signal = Signal("message", gain.reshape(moved.shape), counts)
        return Messages(records, counts), {"gain": signal}

    def gradient(
        self, steps: Messages
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """G and the predicted gain of every agent's episode.

        Returns:
            float64 of shape (trials * agents, d), and of shape (trials * agents,).
        """
        features, count = self._features, self._num_rows
        records, row = steps.records, steps.senders
        table = self._held[row]
        state, action = records["state"], records["action"]
        following, terminated = next_state_of(records)
        ahead = np.where(terminated, 0.0, best_values(self._q)[table, following])
        target = records["reward"] + self._problem.gamma * ahead
        error = self._q[table, state, action] - target
        length = np.maximum(steps.counts.ravel(), 1)
        gradient = features.sums(row, state, action, error, count)
        weights = self._versions.records["w"][self._held]
        gradient = gradient / length[:, None] + self._settings.ridge * weights
        along = features.values(gradient)[row, state, action]
        curvature = np.bincount(row, along**2, minlength=len(length)) / length
        eta = self._settings.step_size
        squared = (gradient**2).sum(axis=1)
        curvature += self._settings.ridge * squared
        return gradient, -eta * squared + eta**2 / 2 * curvature

    def _follow(self, versions: Versions) -> None:
        self._q = self._features.values(versions.records["w"])
        self._act_on(versions, epsilon_greedy(self._q, self._exploration))


class DAVIALearner(Learner):
    """w -= eta * mean of the gradients received; nothing received, no update."""

    def __init__(
        self, problem: Problem, settings: DAVIA, features: FeatureTable
    ) -> None:
        self._problem = problem
        self._settings = settings
        self._features = features
        self._dtype = np.dtype([("w", "<f8", (features.size,))])
        self.memory = {"w": np.zeros((problem.shape[0], features.size))}
        self._invalid = np.zeros(problem.shape[0])

    @property
    def invalid(self) -> NDArray[np.float64]:
        """Gradients of the last round that were not finite: (trials,)."""
        return self._invalid

    def parameters(self) -> NDArray[np.void]:
        """W as one record per trial, 8 d bytes."""
        records = np.empty(len(self.memory["w"]), self._dtype)
        records["w"] = self.memory["w"]
        return records

    def update(self, messages: Received) -> None:
        """Takes one step along the mean gradient of each trial.

        Gradients that are not finite, since a link has damaged them, are left out.
        """
        total = np.zeros_like(self.memory["w"])
        gradients: NDArray[np.float64] = messages.records["gradient"]
        bad = ~np.isfinite(gradients).all(axis=1)
        self._invalid = senders_of(np.asarray(bad), messages)
        trials = messages.trials[~bad]
        np.add.at(total, trials, gradients[~bad])
        count = np.bincount(trials, minlength=len(total))
        received = np.maximum(count, 1)[:, None]
        self.memory["w"] = self.memory["w"] - self._settings.step_size * (
            total / received
        )

    def policy_of(self, parameters: NDArray[np.void]) -> NDArray[np.float64]:
        """The greedy policy, ties at random."""
        return greedy_policy(self._features.values(parameters["w"]))

    def evaluate(self, episode: int) -> NDArray[np.float64]:
        """The value of the greedy policy."""
        return self._problem.evaluator.policy_values(self.policy(), episode)
