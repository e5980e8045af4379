"""A channel at work over the links of a batch: its clock, its budget, its ledger."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from commenv.channel.budget import Accounts, Admission, Left
from commenv.channel.channel import Channel
from commenv.channel.codec import Encoded, Incoming, Memory
from commenv.channel.frames import (
    HEADER,
    HEADER_SIZE,
    LEARNER,
    TRUNCATED,
    Frames,
    merge,
)
from commenv.channel.ledger import Fate, Ledger
from commenv.channel.link import Payloads, Sending
from commenv.channel.message import (
    FREE_FORM_SCHEMA,
    FreeForm,
    Messages,
    Received,
    refuse_nan,
    schema_of,
)
from commenv.channel.payload import pack, unpack
from commenv.channel.randomness import LinkDraws, MessageDraws
from commenv.draws import Draws
from commenv.errors import MalformedMessage, NotResetError

__all__ = ["LiveChannel", "Receipt"]


class Receipt(NamedTuple):
    """What senders are told; whether a link lost a message is not in it.

    Attributes:
        accepted: bool, shape (trials, agents): the message was sent, or waits to be.
            False where it was refused, and where there was none.
        ended: bool, shape (trials, agents): a budget with ``exceed="terminate"`` ends
            this agent's episode.
        left: What is left of the budget.
    """

    accepted: NDArray[np.bool_]
    ended: NDArray[np.bool_]
    left: Left


class _Waiting(NamedTuple):
    """A message that a budget queued; its window has ended once ``due`` is known."""

    frame: Frames
    due: int | None

    @property
    def link(self) -> int:
        return int(self.frame.links[0])

    @property
    def size(self) -> int:
        return int(self.frame.sizes[0])


class _UnderWay(NamedTuple):
    """Messages on the link, at most one for each; arrays of shape (m,).

    Attributes:
        frames: The messages.
        due: The ticks in which they arrive or expire.
        expires: Whether they expire then.
    """

    frames: Frames
    due: NDArray[np.int64]
    expires: NDArray[np.bool_]

    def take(self, which: NDArray[np.bool_]) -> _UnderWay:
        return _UnderWay(self.frames.take(which), self.due[which], self.expires[which])


class _Read(NamedTuple):
    """Messages that arrived and were read; their payloads, one for each.

    Attributes:
        frames: The messages.
        records: Of all of them, message by message; None for free-form payloads.
        lengths: Records of each.
    """

    frames: Frames
    records: NDArray[np.void] | None
    lengths: NDArray[np.int64]


class _Awaited(NamedTuple):
    """A sending whose messages' fates the codec is still to be told.

    Attributes:
        pending: What the codec returned for it.
        sequence: The number of each sender's message.
        open: Which senders' fates are not known yet.
    """

    pending: Memory
    sequence: NDArray[np.uint32]
    open: NDArray[np.bool_]


class LiveChannel:
    """One direction of a channel, over links of shape (trials, agents).

    Args:
        channel: What it is made of.
        direction: ``"uplink"`` (each link has a sender of its own) or ``"downlink"``
            (the learner of a trial sends to all of its agents).
        draws: Where the order of a team and the link's losses come from.
        journal: Keep an entry for every single message in ``ledger.journal``.

    Attributes:
        channel: The description.
        shape: (trials, agents).
        ledger: What was sent, and what became of it.
        clock: Ticks so far.
        episode: The episode that headers are stamped with, -1 before the first.
    """

    def __init__(
        self,
        channel: Channel,
        direction: Literal["uplink", "downlink"],
        draws: Draws,
        *,
        journal: bool = False,
    ) -> None:
        if direction == "uplink" and channel.medium == "broadcast":
            raise ValueError(
                "medium='broadcast' on an uplink: each agent has a message of its own; "
                "use 'unicast'"
            )
        if direction == "downlink" and channel.acknowledgements:
            raise ValueError(
                "acknowledgements on a downlink: a broadcast has many receivers; use "
                "them on the uplink"
            )
        trials, agents = draws.shape
        self.channel = channel
        self.shape = draws.shape
        self.ledger = Ledger(draws.shape, journal=journal)
        self.clock = 0
        self.episode = -1
        self._direction = direction
        self._draws = draws
        self._accounts = Accounts(
            channel.budget, draws.shape, HEADER_SIZE if channel.headers else 0
        )
        self._senders = draws.shape if direction == "uplink" else (trials, 1)
        self._memory: Memory = {}
        self._receiver: Memory = {}
        self._link_draws = LinkDraws(draws, f"{direction} link")
        self._link_state = channel.link.start(trials * agents)
        self._agents = np.tile(np.array(draws.agents, np.uint32), trials)
        self._sequence = np.zeros(trials * agents, dtype=np.uint32)
        self._dtype: np.dtype[np.void] | None = None
        self._begun = False
        self._inbox: list[_Read] = []
        self._queue: list[_Waiting] = []
        self._under_way: list[_UnderWay] = []
        self._distances: NDArray[np.float64] | None = None
        self._awaited: list[_Awaited] = []
        self._known: list[tuple[Frames, bool]] = []

    @property
    def left(self) -> Left:
        """What is left of the budget in the current window."""
        return self._accounts.left()

    def tick(self, *, new_episode: bool = False) -> None:
        """Advances the clock by one step, or round.

        What the link has carried until now arrives. Windows that end are renewed;
        messages that have waited too long expire, and then those that fit are sent,
        the oldest first.

        Args:
            new_episode: The tick also begins the next episode.
        """
        self.clock += 1
        self.episode += new_episode
        self._land()
        per = self.channel.budget.per
        if per == "step" or (per == "episode" and new_episode):
            self._accounts.renew()
            due = self.clock + self.channel.budget.max_wait
            self._queue = [
                waiting if waiting.due is not None else waiting._replace(due=due)
                for waiting in self._queue
            ]
        if self._queue:
            self._expire()
            self._serve()
        self._acknowledge()

    def locate(self, distances: NDArray[np.float64]) -> None:
        """Tells the link how far senders are from receivers, until told otherwise.

        Args:
            distances: float64, shape (trials, agents), in the environment's unit.
        """
        self._distances = np.broadcast_to(distances, self.shape).ravel()

    def send(self, messages: Messages | FreeForm) -> Receipt:
        """Sends one message from each agent that is not silent.

        Raises:
            NotResetError: No episode has begun.
            ValueError: Messages for links of another shape, or of another form than
                this channel's earlier ones.
            BudgetExceededError: Under ``exceed="raise"``; nothing is sent then.
        """
        if messages.shape != self.shape:
            raise ValueError(
                f"messages for {messages.shape} (trials, agents) on a channel of "
                f"{self.shape}; send one for each link"
            )
        if isinstance(messages, FreeForm):
            dtype = None
            self._check_form(dtype)
            encoded, pending = _encode_free_form(messages), None
        else:
            dtype = messages.records.dtype
            self._check_form(dtype)
            encoded, pending = self._encode(messages)
        before = self._sequence.copy()
        links = np.flatnonzero(encoded.present)
        stops = np.cumsum(encoded.sizes)[links]
        headers = self._headers(links, self._agents[links], dtype)
        starts = stops - encoded.sizes[links]
        frames = Frames(links, headers, encoded.data, starts, stops)
        accepted = self._transmit(frames, dtype)
        if pending is not None:
            self._commit(pending, accepted)
            if self.channel.acknowledgements:
                self._awaited.append(_Awaited(pending, before, accepted.ravel()))
                self._acknowledge()
        ended = np.zeros(self.shape, dtype=np.bool_)
        if self.channel.budget.exceed == "terminate":
            ended = encoded.present.reshape(self.shape) & ~accepted
        return Receipt(accepted, ended, self.left)

    def agree(self, records: NDArray[np.void]) -> None:
        """Enters what every agent of a trial was told before the first message.

        It is delivered, whatever budget and link are.

        Args:
            records: Structured array, shape (trials,).

        Raises:
            NotResetError: No episode has begun.
            ValueError: Not one record per trial.
        """
        self._check_records(records)
        self._check_begun()
        links = self._listening()
        sizes = np.full(len(links), records.dtype.itemsize, dtype=np.int64)
        self.ledger.attempt(links, sizes)
        self.ledger.send(links, sizes)
        headers = self._headers(links, np.uint32(LEARNER), records.dtype)
        self.ledger.settle(Fate.DELIVERED, links, sizes, headers)

    def broadcast(self, parameters: NDArray[np.void]) -> Receipt:
        """Sends one record per trial to every agent of the trial.

        Args:
            parameters: Structured array, shape (trials,).

        Raises:
            NotResetError: No episode has begun.
            ValueError: Not one record per trial, or NaN in one.
            BudgetExceededError: Under ``exceed="raise"``; nothing is sent then.
        """
        trials, agents = self.shape
        self._check_records(parameters)
        messages = Messages(parameters, np.ones((trials, 1), dtype=np.int64))
        dtype = parameters.dtype
        self._check_form(dtype)
        encoded, pending = self._encode(messages)
        links = self._listening()
        stops = np.cumsum(encoded.sizes)[links // agents]
        starts = stops - encoded.sizes[links // agents]
        headers = self._headers(links, np.uint32(LEARNER), dtype)
        frames = Frames(links, headers, encoded.data, starts, stops)
        accepted = self._transmit(frames, dtype)
        if self.channel.medium == "broadcast":
            accepted[:] = accepted[:, :1]
        heard = np.logical_or.reduce(accepted, axis=1, keepdims=True)
        self._commit(pending, heard)
        return Receipt(accepted, np.zeros_like(accepted), self.left)

    def receive(self) -> Received | list[list[Any]] | None:
        """Everything delivered since the last call, decoded.

        Returns:
            Records as :class:`Received`; for free-form payloads a list for each link,
            in order of arrival; None before anybody has sent anything.
        """
        if not self._begun:
            return None
        inbox, self._inbox = self._inbox, []
        if self._dtype is None:
            payloads: list[list[Any]] = [[] for _ in self._sequence]
            frames = merge([read.frames for read in inbox])
            for position, link in enumerate(frames.links):
                payloads[link].append(unpack(frames.wire(position)[HEADER_SIZE:]))
            return payloads
        return _received(inbox, self._dtype, self.shape)

    def deliveries(self) -> Iterator[tuple[NDArray[np.intp], NDArray[np.void]]]:
        """Broadcasts that arrived since the last call, oldest first.

        Yields:
            The flat links that heard it, and for each the record of its trial.
        """
        agents = self.shape[1]
        inbox, self._inbox = self._inbox, []
        for read in inbox:
            assert read.records is not None
            links, heard = read.frames.links, read.records
            if self.channel.medium == "broadcast":
                links = (links[:, None] + np.arange(agents)).ravel()
                heard = np.repeat(heard, agents)
            yield links, heard

    def _encode(self, messages: Messages) -> tuple[Encoded, Memory]:
        """The codec's payloads; its memory begins with the first of them."""
        codec, dtype = self.channel.codec, messages.records.dtype
        if not self._begun:
            self._memory = codec.start(self._senders, dtype)
            self._receiver = codec.start_receiver(self.shape, dtype)
        links = np.arange(self._senders[0] * self._senders[1])
        links = links * (self.shape[1] // self._senders[1])
        return codec.encode(messages, self._memory, self._draws_of(links))

    def _commit(self, pending: Memory, accepted: NDArray[np.bool_]) -> None:
        self._memory = self.channel.codec.commit(self._memory, pending, accepted)

    def _draws_of(
        self, links: NDArray[np.intp], sequence: NDArray[np.uint32] | None = None
    ) -> MessageDraws:
        """What both sides can draw for messages; a broadcast is one message."""
        if self._direction == "downlink":
            links = links // self.shape[1] * self.shape[1]
        numbers = self._sequence[links] if sequence is None else sequence
        purpose = f"{self._direction} codec"
        return MessageDraws(self._draws, purpose, links, numbers)

    def _transmit(
        self, frames: Frames, dtype: np.dtype[np.void] | None
    ) -> NDArray[np.bool_]:
        """Budget, link and ledger; returns who was accepted, (trials, agents)."""
        codec, turns = self.channel.codec, self._turns(frames.links)
        verdict = self._accounts.admit(
            frames.links,
            frames.sizes,
            None if dtype is None else codec.record_size(dtype),
            turns,
        )
        self._dtype, self._begun = dtype, True
        self._sequence[frames.links] += 1
        self.ledger.attempt(frames.links, frames.sizes)
        self.ledger.charge(frames.links, verdict.penalty)
        passed = verdict.accepted | verdict.queued
        self._settle(Fate.REFUSED, frames.take(~passed))
        queued = np.flatnonzero(verdict.queued)
        if turns is not None:
            queued = queued[np.argsort(turns[queued], kind="stable")]
        self._wait(frames.take(queued))
        self._launch(self._cut(frames, verdict).take(verdict.accepted))
        accepted = np.zeros(self.shape, dtype=np.bool_)
        accepted.reshape(-1)[frames.links[passed]] = True
        return accepted

    def _cut(self, frames: Frames, verdict: Admission) -> Frames:
        """The frames without the bytes that a budget has cut off."""
        removed = np.where(verdict.accepted, frames.sizes - verdict.granted, 0)
        if not removed.any():
            return frames
        self.ledger.cut(frames.links, removed)
        headers = frames.headers.copy()
        headers["flags"][removed > 0] |= TRUNCATED
        return Frames(
            frames.links, headers, frames.data, frames.starts, frames.stops - removed
        )

    def _launch(self, frames: Frames) -> None:
        """Puts accepted frames on the link, at most one for each."""
        self.ledger.send(frames.links, frames.sizes)
        distances = None if self._distances is None else self._distances[frames.links]
        sending = Sending(
            frames.links, frames.sizes + HEADER_SIZE, self.clock, distances
        )
        passage, self._link_state = self.channel.link.carry(
            sending, self._link_state, self._link_draws
        )
        self._fail(Fate.LOST, frames.take(passage.lost))
        frames = self._distorted(frames)
        left = _UnderWay(frames, self.clock + passage.wait, passage.expired)
        self._arrive(left.take(~passage.lost & (passage.wait == 0)))
        later = left.take(~passage.lost & (passage.wait > 0))
        if len(later.due):
            self._settle(Fate.IN_FLIGHT, later.frames)
            self._under_way.append(later)

    def _land(self) -> None:
        """Takes off the link what is due."""
        batches, self._under_way = self._under_way, []
        for batch in batches:
            due = batch.due <= self.clock
            landing = batch.take(due)
            self.ledger.land(landing.frames.links, landing.frames.sizes)
            self._arrive(landing)
            if not due.all():
                self._under_way.append(batch.take(~due))

    def _arrive(self, batch: _UnderWay) -> None:
        """Delivers messages, but for those that expire or cannot be read."""
        self._fail(Fate.EXPIRED, batch.frames.take(batch.expires))
        arrived = batch.frames.take(~batch.expires)
        if not len(arrived):
            return
        try:
            self._deliver(arrived)
        except MalformedMessage:
            if not (self.channel.link.distorts or self._receiver):
                raise  # nothing on the way can have caused it
            for position in range(len(arrived)):
                alone = arrived.take(np.array([position]))
                try:
                    self._deliver(alone)
                except MalformedMessage:
                    self._fail(Fate.LOST, alone)

    def _deliver(self, frames: Frames) -> None:
        """Reads messages, and puts them into the inbox.

        Raises:
            MalformedMessage: One cannot be read; nothing has happened then.
        """
        read = self._read(frames)
        self._settle(Fate.DELIVERED, frames)
        self._inbox.append(read)
        if self.channel.acknowledgements:
            self.ledger.acknowledge(frames.links)
            self._known.append((frames, True))

    def _read(self, frames: Frames) -> _Read:
        """What messages hold; copies of a broadcast are read once."""
        nothing = np.zeros(len(frames), dtype=np.int64)
        if self._dtype is None:
            if self.channel.link.distorts:
                for position in range(len(frames)):
                    unpack(frames.wire(position)[HEADER_SIZE:])
            return _Read(frames, None, nothing)
        distinct, which = frames, np.arange(len(frames))
        if self._direction == "downlink" and not self._receiver:
            _, first, which = np.unique(
                frames.starts, return_index=True, return_inverse=True
            )
            distinct = frames.take(first)
        sequence = distinct.headers["sequence"]
        incoming = Incoming(
            distinct.payload(), distinct.sizes, distinct.links, sequence
        )
        decoded = self.channel.codec.decode(
            incoming,
            self._dtype,
            self._receiver,
            self._draws_of(distinct.links, sequence),
        )
        if self.channel.link.distorts:
            try:
                refuse_nan(decoded.records)
            except ValueError as error:
                raise MalformedMessage(str(error)) from None
        self._receiver = decoded.memory
        if distinct is frames:
            return _Read(frames, decoded.records, decoded.lengths)
        return _Read(frames, decoded.records[which], decoded.lengths[which])

    def _distorted(self, frames: Frames) -> Frames:
        """The frames with the payloads that will arrive."""
        link = self.channel.link
        if not link.distorts or not len(frames):
            return frames
        own = frames.alone()
        dtype = self._dtype
        payloads = Payloads(
            own.data,
            own.sizes,
            own.links,
            own.headers["sequence"],
            None if dtype is None else self.channel.codec.wire(dtype),
        )
        data = link.distort(payloads, self._link_draws)
        return Frames(own.links, own.headers, data, own.starts, own.stops)

    def _fail(self, fate: Fate, frames: Frames) -> None:
        """Enters messages that left and will never arrive."""
        self._settle(fate, frames)
        if self.channel.acknowledgements and len(frames):
            self._known.append((frames, False))

    def _acknowledge(self) -> None:
        """Tells the codec what has become of messages."""
        known, self._known = self._known, []
        for frames, arrived in known:
            for awaited in self._awaited:
                sequence = frames.headers["sequence"]
                own = awaited.sequence[frames.links] == sequence
                mask = np.zeros_like(awaited.open)
                mask[frames.links[own]] = True
                mask &= awaited.open
                awaited.open[mask] = False
                fate = mask.reshape(self.shape)
                nobody = np.zeros_like(fate)
                self._memory = self.channel.codec.acknowledge(
                    self._memory,
                    awaited.pending,
                    fate if arrived else nobody,
                    nobody if arrived else fate,
                )
        self._awaited = [one for one in self._awaited if one.open.any()]

    def _wait(self, frames: Frames) -> None:
        self._settle(Fate.IN_FLIGHT, frames)
        for position in range(len(frames)):
            frame = frames.take(np.array([position])).alone()
            self._queue.append(_Waiting(frame, due=None))

    def _expire(self) -> None:
        kept = []
        for waiting in self._queue:
            if waiting.due is None or waiting.due > self.clock:
                kept.append(waiting)
                continue
            self.ledger.land(waiting.frame.links, waiting.frame.sizes)
            self._accounts.give_up(waiting.link)
            self._fail(Fate.EXPIRED, waiting.frame)
        self._queue = kept

    def _serve(self) -> None:
        kept: list[_Waiting] = []
        blocked: set[int] = set()
        for waiting in self._queue:
            account = self._accounts.account_of(waiting.link)
            fits = account not in blocked and self._accounts.serve(
                waiting.link, waiting.size
            )
            if fits:
                self.ledger.land(waiting.frame.links, waiting.frame.sizes)
                self._launch(waiting.frame)
            else:
                blocked.add(account)  # nobody overtakes who waits already
                kept.append(waiting)
        self._queue = kept

    def _settle(self, fate: Fate, frames: Frames) -> None:
        self.ledger.settle(fate, frames.links, frames.sizes, frames.headers)

    def _turns(self, links: NDArray[np.intp]) -> NDArray[np.float64] | None:
        budget = self.channel.budget
        if budget.scope == "agent" or budget.unlimited:
            return None
        purpose = f"{self._direction} turn"
        return self._draws.uniforms(purpose, self.clock, 1).ravel()[links]

    def _headers(
        self, links: NDArray[np.intp], senders: Any, dtype: np.dtype[np.void] | None
    ) -> NDArray[np.void]:
        headers = np.zeros(len(links), HEADER)
        headers["sender"] = senders
        headers["episode"] = self.episode
        headers["sequence"] = self._sequence[links]
        headers["schema"] = FREE_FORM_SCHEMA if dtype is None else schema_of(dtype)
        return headers

    def _listening(self) -> NDArray[np.intp]:
        """The links on which the learner's messages are entered."""
        trials, agents = self.shape
        once = self.channel.medium == "broadcast"
        return np.arange(0, trials * agents, agents if once else 1)

    def _check_records(self, records: NDArray[np.void]) -> None:
        if records.shape != self.shape[:1]:
            raise ValueError(
                f"parameters have shape {records.shape}; give one record for each "
                f"of the {self.shape[0]} trials"
            )

    def _check_begun(self) -> None:
        if self.episode < 0:
            raise NotResetError(
                "a message before the first episode; reset the environment, or call "
                "tick(new_episode=True), first"
            )

    def _check_form(self, dtype: np.dtype[np.void] | None) -> None:
        """Holds the channel to the form of the first message that it took."""
        self._check_begun()
        if self._begun and dtype != self._dtype:
            raise ValueError(
                f"a message of {dtype or 'free form'} on a channel of "
                f"{self._dtype or 'free form'}; keep to one form throughout"
            )


def _received(
    inbox: list[_Read], dtype: np.dtype[np.void], shape: tuple[int, int]
) -> Received:
    """Everything that was read, by link and, within a link, as it came."""
    links = _joined([read.frames.links for read in inbox], np.intp)
    headers = _joined([read.frames.headers for read in inbox], HEADER)
    lengths = _joined([read.lengths for read in inbox], np.int64)
    records = _joined([read.records for read in inbox], dtype)
    if len(inbox) > 1:
        order = np.argsort(links, kind="stable")
        first = np.cumsum(lengths) - lengths
        links, headers, lengths = links[order], headers[order], lengths[order]
        inside = np.arange(lengths.sum()) - np.repeat(
            np.cumsum(lengths) - lengths, lengths
        )
        records = records[np.repeat(first[order], lengths) + inside]
    counts = np.zeros(shape, dtype=np.int64)
    np.add.at(counts.reshape(-1), links, lengths)
    return Received(records, counts, headers, lengths)


def _joined(parts: list[Any], dtype: Any) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty(0, dtype)


def _encode_free_form(messages: FreeForm) -> Encoded:
    packed = [
        b"" if payload is None else pack(payload) for payload in messages.payloads
    ]
    return Encoded(
        np.frombuffer(b"".join(packed), np.uint8),
        np.array([len(data) for data in packed], dtype=np.int64),
        np.array([payload is not None for payload in messages.payloads]),
    )
