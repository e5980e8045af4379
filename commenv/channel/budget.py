"""Budgets: how much may be sent in a window, by whom, and what happens beyond it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from numbers import Real
from typing import Any, Literal, get_args

import numpy as np

from commenv.errors import UnknownNameError

__all__ = ["Budget"]

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
