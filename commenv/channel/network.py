"""A channel at work: messages on directed links, their clock, budget and ledger."""

from __future__ import annotations

import threading
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from commenv.channel.awaited import Acknowledgement
from commenv.channel.channel import Channel
from commenv.channel.codec import Encoded, Identity
from commenv.channel.coding import Decoder, Delivered, Encoder, Packets
from commenv.channel.delivered import free_form_of, received
from commenv.channel.gate import Gate
from commenv.channel.ledger import Fate, Ledger
from commenv.channel.message import (
    FREE_FORM_SCHEMA,
    FreeForm,
    Messages,
    Received,
    schema_of,
)
from commenv.channel.meter import Left
from commenv.channel.transport import Transport
from commenv.channel.wire import HEADER
from commenv.channel.wiring import Receipt, Wiring
from commenv.errors import BudgetExceededError, NotResetError, WrongThreadError
from commenv.snapshots import Resumable, Snapshot

__all__ = ["Network"]


class Network(Resumable):
    """Carries messages over directed links, and sees to it that each copy has one fate.

    A message passes encoder, budget, link and decoder; :mod:`commenv.channel.shapes`
    makes networks of the usual shapes. A message to several receivers leaves as one
    transmission that all of them hear (``medium="broadcast"``), or as a transmission on
    each link (``"unicast"``).

    A network belongs to the thread that began its last episode: its budget is read and
    then booked, so two threads at once would spend the same byte twice. A reset in
    another thread takes it over, and copies belong to whoever uses them first.

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
            channel, wiring.links, self.ledger, self._decoder, receivers
        )
        self._gate = Gate(channel, wiring, self.ledger, self._transport)
        self._begun = dtype is not None
        if dtype is not None:
            self._decoder.begin(dtype)
            if self.encoder is not None:
                self.encoder.begin(dtype)
        self._unlimited = channel.budget.unlimited
        self._endless = self._gate.left  # unless there is a limit
        self._thread: int | None = None
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

    def tick(self, *, new_episode: bool | NDArray[np.bool_] = False) -> None:
        """Advances the clock by one step, or round.

        What the links have carried until now arrives. Windows that end are renewed;
        messages that have waited too long expire, and then those that fit are sent,
        the oldest first.

        Args:
            new_episode: The tick also begins the next episode: everywhere, or bool,
                shape (copies, links), on some links.

        Raises:
            ValueError: An episode begins for some of those who share a budget for it.
            WrongThreadError: Another thread than the network's, unless the next episode
                begins everywhere: then the network is the current thread's.
        """
        if new_episode is True:
            self._thread = threading.get_ident()
        else:
            self.check_thread()
        if new_episode is False and self._unlimited and not self._transport.in_flight:
            self.clock += 1  # and nothing else can happen
            return
        self.revision += 1
        where: NDArray[np.bool_] | None = None
        if isinstance(new_episode, np.ndarray):
            self._check_separate_budgets()
            where = new_episode.ravel()
        begins = bool(new_episode) if where is None else bool(where.any())
        self.clock += 1
        if begins:
            self.episode += 1
            self._episodes += True if where is None else where
        self._transport.land(self.clock)
        if not self._unlimited:
            for packets in self._gate.tick(self.clock, begins, where):
                self._leave(packets)
        self._acknowledge()

    def abandon(self) -> None:
        """Lets everything expire that waits or is in flight, and empties the inbox.

        On all links somebody listens again.
        """
        self.revision += 1
        self._gate.abandon()
        self._transport.abandon()
        self._transport.inbox = []
        self._transport.inactive = None
        self._acknowledge()

    def send(
        self,
        messages: Messages | FreeForm,
        leaving: NDArray[np.bool_] | None = None,
    ) -> Receipt:
        """Sends one message from each sender that is not silent.

        Args:
            messages: Of shape (copies, senders).
            leaving: bool, shape (links,) of all copies: the links on which a message
                leaves, none of a silent sender; all of a sender's if left out.

        Raises:
            NotResetError: No episode has begun.
            ValueError: Messages for senders of another shape, or of another form than
                this network's earlier ones.
            EncodingError: A number that the codec cannot encode, and whose it is.
            BudgetExceededError: Under ``exceed="raise"``; nothing is sent then.
        """
        self._check_begun()
        encoder = self._encoder_for(messages)
        if self._numbered_by_tick:
            encoder.number_all(self.clock)
        try:
            encoded = encoder.encode(messages)
            accepted = self._post(encoded, encoder.sequence, encoder.dtype, leaving)
        except BudgetExceededError as error:
            self._wiring.blame(error)
            raise
        if self._sender_of is None:
            encoder.on_receipt(accepted)
        else:
            encoder.on_receipt(*self._wiring.by_senders(accepted, leaving))
        if self._transport.known:
            self._acknowledge()
        return self._receipt(encoded, accepted)

    def send_encoded(
        self, encoded: Encoded, sequence: NDArray[np.uint32], dtype: np.dtype[np.void]
    ) -> Receipt:
        """Sends payloads that encoders elsewhere have made; every link has a sender.

        What becomes of them is told by :meth:`acknowledgements` alone.

        Args:
            encoded: Of all senders.
            sequence: uint32, shape (senders,): their messages' numbers.
            dtype: Of the records in them.

        Raises:
            NotResetError: No episode has begun.
            BudgetExceededError: Under ``exceed="raise"``; nothing is sent then.
        """
        self._check_begun()
        try:
            accepted = self._post(encoded, sequence, dtype, None)
        except BudgetExceededError as error:
            self._wiring.blame(error)
            raise
        return self._receipt(encoded, accepted)

    def check(self, messages: Messages, leaving: NDArray[np.bool_]) -> None:
        """Raises what :meth:`send` would raise after the next tick; sends nothing.

        So a world can take its step in between, and neither happens without the other.

        Args:
            messages: As for :meth:`send`.
            leaving: Likewise.

        Raises:
            NotResetError: No episode has begun.
            EncodingError: A number that the codec cannot encode, and whose it is.
            BudgetExceededError: Under ``exceed="raise"``.
        """
        self._check_begun()
        strict = self.channel.budget.exceed == "raise"
        fails = strict or not isinstance(self.channel.codec, Identity)
        if not fails or not len(messages.records):
            return
        encoder, clock = self._encoder_for(messages), self.clock + 1
        if self._numbered_by_tick:
            encoder.number_all(clock)
        try:
            encoded = encoder.encode(messages)
            packets = self._packets(encoded, encoder.sequence, encoder.dtype, leaving)
            self._gate.check(packets, *self._charged(encoded, packets), clock)
        except BudgetExceededError as error:
            self._wiring.blame(error)
            raise

    def enter(
        self, dtype: np.dtype[np.void], leaving: NDArray[np.bool_] | None = None
    ) -> None:
        """Enters records that receivers were told beforehand, whatever budget and link.

        Args:
            dtype: Of the one record on each link.
            leaving: bool, shape (links,) of all copies: on which links; on all if left
                out.

        Raises:
            NotResetError: No episode has begun.
        """
        self._check_begun()
        self.revision += 1
        count = len(self._episodes)
        links = np.arange(count) if leaving is None else leaving.nonzero()[0]
        sizes = np.full(len(links), dtype.itemsize, dtype=np.int64)
        headers = self._headers(links, np.zeros(count, np.uint32), dtype)
        self.ledger.attempt(links, sizes)
        self.ledger.send(links, sizes)
        self.ledger.settle(Fate.DELIVERED, links, sizes, headers)

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
        here = threading.get_ident()
        if self._thread is None:
            self._thread = here
        elif self._thread != here:
            raise WrongThreadError(
                f"thread {threading.current_thread().name!r} uses a channel that "
                "another thread has reset; give each thread an environment of its own, "
                "or reset this one in the thread that goes on with it"
            )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_thread": None}

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

    def _post(
        self,
        encoded: Encoded,
        sequence: NDArray[np.uint32],
        dtype: np.dtype[np.void] | None,
        leaving: NDArray[np.bool_] | None,
    ) -> NDArray[np.bool_]:
        """Budget, links and ledger; whose message was accepted, (copies, payers)."""
        packets = self._packets(encoded, sequence, dtype, leaving)
        payers, sizes = self._charged(encoded, packets)
        accepted = np.zeros(self.ledger.payers, dtype=np.bool_)
        self.revision += 1
        if self._unlimited:
            self.ledger.attempt(packets.links, packets.sizes)
            accepted.reshape(-1)[payers] = True
        else:
            packets, passed = self._gate.admit(
                packets, payers, sizes, dtype, self.clock
            )
            accepted.reshape(-1)[payers[passed]] = True
        if not self._begun:
            self._begun = True
            self._decoder.begin(dtype)
        self._leave(packets)
        return accepted

    def _packets(
        self,
        encoded: Encoded,
        sequence: NDArray[np.uint32],
        dtype: np.dtype[np.void] | None,
        leaving: NDArray[np.bool_] | None,
    ) -> Packets:
        """A packet for each link that a message leaves on."""
        present, sizes = encoded.present, encoded.sizes
        if self._sender_of is None:
            senders = links = present.nonzero()[0]
        else:
            chosen = present[self._sender_of] if leaving is None else leaving
            links = chosen.nonzero()[0]
            senders = self._sender_of[links]
        # Copies of a message share its bytes.
        starts = sizes.cumsum() - sizes
        headers = self._headers(links, sequence, dtype)
        return Packets(links, headers, encoded.data, starts[senders], sizes[senders])

    def _headers(
        self,
        links: NDArray[np.intp],
        sequence: NDArray[np.uint32],
        dtype: np.dtype[np.void] | None,
    ) -> NDArray[np.void]:
        senders = links if self._sender_of is None else self._sender_of[links]
        headers = np.zeros(len(links), HEADER)
        headers["sender"] = self._wiring.numbers[senders]
        headers["episode"] = self._episodes[links]
        headers["sequence"] = sequence[senders]
        headers["schema"] = FREE_FORM_SCHEMA if dtype is None else schema_of(dtype)
        return headers

    def _charged(
        self, encoded: Encoded, packets: Packets
    ) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        """Who pays, and for how many bytes."""
        if self._payer_of is None:
            return packets.links, packets.sizes
        payers = encoded.present.nonzero()[0]
        return payers, encoded.sizes[payers]

    def _leave(self, packets: Packets) -> None:
        """Pays for accepted packets, and puts them on their links."""
        payers, sizes = packets.links, packets.sizes
        if self._payer_of is not None:
            payers = self._payer_of[payers]
            if self.channel.medium == "broadcast" and len(payers):
                first = np.ones(len(payers), dtype=np.bool_)
                np.not_equal(payers[1:], payers[:-1], out=first[1:])
                payers, sizes = payers[first], sizes[first]
        self.ledger.send(payers, sizes)
        self._transport.launch(packets, self.clock)

    def _receipt(self, encoded: Encoded, accepted: NDArray[np.bool_]) -> Receipt:
        ended = np.zeros(accepted.shape, dtype=np.bool_)
        if self.channel.budget.exceed == "terminate" and self._senders_pay:
            ended = encoded.present.reshape(accepted.shape) & ~accepted
        left = self._endless if self._unlimited else self._gate.left
        return Receipt(accepted, ended, left)

    def _acknowledge(self) -> None:
        """Tells the codec what has become of messages, unless it is elsewhere."""
        if self.encoder is not None:
            self.encoder.acknowledge(self.acknowledgements())

    def _encoder_for(self, messages: Messages | FreeForm) -> Encoder:
        shape = self._wiring.senders.shape
        if messages.shape != shape:
            raise ValueError(
                f"messages for {messages.shape} (trials, agents) on a channel of "
                f"{shape}; send one for each link"
            )
        assert self.encoder is not None, "senders encode elsewhere"
        return self.encoder

    def _check_begun(self) -> None:
        self.check_thread()
        if self.episode < 0:
            raise NotResetError(
                "a message before the first episode; reset the environment, or call "
                "tick(new_episode=True), first"
            )

    def _check_separate_budgets(self) -> None:
        budget = self.channel.budget
        shared = budget.scope == "team" or self.channel.medium == "broadcast"
        if shared and budget.per == "episode" and not budget.unlimited:
            raise ValueError(
                "a budget per episode that agents share, but their episodes begin at "
                "different times; use per='step' or 'lifetime', or a budget for each"
            )
