"""What a network is made of and remembers, and what it has delivered."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from commenv.channel.awaited import Acknowledgement
from commenv.channel.channel import Channel
from commenv.channel.coding import Decoder, Delivered, Encoder
from commenv.channel.delivered import free_form_of, received
from commenv.channel.gate import Gate
from commenv.channel.ledger import Ledger
from commenv.channel.message import Received
from commenv.channel.meter import Left
from commenv.channel.owner import Owner
from commenv.channel.transport import Transport
from commenv.channel.wiring import Wiring
from commenv.snapshots import Resumable, Snapshot

__all__ = ["NetworkState"]


class NetworkState(Resumable):
    """The parts of a network, and its receivers' side.

    Args:
        channel: What it is made of.
        wiring: Who is linked to whom.
        encodes: Whether senders encode here. Else :class:`commenv.channel.Encoder` does
            elsewhere: :meth:`send_encoded` takes its payloads, and
            :meth:`acknowledgements` is for it.
        dtype: Of the records, where it is known before the first message.
        numbered_by_tick: Whether headers carry the tick as their sequence number, so
            that receivers know how old a message is. Then a sender may send once in a
            tick. Else messages are counted.
        receivers: How many hear what is on a link, and confirm it where the channel has
            acknowledgements.
        journal: Keep an entry for every copy in ``ledger.journal``.

    Attributes:
        channel: As given.
        shape: (copies, links).
        ledger: What was sent, and what became of it.
        clock: Ticks so far.
        episode: How often an episode has begun, counted from 0; -1 before the first.
        revision: Another number whenever the ledger or what is left of the budget may
            have changed, so that readers need not look again where nothing has.
        encoder: Of the senders; None where they encode elsewhere.

    Raises:
        TypeError: Records of ``dtype`` that the codec cannot encode.
    """

    _remembered: ClassVar[tuple[str, ...]] = (
        "clock",
        "episode",
        "ledger",
        "_episodes",
        "_begun",
        "_decoder",
        "_transport",
        "_gate",
    )

    def __init__(
        self,
        channel: Channel,
        wiring: Wiring,
        *,
        encodes: bool = True,
        dtype: np.dtype[np.void] | None = None,
        numbered_by_tick: bool = False,
        receivers: int = 1,
        journal: bool = False,
    ) -> None:
        self.channel = channel
        self.shape = wiring.links.shape
        self.clock = 0
        self.episode = -1
        self.ledger = Ledger(self.shape, wiring, journal=journal)
        self._wiring = wiring
        self._numbered_by_tick = numbered_by_tick
        self._episodes = np.full(self.shape[0] * self.shape[1], -1)
        self._sender_of = wiring.flat_senders
        self._payer_of = wiring.flat_payers
        self._senders_pay = wiring.by_sender or wiring.sources is None
        self.encoder = Encoder(channel, wiring) if encodes else None
        self._decoder = Decoder(channel, wiring)
        self._transport = Transport(
            channel, wiring, self.ledger, self._decoder, receivers
        )
        self._gate = Gate(channel, wiring, self.ledger, self._transport)
        self._begun = dtype is not None
        if dtype is not None:
            self._decoder.begin(dtype)
            if self.encoder is not None:
                self.encoder.begin(dtype)
        self._unlimited = channel.budget.unlimited
        self._endless = self._gate.left  # unless there is a limit
        self._owner = Owner()
        self.revision = 0

    @property
    def left(self) -> Left:
        """What is left of the budget in the current window; not to be written to."""
        return self._endless if self._unlimited else self._gate.left

    @property
    def dtype(self) -> np.dtype[np.void] | None:
        """Of the records that it was sent; None before them, and for free form."""
        return self._decoder.dtype

    def set_distances(self, distances: NDArray[np.float64]) -> None:
        """Says how far senders are from receivers, until told otherwise.

        Args:
            distances: float64, shape (copies, links), in the environment's unit.
        """
        self._transport.distances = np.broadcast_to(distances, self.shape).ravel()

    def set_active_links(self, active: NDArray[np.bool_]) -> None:
        """Says on which links somebody listens; what would arrive on others is lost.

        Args:
            active: bool, shape (links,), of all copies.
        """
        all_active = np.count_nonzero(active) == len(active)
        self._transport.inactive = None if all_active else ~active

    def receive(self) -> Received | list[list[Any]] | None:
        """Everything delivered since the last call, decoded.

        Returns:
            Records as :class:`Received`; for free-form payloads a list for each link,
            in order of arrival; None before anybody has sent anything.

        Raises:
            WrongThreadError: Another thread has begun the episode.
        """
        deliveries = self.deliveries()
        if not self._begun:
            return None
        if self._decoder.dtype is None:
            return free_form_of(deliveries, len(self._episodes))
        return received(deliveries, self._decoder.dtype, self.shape)

    def deliveries(self) -> list[Delivered]:
        """The same as :meth:`receive`, in order of arrival and without a copy.

        Raises:
            WrongThreadError: Another thread has begun the episode.
        """
        self.check_thread()
        inbox, self._transport.inbox = self._transport.inbox, []
        return inbox

    def acknowledgements(self) -> list[Acknowledgement]:
        """What encoders elsewhere are to be told, since the last call.

        Empty where the channel has no acknowledgements.
        """
        known, self._transport.known = self._transport.known, []
        return known

    def check_thread(self) -> None:
        """Checks that the network's thread is at work; without one, this one is it.

        Raises:
            WrongThreadError: It is another thread.
        """
        self._owner.check()

    def snapshot(self) -> Snapshot:
        """What the network remembers.

        Raises:
            RuntimeError: Something has arrived that nobody has asked for yet.
        """
        encoder = None if self.encoder is None else self.encoder.snapshot()
        return {**super().snapshot(), "encoder": encoder}

    def restore(self, snapshot: Snapshot) -> None:
        """Takes over another network's memory; before the first tick.

        Raises:
            ResultsError: It is not a snapshot of such a network.
        """
        super().restore(snapshot)
        self.revision += 1
        if self.encoder is not None:
            self.encoder.restore(snapshot["encoder"])
