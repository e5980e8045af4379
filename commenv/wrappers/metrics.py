"""The metrics of one episode, as the environment and its channel measure them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from commenv.channel.network import Network
from commenv.channel.wire import HEADER_SIZE
from commenv.checks import check_number
from commenv.snapshots import Resumable, Snapshot

__all__ = ["Meter", "Metrics", "Traffic", "check_gamma"]


def check_gamma(gamma: float) -> None:
    """Raises TypeError or ValueError for a discount outside [0, 1]."""
    check_number("gamma", gamma, most=1)


@dataclass(frozen=True)
class Metrics:
    """One episode's metrics; every array has shape (trials, agents).

    Averaged over agents and trials they are the curves of Gunn (2023), section 3.2.
    A message belongs to the episode in which it was handed to the channel, and an
    episode lasts until the next reset.

    Where agents trained in instances of their own (:meth:`ChannelEnv.measure`), a round
    may hold many episodes or a part of one: ``episode_length`` counts all steps of the
    round, ``reward`` and ``episode_return`` are means over the episodes that ended in
    it or, where none did, of the one that goes on so far.

    Attributes:
        reward: float64: discounted return of the behaviour policy,
            sum over t of gamma^t r(t), t from 0.
        episode_return: float64: the same without discount.
        episode_length: int64: environment steps.
        frequency: float64: 1 where the agent sent at least one message, else 0; its
            mean is the share of agents that sent.
        messages: int64: uplink messages sent, that is attempted less refused: what a
            link then loses was paid for. A queued message counts in the episode in
            which it leaves.
        size: int64: uplink payload bytes sent, as really encoded; headers are
            included where the channel is told to count them.
        header_size: int64: uplink header bytes sent.
        downlink_size: int64: payload bytes sent to the agent (headers as in ``size``).
        downlink_header_size: int64: header bytes sent to the agent.
        total_size: int64: all bytes sent to and from the agent: payload, headers, and
            acknowledgements.
        refused: int64: uplink messages that a budget refused.
        refused_bytes: int64: uplink payload bytes that a budget refused or cut off.
        lost: int64: uplink messages that the link lost.
        expired: int64: uplink messages that expired, in a budget's queue (they never
            left) or on the link (they did).
        penalty: float64: the price of uplink messages beyond a budget; it is not
            subtracted from ``reward``.
        downlink_refused: int64: broadcasts to the agent that a budget refused.
        downlink_lost: int64: broadcasts to the agent that the link lost.
        downlink_penalty: float64: the price of broadcasts beyond a budget.
    """

    reward: NDArray[np.float64]
    episode_return: NDArray[np.float64]
    episode_length: NDArray[np.int64]
    frequency: NDArray[np.float64]
    messages: NDArray[np.int64]
    size: NDArray[np.int64]
    header_size: NDArray[np.int64]
    downlink_size: NDArray[np.int64]
    downlink_header_size: NDArray[np.int64]
    total_size: NDArray[np.int64]
    refused: NDArray[np.int64]
    refused_bytes: NDArray[np.int64]
    lost: NDArray[np.int64]
    expired: NDArray[np.int64]
    penalty: NDArray[np.float64]
    downlink_refused: NDArray[np.int64]
    downlink_lost: NDArray[np.int64]
    downlink_penalty: NDArray[np.float64]

    @classmethod
    def measured(
        cls,
        reward: NDArray[np.float64],
        episode_return: NDArray[np.float64],
        episode_length: NDArray[np.int64],
        up: Traffic,
        down: Traffic,
    ) -> Metrics:
        """The metrics of what agents earned and of what passed in both directions.

        What passed is copied, so that the arrays are the caller's to change.
        """
        up, down = up.copy(), down.copy()
        return cls(
            reward=reward,
            episode_return=episode_return,
            episode_length=episode_length,
            frequency=(up.messages > 0).astype(np.float64),
            messages=up.messages,
            size=up.size,
            header_size=up.header,
            downlink_size=down.size,
            downlink_header_size=down.header,
            total_size=up.total + down.total,
            refused=up.refused,
            refused_bytes=up.refused_bytes,
            lost=up.lost,
            expired=up.expired,
            penalty=up.penalty,
            downlink_refused=down.refused,
            downlink_lost=down.lost,
            downlink_penalty=down.penalty,
        )

    def mean_over_agents(self) -> dict[str, NDArray[np.float64]]:
        """Every metric's mean over a trial's agents: float64, shape (trials,).

        The mean of returns is -inf where one of them is not finite, whatever its sign:
        so a round in which something broke never looks like a good one.
        """
        stacked = np.array([getattr(self, name) for name in _METRICS], np.float64)
        with np.errstate(invalid="ignore"):  # inf - inf
            means = dict(zip(_METRICS, stacked.mean(axis=-1), strict=True))
        for name in ("reward", "episode_return"):
            means[name] = np.where(np.isfinite(means[name]), means[name], -np.inf)
        return means

    @property
    def invalid(self) -> NDArray[np.int64]:
        """How many of a trial's agents had a return that is not finite: (trials,)."""
        valid = np.isfinite(self.reward) & np.isfinite(self.episode_return)
        return np.count_nonzero(~valid, axis=1)


def _count(row: int) -> Any:
    return property(lambda traffic: traffic.counts[row])


@dataclass(frozen=True)
class Traffic:
    """What a ledger shows at one moment, so that two moments can be subtracted.

    Its numbers by name are arrays of shape (trials, agents); see :class:`Metrics`.

    Args:
        counts: int64, shape (7, trials, agents): ``messages``, ``payload``,
            ``refused``, ``refused_bytes``, ``lost``, ``expired``, ``acknowledgements``.
        penalty: float64, shape (trials, agents).
        headers: Whether the channel is told to count headers, so that ``size`` is
            ``payload`` and ``header`` and not ``payload`` alone.
    """

    counts: NDArray[np.int64]
    penalty: NDArray[np.float64]
    headers: bool = False

    messages = _count(0)
    payload = _count(1)
    refused = _count(2)
    refused_bytes = _count(3)
    lost = _count(4)
    expired = _count(5)
    acknowledgements = _count(6)

    @property
    def header(self) -> NDArray[np.int64]:
        """Bytes of headers."""
        return HEADER_SIZE * self.counts[0]

    @property
    def size(self) -> NDArray[np.int64]:
        """Bytes of payload, and of headers where they count."""
        return self.payload + self.header if self.headers else self.payload

    @property
    def total(self) -> NDArray[np.int64]:
        """All bytes: payload, headers, and those of acknowledgements."""
        return self.payload + self.header + HEADER_SIZE * self.acknowledgements

    def copy(self) -> Traffic:
        """The same numbers in arrays of their own."""
        return Traffic(self.counts.copy(), self.penalty.copy(), self.headers)

    @classmethod
    def nothing(cls, shape: tuple[int, int]) -> Traffic:
        """No message at all."""
        return cls(np.zeros((7, *shape), np.int64), np.zeros(shape))

    @classmethod
    def read(cls, channel: Network) -> Traffic:
        """The totals since a channel was opened."""
        ledger = channel.ledger
        return cls(ledger.traffic, ledger.penalty, channel.channel.headers)

    def where(self, which: NDArray[np.bool_], other: Traffic) -> Traffic:
        """These numbers for some agents, and another's elsewhere.

        Args:
            which: bool, shape (trials, agents): whose are these.
            other: Of the same shape.
        """
        return Traffic(
            np.where(which, self.counts, other.counts),
            np.where(which, self.penalty, other.penalty),
            self.headers,
        )

    def since(self, earlier: Traffic) -> Traffic:
        """What came between an earlier moment and this one."""
        return Traffic(
            self.counts - earlier.counts, self.penalty - earlier.penalty, self.headers
        )


class Meter(Resumable):
    """Reads off what has passed through a channel since episodes began.

    The ledger is looked at again only after it has changed, so that silence costs
    nothing.

    Args:
        channel: At work.
    """

    def __init__(self, channel: Network) -> None:
        self._channel = channel
        self._now, self._revision = Traffic.read(channel), channel.revision
        self._before = self._now
        self._since: Traffic | None = None
        self._known: list[tuple[float, ...]] | None = None

    @property
    def traffic(self) -> Traffic:
        """What has passed in the episodes so far; shared, so not to be changed."""
        now = self._total()
        if self._since is None:
            self._since, self._known = now.since(self._before), None
        return self._since

    @property
    def known(self) -> list[tuple[float, ...]]:
        """What each sender of a single trial may know; shared, so not to be changed.

        Messages sent and refused in the episode so far, messages and bytes left of the
        budget.
        """
        traffic = self.traffic
        if self._known is None:
            left = self._channel.left
            columns = (traffic.messages, traffic.refused, left.messages, left.bytes)
            rows = (column[0].tolist() for column in columns)
            self._known = list(zip(*rows, strict=True))
        return self._known

    def begin(self, which: NDArray[np.bool_] | None = None) -> None:
        """Begins episodes with what passes from now on.

        Args:
            which: bool, shape (trials, agents): whose; everybody's if left out.
        """
        now = self._total()
        self._before = now if which is None else now.where(which, self._before)
        self._since = None

    def snapshot(self) -> Snapshot:
        """The totals when the episodes began."""
        return {"counts": self._before.counts, "penalty": self._before.penalty}

    def restore(self, snapshot: Snapshot) -> None:
        """Reads on, of episodes that began with these totals."""
        headers = self._channel.channel.headers
        self._before = Traffic(snapshot["counts"], snapshot["penalty"], headers)
        self._since = None

    def _total(self) -> Traffic:
        revision = self._channel.revision
        if revision != self._revision:
            self._now, self._revision = Traffic.read(self._channel), revision
            self._since = None
        return self._now


_METRICS = tuple(field.name for field in fields(Metrics))
