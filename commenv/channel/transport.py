"""The links of a network at work: what is on its way, lost, late, or delivered."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from commenv.channel.awaited import Acknowledgement
from commenv.channel.channel import Channel
from commenv.channel.coding import Decoder, Delivered, Packets
from commenv.channel.ledger import Fate, Ledger
from commenv.channel.link import Payloads, PerfectLink, Sending
from commenv.channel.wire import HEADER_SIZE
from commenv.channel.wiring import Wiring
from commenv.errors import MalformedMessage
from commenv.rng import LinkDraws
from commenv.snapshots import Resumable, Snapshot, arrays_of

__all__ = ["Transport"]


class _InFlight(NamedTuple):
    """Packets on a link, at most one for each; arrays of shape (m,).

    Attributes:
        packets: The messages.
        due: int64: the ticks in which they arrive or expire.
        expires: bool: whether they expire then; None where none does.
    """

    packets: Packets
    due: NDArray[np.int64]
    expires: NDArray[np.bool_] | None

    def take(self, which: NDArray[np.bool_]) -> _InFlight:
        """The messages where a mask is true."""
        expires = None if self.expires is None else self.expires[which]
        return _InFlight(self.packets.take(which), self.due[which], expires)


class Transport(Resumable):
    """Carries packets over links, and sees to it that each meets one fate.

    Args:
        channel: Whose link it is, and whether receivers acknowledge.
        wiring: Who is linked to whom, and who pays.
        ledger: Where fates are entered.
        decoder: Reads what arrives.
        receivers: How many hear, and acknowledge, what is on a link.

    Attributes:
        distances: float64, shape (links,): how far senders are from receivers; None
            until somebody says.
        inactive: bool, shape (links,): where nobody listens any more, so that what
            would arrive is lost; None where somebody does everywhere.
        inbox: What arrived, in order, until somebody takes it.
        known: Acknowledgements, likewise.
        in_flight: What is on the links, in the order in which it was put on.
    """

    def __init__(
        self,
        channel: Channel,
        wiring: Wiring,
        ledger: Ledger,
        decoder: Decoder,
        receivers: int,
    ) -> None:
        self.distances: NDArray[np.float64] | None = None
        self.inactive: NDArray[np.bool_] | None = None
        self.inbox: list[Delivered] = []
        self.known: list[Acknowledgement] = []
        self._channel = channel
        self._link = channel.link
        self._perfect = type(channel.link) is PerfectLink
        self._distorts = channel.link.distorts
        self._draws = LinkDraws(wiring.links, "link")
        self._payer_of = wiring.flat_payers
        self._ledger = ledger
        self._decoder = decoder
        self._receivers = receivers
        self._state = channel.link.start(wiring.links.shape[0] * wiring.links.shape[1])
        self.in_flight: list[_InFlight] = []

    def launch(self, packets: Packets, clock: int) -> None:
        """Enters that packets leave, and puts them on their links, one on each at most.

        Args:
            packets: The messages.
            clock: The tick.
        """
        payers, sizes = packets.links, packets.sizes
        if self._payer_of is not None:
            payers = self._payer_of[payers]
            if self._channel.medium == "broadcast" and len(payers):
                # One transmission for all copies of a message, which stand together.
                first = np.ones(len(payers), dtype=np.bool_)
                np.not_equal(payers[1:], payers[:-1], out=first[1:])
                payers, sizes = payers[first], sizes[first]
        self._ledger.send(payers, sizes)
        if self._perfect:
            self._arrive(packets)
            return
        links, distances = packets.links, self.distances
        sending = Sending(
            links,
            packets.sizes + HEADER_SIZE,
            clock,
            None if distances is None else distances[links],
        )
        transit, self._state = self._link.carry(sending, self._state, self._draws)
        lost, delay, expired = transit
        if self._distorts and len(links):
            packets = self._distorted(packets)
        if delay is None or not np.count_nonzero(delay):
            if np.count_nonzero(lost):
                self.fail(Fate.LOST, packets.take(lost))
                packets = packets.take(~lost)
                expired = None if expired is None else expired[~lost]
            self._arrive(packets, expired)
            return
        self.fail(Fate.LOST, packets.take(lost))
        sent = _InFlight(packets, clock + delay, expired)
        later = sent.take(~lost & (delay > 0))
        self.settle(Fate.IN_FLIGHT, later.packets)
        self.in_flight.append(later)
        here = sent.take(~lost & (delay == 0))
        self._arrive(here.packets, here.expires)

    def land(self, clock: int) -> None:
        """Takes off the links what is due, in the order in which it was put on."""
        batches, self.in_flight = self.in_flight, []
        for batch in batches:
            due = batch.due <= clock
            if not due.all():
                self.in_flight.append(batch.take(~due))
            landed = batch.take(due)
            self.take_off(landed.packets)
            self._arrive(landed.packets, landed.expires)

    def abandon(self) -> None:
        """Lets everything on the links expire."""
        batches, self.in_flight = self.in_flight, []
        for batch in batches:
            self.take_off(batch.packets)
            self.fail(Fate.EXPIRED, batch.packets)

    def settle(self, fate: Fate, packets: Packets) -> None:
        """Enters the fate of packets, at most one for each link."""
        self._ledger.settle(fate, packets.links, packets.sizes, packets.headers)

    def take_off(self, packets: Packets) -> None:
        """Enters that packets were in flight, or waited, until now."""
        self._ledger.land(packets.links, packets.sizes)

    def fail(self, fate: Fate, packets: Packets) -> None:
        """Enters the fate of packets that left, or waited, and will never arrive."""
        if not len(packets.links):
            return
        self.settle(fate, packets)
        self._acknowledge(packets, False)

    def snapshot(self) -> Snapshot:
        """What the links remember, how far they have drawn, and what is on them.

        Raises:
            RuntimeError: Something has arrived that nobody has asked for yet.
        """
        if self.inbox or self.known:
            raise RuntimeError(
                "a snapshot of a channel with messages in its inbox; receive() first"
            )
        in_flight = [
            {**batch._asdict(), "packets": batch.packets.alone()._asdict()}
            for batch in self.in_flight
        ]
        drawn = self._draws.snapshot()
        return {"state": self._state, "drawn": drawn, "in_flight": in_flight}

    def restore(self, snapshot: Snapshot) -> None:
        """Takes over other links' memory, draws and packets.

        Raises:
            ResultsError: It is not a snapshot of such links.
        """
        self._state = arrays_of(snapshot["state"], "the link", self._state)
        self._draws.restore(snapshot["drawn"])
        self.in_flight = [
            _InFlight(**{**batch, "packets": Packets(**batch["packets"])})
            for batch in snapshot["in_flight"]
        ]

    def _arrive(
        self, packets: Packets, expires: NDArray[np.bool_] | None = None
    ) -> None:
        """Delivers packets, but for those that expire or cannot be read."""
        if expires is not None and np.count_nonzero(expires):
            self.fail(Fate.EXPIRED, packets.take(expires))
            packets = packets.take(~expires)
        if self.inactive is not None:
            unheard = self.inactive[packets.links]
            self.fail(Fate.LOST, packets.take(unheard))
            packets = packets.take(~unheard)
        if not len(packets.links):
            return
        try:
            self._deliver(packets)
        except MalformedMessage:
            if not self._decoder.may_fail:
                raise  # nothing on the way can have caused it
            for position in range(len(packets.links)):
                alone = packets.take(np.array([position]))
                try:
                    self._deliver(alone)
                except MalformedMessage:
                    self.fail(Fate.LOST, alone)

    def _deliver(self, packets: Packets) -> None:
        """Reads packets, and puts them into the inbox.

        Raises:
            MalformedMessage: One cannot be read; nothing has happened then.
        """
        self.inbox.append(self._decoder.decode(packets))
        self._ledger.settle(
            Fate.DELIVERED, packets.links, packets.sizes, packets.headers
        )
        if self._channel.acknowledgements:
            self._ledger.acknowledge(packets.links, self._receivers)
            self._acknowledge(packets, True)

    def _acknowledge(self, packets: Packets, arrived: bool) -> None:
        if self._channel.acknowledgements:
            one = Acknowledgement(packets.links, packets.headers, arrived)
            self.known.append(one)

    def _distorted(self, packets: Packets) -> Packets:
        """The packets with the payloads that will arrive."""
        own, dtype = packets.alone(), self._decoder.dtype
        wire: np.dtype[Any] | None = None
        if dtype is not None:
            wire = self._channel.codec.wire(dtype)
        sequence = own.headers["sequence"]
        payloads = Payloads(own.data, own.sizes, own.links, sequence, wire)
        return own._replace(data=self._link.distort(payloads, self._draws))
