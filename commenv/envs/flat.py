"""Tables laid out for stepping many instances at once, and the rule of sampling."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from commenv.envs.tabular import TabularMDP

__all__ = ["FlatTables", "check_actions", "integer_actions", "thresholds"]


def thresholds(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """The cumulative probabilities at which a uniform number changes its outcome.

    The outcome of u is the first whose cumulative probability exceeds u, which is the
    number of thresholds at or below u: Gymnasium's rule for its tabular environments.
    The last possible outcome takes what rounding leaves of the unit interval.

    Args:
        probability: float64, shape (..., K), sums to 1 over the last axis.

    Returns:
        float64, shape (..., K - 1), increasing; inf from the last possible outcome on.
    """
    size = probability.shape[-1]
    last = size - 1 - (probability[..., ::-1] > 0).argmax(axis=-1)
    within = np.arange(size - 1) < last[..., None]
    return np.where(within, probability.cumsum(axis=-1)[..., :-1], np.inf)


def integer_actions(actions: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Actions as an int64 array of the given shape.

    Raises:
        ValueError: Another shape, or numbers that are not integers.
    """
    array = np.asarray(actions)
    if array.shape != shape or array.dtype.kind not in "iu":
        raise ValueError(
            f"actions of shape {array.shape} and dtype {array.dtype}; give integers "
            f"of shape {shape}, one per instance"
        )
    return array.astype(np.int64, copy=False)


def check_actions(actions: NDArray[np.int64], num_actions: int) -> NDArray[np.int64]:
    """The actions, if all are among ``0 ... num_actions - 1``.

    Raises:
        ValueError: One is not; the message names it.
    """
    # As unsigned numbers negative ones are huge: one pass finds both kinds. argmax
    # takes a third of the time that max takes for a thousand numbers.
    unsigned = actions.view(np.uint64)
    if unsigned[unsigned.argmax()] >= num_actions:
        wrong = (actions < 0) | (actions >= num_actions)
        row = int(wrong.argmax())
        raise ValueError(
            f"action {actions[row]} of instance {row} is outside the action "
            f"space; actions are 0 ... {num_actions - 1}"
        )
    return actions


class FlatTables:
    """The tables of a process as flat arrays, so that a step is one gather per field.

    States and actions are joined into *pairs*, ``state * stride + action``. Every state
    has one action more than the process: ``idle``, which stays, earns nothing and does
    not end the episode. So instances that rest or restart pass through the same
    gathers as the others.

    Attributes:
        num_actions: How many actions the process has; also the number of ``idle``.
        stride: The distance between the pairs of neighbouring states.
        restart: The pair of idling in the first possible start state.
        random_start: Whether there is more than one possible start state.
    """

    def __init__(self, mdp: TabularMDP) -> None:
        states, actions, outcomes = mdp.probability.shape
        self.num_actions = self.idle = actions
        self.stride = actions + 1
        first = np.flatnonzero(mdp.start)[0]
        self.restart = first * self.stride + self.idle
        self.random_start = np.count_nonzero(mdp.start) > 1
        self._first = first
        self._start = thresholds(mdp.start)

        def laid_out(table: NDArray[Any], idle: ArrayLike) -> NDArray[Any]:
            column = np.broadcast_to(idle, (states, 1, table.shape[-1]))
            return np.concatenate([table, column], axis=1, dtype=table.dtype)

        own = np.arange(states)[:, None, None]
        fields = [
            laid_out(mdp.next_state, own),
            laid_out(mdp.reward, 0.0),
            laid_out(mdp.terminated, False),
        ]
        cuts = laid_out(thresholds(mdp.probability), np.inf)
        # To compare with a number costs half as much as to look it up and compare.
        common = np.unique(cuts[(cuts > 0) & (cuts < 1)])
        self._common = len(common) <= 2 * (outcomes - 1)
        if self._common:
            fields = _by_common_cuts(fields, cuts, common)
            self._cuts = [np.array(cut) for cut in common]
        else:
            self._cuts = [cuts[..., k].ravel() for k in range(outcomes - 1)]
        self._outcomes = len(self._cuts) + 1
        self._passed = np.min_scalar_type(self._outcomes)
        self._end = _only_end(fields[0][:, :-1], fields[2][:, :-1], mdp.start)
        self._next_state, self._reward, self._terminated = map(np.ravel, fields)

    def start(
        self, uniforms: NDArray[np.float64] | None
    ) -> NDArray[np.int64] | np.int64:
        """The first states of some instances, from one uniform number each.

        Args:
            uniforms: float64, shape (n,); not needed without a random start.

        Returns:
            int64, shape (n,), or the one number that all have without a random start.
        """
        if not self.random_start or uniforms is None:
            return self._first
        return self._start.searchsorted(uniforms, side="right")

    def move(
        self,
        pairs: NDArray[np.int64],
        uniforms: NDArray[np.float64] | None,
        *,
        resting: bool = True,
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]:
        """One step of many instances, from one uniform number each.

        Args:
            pairs: int64, shape (n,): ``state * stride + action``.
            uniforms: float64, shape (n,); not needed where all outcomes are certain.
            resting: Whether some may idle where their episodes have ended.

        Returns:
            (next states, rewards, terminated), each a new array of shape (n,).
        """
        index = pairs
        if uniforms is not None and self._cuts:
            index = pairs * self._outcomes
            index += self._outcome(pairs, uniforms)
        states = self._next_state.take(index)
        rewards = self._reward.take(index)
        if resting or self._end is None:
            return states, rewards, self._terminated.take(index)
        return states, rewards, states == self._end  # costs less than to look it up

    def _outcome(
        self, pairs: NDArray[np.int64], uniforms: NDArray[np.float64]
    ) -> NDArray[Any]:
        """How many cuts each number has passed."""
        edges = self._cuts if self._common else (cut.take(pairs) for cut in self._cuts)
        first, *others = ((uniforms >= edge).view(np.uint8) for edge in edges)
        passed = first.astype(self._passed, copy=False)
        for one in others:
            passed += one
        return passed

    def check(self, actions: NDArray[np.int64]) -> NDArray[np.int64]:
        """The actions, if all lie in the action space.

        Raises:
            ValueError: One does not; the message names it.
        """
        return check_actions(actions, self.num_actions)


def _by_common_cuts(
    fields: list[NDArray[Any]],
    cuts: NDArray[np.float64],
    common: NDArray[np.float64],
) -> list[NDArray[Any]]:
    """Tables of the outcomes between cuts that all pairs share.

    Args:
        fields: Tables of shape (S, A, K).
        cuts: The thresholds of each pair, shape (S, A, K - 1).
        common: All of them that lie in (0, 1), increasing, shape (C,).

    Returns:
        The tables, of shape (S, A, C + 1).
    """
    lowest = [0.0, *common]  # of the numbers that lead to each column
    outcome = np.stack([(cuts <= least).sum(axis=-1) for least in lowest], axis=-1)
    return [np.take_along_axis(field, outcome, axis=-1) for field in fields]


def _only_end(
    next_state: NDArray[np.int64],
    terminated: NDArray[np.bool_],
    start: NDArray[np.float64],
) -> NDArray[np.int64] | None:
    """The state whose arrivals are all the ends of episodes, if there is one.

    It is no start state: a restart would look like an arrival.
    """
    ends = np.unique(next_state[terminated])
    if len(ends) != 1 or start[ends[0]] > 0:
        return None
    exact = ((next_state == ends[0]) == terminated).all()
    return np.array(ends[0]) if exact else None
