"""The rounds between a learner and its agents (Gunn 2023, Algorithm 2)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from commenv.channel import Received, Versions
from commenv.learning.algorithm import Learner, RoundAgents
from commenv.learning.evaluation import Evaluator
from commenv.learning.scheme import Scheme, SchemeDraws, decided
from commenv.snapshots import Resumable, Snapshot, arrays_of, entry
from commenv.wrappers import ChannelEnv, Metrics

__all__ = ["Rounds"]


class Rounds(Resumable):
    """Plays rounds: broadcast, gather experience, select, send, update.

    Args:
        env: The world and its channel; it is reset with ``seed`` at once.
        agents: The agents' half of an algorithm.
        learner: The learner's half.
        scheme: Decides what is sent.
        seed: The study's seed.
    """

    def __init__(
        self,
        env: ChannelEnv,
        agents: RoundAgents,
        learner: Learner,
        scheme: Scheme,
        *,
        seed: int,
    ) -> None:
        self.env = env
        self.star = env.star
        self.agents = agents
        self.learner = learner
        self.scheme = scheme
        self._study_seed = seed
        self._seed: int | None = seed
        self._state = scheme.start(env.shape)

    def play(self, num_rounds: int) -> Iterator[Metrics]:
        """Plays rounds one by one.

        Yields:
            Each round's metrics, after the learner's update.
        """
        planned = self.star.episode + 1 + num_rounds
        for _ in range(num_rounds):
            self._round(planned)
            yield self.metrics

    @property
    def metrics(self) -> Metrics:
        """Of the last round, after the learner's update."""
        return self.env.metrics

    def snapshot(self) -> Snapshot:
        """What everybody remembers between two rounds."""
        return {
            "star": self.star.snapshot(),
            "agents": self.agents.memory,
            "learner": self.learner.memory,
            "scheme": self._state,
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Goes on where other rounds were, of the same settings; before the first.

        Raises:
            ResultsError: It is not a snapshot of such rounds.
        """
        agents, own = self.agents, entry(snapshot, "agents")
        agents.memory = arrays_of(own, "the agents", agents.memory)
        self._restore_learner(snapshot)
        self.env.instances.resume(self._study_seed, self.star.episode)
        self._seed = None

    def _restore_learner(self, snapshot: Snapshot) -> None:
        """Gives back what is not the agents'."""
        learner, own = self.learner, entry(snapshot, "learner")
        learner.memory = arrays_of(own, "the learner", learner.memory)
        scheme = entry(snapshot, "scheme")
        self._state = arrays_of(scheme, "the scheme", self._state)
        self.star.open(self._study_seed)
        self.star.restore(entry(snapshot, "star"))

    @property
    def resumable(self) -> bool:
        """Whether everybody can go on from a snapshot."""
        return self.agents.resumable

    def held_values(self, evaluator: Evaluator, episode: int) -> NDArray[np.float64]:
        """The value of the policies that agents hold, mean over a trial's: (trials,).

        Agents hold what last reached them. That is from before the learner's update,
        even where nothing is lost.

        Args:
            evaluator: Values policies, on the same draws for all of a trial's.
            episode: The round, which addresses the draws of evaluations by play.

        Returns:
            float64. NaN where all that the learner broadcasts arrives as it is, or the
            algorithm does not say what is done with parameters. A value that is not a
            number counts as -inf.
        """
        versions = self.star.receive_versions()
        says = type(self.learner).policy_of is not Learner.policy_of
        if versions is None or self.star.downlink.channel.faithful or not says:
            return np.full(self.star.shape[0], np.nan)

        def value(parameters: NDArray[np.void]) -> NDArray[np.float64]:
            policy = self.learner.policy_of(parameters)
            values = evaluator.policy_values(policy, episode)
            return np.where(np.isnan(values), -np.inf, values)

        return versions.mean_of(value)

    def close(self) -> None:
        """Releases what the agents and their instances hold."""
        self.env.close()
        self.agents.close()

    def _round(self, planned: int) -> None:
        """Plays one of ``planned`` rounds."""
        observations, _ = self.env.reset(seed=self._seed)
        self._agree()
        self.agents.begin(self.star.episode)
        if (versions := self._broadcast()) is not None:
            self.agents.receive_versions(versions)
        self.agents.play(self.env.instances, observations)
        self.agents.on_receipt(self._send(planned))
        self._learn()

    def _agree(self) -> None:
        """Before the first round, both sides agree on where the learner starts."""
        if self._seed is None:
            return
        self.star.initialize_parameters(self.learner.parameters())
        if (agreed := self.learner.agreed()) is not None:
            self.star.charge_shared(agreed)
        self._seed = None

    def _broadcast(self) -> Versions | None:
        """The learner broadcasts; what each agent holds then."""
        self.star.broadcast(self.learner.parameters())
        return self.star.receive_versions()

    def _send(self, planned: int) -> NDArray[np.bool_]:
        """Sends what the scheme selects; who was accepted, (trials, agents)."""
        star = self.star
        messages, signals = self.agents.candidates()
        draws = SchemeDraws(star.draws, star.episode, planned)
        mask, self._state = decided(
            self.scheme, signals, self._state, draws, star.uplink.left
        )
        return self.env.send(messages.select(mask)).accepted

    def _learn(self) -> None:
        received = self.star.receive()
        assert isinstance(received, Received)
        self.learner.update(received)
