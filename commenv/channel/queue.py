"""Messages that wait for room in a budget."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from commenv.channel.coding import Packets
from commenv.channel.meter import BudgetMeter
from commenv.snapshots import Resumable, Snapshot

__all__ = ["Queue", "Waiting"]


@dataclass
class Waiting:
    """A message that a budget queued.

    Attributes:
        packets: The message, on each link that it is to leave on.
        payer: Whose account it waits for.
        size: Bytes of its payload.
        copies: How many transmissions it takes.
        due: The tick in which it expires; None until its window has ended.
    """

    packets: Packets
    payer: int
    size: int
    copies: int = 1
    due: int | None = None


class Queue(Resumable):
    """First come, first served, for each account by itself.

    Args:
        meter: What is left of the budget.
    """

    def __init__(self, meter: BudgetMeter) -> None:
        self.waiting: list[Waiting] = []
        self._meter = meter

    def __len__(self) -> int:
        return len(self.waiting)

    def add(self, waiting: Waiting) -> None:
        """Takes a message that the meter has queued."""
        self.waiting.append(waiting)

    def end_window(self, due: int, which: NDArray[np.bool_] | None) -> None:
        """Lets those whose window has ended expire in tick ``due``.

        Args:
            due: The tick.
            which: bool, shape (accounts,): whose window has ended; None is everybody's.
        """
        for waiting in self.waiting:
            account = self._meter.account_of(waiting.payer)
            if waiting.due is None and (which is None or which[account]):
                waiting.due = due

    def expire(self, clock: int | None = None) -> Iterator[Packets]:
        """Gives up, and yields, what has waited too long; without a clock, all."""
        kept = []
        for waiting in self.waiting:
            patient = waiting.due is None or clock is None or waiting.due > clock
            if clock is not None and patient:
                kept.append(waiting)
                continue
            self._meter.give_up(waiting.payer)
            yield waiting.packets
        self.waiting = kept

    def snapshot(self) -> Snapshot:
        """All messages that wait."""
        return {
            "waiting": [
                {**vars(one), "packets": one.packets._asdict()} for one in self.waiting
            ]
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Lets them wait on here."""
        self.waiting = [
            Waiting(**{**one, "packets": Packets(**one["packets"])})
            for one in snapshot["waiting"]
        ]

    def serve(self) -> Iterator[Packets]:
        """Books, and yields, what fits now; nobody overtakes who waits already."""
        kept: list[Waiting] = []
        blocked: set[int] = set()
        for waiting in self.waiting:
            account = self._meter.account_of(waiting.payer)
            fits = account not in blocked and self._meter.serve(
                waiting.payer, waiting.size, waiting.copies
            )
            if fits:
                yield waiting.packets
            else:
                blocked.add(account)
                kept.append(waiting)
        self.waiting = kept
