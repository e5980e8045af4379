"""Rounds whose agents run elsewhere, in shards; the numbers are those of one batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from commenv.channel import Left, Verdict
from commenv.channel.frames import HEADER
from commenv.channel.message import check_mask
from commenv.errors import ResultsError
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
from commenv.snapshots import Snapshot, array_of, check_fits, check_within
from commenv.wrappers import ChannelEnv

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
        env: The channel; its world stands still.
        crew: Of the shards.
        shares: Which agents each shard has: the first one, and the one behind the last.
        learner: The learner's half.
        scheme: Decides here unless it is separable.
        state: What the scheme remembers before the first round.
        seed: The study's seed.
    """

    def __init__(
        self,
        env: ChannelEnv,
        crew: Crew,
        shares: Sequence[slice],
        learner: Learner,
        scheme: Scheme,
        state: State,
        *,
        seed: int,
    ) -> None:
        self.env, self.learner, self.scheme = env, learner, scheme
        self._crew, self._shares, self._state = crew, list(shares), state
        self._study_seed = seed
        self._seed = seed
        self._accepted: NDArray[np.bool_] | None = None
        self._verdicts: list[Verdict] = []

    def snapshot(self) -> Snapshot:
        """What everybody remembers between two rounds, the shards included."""
        return {
            "env": self.env.snapshot(),
            "learner": self.learner.memory,
            "scheme": self._state,
            "accepted": self._accepted,
            "verdicts": [one._asdict() for one in self._verdicts],
            "shards": self._crew.call("snapshot", [()] * len(self._shares)),
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Goes on where other rounds were, with shards of the same agents."""
        self._restore_learner(snapshot)
        self._accepted = array_of(
            snapshot["accepted"], "accepted", np.bool_, *self.env.shape
        )
        self._verdicts = [self._restored(**one) for one in snapshot["verdicts"]]
        if any(
            one["env"]["episode"] != self.env.episode
            or one["_sender"]["_dtype"] != self.env.uplink.dtype
            for one in snapshot["shards"]
        ):
            raise ResultsError("a snapshot with shards of other rounds")
        self._crew.call("restore", [(one,) for one in snapshot["shards"]])
        self.env.uplink.senders_elsewhere = True
        self._seed = None

    def _restored(self, links: Any, headers: Any, arrived: Any) -> Verdict:
        array_of(links, "links", np.intp, None)
        check_within(links, "links", 0, self.env.num_envs - 1)
        array_of(headers, "headers", HEADER, len(links))
        check_fits("arrived", True, arrived)
        return Verdict(links, headers, arrived)

    @property
    def resumable(self) -> bool:
        """Whether every shard can go on from a snapshot."""
        return all(self._crew.call("can_resume", [()] * len(self._shares)))

    def close(self) -> None:
        """Releases the shards."""
        self._crew.close()

    def _round(self, planned: int) -> None:
        self._begin()
        self.env.uplink.senders_elsewhere = True
        self._verdicts += self.env.uplink.verdicts()
        versions = self._broadcast()
        records = None if versions is None else versions.records
        held = None if versions is None else versions.held
        shared = self._crew.share(records)
        offers = self._crew.call(
            "play",
            [(shared, self._order(share, held, planned)) for share in self._shares],
        )
        self.env.measure(
            np.concatenate([one.reward for one in offers], axis=1),
            np.concatenate([one.episode_return for one in offers], axis=1),
            np.concatenate([one.episode_length for one in offers], axis=1),
        )
        self._communicate_all(offers, planned)
        self._learn()

    def _order(
        self, share: slice, held: NDArray[np.intp] | None, planned: int
    ) -> Order:
        left = self.env.uplink.left
        heard = None
        if self._accepted is not None:
            heard = Heard(self._accepted[:, share], self._heard_by(share))
        return Order(
            self.env.episode,
            planned,
            heard,
            None if held is None else held[:, share],
            Left(left.messages[:, share], left.bytes[:, share]),
        )

    def _heard_by(self, share: slice) -> list[Verdict]:
        """The verdicts on one shard's messages, on links counted within it."""
        agents, own = self.env.shape[1], share.stop - share.start
        verdicts = []
        for one in self._verdicts:
            trial, agent = np.divmod(one.links, agents)
            mine = (agent >= share.start) & (agent < share.stop)
            links = trial[mine] * own + agent[mine] - share.start
            verdicts.append(Verdict(links, one.headers[mine], one.arrived))
        return verdicts

    def _communicate_all(self, offers: list[Offer], planned: int) -> None:
        uttered = [one.uttered for one in offers if one.uttered is not None]
        if not self.scheme.separable:
            uttered = self._crew.call("utter", self._decide_here(offers, planned))
        everything = self._joined(uttered)
        receipt = self.env.send_encoded(*everything)
        self._accepted = receipt.accepted
        self._verdicts = self.env.uplink.verdicts()

    def _decide_here(
        self, offers: list[Offer], planned: int
    ) -> list[tuple[NDArray[np.bool_]]]:
        """What each shard is to send, of each message or of each record."""
        env = self.env
        draws = SchemeDraws(env.draws, env.episode, planned)
        mask, self._state = decided(
            self.scheme, joined_signals(offers), self._state, draws, env.uplink.left
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
        trials = self.env.shape[0]
        shapes = [(trials, share.stop - share.start) for share in self._shares]
        encoded = joined_encoded([one.encoded for one in uttered], shapes)
        return Uttered(encoded, uttered[0].dtype)
