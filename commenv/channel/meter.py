"""How much of a budget has been used, and what still fits."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from commenv.channel.budget import Budget
from commenv.errors import BudgetExceededError
from commenv.snapshots import Resumable

__all__ = ["Admission", "BudgetMeter", "Left"]


class Left(NamedTuple):
    """What is left of a budget, all that a sender is told about it.

    Attributes:
        messages: float64, shape (trials, agents); inf for no limit. Under a team
            budget every agent sees what is left for the team.
        bytes: The same in bytes.
    """

    messages: NDArray[np.float64]
    bytes: NDArray[np.float64]


class Admission(NamedTuple):
    """The verdict on messages, one entry for each; every array has shape (m,).

    Attributes:
        accepted: bool: it goes out, whole or cut.
        queued: bool: it waits.
        granted: int64: its payload bytes that go out or wait.
        penalty: float64: the price of what lies beyond the limits.
    """

    accepted: NDArray[np.bool_]
    queued: NDArray[np.bool_]
    granted: NDArray[np.int64]
    penalty: NDArray[np.float64]


class BudgetMeter(Resumable):
    """What has been used of a budget, by everyone who pays from one like it.

    Args:
        budget: The limits.
        shape: (copies, payers): under a team budget a copy's payers share an account.
        overhead: Bytes that each message costs beyond its payload.
    """

    _remembered: ClassVar[tuple[str, ...]] = ("_used", "_waiting")

    def __init__(self, budget: Budget, shape: tuple[int, int], overhead: int) -> None:
        self.budget = budget
        self.shape = shape
        self._overhead = overhead
        self._limits = np.array(
            [
                np.inf if limit is None else limit
                for limit in (budget.messages, budget.bytes)
            ]
        )
        team = budget.scope == "team"
        self._used = np.zeros((2, shape[0] if team else shape[0] * shape[1]))
        self._waiting = np.zeros(self._used.shape[1], dtype=np.int64)
        self._endless = Left(*np.full((2, *shape), np.inf))
        for values in self._endless:
            values.flags.writeable = False  # it is handed out again and again

    def renew(self, which: NDArray[np.bool_] | None = None) -> None:
        """Opens a new window.

        Args:
            which: bool, shape (accounts,): whose; everybody's when left out.
        """
        self._used[:, slice(None) if which is None else which] = 0

    def left(self) -> Left:
        """What is left in the current window."""
        if self.budget.unlimited:
            return self._endless
        left = np.maximum(self._limits[:, None] - self._used, 0)
        if self.budget.scope == "team":
            left = np.repeat(left, self.shape[1], axis=1)
        messages, size = left.reshape(2, *self.shape)
        return Left(messages, size)

    def account_of(self, link: Any) -> Any:
        """The account that pays for a flat link, or for each of an array of them."""
        return link // self.shape[1] if self.budget.scope == "team" else link

    def admit(
        self,
        links: NDArray[np.intp],
        payload: NDArray[np.int64],
        record_size: int | None,
        turns: NDArray[np.float64] | None,
        copies: NDArray[np.int64] | None = None,
    ) -> Admission:
        """Judges new messages, at most one for each link, and books what goes out.

        Args:
            links: Flat links, shape (m,), ascending.
            payload: Payload bytes, shape (m,).
            record_size: Bytes after which a payload can be cut; None where it cannot.
            turns: For a team budget, shape (m,): the lowest is served first.
            copies: Transmissions that each message takes, shape (m,), all of which
                are accepted or none; 1 when left out.

        Raises:
            BudgetExceededError: Under ``exceed="raise"``; nothing is booked then.
        """
        count = len(links)
        verdict = Admission(
            np.ones(count, np.bool_),
            np.zeros(count, np.bool_),
            payload.copy(),
            np.zeros(count),
        )
        if self.budget.unlimited:
            return verdict
        before = self._used.copy()
        try:
            for group in self._one_for_each_account(links, turns):
                own = 1 if copies is None else copies[group]
                self._judge(group, links, verdict, record_size, own)
        except BudgetExceededError:
            self._used = before
            raise
        return verdict

    def check(
        self,
        links: NDArray[np.intp],
        payload: NDArray[np.int64],
        turns: NDArray[np.float64] | None,
        copies: NDArray[np.int64] | None = None,
    ) -> None:
        """Raises what :meth:`admit` would raise in the next tick; books nothing.

        Raises:
            BudgetExceededError: Under ``exceed="raise"``.
        """
        if self.budget.exceed != "raise":
            return
        used = self._used.copy()
        try:
            if self.budget.per == "step":
                self.renew()
            self.admit(links, payload, None, turns, copies)
        finally:
            self._used = used

    def serve(self, link: int, payload: int, copies: int = 1) -> bool:
        """Books a waiting message if it fits now, and says whether it did."""
        account = self.account_of(link)
        cost = copies * np.array([1, payload + self._overhead])
        fits = bool((self._used[:, account] + cost <= self._limits).all())
        if fits:
            self._used[:, account] += cost
            self._waiting[account] -= 1
        return fits

    def give_up(self, link: int) -> None:
        """Forgets a waiting message of ``link`` that has expired."""
        self._waiting[self.account_of(link)] -= 1

    def _one_for_each_account(
        self, links: NDArray[np.intp], turns: NDArray[np.float64] | None
    ) -> list[NDArray[np.intp]]:
        """Positions in groups that hold each account once, in the order of service."""
        if turns is None:
            return [np.arange(len(links))]
        account = self.account_of(links)
        order = np.lexsort((turns, account))
        first = np.searchsorted(account[order], account[order])
        rank = np.arange(len(links)) - first
        return [order[rank == turn] for turn in range(rank.max(initial=-1) + 1)]

    def _judge(
        self,
        group: NDArray[np.intp],
        links: NDArray[np.intp],
        verdict: Admission,
        record_size: int | None,
        copies: NDArray[np.int64] | int,
    ) -> None:
        account = self.account_of(links[group])
        size = verdict.granted[group] + self._overhead
        cost: NDArray[Any] = np.stack([np.ones(len(group)), size]) * np.asarray(copies)
        room = self._limits[:, None] - self._used[:, account]
        over = np.clip(cost - np.maximum(room, 0), 0, cost)
        fits = ~over.any(axis=0)
        policy = self.budget.exceed
        if policy == "raise" and not fits.all():
            error = self._exceeded(cost[:, ~fits][:, 0], room[:, ~fits][:, 0])
            error.sender = int(links[group[~fits][0]])
            raise error
        if policy == "truncate" and record_size is not None:
            room_for_payload = np.minimum(room[1], cost[1]) - self._overhead
            space = np.maximum(room_for_payload, 0) // record_size * record_size
            cut = ~fits & (room[0] >= 1) & (space > 0)
            verdict.granted[group[cut]] = space[cut]
            cost[1, cut] = space[cut] + self._overhead
            fits |= cut
        elif policy == "queue":
            fits &= self._waiting[account] == 0  # nobody overtakes who waits already
            verdict.queued[group] = ~fits
            self._waiting[account] += ~fits
        elif policy == "penalize":
            verdict.penalty[group] = (self.budget.price or 0.0) * over.sum(axis=0)
            fits[:] = True
        verdict.accepted[group] = fits
        self._used[:, account] += np.where(fits, cost, 0)

    def _exceeded(
        self, cost: NDArray[np.float64], room: NDArray[np.float64]
    ) -> BudgetExceededError:
        budget = self.budget
        limits = [
            f"{limit:.0f} {unit} per {budget.per} and {budget.scope} "
            f"({max(left, 0):.0f} left)"
            for limit, left, unit in zip(
                self._limits, room, ("messages", "bytes"), strict=True
            )
            if np.isfinite(limit)
        ]
        return BudgetExceededError(
            f"a message of {cost[1]:.0f} bytes exceeds the budget of "
            f"{' and '.join(limits)}; send less, raise the limit, or choose another "
            "exceed policy"
        )
