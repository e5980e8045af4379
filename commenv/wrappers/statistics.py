"""What agents earn in an episode, added up step by step."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from commenv.snapshots import Resumable, Snapshot
from commenv.wrappers.metrics import Metrics, Traffic, check_gamma

__all__ = ["EpisodeStatistics"]

_COUNTED = ("reward", "episode_return", "length", "_discount", "_charged")


class EpisodeStatistics(Resumable):
    """Discounted return, return and length of the episodes so far.

    Of a single agent they are Python's numbers, of many arrays with one row for each.
    Episodes may begin together or one by one.

    Args:
        gamma: The discount of :attr:`reward`, in [0, 1].
        count: How many agents; one alone if left out.

    Attributes:
        reward: Sum over t of gamma^t r(t), t from 0.
        episode_return: The same without discount.
        length: Steps.

    Raises:
        ValueError: A gamma outside [0, 1].
    """

    reward: Any
    episode_return: Any
    length: Any
    _charged: Any  # of a penalty, what was due already
    _discount: Any  # one number as long as all episodes are equally old

    def __init__(self, gamma: float, count: int | None = None) -> None:
        check_gamma(gamma)
        self._gamma = gamma
        self._count = count
        self.begin()

    def begin(self, which: NDArray[np.bool_] | None = None) -> None:
        """Begins episodes.

        Args:
            which: bool, shape (count,): whose; everybody's if left out.
        """
        if which is not None:
            self.reward = np.where(which, 0.0, self.reward)
            self.episode_return = np.where(which, 0.0, self.episode_return)
            self.length = np.where(which, 0, self.length)
            self._discount = np.where(which, 1.0, self._discount)
            self._charged = np.where(which, 0.0, self._charged)
            return
        self.reward = self.episode_return = 0.0
        self.length = 0
        if self._count is not None:
            self.reward, self.episode_return = np.zeros((2, self._count))
            self.length = np.zeros(self._count, dtype=np.int64)
        self._discount = 1.0
        self._charged = 0.0 if self._count is None else np.zeros(self._count)

    def add(self, earned: Any, acts: Any = 1) -> None:
        """Enters a step.

        Args:
            earned: The rewards, float64; 0 for those who take no step.
            acts: Who takes one. The others' episodes are over: nothing is added to them
                until they begin anew.
        """
        self.reward += self._discount * earned
        self.episode_return += earned
        self.length += acts
        self._discount = self._discount * self._gamma

    def enter(
        self,
        reward: NDArray[np.float64],
        episode_return: NDArray[np.float64],
        length: NDArray[np.integer],
    ) -> None:
        """Enters what was measured elsewhere in the place of steps, one row each."""
        self.reward = reward.astype(np.float64).ravel()
        self.episode_return = episode_return.astype(np.float64).ravel()
        self.length = length.astype(np.int64).ravel()

    def due(self, penalty: Any) -> Any:
        """What a penalty has grown by since it was last asked for: the price to pay.

        Args:
            penalty: The price of all messages of the episode so far.
        """
        due = penalty - self._charged
        self._charged = penalty
        return due

    def replay(
        self,
        lengths: NDArray[np.int64],
        reward: float,
        last: NDArray[np.float64],
        rows: NDArray[np.intp],
    ) -> None:
        """Adds up episodes in which all steps but the last earn the same.

        The operations are those of :meth:`add`, so the bits are, too.

        Args:
            lengths: int64, shape (count,): the steps of each so far.
            reward: What each step earns.
            last: What the last step of some has earned instead.
            rows: Whose.
        """
        self.begin()
        discounts = [self._discount]
        for step in range(int(lengths.max(initial=0))):
            earned = np.where(lengths > step, reward, 0.0)
            ends = lengths[rows] == step + 1
            earned[rows[ends]] = last[ends]
            self.add(earned, lengths > step)
            discounts.append(self._discount)
        self._discount = np.array(discounts)[lengths]

    def snapshot(self) -> Snapshot:
        """Everything that was counted in the episodes so far."""
        return {name: getattr(self, name) for name in _COUNTED}

    def restore(self, snapshot: Snapshot) -> None:
        """Counts on from there."""
        for name in _COUNTED:
            setattr(self, name, copy(snapshot[name]))  # it goes on in place

    def metrics(
        self, shape: tuple[int, int], up: Traffic | None, down: Traffic | None
    ) -> Metrics:
        """The metrics of what was earned and of what passed.

        Args:
            shape: (trials, agents).
            up: The uplink's traffic; None where nothing was ever sent.
            down: The downlink's.
        """
        return Metrics.measured(
            np.array(self.reward, np.float64).reshape(shape),
            np.array(self.episode_return, np.float64).reshape(shape),
            np.array(self.length, np.int64).reshape(shape),
            up or Traffic.nothing(shape),
            down or Traffic.nothing(shape),
        )
