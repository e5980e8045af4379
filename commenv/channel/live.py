"""A channel at work over the links of a batch: its clock, its budget, its ledger."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from commenv.channel.budget import Admission, Left
from commenv.channel.channel import Channel
from commenv.channel.codec import Encoded
from commenv.channel.coding import Coder, letters_of, received
from commenv.channel.frames import (
    HEADER,
    LEARNER,
    TRUNCATED,
    Frames,
    following,
    merge,
)
from commenv.channel.held import check_headers, check_in_flight
from commenv.channel.ledger import Fate
from commenv.channel.message import (
    FREE_FORM_SCHEMA,
    FreeForm,
    Messages,
    Received,
    refuse_subclass,
    schema_of,
)
from commenv.channel.payload import pack
from commenv.channel.queue import Waiting
from commenv.channel.running import Running
from commenv.channel.sending import Verdict, other_form, uplink_sender
from commenv.draws import Draws
from commenv.errors import ResultsError
from commenv.snapshots import Resumable, Snapshot

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


class LiveChannel(Running, Resumable):
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
        senders_elsewhere: Set where each sender's codec is a :class:`Sender` elsewhere,
            so that :meth:`verdicts` are kept for it.
    """

    _remembered: ClassVar[tuple[str, ...]] = (
        "clock",
        "episode",
        "ledger",
        "_episodes",
        "_sequence",
        "_begun",
        "_dtype",
        "_coder",
        "_transit",
        "_accounts",
        "_queue",
    )

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
                "them on the uplink, and here codecs that need none, such as "
                "Delta(key_every=50)"
            )
        trials, agents = draws.shape
        draws = draws.owned_by(direction)
        super().__init__(
            channel,
            draws.shape,
            draws,
            _coder_of(channel, direction, draws),
            journal=journal,
        )
        self.shape = draws.shape
        self._direction = direction
        self._draws = draws
        self._agents = np.tile(np.array(draws.agents, np.uint32), trials)
        self._sequence = np.zeros(trials * agents, dtype=np.uint32)
        self._begun = False
        self.senders_elsewhere = False

    @property
    def dtype(self) -> np.dtype[np.void] | None:
        """Of the records that it was sent; None before them, and for free form."""
        return self._dtype

    def tick(self, *, new_episode: bool | NDArray[np.bool_] = False) -> None:
        """Advances the clock by one step, or round.

        What the link has carried until now arrives. Windows that end are renewed;
        messages that have waited too long expire, and then those that fit are sent,
        the oldest first.

        Args:
            new_episode: The tick also begins the next episode: for everybody, or bool,
                shape (trials, agents), for some.

        Raises:
            ValueError: An episode begins for some of those who share a budget for it.
        """
        if isinstance(new_episode, np.ndarray):
            self._check_alone()
            new_episode = new_episode.ravel()
        self._advance(new_episode, self._leave)
        self._acknowledge()

    def locate(self, distances: NDArray[np.float64]) -> None:
        """Tells the link how far senders are from receivers, until told otherwise.

        Args:
            distances: float64, shape (trials, agents), in the environment's unit.
        """
        self._transit.distances = np.broadcast_to(distances, self.shape).ravel()

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
            with self._naming():
                encoded, pending = self._coder.encode(messages, self._sequence)
        sequence = self._sequence.copy()
        accepted = self._post(encoded, dtype)
        if pending is not None:
            self._coder.commit(pending, accepted)
            if self.channel.acknowledgements:
                self._coder.expect(pending, sequence, accepted)
                self._acknowledge()
        return self._receipt(encoded, accepted)

    def send_encoded(self, encoded: Encoded, dtype: np.dtype[np.void]) -> Receipt:
        """Sends payloads that a :class:`Sender` elsewhere has encoded.

        What becomes of them is told by :meth:`verdicts` alone.

        Args:
            encoded: Of all agents.
            dtype: Of the records in them.

        Raises:
            As :meth:`send` does.
        """
        self._check_form(dtype)
        return self._receipt(encoded, self._post(encoded, dtype))

    def verdicts(self) -> list[Verdict]:
        """What senders elsewhere are to be told, since the last call.

        Empty where the channel has no acknowledgements, or ``senders_elsewhere`` is
        not set.
        """
        return [
            Verdict(frames.links, frames.headers, arrived)
            for frames, arrived in self._carriage.verdicts()
        ]

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
        with self._naming(agents):
            encoded, pending = self._coder.encode(messages, self._sequence[::agents])
        links = self._listening()
        stops = np.cumsum(encoded.sizes)[links // agents]
        starts = stops - encoded.sizes[links // agents]
        headers = self._headers(links, np.uint32(LEARNER), dtype)
        frames = Frames(links, headers, encoded.data, starts, stops)
        accepted = self._transmit(frames, dtype)
        if self.channel.medium == "broadcast":
            accepted[:] = accepted[:, :1]
        heard = np.logical_or.reduce(accepted, axis=1, keepdims=True)
        self._coder.commit(pending, heard)
        return Receipt(accepted, np.zeros_like(accepted), self.left)

    def receive(self) -> Received | list[list[Any]] | None:
        """Everything delivered since the last call, decoded.

        Returns:
            Records as :class:`Received`; for free-form payloads a list for each link,
            in order of arrival; None before anybody has sent anything.

        Raises:
            WrongThreadError: Another thread has begun the episode.
        """
        self.owner.check()
        if not self._begun:
            return None
        inbox = self._carriage.collect()
        if self._dtype is None:
            frames = merge([letters.frames for letters in inbox])
            return letters_of(frames, len(self._sequence))
        return received(inbox, self._dtype, self.shape)

    def deliveries(self) -> Iterator[tuple[NDArray[np.intp], NDArray[np.void]]]:
        """Broadcasts that arrived since the last call, oldest first.

        Yields:
            The flat links that heard it, and for each the record of its trial.
        """
        for links, records, which in self.shared_deliveries():
            yield links, records[which]

    def shared_deliveries(
        self,
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.void], NDArray[np.intp]]]:
        """The same as :meth:`deliveries`, without a copy for each link.

        Yields:
            The flat links that heard it, the records, and for each link which of the
            records it heard.

        Raises:
            WrongThreadError: Another thread has begun the episode.
        """
        self.owner.check()
        agents = self.shape[1]
        for letters in self._carriage.collect():
            assert letters.distinct is not None
            links, which = letters.frames.links, letters.which
            if which is None:
                which = np.arange(len(links))
            if self.channel.medium == "broadcast":
                links = (links[:, None] + np.arange(agents)).ravel()
                which = np.repeat(which, agents)
            yield links, letters.distinct, which

    def snapshot(self) -> Snapshot:
        """What the channel remembers.

        Raises:
            RuntimeError: Something has arrived that nobody has asked for yet.
        """
        if not self._carriage.idle:
            raise RuntimeError(
                "a snapshot of a channel with messages in its inbox; receive() first"
            )
        return super().snapshot()

    def restore(self, snapshot: Snapshot) -> None:
        """Takes over another channel's memory; before the first tick.

        Raises:
            ResultsError: It is no snapshot of such a channel.
        """
        self._coder.begin_as(snapshot["_dtype"])
        super().restore(snapshot)
        if self.clock <= self.episode or (self._episodes > self.episode).any():
            raise ResultsError("a snapshot has a channel before its first tick")
        if self._dtype is not None and not self._begun:
            raise ResultsError("a snapshot has a channel of a form, but no message")
        self._check_held()

    def _check_held(self) -> None:
        """Checks restored messages that wait or are under way."""
        held = self._transit.under_way + [one.frames for one in self._queue.waiting]
        check_in_flight(held, self.ledger, self._listening())
        for frames in held:
            down = self._direction == "downlink"
            senders = np.uint32(LEARNER) if down else self._agents[frames.links]
            newest = self._headers(frames.links, senders, self._dtype)
            check_headers(frames.headers, newest)
            self._coder.check(frames, self._dtype)

    def _transmit(
        self, frames: Frames, dtype: np.dtype[np.void] | None
    ) -> NDArray[np.bool_]:
        """Budget, link and ledger; returns who was accepted, (trials, agents)."""
        codec, turns = self.channel.codec, self._turns(frames.links)
        record_size = None if dtype is None else codec.record_size(dtype)
        numbers = following(self._sequence[frames.links])
        with self._naming():
            verdict = self._accounts.admit(
                frames.links, frames.sizes, record_size, turns
            )
        self._dtype, self._begun = dtype, True
        self._sequence[frames.links] = numbers
        self.ledger.attempt(frames.links, frames.sizes)
        self.ledger.charge(frames.links, verdict.penalty)
        passed = verdict.accepted | verdict.queued
        if not passed.all():
            self._carriage.settle(Fate.REFUSED, frames.take(~passed))
        if verdict.queued.any():
            queued = np.flatnonzero(verdict.queued)
            if turns is not None:
                queued = queued[np.argsort(turns[queued], kind="stable")]
            self._wait(frames.take(queued))
        leaving = self._cut(frames, verdict)
        if not verdict.accepted.all():
            leaving = leaving.take(verdict.accepted)
        self._leave(leaving)
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

    def _post(
        self, encoded: Encoded, dtype: np.dtype[np.void] | None
    ) -> NDArray[np.bool_]:
        """Puts payloads into frames, and sends them; who was accepted."""
        links = np.flatnonzero(encoded.present)
        stops = np.cumsum(encoded.sizes)[links]
        headers = self._headers(links, self._agents[links], dtype)
        starts = stops - encoded.sizes[links]
        frames = Frames(links, headers, encoded.data, starts, stops)
        return self._transmit(frames, dtype)

    def _receipt(self, encoded: Encoded, accepted: NDArray[np.bool_]) -> Receipt:
        ended = np.zeros(self.shape, dtype=np.bool_)
        if self.channel.budget.exceed == "terminate":
            ended = encoded.present.reshape(self.shape) & ~accepted
        return Receipt(accepted, ended, self.left)

    def _acknowledge(self) -> None:
        if not self.senders_elsewhere:
            super()._acknowledge()

    def _whose(self, sender: int) -> str:
        trials, agents = self._draws.trials, self._draws.agents
        if self._direction == "downlink":
            return f"the downlink of trial {trials[sender // len(agents)]}"
        return uplink_sender(self._draws, sender)

    def _leave(self, frames: Frames) -> None:
        """Puts accepted frames on the link, at most one for each."""
        self._carriage.launch(frames, self.clock, self._dtype)

    def _wait(self, frames: Frames) -> None:
        self._carriage.settle(Fate.IN_FLIGHT, frames)
        for position in range(len(frames)):
            frame = frames.take(np.array([position])).alone()
            self._queue.add(Waiting(frame, int(frame.links[0]), int(frame.sizes[0])))

    def _turns(self, links: NDArray[np.intp]) -> NDArray[np.float64] | None:
        budget = self.channel.budget
        if budget.scope == "agent" or budget.unlimited:
            return None
        return self._draws.uniforms("turn", self.clock, 1).ravel()[links]

    def _headers(
        self, links: NDArray[np.intp], senders: Any, dtype: np.dtype[np.void] | None
    ) -> NDArray[np.void]:
        headers = np.zeros(len(links), HEADER)
        headers["sender"] = senders
        headers["episode"] = self._episodes[links]
        headers["sequence"] = self._sequence[links]
        headers["schema"] = FREE_FORM_SCHEMA if dtype is None else schema_of(dtype)
        return headers

    def _listening(self) -> NDArray[np.intp]:
        """The links on which the learner's messages are entered."""
        trials, agents = self.shape
        once = self.channel.medium == "broadcast"
        return np.arange(0, trials * agents, agents if once else 1)

    def _check_records(self, records: NDArray[np.void]) -> None:
        refuse_subclass(records, "parameters")
        if records.shape != self.shape[:1]:
            raise ValueError(
                f"parameters have shape {records.shape}; give one record for each "
                f"of the {self.shape[0]} trials"
            )

    def _check_alone(self) -> None:
        budget = self.channel.budget
        shared = budget.scope == "team" or self.channel.medium == "broadcast"
        if shared and budget.per == "episode" and not budget.unlimited:
            raise ValueError(
                "a budget per episode that agents share, but their episodes begin at "
                "different times; use per='step' or 'lifetime', or a budget for each"
            )

    def _check_form(self, dtype: np.dtype[np.void] | None) -> None:
        """Holds the channel to the form of the first message that it took."""
        self._check_begun()
        if self._begun and dtype != self._dtype:
            raise other_form(dtype, self._dtype, self._coder.restored)
        if dtype is not None and not self._begun:
            self._coder.begin(dtype)


def _encode_free_form(messages: FreeForm) -> Encoded:
    packed = [
        b"" if payload is None else pack(payload) for payload in messages.payloads
    ]
    return Encoded(
        np.frombuffer(b"".join(packed), np.uint8),
        np.array([len(data) for data in packed], dtype=np.int64),
        np.array([payload is not None for payload in messages.payloads]),
    )


def _coder_of(channel: Channel, direction: str, draws: Draws) -> Coder:
    """The codec at work, for one sender of each link, or of each trial."""
    receivers, senders = draws.shape, None
    if direction == "downlink":
        trials, agents = receivers
        senders = np.repeat(np.arange(trials), agents)
        draws = Draws(draws.seed, draws.trials, draws.agents[:1], owner="downlink")
    return Coder(
        channel.codec,
        draws,
        "codec",
        receivers=receivers,
        senders=senders,
        suspicious=channel.link.distorts,
    )
