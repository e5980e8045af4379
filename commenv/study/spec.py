"""What a study is: arms, and how many trials and rounds each of them gets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from numbers import Real
from typing import Any

from commenv.errors import UnknownNameError
from commenv.seeds import integer_seed
from commenv.study.arm import Arm, check_count, check_whole, plain

__all__ = ["STOP_QUANTITIES", "Study"]

STOP_QUANTITIES = ("env_steps", "messages", "uplink_bytes", "total_bytes")
"""What ``stop`` can limit: totals since the start, per agent (means over agents)."""

_COUNTS = ("num_trials", "num_episodes", "evaluate_every", "evaluation_episodes")


@dataclass(frozen=True)
class Study:
    """Everything that a study's numbers depend on.

    Attributes:
        arms: The curves.
        num_trials: Trials of each arm in all, numbered from 0.
        first_trial: The first trial of this shard of them.
        last_trial: The last one; that of all when left out.
        num_episodes: Rounds of each trial.
        gamma: The discount of the metric and of every algorithm, in [0, 1].
        seed: Of all draws.
        stop: Totals per agent after which a trial stops, by quantity.
        evaluate_every: Rounds from one evaluation to the next; the last round of a
            trial is always evaluated.
        evaluation_episodes: Episodes of an evaluation, where there are no tables.
        trace: Whether every step and message is kept too.

    Raises:
        ValueError: No arms, two of one label, a number outside its range, or an unknown
            quantity in ``stop``.
    """

    arms: tuple[Arm, ...]
    num_trials: int = 20
    first_trial: int = 0
    last_trial: int | None = None
    num_episodes: int = 1000
    gamma: float = 0.9
    seed: int = 0
    stop: Mapping[str, float] | None = None
    evaluate_every: int = 1
    evaluation_episodes: int = 10
    trace: bool = False

    def __post_init__(self) -> None:
        if not self.arms:
            raise ValueError("a study of nothing; name an environment and an algorithm")
        labels = [arm.label for arm in self.arms]
        if len(set(labels)) < len(labels):
            twice = next(one for one in labels if labels.count(one) > 1)
            raise ValueError(f"two arms have the label {twice!r}; give each its own")
        object.__setattr__(self, "seed", integer_seed(self.seed))
        for name in _COUNTS:
            check_count(name, getattr(self, name))
        last = self.num_trials - 1 if self.last_trial is None else self.last_trial
        for name, value in (("first_trial", self.first_trial), ("last_trial", last)):
            check_whole(name, value)
            if not 0 <= value < self.num_trials:
                raise ValueError(
                    f"{name} is {value}; {self.num_trials} trials are numbered 0 to "
                    f"{self.num_trials - 1}"
                )
        if last < self.first_trial:
            raise ValueError(
                f"last_trial {last} comes before first_trial {self.first_trial}"
            )
        if not isinstance(self.gamma, Real) or not 0 <= self.gamma <= 1:
            raise ValueError(f"gamma {self.gamma!r} is outside [0, 1]")
        if not isinstance(self.stop or {}, Mapping):
            raise TypeError(
                f"stop is {self.stop!r}; give a dictionary, such as "
                "{'uplink_bytes': 1e6}"
            )
        for quantity, limit in (self.stop or {}).items():
            if quantity not in STOP_QUANTITIES:
                raise UnknownNameError("stop quantity", quantity, STOP_QUANTITIES)
            if not isinstance(limit, Real) or not 0 < limit < math.inf:
                raise ValueError(
                    f"stop {quantity}={limit!r}; give a finite number above 0"
                )

    @property
    def trials(self) -> range:
        """The numbers of the trials that are run here."""
        last = self.num_trials - 1 if self.last_trial is None else self.last_trial
        return range(self.first_trial, last + 1)

    def in_order_of(self, labels: Sequence[str]) -> Study:
        """The same study with its arms in the order of these labels.

        No number depends on their order. With other labels it stays as it is.
        """
        if sorted(labels) != sorted(arm.label for arm in self.arms):
            return self
        arms = sorted(self.arms, key=lambda arm: labels.index(arm.label))
        return replace(self, arms=tuple(arms))

    def describe(self) -> dict[str, Any]:
        """The study as plain data: what a later run must match to continue it."""
        described = {
            field.name: plain(getattr(self, field.name))
            for field in fields(self)
            if field.name != "arms"
        }
        return {**described, "arms": [arm.describe() for arm in self.arms]}
