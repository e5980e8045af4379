"""Messages that wait for room in a budget."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from commenv.channel.budget import Accounts
from commenv.channel.frames import Frames
from commenv.errors import ResultsError
from commenv.snapshots import Resumable, Snapshot, check_fits

__all__ = ["Queue", "Waiting"]


@dataclass
class Waiting:
    """A message that a budget queued.

    Attributes:
        frames: The message, on each link that it is to leave on.
        payer: Whose account it waits for.
        size: Bytes of its payload.
        copies: How many transmissions it takes.
        due: The tick in which it expires; None until its window has ended.
    """

    frames: Frames
    payer: int
    size: int
    copies: int = 1
    due: int | None = None


class Queue(Resumable):
    """First come, first served, for each account by itself.

    Args:
        accounts: What is left of the budget.
    """

    def __init__(self, accounts: Accounts) -> None:
        self.waiting: list[Waiting] = []
        self._accounts = accounts

    def __len__(self) -> int:
        return len(self.waiting)

    def add(self, waiting: Waiting) -> None:
        """Takes a message that the accounts have queued."""
        self.waiting.append(waiting)

    def end_window(self, due: int, which: NDArray[np.bool_] | None) -> None:
        """Lets those whose window has ended expire in tick ``due``.

        Args:
            due: The tick.
            which: bool, shape (accounts,): whose window has ended; None is everybody's.
        """
        for waiting in self.waiting:
            account = self._accounts.account_of(waiting.payer)
            if waiting.due is None and (which is None or which[account]):
                waiting.due = due

    def expire(self, clock: int | None = None) -> Iterator[Frames]:
        """Gives up, and yields, what has waited too long; without a clock, all."""
        kept = []
        for waiting in self.waiting:
            patient = waiting.due is None or clock is None or waiting.due > clock
            if clock is not None and patient:
                kept.append(waiting)
                continue
            self._accounts.give_up(waiting.payer)
            yield waiting.frames
        self.waiting = kept

    def snapshot(self) -> Snapshot:
        """All who wait."""
        return {
            "waiting": [
                {**vars(one), "frames": one.frames.snapshot()} for one in self.waiting
            ]
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Lets them wait on here.

        Raises:
            ResultsError: They are none whom these accounts would have queued.
        """
        trials, agents = self._accounts.shape
        self.waiting = [
            Waiting(
                **{**one, "frames": Frames.restored(one["frames"], trials * agents)}
            )
            for one in snapshot["waiting"]
        ]
        for one in self.waiting:
            self._check(one)
        payers = np.array([one.payer for one in self.waiting], dtype=np.intp)
        self._accounts.check_waiting(payers)

    def _check(self, waiting: Waiting) -> None:
        links, sizes = waiting.frames.links, waiting.frames.sizes
        for name in ("payer", "size", "copies"):
            check_fits(name, 0, getattr(waiting, name))
        check_fits("due", 0, 0 if waiting.due is None else waiting.due)
        fits = waiting.payer in links and 1 <= waiting.copies <= len(links)
        if not fits or not (sizes == waiting.size).all():
            raise ResultsError("a snapshot has a queue of something else")

    def serve(self) -> Iterator[Frames]:
        """Books, and yields, what fits now; nobody overtakes who waits already."""
        kept: list[Waiting] = []
        blocked: set[int] = set()
        for waiting in self.waiting:
            account = self._accounts.account_of(waiting.payer)
            fits = account not in blocked and self._accounts.serve(
                waiting.payer, waiting.size, waiting.copies
            )
            if fits:
                yield waiting.frames
            else:
                blocked.add(account)
                kept.append(waiting)
        self.waiting = kept
