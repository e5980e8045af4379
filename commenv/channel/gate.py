"""What a budget makes of messages: they leave, are cut, wait, or are refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from commenv.channel.channel import Channel
from commenv.channel.coding import Packets
from commenv.channel.ledger import Fate, Ledger
from commenv.channel.meter import Admission, BudgetMeter, Left
from commenv.channel.queue import Queue, Waiting
from commenv.channel.transport import Transport
from commenv.channel.wire import HEADER_SIZE, TRUNCATED
from commenv.channel.wiring import Wiring
from commenv.snapshots import Resumable

__all__ = ["Gate"]


class Gate(Resumable):
    """Lets packets through as far as a budget allows.

    Args:
        channel: Whose budget it is.
        wiring: Who pays.
        ledger: Where penalties and what was cut or refused is entered.
        transport: Where fates are entered.
    """

    _remembered: ClassVar[tuple[str, ...]] = ("_meter", "_queue")

    def __init__(
        self, channel: Channel, wiring: Wiring, ledger: Ledger, transport: Transport
    ) -> None:
        self._budget = channel.budget
        self._codec = channel.codec
        self._shared = channel.medium == "broadcast"
        self._draws = wiring.links
        if wiring.flat_payers is not None:
            self._draws = wiring.senders
        self._payer_of = wiring.flat_payers
        self._ledger = ledger
        self._transport = transport
        overhead = HEADER_SIZE if channel.headers else 0
        self._meter = BudgetMeter(channel.budget, wiring.payers, overhead)
        self._queue = Queue(self._meter)

    @property
    def left(self) -> Left:
        """What is left of the budget in the current window; not to be written to."""
        return self._meter.left()

    def admit(
        self,
        packets: Packets,
        payers: NDArray[np.intp],
        sizes: NDArray[np.int64],
        dtype: np.dtype[np.void] | None,
        clock: int,
    ) -> tuple[Packets, NDArray[np.bool_]]:
        """Books what fits, and enters the fate of what does not.

        Args:
            packets: The copies of all messages.
            payers: Who pays, each once, ascending: shape (n,).
            sizes: Bytes of their messages, shape (n,).
            dtype: Of the records in them; None for free form.
            clock: The tick.

        Returns:
            The packets that leave now, and bool of shape (n,), whose were accepted.

        Raises:
            BudgetExceededError: Under ``exceed="raise"``; nothing has happened then.
        """
        copies, turns = self._copies(packets, payers), self._turns(payers, clock)
        cut_at = None
        if dtype is not None and copies is None:
            cut_at = self._codec.record_size(dtype)
        admission = self._meter.admit(payers, sizes, cut_at, turns, copies)
        self._ledger.attempt(packets.links, packets.sizes)
        self._ledger.charge(payers, admission.penalty)
        accepted = admission.accepted | admission.queued
        if not admission.accepted.all():
            refused = (~accepted).nonzero()[0]
            every = refused if copies is None else np.repeat(refused, copies[refused])
            self._ledger.refuse(payers[every], sizes[every])
            mine = self._of(packets, payers, ~accepted)
            self._transport.settle(Fate.REFUSED, packets.take(mine))
            queued = admission.queued.nonzero()[0]
            if turns is not None:
                queued = queued[np.argsort(turns[queued], kind="stable")]
            for payer, size in zip(payers[queued], sizes[queued], strict=True):
                own = packets.take(self._of(packets, payers, payers == payer))
                self._wait(own.alone(), int(payer), int(size))
        leaving = self._cut(packets, admission)
        if not admission.accepted.all():
            leaving = leaving.take(self._of(packets, payers, admission.accepted))
        return leaving, accepted

    def check(
        self,
        packets: Packets,
        payers: NDArray[np.intp],
        sizes: NDArray[np.int64],
        clock: int,
    ) -> None:
        """Raises what :meth:`admit` would raise in the next tick; books nothing.

        Raises:
            BudgetExceededError: Under ``exceed="raise"``.
        """
        copies, turns = self._copies(packets, payers), self._turns(payers, clock)
        self._meter.check(payers, sizes, turns, copies)

    def tick(
        self, clock: int, begins: bool, where: NDArray[np.bool_] | None
    ) -> Iterator[Packets]:
        """Renews windows that have ended; what has waited too long expires.

        Args:
            clock: The tick that begins.
            begins: Whether an episode begins.
            where: bool, shape (links,): on which links; None is everywhere.

        Yields:
            What has waited and leaves now, the oldest first.
        """
        budget = self._budget
        if budget.per == "step" or (budget.per == "episode" and begins):
            whose = where if budget.per == "episode" else None
            self._meter.renew(whose)
            # Under other policies than "queue" nothing ever waits.
            self._queue.end_window(clock + (budget.max_wait or 0), whose)
        if not self._queue.waiting:
            return
        self._give_up(clock)
        for packets in self._queue.serve():
            self._transport.take_off(packets)
            yield packets

    def check_separate(self) -> None:
        """Checks that episodes may begin one by one.

        Raises:
            ValueError: Some share a budget for an episode.
        """
        budget, shared = self._budget, self._budget.scope == "team" or self._shared
        if shared and budget.per == "episode" and not budget.unlimited:
            raise ValueError(
                "a budget per episode that agents share, but their episodes begin at "
                "different times; use per='step' or 'lifetime', or a budget for each"
            )

    def abandon(self) -> None:
        """Lets everything that waits expire."""
        self._give_up(None)

    def _give_up(self, clock: int | None) -> None:
        """Enters what has waited too long; without a clock, all that waits."""
        for packets in self._queue.expire(clock):
            self._transport.take_off(packets)
            self._transport.fail(Fate.EXPIRED, packets)

    def _copies(
        self, packets: Packets, payers: NDArray[np.intp]
    ) -> NDArray[np.int64] | None:
        """How many transmissions each payer's message takes; None is one each."""
        if self._payer_of is None:
            return None
        if self._shared:
            return np.ones(len(payers), dtype=np.int64)
        every = self._payer_of[packets.links]
        return np.bincount(every, minlength=int(payers.max(initial=-1)) + 1)[payers]

    def _turns(
        self, payers: NDArray[np.intp], clock: int
    ) -> NDArray[np.float64] | None:
        """The order in which a team is served; None where each has its own budget."""
        if self._budget.scope == "agent":
            return None
        return self._draws.uniforms("turn", clock, 1, rows=payers)[:, 0]

    def _of(
        self,
        packets: Packets,
        payers: NDArray[np.intp],
        chosen: NDArray[np.bool_],
    ) -> NDArray[np.bool_]:
        """Which packets some of the payers pay for."""
        if self._payer_of is None:
            return chosen  # every packet has a payer of its own
        pays = np.zeros(self._draws.shape[0] * self._draws.shape[1], dtype=np.bool_)
        pays[payers[chosen]] = True
        return pays[self._payer_of[packets.links]]

    def _wait(self, packets: Packets, payer: int, size: int) -> None:
        """Queues a payer's message until there is room in its budget."""
        self._transport.settle(Fate.IN_FLIGHT, packets)
        copies = 1 if self._shared else len(packets.links)
        self._queue.add(Waiting(packets, payer, size, copies))

    def _cut(self, packets: Packets, admission: Admission) -> Packets:
        """The packets without the bytes that the budget has cut off."""
        if self._budget.exceed != "truncate" or self._payer_of is not None:
            return packets
        removed = np.where(admission.accepted, packets.sizes - admission.granted, 0)
        if not removed.any():
            return packets
        self._ledger.cut(packets.links, removed)
        headers = packets.headers.copy()
        headers["flags"][removed > 0] |= TRUNCATED
        return packets._replace(headers=headers, sizes=packets.sizes - removed)
