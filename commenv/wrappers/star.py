"""A star of links: agents around the learner of their trial, in both directions."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from types import NoneType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from commenv.channel import (
    Channel,
    FreeForm,
    Messages,
    Network,
    Receipt,
    Received,
    Versions,
    shapes,
)
from commenv.channel.message import refuse_subclass
from commenv.channel.parts import wrong_part
from commenv.channel.plain import channel_from
from commenv.rng import Draws
from commenv.snapshots import Resumable, Snapshot
from commenv.wrappers.metrics import Meter, Traffic

__all__ = ["Star", "seed_of_star"]


def seed_of_star(seed: Any) -> int:
    """The seed that addresses the draws of a star, from what a reset was given.

    Args:
        seed: A seed; or one for each agent, of which the first counts; or None, for one
            from the operating system.
    """
    first = seed if np.ndim(seed) == 0 else seed[0]
    return secrets.randbits(63) if first is None else int(first)


class Star(Resumable):
    """An uplink and a downlink over links of shape (trials, agents).

    Args:
        trials: The trials' numbers; with the seed, they address every random draw.
        agents: How many agents each trial has, or their numbers.
        uplink: From each agent to its trial's learner; or a channel's plain data, see
            :func:`commenv.channel.plain.plain_channel`.
        downlink: From a trial's learner to its agents; likewise.
        encodes: Whether the agents encode here; see :class:`Network`.
        journal: Keep an entry for every message in the ledgers' journals.

    Raises:
        TypeError: An uplink or downlink that is no :class:`Channel`.

    Attributes:
        shape: (trials, agents).
        priced: Whether what goes up beyond a budget has a price.
        episode: How often an episode has begun, counted from 0; -1 before the first.
        draws: Of the seed that it was opened with.
        uplink: At work, with its ledger.
        downlink: Likewise.
    """

    _remembered: ClassVar[tuple[str, ...]] = (
        "episode",
        "uplink",
        "downlink",
    )
    _meters: tuple[Meter, Meter]
    draws: Draws
    uplink: Network
    downlink: Network

    def __init__(
        self,
        trials: Sequence[int],
        agents: int | Sequence[int],
        uplink: Channel | None = None,
        downlink: Channel | None = None,
        *,
        encodes: bool = True,
        journal: bool = False,
    ) -> None:
        self._agents = agents if isinstance(agents, Sequence) else range(agents)
        self.shape = (len(trials), len(self._agents))
        self.episode = -1
        self._trials = tuple(trials)
        uplink, downlink = channel_from(uplink), channel_from(downlink)
        for name, channel in (("uplink", uplink), ("downlink", downlink)):
            if not isinstance(channel, (Channel, NoneType)):
                raise TypeError(f"{name}: {wrong_part(channel, Channel)}")
        self._channels = (
            Channel() if uplink is None else uplink,
            Channel() if downlink is None else downlink,
        )
        self.priced = self._channels[0].budget.exceed == "penalize"
        self._encodes = encodes
        self._journal = journal
        self._versions: Versions | None = None
        self._first: NDArray[np.bool_] | None = None  # links that all of a trial hear
        if self._channels[1].medium == "broadcast":
            first = np.arange(self.shape[1]) == 0
            self._first = np.tile(first, self.shape[0])

    def open(self, seed: int) -> None:
        """Starts everything afresh: no episode, empty ledgers, full budgets."""
        self.draws = Draws(seed, self._trials, self._agents, owner="environment")
        up, down = self._channels
        self.uplink = shapes.uplink(
            up, self.draws, encodes=self._encodes, journal=self._journal
        )
        self.downlink = shapes.downlink(down, self.draws, journal=self._journal)
        self._meters = Meter(self.uplink), Meter(self.downlink)
        self.episode = -1
        self._versions = None

    def begin_episode(self, which: NDArray[np.bool_] | None = None) -> None:
        """Begins the next episode, and with it the next tick of both channels.

        Args:
            which: bool, shape (trials, agents): whose episode begins; everybody's when
                left out, and at the very first.

        Raises:
            ValueError: An episode begins for some of those who share a budget for it.
        """
        for meter in self._meters:
            meter.begin(None if self.episode < 0 else which)
        self.episode += 1
        for channel in (self.uplink, self.downlink):
            channel.tick(new_episode=True if which is None else which)

    def tick(self) -> None:
        """Advances both channels' clocks within the episode."""
        for channel in (self.uplink, self.downlink):
            channel.tick()

    @property
    def traffic(self) -> tuple[Traffic, Traffic]:
        """What went up and down since the episode began; not to be changed."""
        up, down = self._meters
        return up.traffic, down.traffic

    @property
    def meter(self) -> Meter:
        """Reads off what has gone up since the episode began."""
        return self._meters[0]

    def send(self, messages: Messages | FreeForm) -> Receipt:
        """Sends from the agents to their learners; see :meth:`Network.send`."""
        return self.uplink.send(messages)

    def receive(self) -> Received | list[list[Any]] | None:
        """What reached the learners since the last call."""
        return self.uplink.receive()

    def broadcast(self, parameters: NDArray[np.void]) -> Receipt:
        """Sends one record per trial from the learner to all its agents.

        Raises:
            ValueError: Not one record per trial, or NaN in one.
            BudgetExceededError: Under ``exceed="raise"``; nothing is sent then.
        """
        self._check_parameters(parameters)
        counts = np.ones((self.shape[0], 1), dtype=np.int64)
        receipt = self.downlink.send(Messages(parameters, counts), self._first)
        if self._first is not None:  # one transmission, heard by all or by none
            receipt.accepted[:] = receipt.accepted[:, :1]
        return receipt

    def charge_shared(self, records: NDArray[np.void]) -> None:
        """Enters what every agent of a trial was told before the first message.

        It is delivered, whatever budget and link are.

        Args:
            records: Structured array, shape (trials,).

        Raises:
            ValueError: Not one record per trial.
        """
        self._check_parameters(records)
        self.downlink.enter(records.dtype, self._first)

    def initialize_parameters(self, parameters: NDArray[np.void]) -> None:
        """Lets every agent hold parameters that it did not have to be sent."""
        refuse_subclass(parameters, "parameters")
        self._versions = Versions.of_trials(parameters.copy(), self.shape[1])

    def receive_broadcast(self) -> NDArray[np.void] | None:
        """The last parameters that each agent received: (trials, agents).

        An agent that has not received any yet holds what :meth:`initialize_parameters`
        gave it, or else zeros; None before the first broadcast has reached anybody and
        nothing was held.
        """
        versions = self.receive_versions()
        return None if versions is None else versions.expanded()

    def receive_versions(self) -> Versions | None:
        """The same as :meth:`receive_broadcast`, one copy of each version."""
        for delivered in self.downlink.deliveries():
            links, records = delivered.packets.links, delivered.distinct
            assert records is not None
            which = delivered.which
            which = np.arange(len(links)) if which is None else which
            if self._first is not None:  # a trial's first link is heard by all of it
                agents = self.shape[1]
                links = (links[:, None] + np.arange(agents)).ravel()
                which = np.repeat(which, agents)
            if self._versions is None:
                nothing = np.zeros(self.shape[0], records.dtype)
                self._versions = Versions.of_trials(nothing, self.shape[1])
            self._versions = self._versions.replaced(links, records, which)
        return self._versions

    def _check_parameters(self, records: NDArray[np.void]) -> None:
        refuse_subclass(records, "parameters")
        if records.shape != self.shape[:1]:
            raise ValueError(
                f"parameters have shape {records.shape}; give one record for each "
                f"of the {self.shape[0]} trials"
            )

    def snapshot(self) -> Snapshot:
        """What both channels remember, and which parameters agents hold."""
        held = self._versions
        versions = None if held is None else held._asdict()
        return {**super().snapshot(), "versions": versions}

    def restore(self, snapshot: Snapshot) -> None:
        """Takes over another star's memory; after :meth:`open` with its seed.

        Raises:
            ResultsError: It is no snapshot of such a star.
        """
        super().restore(snapshot)
        if (versions := snapshot["versions"]) is not None:
            self._versions = Versions(**versions)
