"""Budgets: how much may be sent in a window, by whom, and what happens beyond it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from numbers import Real
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from commenv.errors import BudgetExceededError, ResultsError, UnknownNameError
from commenv.snapshots import Resumable

__all__ = ["Accounts", "Admission", "Budget", "Left"]

Window = Literal["step", "episode", "lifetime"]
Scope = Literal["agent", "team"]
Exceed = Literal["refuse", "truncate", "queue", "penalize", "terminate", "raise"]


@dataclass(frozen=True)
class Budget:
    """A limit on the messages, the bytes, or both, of one direction.

    Args:
        messages: Most messages in a window; None for no limit.
        bytes: Most bytes in a window; payload alone, unless the channel counts headers.
        per: The window. ``"step"`` is one tick of the channel's clock: an environment
            step where agents send while acting, a round where they send between
            episodes.
        scope: ``"agent"`` gives each agent a budget of its own; ``"team"`` gives the
            agents of a trial one together, served in an order drawn anew in each tick.
        exceed: What happens to a message that does not fit.

            - ``"refuse"``: it is not sent.
            - ``"truncate"``: it is cut after its last whole record that fits, and
              refused where none does.
            - ``"queue"``: it waits in flight and is sent first in a later window; it
              expires ``max_wait`` ticks after the end of the window it was meant for.
            - ``"penalize"``: it is sent, and costs ``price``.
            - ``"terminate"``: it is refused, and ends the agent's episode if that is
              still running.
            - ``"raise"``: :class:`commenv.errors.BudgetExceededError`, and nothing of
              that send is sent.
        max_wait: Ticks, for ``"queue"`` alone; 1 unless told.
        price: For ``"penalize"`` alone: reward per message and per byte beyond the
            limits; 1 unless told.

    Raises:
        ValueError: A negative limit, wait or price, an unknown window, scope or policy,
            a wait or price that the policy does not use, or settings of a budget
            without a limit.
    """

    messages: int | None = None
    bytes: int | None = None
    per: Window = "episode"
    scope: Scope = "agent"
    exceed: Exceed = "refuse"
    max_wait: int | None = None
    price: float | None = None

    def __post_init__(self) -> None:
        for name in ("messages", "bytes", "max_wait"):
            value = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
                raise ValueError(
                    f"budget {name} must be an integer of 0 or more, got {value!r}"
                )
            if value < 0:
                raise ValueError(f"budget {name} {value} is negative; give 0 or more")
        if self.price is not None and not _is_price(self.price):
            raise ValueError(
                f"budget price must be a number of 0 or more, got {self.price!r}"
            )
        for name, known in (("per", Window), ("scope", Scope), ("exceed", Exceed)):
            if getattr(self, name) not in get_args(known):
                raise UnknownNameError(
                    f"budget {name}", str(getattr(self, name)), get_args(known)
                )
        self._check_use()
        if self.exceed == "queue" and self.max_wait is None:
            object.__setattr__(self, "max_wait", 1)
        if self.exceed == "penalize" and self.price is None:
            object.__setattr__(self, "price", 1.0)

    def _check_use(self) -> None:
        """Refuses settings that would have no effect."""
        for name, policy in (("max_wait", "queue"), ("price", "penalize")):
            if getattr(self, name) is not None and self.exceed != policy:
                raise ValueError(
                    f"budget {name}={getattr(self, name)} has no effect with exceed="
                    f"{self.exceed!r}; leave it out, or give exceed={policy!r}"
                )
        if self.unlimited:
            for name in ("per", "scope", "exceed"):
                value = getattr(self, name)
                if value != getattr(type(self), name):
                    raise ValueError(
                        f"budget {name}={value!r} limits nothing; give messages=, "
                        "bytes= or both"
                    )

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Reads ``"messages=1,per=episode,exceed=refuse"``.

        Raises:
            ValueError: An unknown name, or a value that is not allowed.
        """
        known = [field.name for field in fields(cls)]
        values: dict[str, Any] = {}
        for part in filter(None, text.split(",")):
            name, equals, value = (piece.strip() for piece in part.partition("="))
            if name not in known:
                raise UnknownNameError("budget setting", name, known)
            if name in values:
                raise ValueError(f"budget setting {name!r} is given twice")
            if not equals:
                raise ValueError(f"budget {part!r} has no value; write {name}=...")
            values[name] = _number(name, value)
        budget = cls(**values)
        if text and budget.unlimited:
            raise ValueError(
                f"budget {text!r} limits nothing; give messages=, bytes= or both"
            )
        return budget

    @property
    def unlimited(self) -> bool:
        """Whether nothing is limited at all."""
        return self.messages is None and self.bytes is None


def _is_price(value: object) -> bool:
    """Whether a price is a finite number of 0 or more."""
    real = isinstance(value, Real) and not isinstance(value, bool)
    return real and 0 <= value < float("inf")  # type: ignore[operator]


def _number(name: str, value: str) -> Any:
    if name in ("per", "scope", "exceed"):
        return value
    try:
        number = float(value)
        return number if name == "price" else _whole(number)
    except (ValueError, OverflowError):
        raise ValueError(f"budget {name} {value!r} is not a number") from None


def _whole(number: float) -> int | float:
    return int(number) if number == int(number) else number


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


class Accounts(Resumable):
    """What has been used of a budget, for the links of a batch.

    Args:
        budget: The limits.
        shape: (trials, agents).
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
        self._endless = np.full((2, *shape), np.inf)

    def renew(self, which: NDArray[np.bool_] | None = None) -> None:
        """Opens a new window.

        Args:
            which: bool, shape (accounts,): whose; everybody's when left out.
        """
        self._used[:, slice(None) if which is None else which] = 0

    def left(self) -> Left:
        """What is left in the current window."""
        if self.budget.unlimited:
            return Left(*self._endless.copy())
        left = np.maximum(self._limits[:, None] - self._used, 0)
        if self.budget.scope == "team":
            left = np.repeat(left, self.shape[1], axis=1)
        messages, size = left.reshape(2, *self.shape)
        return Left(messages, size)

    def check_waiting(self, payers: NDArray[np.intp]) -> None:
        """Checks that just these wait.

        Args:
            payers: The flat links that pay for what waits.

        Raises:
            ResultsError: Others do.
        """
        accounts = self.account_of(payers)
        found = np.bincount(accounts, minlength=len(self._waiting))
        if (found != self._waiting).any():
            raise ResultsError("a snapshot has accounts for whom others wait")

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
