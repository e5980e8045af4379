"""What an algorithm is: an agents' half, a learner's half, and what connects them.

Everything is batched over (trials, agents). A half keeps what it remembers between
rounds in ``memory``, a dictionary of arrays with those leading axes, so that it can be
sharded, stored and restored by slicing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from commenv.channel import Messages, Received, Versions
from commenv.envs import TabularMDP
from commenv.learning.evaluation import Evaluator, Policy
from commenv.learning.scheme import Signal
from commenv.rng import Draws
from commenv.wrappers import Instances

__all__ = [
    "Agents",
    "Algorithm",
    "Learner",
    "Problem",
    "RoundAgents",
    "Transition",
]


@dataclass(frozen=True)
class Problem:
    """What an algorithm is told about its task before the first round.

    Attributes:
        draws: Addressed random draws for the (trials, agents) of the batch.
        observation_space: Of one agent.
        action_space: Of one agent.
        gamma: The discount, in [0, 1].
        num_episodes: Rounds that are planned, N in the thesis.
        signals: The names of the signals that the scheme reads; agents need not
            compute others.
        mdp: The environment's tables, where it has some and all agents are in the same;
            what an algorithm learns from them is knowledge that others lack, so say so
            in its name.
        evaluator: Computes the value of a policy that does not explore.
        make_env: Makes an instance of the environment of an agent, by its number, as a
            Gymnasium environment, with its arguments and time limit, for agents that
            train in instances of their own; None where nobody said how.
        team: How many agents each trial has, where ``draws`` are those of some alone.
    """

    draws: Draws
    observation_space: gym.Space[Any]
    action_space: gym.Space[Any]
    gamma: float
    num_episodes: int
    evaluator: Evaluator
    signals: frozenset[str] = frozenset()
    mdp: TabularMDP | None = None
    make_env: Callable[[int], gym.Env[Any, Any]] | None = None
    team: int | None = None

    @property
    def num_agents(self) -> int:
        """How many agents each trial has, those elsewhere included."""
        return self.draws.shape[1] if self.team is None else self.team

    @property
    def shape(self) -> tuple[int, int]:
        """(trials, agents)."""
        return self.draws.shape

    @property
    def deterministic(self) -> bool:
        """Whether the tables say that no step is random; False where there are none."""
        return self.mdp is not None and bool(
            (self.mdp.probability.max(axis=-1) == 1).all()
        )


class Transition(NamedTuple):
    """One step of all agents; every array has a flat (trial-major) leading axis.

    Attributes:
        observations: Before the step.
        actions: What was done.
        rewards: float64.
        next_observations: After the step.
        terminated: bool: the task ended.
        truncated: bool: the time limit was reached.
        active: bool: who took this step; the other rows mean nothing.
    """

    observations: NDArray[Any]
    actions: NDArray[Any]
    rewards: NDArray[np.float64]
    next_observations: NDArray[Any]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    active: NDArray[np.bool_]


class RoundAgents(ABC):
    """The agents' half as the rounds see it: experience, and what to send of it.

    Derive from :class:`Agents` to act step by step in the environment of the rounds,
    one episode in each; derive from this class for any other kind of round, such as
    training for some steps in instances of one's own.

    Attributes:
        memory: Arrays of shape (trials, agents, ...): all that agents remember from
            round to round, but for the parameters that they receive in each. Names and
            shapes stay as they are from the beginning: a checkpoint is held against
            them.
        resumable: Whether that is so. Where it is not, a study that was stopped goes on
            from the trials that were finished.
    """

    resumable: ClassVar[bool] = True

    memory: dict[str, NDArray[Any]]

    @abstractmethod
    def begin(self, episode: int) -> None:
        """Prepares for a round; what the last one recorded is forgotten."""

    @abstractmethod
    def receive(self, parameters: NDArray[np.void]) -> None:
        """Takes the last parameters that each agent received: (trials, agents)."""

    def receive_versions(self, versions: Versions) -> None:
        """The same as :meth:`receive`, one copy of each version of the parameters.

        This is what the rounds call. By default it makes a copy for each agent and
        calls :meth:`receive`; agents that need none override it, so that thousands of
        them cost little more memory than one. A class that overrides :meth:`receive`
        alone is asked through that, whatever its base class does here.

        Args:
            versions: The parameters, and who holds which.
        """
        self.receive(versions.expanded())

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "receive" in vars(cls) and "receive_versions" not in vars(cls):
            cls.receive_versions = RoundAgents.receive_versions  # type: ignore[method-assign]

    @abstractmethod
    def play(self, env: Instances, observations: NDArray[Any]) -> None:
        """Gathers the round's experience.

        Args:
            env: Just reset. Agents either step it until nobody is active, or enter what
                they measured elsewhere with :meth:`ChannelEnv.measure`.
            observations: What its reset returned: (trials * agents, ...).
        """

    @abstractmethod
    def candidates(self) -> tuple[Messages, Mapping[str, Signal]]:
        """What each agent could send after its round, and the signals about it."""

    def on_receipt(self, accepted: NDArray[np.bool_]) -> None:  # noqa: B027 - few ask
        """Hears whose message the channel accepted; by default nobody listens.

        That is all that senders know of a message's fate.

        Args:
            accepted: bool, shape (trials, agents): sent, or waiting to be; False where
                it was refused and where there was none.
        """

    def close(self) -> None:  # noqa: B027 - few hold anything
        """Releases what the agents hold; they are not used afterwards."""


class Agents(RoundAgents):
    """Agents that act in the environment of the rounds, one whole episode in each."""

    @abstractmethod
    def act(self, observations: NDArray[Any], active: NDArray[np.bool_]) -> NDArray:
        """Actions for the flat batch; those of inactive agents are ignored."""

    @abstractmethod
    def observe(self, transition: Transition) -> None:
        """Records a step."""

    def play(self, env: Instances, observations: NDArray[Any]) -> None:
        """Every agent runs one whole episode."""
        with np.errstate(invalid="ignore"):  # of infinite rewards: inf - inf, 0 * inf
            self._play(env, observations)

    def _play(self, env: Instances, observations: NDArray[Any]) -> None:
        while env.active.any():
            active = env.active
            actions = self.act(observations, active)
            following, rewards, terminated, truncated = env.step(actions)
            self.observe(
                Transition(
                    observations,
                    actions,
                    rewards,
                    following,
                    terminated,
                    truncated,
                    active,
                )
            )
            observations = following


class Learner(ABC):
    """The learner's half: it knows of the agents what the uplink delivered.

    Attributes:
        memory: Arrays of numbers of shape (trials, ...). They say all that was learned:
            with them another learner of the same settings has the same policy. Names
            and shapes stay as they are from the beginning.
    """

    memory: dict[str, NDArray[Any]]

    @property
    def invalid(self) -> NDArray[np.float64]:
        """Messages of the last update whose numbers were unusable: (trials,).

        None, unless an algorithm says otherwise.
        """
        return np.zeros(len(next(iter(self.memory.values()))))

    def agreed(self) -> NDArray[np.void] | None:
        """What both sides know before the first round and had to be told.

        Such as the seed of random numbers that they share: a structured array, shape
        (trials,), charged to the downlink once for every agent. None for nothing.
        """
        return None

    @abstractmethod
    def parameters(self) -> NDArray[np.void]:
        """What is broadcast in each round: structured array, shape (trials,)."""

    @abstractmethod
    def update(self, messages: Received) -> None:
        """Learns from the messages of one round."""

    def policy(self) -> Policy:
        """What was learned: the greedy or unperturbed policy of every trial.

        By default that of :meth:`parameters`. A function with a method
        ``to_torch(trial)`` can be exported.

        Raises:
            NotImplementedError: The algorithm does not say; it can then not be played
                again after a study.
        """
        return self.policy_of(self.parameters())

    def policy_of(self, parameters: NDArray[np.void]) -> Policy:
        """The same of what was broadcast, now or earlier, and perhaps damaged.

        Studies value what agents hold with it, where a downlink can lose something.

        Args:
            parameters: As :meth:`parameters` returns them: shape (trials,).

        Raises:
            NotImplementedError: The algorithm does not say.
        """
        raise NotImplementedError(f"{type(self).__name__} has no policy_of()")

    @abstractmethod
    def evaluate(self, episode: int) -> NDArray[np.float64]:
        """The value of the greedy or unperturbed policy: float64, shape (trials,).

        Args:
            episode: The round, which addresses the draws of evaluations by play.
        """


class Algorithm(ABC):
    """A reference algorithm's settings, which build its two halves.

    Subclasses are frozen dataclasses: their fields are the settings, checked when the
    object is made. They plug in through the entry-point group
    ``commenv.algorithms``, or as ``module:Class``.

    Attributes:
        name: What results call it.
        scheme: The name of the scheme that it uses unless told otherwise.
        signals: The names of the signals that its agents offer to schemes.
        plans: Whether its numbers depend on how many rounds are planned
            (``problem.num_episodes``). A study with it gets no more rounds later.
    """

    name: ClassVar[str]
    scheme: ClassVar[str] = "always"
    signals: ClassVar[tuple[str, ...]] = ()
    plans: ClassVar[bool] = False

    def scheme_settings(self) -> dict[str, Any]:
        """How its own scheme is set, where a study does not say otherwise."""
        return {}

    @abstractmethod
    def agents(self, problem: Problem) -> RoundAgents:
        """The agents' half.

        Raises:
            ValueError: The algorithm does not fit the problem's spaces.
        """

    @abstractmethod
    def learner(self, problem: Problem) -> Learner:
        """The learner's half.

        Raises:
            ValueError: The algorithm does not fit the problem's spaces.
        """
