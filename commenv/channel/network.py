"""A channel at work: messages on directed links, their clock, budget and ledger."""

from __future__ import annotations

from threading import get_ident

import numpy as np
from numpy.typing import NDArray

from commenv.channel.codec import Encoded, Identity
from commenv.channel.coding import Packets
from commenv.channel.ledger import Fate
from commenv.channel.message import FREE_FORM_SCHEMA, FreeForm, Messages, schema_of
from commenv.channel.state import NetworkState
from commenv.channel.wire import HEADER
from commenv.channel.wiring import Receipt
from commenv.errors import BudgetExceededError, NotResetError

__all__ = ["Network"]


class Network(NetworkState):
    """Carries messages over directed links, and sees to it that each copy has one fate.

    A message passes encoder, budget, link and decoder; :mod:`commenv.channel.shapes`
    makes networks of the usual shapes. A message to several receivers leaves as one
    transmission that all of them hear (``medium="broadcast"``), or as a transmission on
    each link (``"unicast"``).

    A network belongs to the thread that began its last episode; see
    :class:`commenv.channel.owner.Owner`. Arguments and attributes are those of
    :class:`commenv.channel.state.NetworkState`.
    """

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
            self._owner.take()
        else:
            self.check_thread()
        if new_episode is False and self._unlimited and not self._transport.in_flight:
            self.clock += 1  # and nothing else can happen
            return
        self.revision += 1
        where: NDArray[np.bool_] | None = None
        if isinstance(new_episode, np.ndarray):
            self._gate.check_separate()
            where = new_episode.ravel()
        begins = bool(new_episode) if where is None else bool(where.any())
        self.clock += 1
        if begins:
            self.episode += 1
            self._episodes += True if where is None else where
        self._transport.land(self.clock)
        if not self._unlimited:
            for packets in self._gate.tick(self.clock, begins, where):
                self._transport.launch(packets, self.clock)
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
        encoder = self.encoder
        assert encoder is not None, "senders encode elsewhere"
        if messages.shape != (shape := self._wiring.senders.shape):
            raise ValueError(
                f"messages for {messages.shape} (trials, agents) on a channel of "
                f"{shape}; send one for each link"
            )
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
        encoder, clock = self.encoder, self.clock + 1
        assert encoder is not None, "senders encode elsewhere"
        if self._numbered_by_tick:
            encoder.number_all(clock)
        try:
            encoded = encoder.encode(messages)
            if strict:
                numbers, dtype = encoder.sequence, encoder.dtype
                packets = self._packets(encoded, numbers, dtype, leaving)
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
        self._transport.launch(packets, self.clock)
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

    def _check_begun(self) -> None:
        if self._owner.thread != get_ident():  # a call less, where all is well
            self._owner.check()
        if self.episode < 0:
            raise NotResetError(
                "a message before the first episode; reset the environment, or call "
                "tick(new_episode=True), first"
            )
