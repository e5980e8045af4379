"""Rounds whose agents run elsewhere, in shards; the numbers are those of one batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from commenv.channel import Acknowledgement, Left
from commenv.channel.message import check_mask
from commenv.learning.algorithm import Learner
from commenv.learning.joining import joined_encoded, joined_signals
from commenv.learning.rounds import Rounds
from commenv.learning.scheme import Scheme, SchemeDraws, State, decided
from commenv.learning.shard import (
    Heard,
    Offer,
    Order,
    Uttered,
)
from commenv.snapshots import Snapshot
from commenv.wrappers import Metrics, Star
from commenv.wrappers.statistics import EpisodeStatistics

__all__ = ["Crew", "ShardedRounds"]


class Crew(Protocol):
    """Whoever carries calls to shards, and their answers back."""

    def share(self, value: Any) -> Any:
        """Makes a value known to all shards once; what comes back goes into calls."""

    def call(self, method: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Calls a method of every shard with its own arguments, all at a time."""

    def close(self) -> None:
        """Releases the shards."""


class ShardedRounds(Rounds):
    """Plays the same rounds as :class:`Rounds`, with agents in shards.

    Args:
        star: The links; agents encode in their shards.
        crew: Of the shards.
        shares: Which agents each shard has: the first one, and the one behind the last.
        learner: The learner's half.
        scheme: Decides here unless it is separable.
        state: What the scheme remembers before the first round.
        seed: The study's seed.
    """

    def __init__(
        self,
        star: Star,
        crew: Crew,
        shares: Sequence[slice],
        learner: Learner,
        scheme: Scheme,
        state: State,
        *,
        seed: int,
    ) -> None:
        self.star, self.learner, self.scheme = star, learner, scheme
        self._crew, self._shares, self._state = crew, list(shares), state
        self._study_seed = seed
        self._seed = seed
        self._accepted: NDArray[np.bool_] | None = None
        self._known: list[Acknowledgement] = []
        agents = star.shape[0] * star.shape[1]
        self._statistics = EpisodeStatistics(0.0, agents)  # measured by the shards

    @property
    def metrics(self) -> Metrics:
        """Of the last round, after the learner's update."""
        return self._statistics.metrics(self.star.shape, *self.star.traffic)

    def snapshot(self) -> Snapshot:
        """What everybody remembers between two rounds, the shards included."""
        return {
            "star": self.star.snapshot(),
            "learner": self.learner.memory,
            "scheme": self._state,
            "accepted": self._accepted,
            "known": [one._asdict() for one in self._known],
            "shards": self._crew.call("snapshot", [()] * len(self._shares)),
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Goes on where other rounds were, with shards of the same agents."""
        self._restore_learner(snapshot)
        self._accepted = snapshot["accepted"]
        self._known = [Acknowledgement(**one) for one in snapshot["known"]]
        self._crew.call("restore", [(one,) for one in snapshot["shards"]])
        self._seed = None

    @property
    def resumable(self) -> bool:
        """Whether every shard can go on from a snapshot."""
        return all(self._crew.call("can_resume", [()] * len(self._shares)))

    def close(self) -> None:
        """Releases the shards."""
        self._crew.close()

    def _round(self, planned: int) -> None:
        star = self.star
        if self._seed is not None:
            star.open(self._seed)
        star.begin_episode()
        self._agree()
        self._known += star.uplink.acknowledgements()
        versions = self._broadcast()
        records = None if versions is None else versions.records
        held = None if versions is None else versions.held
        shared = self._crew.share(records)
        offers = self._crew.call(
            "play",
            [(shared, self._order(share, held, planned)) for share in self._shares],
        )
        self._statistics.enter(
            np.concatenate([one.reward for one in offers], axis=1),
            np.concatenate([one.episode_return for one in offers], axis=1),
            np.concatenate([one.episode_length for one in offers], axis=1),
        )
        self._communicate_all(offers, planned)
        self._learn()

    def _order(
        self, share: slice, held: NDArray[np.intp] | None, planned: int
    ) -> Order:
        left = self.star.uplink.left
        heard = None
        if self._accepted is not None:
            heard = Heard(self._accepted[:, share], self._heard_by(share))
        return Order(
            self.star.episode,
            planned,
            heard,
            None if held is None else held[:, share],
            Left(left.messages[:, share], left.bytes[:, share]),
        )

    def _heard_by(self, share: slice) -> list[Acknowledgement]:
        """What became of one shard's messages, on links counted within it."""
        agents, own = self.star.shape[1], share.stop - share.start
        known = []
        for one in self._known:
            trial, agent = np.divmod(one.links, agents)
            mine = (agent >= share.start) & (agent < share.stop)
            links = trial[mine] * own + agent[mine] - share.start
            known.append(Acknowledgement(links, one.headers[mine], one.arrived))
        return known

    def _communicate_all(self, offers: list[Offer], planned: int) -> None:
        uttered = [one.uttered for one in offers if one.uttered is not None]
        if not self.scheme.separable:
            uttered = self._crew.call("utter", self._decide_here(offers, planned))
        receipt = self.star.uplink.send_encoded(*self._joined(uttered))
        self._accepted = receipt.accepted
        self._known = self.star.uplink.acknowledgements()

    def _decide_here(
        self, offers: list[Offer], planned: int
    ) -> list[tuple[NDArray[np.bool_]]]:
        """What each shard is to send, of each message or of each record."""
        star = self.star
        draws = SchemeDraws(star.draws, star.episode, planned)
        mask, self._state = decided(
            self.scheme, joined_signals(offers), self._state, draws, star.uplink.left
        )
        counts = np.concatenate([one.counts for one in offers], axis=1)
        check_mask(mask, counts)
        if mask.shape == counts.shape:
            return [(mask[:, share],) for share in self._shares]
        agent = np.repeat(np.arange(counts.size) % counts.shape[1], counts.ravel())
        return [
            (mask[(agent >= share.start) & (agent < share.stop)],)
            for share in self._shares
        ]

    def _joined(self, uttered: Sequence[Uttered]) -> Uttered:
        trials = self.star.shape[0]
        shapes = [(trials, share.stop - share.start) for share in self._shares]
        encoded = joined_encoded([one.encoded for one in uttered], shapes)
        numbers = [
            one.sequence.reshape(shape)
            for one, shape in zip(uttered, shapes, strict=True)
        ]
        sequence = np.concatenate(numbers, axis=1).ravel()
        return Uttered(encoded, sequence, uttered[0].dtype)
