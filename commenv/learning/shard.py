"""Some of a trial's agents, wherever they run: what they are told, what they answer.

A shard holds its agents' instances, their half of the algorithm, their part of a
separable scheme, and their codec. Budget, link, ledger and learner stand in one place:
:class:`commenv.learning.sharded.ShardedRounds` asks all shards in each round. What it
tells them is what agents know anyway, and is plain data.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from commenv.channel import (
    Acknowledgement,
    Encoded,
    Encoder,
    Left,
    Messages,
    Versions,
)
from commenv.learning.algorithm import RoundAgents
from commenv.learning.scheme import Scheme, SchemeDraws, Signals, State, decided
from commenv.snapshots import Resumable, Snapshot, arrays_of
from commenv.wrappers import Instances

__all__ = ["Heard", "Offer", "Order", "Shard", "Uttered"]


class Heard(NamedTuple):
    """What became of a shard's last messages, as far as agents may know.

    Attributes:
        accepted: bool, shape (trials, agents of the shard).
        known: What became of earlier ones, on channels with acknowledgements.
    """

    accepted: NDArray[np.bool_]
    known: list[Acknowledgement]


class Order(NamedTuple):
    """What a shard is told at the beginning of a round.

    Attributes:
        episode: The round, counted from 0.
        planned: How many are planned.
        heard: Of the last round's messages; None in the first round.
        held: intp, shape (trials, agents of the shard): which version of the parameters
            each agent holds; None where nobody holds any.
        left: What is left of the uplink's budget: shape (trials, agents of the shard).
    """

    episode: int
    planned: int
    heard: Heard | None
    held: NDArray[np.intp] | None
    left: Left


class Uttered(NamedTuple):
    """A shard's encoded messages.

    Attributes:
        encoded: Of the shard's agents, trial by trial.
        sequence: uint32, shape (trials * agents of the shard,): their numbers.
        dtype: Of the records in them.
    """

    encoded: Encoded
    sequence: NDArray[np.uint32]
    dtype: np.dtype[np.void]


class Offer(NamedTuple):
    """What a shard answers in a round.

    The first three are measurements, for the metrics alone: float64, float64 and int64
    of shape (trials, agents of the shard), as :meth:`ChannelEnv.measure` takes them.

    Attributes:
        reward: Discounted return.
        episode_return: The same without discount.
        episode_length: Environment steps.
        signals: For a scheme that decides elsewhere; else empty.
        counts: Candidate records, int64, shape (trials, agents of the shard).
        uttered: What is sent; None where the scheme decides elsewhere.
    """

    reward: NDArray[np.float64]
    episode_return: NDArray[np.float64]
    episode_length: NDArray[np.int64]
    signals: Signals
    counts: NDArray[np.int64]
    uttered: Uttered | None


class Shard(Resumable):
    """Plays the rounds of some agents, and encodes what they send.

    Args:
        env: Their instances.
        agents: Their half of the algorithm.
        scheme: Decides here if it is separable.
        state: What the scheme remembers of these agents before the first round.
        encoder: Encodes their messages.
        team: How many agents each trial has in all.
        seed: The study's seed.
    """

    _remembered: ClassVar[tuple[str, ...]] = ("_encoder",)

    def __init__(
        self,
        env: Instances,
        agents: RoundAgents,
        scheme: Scheme,
        state: State,
        encoder: Encoder,
        *,
        team: int,
        seed: int,
    ) -> None:
        self._env, self._agents = env, agents
        self._scheme, self._state = scheme, state
        self._encoder, self._team = encoder, team
        self._study_seed = seed
        self._seed: int | None = seed
        self._messages: Messages | None = None

    def can_resume(self) -> bool:
        """Whether its agents can go on from a snapshot."""
        return self._agents.resumable

    def play(self, records: NDArray[np.void] | None, order: Order) -> Offer:
        """Plays a round.

        Args:
            records: The versions of the parameters that anybody holds.
            order: What else these agents are told.
        """
        env, agents = self._env, self._agents
        if order.heard is not None:
            self._encoder.on_receipt(order.heard.accepted)
            self._encoder.acknowledge(order.heard.known)
            agents.on_receipt(order.heard.accepted)
        observations = env.reset(seed=self._seed)
        self._seed = None
        agents.begin(order.episode)
        if records is not None and order.held is not None:
            agents.receive_versions(Versions(records, order.held))
        agents.play(env, observations)
        messages, signals = agents.candidates()
        earned = env.statistics
        measured = (
            earned.reward.reshape(env.shape),
            earned.episode_return.reshape(env.shape),
            earned.length.reshape(env.shape),
        )
        if not self._scheme.separable:
            self._messages = messages
            return Offer(*measured, signals, messages.counts, None)
        draws = SchemeDraws(env.draws, order.episode, order.planned, self._team)
        mask, self._state = decided(
            self._scheme, signals, self._state, draws, order.left
        )
        uttered = self._utter(messages.select(mask))
        return Offer(*measured, {}, messages.counts, uttered)

    def utter(self, mask: NDArray[np.bool_]) -> Uttered:
        """Encodes what a scheme elsewhere has chosen of the last candidates."""
        assert self._messages is not None
        messages, self._messages = self._messages, None
        return self._utter(messages.select(mask))

    def snapshot(self) -> Snapshot:
        """What the shard remembers between two rounds."""
        return {
            **super().snapshot(),
            "episode": self._env.episode,
            "agents": self._agents.memory,
            "scheme": self._state,
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Goes on where another shard of the same agents was."""
        super().restore(snapshot)
        agents, own = self._agents, snapshot["agents"]
        agents.memory = arrays_of(own, "the agents", agents.memory)
        self._state = arrays_of(snapshot["scheme"], "the scheme", self._state)
        self._env.resume(self._study_seed, snapshot["episode"])
        self._seed = None

    def close(self) -> None:
        """Releases what the shard holds; it is not used afterwards."""
        self._env.close()
        self._agents.close()

    def _utter(self, messages: Messages) -> Uttered:
        encoded = self._encoder.encode(messages)
        return Uttered(encoded, self._encoder.sequence, messages.records.dtype)
