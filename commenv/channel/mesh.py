"""A channel at work between agents: directed links, and messages to several at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from commenv.channel.channel import Channel
from commenv.channel.codec import Identity
from commenv.channel.coding import Coder
from commenv.channel.frames import HEADER, HEADER_SIZE, Frames
from commenv.channel.ledger import Fate, Unit
from commenv.channel.live import Receipt
from commenv.channel.message import Messages, schema_of
from commenv.channel.queue import Waiting
from commenv.channel.running import Running
from commenv.draws import Draws

__all__ = ["Arrivals", "Mesh"]


class Arrivals(NamedTuple):
    """Messages that arrived together, at most one on each link.

    Attributes:
        links: Integers, shape (m,): the links.
        records: Structured array, shape (m,): what each receiver read.
        sent: int64, shape (m,): the ticks in which they were handed to the channel.
    """

    links: NDArray[np.intp]
    records: NDArray[np.void]
    sent: NDArray[np.int64]


class Mesh(Running):
    """Messages between agents, each of one record, over directed links.

    A message to several agents leaves as one transmission that all of them hear
    (``medium="broadcast"``), or as a copy on each link (``"unicast"``). Every copy has
    a fate of its own in the ledger, which has one entry for each link; a budget, of
    each sender or of all together, takes all copies of a message or none, and counts
    transmissions.

    Draws are addressed by the pair of sender and receiver. Headers carry the tick as
    their sequence number, since an agent sends at most once in each.

    With acknowledgements each receiver confirms its copy. A sender's codec is told that
    a message arrived when everyone whom it went to has it, that it was lost when nobody
    has it, and nothing where only some have.

    Args:
        channel: What it is made of.
        sources: Integers, shape (links,), ascending: the sender of each link.
        targets: Integers, shape (links,): the receiver of each.
        num_agents: How many agents there are.
        dtype: Of a message's record.
        seed: Addresses all draws.
        names: What errors call the agents.
        journal: Keep an entry for every single copy in ``ledger.journal``.

    Attributes:
        sources: As given.
        targets: As given.
        num_agents: As given.
        transmissions: int64, shape (3, agents): what left each sender, counted in
            the three units of :class:`Unit`; a broadcast once.
        refusals: int64, shape (3, agents): what a budget refused, likewise.
        penalty: float64, shape (agents,): the price of what went beyond a budget.

    Raises:
        ValueError: A codec that has to be told which messages arrived.
        TypeError: Records that the codec cannot encode.
    """

    def __init__(
        self,
        channel: Channel,
        sources: NDArray[np.intp],
        targets: NDArray[np.intp],
        num_agents: int,
        dtype: np.dtype[np.void],
        seed: int,
        *,
        names: Sequence[str] | None = None,
        journal: bool = False,
    ) -> None:
        if channel.codec.needs_acknowledgements:
            raise ValueError(
                f"codec {channel.codec.name!r} has to know which messages arrived, but "
                "here a message has several receivers; use key_every, say"
            )
        pairs = sources * num_agents + targets
        self._agents = Draws(seed, [0], range(num_agents), owner="mesh")
        coder = Coder(
            channel.codec,
            self._agents,
            "codec",
            receivers=(1, len(sources)),
            senders=sources,
            suspicious=channel.link.distorts,
        )
        payers = (1, num_agents)
        draws = Draws(seed, [0], pairs.tolist() or [0], owner="mesh")
        super().__init__(channel, payers, draws, coder, journal=journal)
        self.sources = sources
        self.targets = targets
        self.num_agents = num_agents
        self.transmissions = np.zeros((len(Unit), num_agents), dtype=np.int64)
        self.refusals = np.zeros((len(Unit), num_agents), dtype=np.int64)
        self.penalty = np.zeros(num_agents)
        self._names = list(names or map(str, range(num_agents)))
        self._record_dtype = dtype
        self._schema = schema_of(dtype)
        self._shared = channel.medium == "broadcast"
        coder.begin(dtype)

    def tick(self, *, new_episode: bool = False) -> None:
        """Advances the clock by one step; see :meth:`LiveChannel.tick`.

        Args:
            new_episode: The tick begins the next episode: what is under way expires,
                and the codec's memory starts anew.
        """
        if new_episode:
            self._give_up(None)
            self._carriage.abandon()
            self._carriage.collect()
            self._carriage.verdicts()
            self._coder.begin(self._record_dtype)
            self._dtype = self._record_dtype
            self._carriage.deaf = None
        self._advance(new_episode, self._leave)
        self._acknowledge()

    def locate(self, distances: NDArray[np.float64]) -> None:
        """Says how far senders are from receivers: float64, shape (links,)."""
        self._transit.distances = distances

    def deafen(self, deaf: NDArray[np.bool_]) -> None:
        """Says on which links nobody listens from now on: bool, shape (links,).

        What would arrive on them is lost.
        """
        self._carriage.deaf = deaf if np.count_nonzero(deaf) else None

    def check(self, messages: Messages, leaving: NDArray[np.bool_]) -> None:
        """Raises what :meth:`send` would raise after the next tick; changes nothing.

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
        budget, codec = self.channel.budget, self.channel.codec
        never = budget.exceed != "raise" and isinstance(codec, Identity)
        if never or not len(messages.records):
            return
        clock = self.clock + 1
        sequence = np.full(self.num_agents, clock, dtype=np.uint32)
        with self._naming():
            encoded, _ = self._coder.encode(messages, sequence)
            speakers = encoded.present.nonzero()[0]
            copies = self._transmissions_of(speakers, self.sources[leaving])
            turns = self._turns(speakers, clock)
            self._accounts.check(speakers, encoded.sizes[speakers], turns, copies)

    def send(self, messages: Messages, leaving: NDArray[np.bool_]) -> Receipt:
        """Sends at most one message from each agent.

        Args:
            messages: Of shape (1, agents); a record for whoever speaks.
            leaving: bool, shape (links,): the links on which a message leaves, none of
                an agent that does not speak.

        Returns:
            Who was accepted, of shape (1, agents).

        Raises:
            NotResetError: No episode has begun.
            BudgetExceededError: Under ``exceed="raise"``; nothing is sent then.
        """
        self._check_begun()
        shape = (1, self.num_agents)
        nobody = np.zeros(shape, dtype=np.bool_)
        if not len(messages.records):
            return Receipt(nobody, nobody, self.left)
        sequence = np.full(self.num_agents, self.clock, dtype=np.uint32)
        links = leaving.nonzero()[0]
        senders = self.sources[links]
        with self._naming():
            encoded, pending = self._coder.encode(messages, sequence)
            speakers = encoded.present.nonzero()[0]
            sizes = encoded.sizes[speakers]
            copies = self._transmissions_of(speakers, senders)
            turns = self._turns(speakers, self.clock)
            verdict = self._accounts.admit(speakers, sizes, None, turns, copies)
        stops = encoded.sizes.cumsum()[senders]
        starts = stops - encoded.sizes[senders]
        frames = Frames(links, self._headers(senders), encoded.data, starts, stops)
        self.ledger.attempt(links, frames.sizes)
        self.penalty[speakers] += verdict.penalty
        accepted = np.zeros(self.num_agents, dtype=np.bool_)
        accepted[speakers] = verdict.accepted
        if np.count_nonzero(verdict.accepted) == len(speakers):
            self._leave(frames)
        else:
            self._leave(frames.take(accepted[senders]))
            queued = speakers[verdict.queued]
            if turns is not None:
                queued = queued[np.argsort(turns[verdict.queued], kind="stable")]
            self._wait(frames, senders, queued, encoded.sizes)
            accepted[queued] = True
            refused = ~accepted[speakers]
            every = np.repeat(np.flatnonzero(refused), copies[refused])
            _count(self.refusals, speakers[every], sizes[every])
            self._carriage.settle(Fate.REFUSED, frames.take(~accepted[senders]))
        self._coder.commit(pending, accepted.reshape(shape))
        if self.channel.acknowledgements:
            everyone = np.bincount(senders, minlength=self.num_agents)
            self._coder.expect(pending, sequence, everyone * accepted)
            self._acknowledge()
        ended = nobody
        if self.channel.budget.exceed == "terminate":
            ended = (encoded.present & ~accepted).reshape(shape)
        return Receipt(accepted.reshape(shape), ended, self.left)

    def receive(self) -> list[Arrivals]:
        """What arrived since the last call, in order of arrival."""
        self.owner.check()
        arrivals = []
        for letters in self._carriage.collect():
            records = letters.records
            assert records is not None
            sent = letters.frames.headers["sequence"].astype(np.int64)
            arrivals.append(Arrivals(letters.frames.links, records, sent))
        return arrivals

    @property
    def acknowledged(self) -> NDArray[np.int64]:
        """How many copies of each sender were confirmed: int64, shape (agents,)."""
        confirmed = self.ledger.acknowledgements.ravel()[: len(self.sources)]
        return self._by_sender(confirmed)

    def by_sender(self, fate: Fate, unit: Unit = Unit.MESSAGES) -> NDArray[np.int64]:
        """How many copies of each sender met a fate: int64, shape (agents,)."""
        return self._by_sender(self.ledger.count(fate, unit)[0, : len(self.sources)])

    def _by_sender(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        total = np.zeros(self.num_agents, dtype=np.int64)
        np.add.at(total, self.sources, counts)
        return total

    def _whose(self, sender: int) -> str:
        return f"agent {self._names[sender]!r}"

    def _leave(self, frames: Frames) -> None:
        """Pays for accepted copies, and puts them on their links."""
        senders, sizes = self.sources[frames.links], frames.sizes
        if self._shared and len(senders):
            copy = np.zeros(len(senders), dtype=np.bool_)
            np.equal(senders[1:], senders[:-1], out=copy[1:])
            senders, sizes = senders[~copy], sizes[~copy]
        _count(self.transmissions, senders, sizes)
        self._carriage.launch(frames, self.clock, self._dtype)

    def _transmissions_of(
        self, speakers: NDArray[np.intp], senders: NDArray[np.intp]
    ) -> NDArray[np.int64]:
        """How many each speaker makes, given the senders of all copies."""
        if self._shared:
            return np.ones(len(speakers), dtype=np.int64)
        return np.bincount(senders, minlength=self.num_agents)[speakers]

    def _wait(
        self,
        frames: Frames,
        senders: NDArray[np.intp],
        queued: NDArray[np.intp],
        sizes: NDArray[np.int64],
    ) -> None:
        for sender in queued.tolist():
            own = frames.take(senders == sender).alone()
            self._carriage.settle(Fate.IN_FLIGHT, own)
            copies = 1 if self._shared else len(own)
            self._queue.add(Waiting(own, sender, int(sizes[sender]), copies))

    def _turns(
        self, speakers: NDArray[np.intp], clock: int
    ) -> NDArray[np.float64] | None:
        budget = self.channel.budget
        if budget.scope == "agent" or budget.unlimited:
            return None
        return self._agents.uniforms("turn", clock, 1, rows=speakers)[:, 0]

    def _headers(self, senders: NDArray[np.intp]) -> NDArray[np.void]:
        headers = np.zeros(len(senders), HEADER)
        headers["sender"] = senders
        headers["episode"] = self.episode
        headers["sequence"] = self.clock
        headers["schema"] = self._schema
        return headers


def _count(
    counts: NDArray[np.int64],
    agents: NDArray[np.intp],
    sizes: NDArray[np.int64],
) -> None:
    """Adds transmissions to counts of shape (units, agents)."""
    messages = np.bincount(agents, minlength=counts.shape[1])
    counts[Unit.MESSAGES] += messages
    counts[Unit.HEADER] += HEADER_SIZE * messages
    np.add.at(counts[Unit.PAYLOAD], agents, sizes)
