"""Federated averaging: agents train on their own, and the learner averages their moves.

See :mod:`commenv_baselines.fed_sb3` for the sources and the deviations from them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from commenv.channel import Messages, Received
from commenv.errors import CommenvError, EnvironmentFaultError
from commenv.learning import Learner, Policy, Problem, RoundAgents, Signal
from commenv.wrappers import Instances

if TYPE_CHECKING:
    from commenv_baselines.sb3_models import LocalModel

__all__ = ["SIGNALS", "FedAgents", "FedLearner"]

SIGNALS = ("delta_norm", "utility")
"""What agents offer to schemes, about messages."""

Vectors = NDArray[np.float32]
_LARGEST = np.finfo(np.float32).max


class FedAgents(RoundAgents):
    """Each agent trains a model of its own, and may send how far it has moved.

    An agent holds its own parameters and the ``base`` that it has counted its moves
    from; a message is their difference, the *delta*. With the next parameters theta
    that it receives, an agent whose delta was accepted starts from theta; one that was
    silent or refused keeps its progress: own + (theta - base). Either way theta is its
    next base.

    Signals, about messages: ``delta_norm``, the length of the delta, in units of theta;
    ``utility`` is the same, the name that schemes ask for by default.

    ``memory`` holds the parameters; the models' optimizers, buffers and random states
    are theirs alone.

    Args:
        problem: The task.
        start: What every agent starts from: float32, shape (trials, P).
        local_steps: Environment steps of each agent in a round.
        make_model: Makes the model of an agent from its number, its seed and its start.
    """

    resumable: ClassVar[bool] = False

    def __init__(
        self,
        problem: Problem,
        start: Vectors,
        local_steps: int,
        make_model: Callable[[int, int, Vectors], LocalModel],
    ) -> None:
        self._problem = problem
        self._local_steps = local_steps
        self._make_model = make_model
        self._models: list[LocalModel] = []
        self._dtype = np.dtype([("delta", "<f4", start.shape[1:])])
        each = start[:, None].repeat(problem.shape[1], axis=1)
        self.memory = {
            "own": each,
            "base": each.copy(),
            "accepted": np.zeros(problem.shape, dtype=np.bool_),
        }

    def begin(self, episode: int) -> None:
        """Nothing to prepare: what was learned goes on."""
        self._episode = episode

    def receive(self, parameters: NDArray[np.void]) -> None:
        """Takes theta, the field ``theta`` of shape (P,), as the next base."""
        theta, own = parameters["theta"], self.memory["own"]
        kept = own + (theta - self.memory["base"])
        accepted = self.memory["accepted"][..., None]
        self.memory["own"] = np.where(accepted, theta, kept)
        self.memory["base"] = theta.copy()

    def play(self, env: Instances, observations: NDArray[Any]) -> None:
        """Every agent trains for ``local_steps`` steps in an instance of its own.

        Raises:
            EnvironmentFaultError: An instance raised an error, or returned what cannot
                be used, infinite rewards included.
            CommenvError: Training failed, or diverged.
        """
        shape, own = self._problem.shape, self.memory["own"]
        vectors = own.reshape(-1, own.shape[-1])
        if not self._models:
            draws = self._problem.draws
            agents = draws.agents * len(draws.trials)  # trial by trial
            seeds = draws.seeds("local model", 0).ravel().tolist()
            self._models = list(map(self._make_model, agents, seeds, vectors))
        measured = np.empty((len(vectors), 2))
        trained = np.empty_like(vectors)
        for row, (model, vector) in enumerate(zip(self._models, vectors, strict=True)):
            trained[row], measured[row] = self._trained(model, vector, row)
        self.memory["own"] = trained.reshape(own.shape)
        reward, total = measured.T.reshape(2, *shape)
        env.measure(reward, total, np.full(shape, self._local_steps))

    def candidates(self) -> tuple[Messages, Mapping[str, Signal]]:
        """Each agent's delta, 4 P bytes before any codec."""
        delta = self.memory["own"] - self.memory["base"]
        records = np.empty(delta[..., 0].size, self._dtype)
        records["delta"] = delta.reshape(len(records), -1)
        messages = Messages(records, np.ones(self._problem.shape, dtype=np.int64))
        norm = np.sqrt(np.square(delta, dtype=np.float64).sum(axis=-1))
        signals = {name: Signal("message", norm, messages.counts) for name in SIGNALS}
        return messages, signals

    def on_receipt(self, accepted: NDArray[np.bool_]) -> None:
        """Remembers who starts from theta next time."""
        self.memory["accepted"] = accepted

    def close(self) -> None:
        """Closes the models' instances."""
        for model in self._models:
            model.close()

    def _trained(
        self, model: LocalModel, vector: Vectors, row: int
    ) -> tuple[Vectors, tuple[float, float]]:
        """Parameters after local training, and what was measured of its episodes."""
        draws = self._problem.draws
        trial, agent = divmod(row, self._problem.shape[1])
        trial, agent = draws.trials[trial], draws.agents[agent]
        about = f"training agent {agent} of trial {trial} in round {self._episode}"
        cure = "use a smaller learning_rate, or a channel that distorts less"
        model.write(vector)
        try:
            measured = model.train(self._local_steps)
        except EnvironmentFaultError as fault:
            fault.locate(trial=trial, agent=agent, episode=self._episode)
            raise
        except (ValueError, RuntimeError) as error:
            reason = str(error).partition("\n")[0]
            raise CommenvError(f"{about} failed ({reason}); {cure}?") from error
        after = model.read()
        if not np.isfinite(after).all():
            raise CommenvError(f"{about} led to numbers that are not finite; {cure}")
        return after, measured


class FedLearner(Learner):
    """Moves theta by the mean of the deltas that it received.

    Args:
        problem: The task.
        start: What theta starts from: float32, shape (trials, P).
        make_policy: The policies with parameters of shape (trials, P).
    """

    def __init__(
        self,
        problem: Problem,
        start: Vectors,
        make_policy: Callable[[Vectors], Policy],
    ) -> None:
        self._problem = problem
        self._make_policy = make_policy
        self._dtype = np.dtype([("theta", "<f4", start.shape[1:])])
        self.memory = {"theta": start.copy()}
        self._invalid = np.zeros(len(start))

    @property
    def invalid(self) -> NDArray[np.float64]:
        """Deltas of the last round with numbers that were not finite: (trials,)."""
        return self._invalid

    def parameters(self) -> NDArray[np.void]:
        """One record with theta per trial, 4 P bytes before any codec."""
        records = np.empty(len(self.memory["theta"]), self._dtype)
        records["theta"] = self.memory["theta"]
        return records

    def update(self, messages: Received) -> None:
        """Adds each trial's mean delta; where nothing was received, nothing changes."""
        theta, trials = self.memory["theta"].copy(), messages.trials
        deltas = messages.records["delta"].astype(np.float64)
        usable = (np.abs(theta[trials] + deltas) <= _LARGEST).all(axis=1)
        self._invalid = np.bincount(trials[~usable], minlength=len(theta)).astype(
            np.float64
        )
        for trial in np.unique(trials[usable]):
            theta[trial] += deltas[usable & (trials == trial)].mean(axis=0)
        self.memory["theta"] = theta

    def policy_of(self, parameters: NDArray[np.void]) -> Policy:
        """The policies of theta, which do not explore."""
        return self._make_policy(parameters["theta"])

    def evaluate(self, episode: int) -> NDArray[np.float64]:
        """The values of these policies."""
        return self._problem.evaluator.policy_values(self.policy(), episode)
