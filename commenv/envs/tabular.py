"""Finite Markov decision processes written out as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import wrappers
from numpy.typing import ArrayLike, NDArray

from commenv.envs import values

__all__ = ["Outcome", "TabularMDP", "Transitions"]

Outcome = tuple[float, int, float, bool]
"""(probability, next state, reward, terminated), as in Gymnasium's ``P`` tables."""

Transitions = Mapping[int, Mapping[int, Sequence[Outcome]]]
"""``transitions[state][action]``: the possible outcomes, in order."""

# Wrappers that change neither what a step does nor what it shows.
_TRANSPARENT = (
    wrappers.OrderEnforcing,
    wrappers.PassiveEnvChecker,
    wrappers.TimeLimit,
)
_SUM_TOLERANCE = 1e-9


class TabularMDP:
    """The dynamics of a finite environment, and the exact values of its policies.

    S is the number of states, A of actions, K the largest number of outcomes that a
    (state, action) has; rows with fewer are padded with outcomes of probability 0. The
    order of the outcomes is kept and equal ones are not merged, because it decides
    which outcome a random number leads to.

    The tables are copied and read-only. Two processes are equal when their tables are.

    Args:
        probability: float64, shape (S, A, K); sums to 1 over the last axis.
        next_state: int64, shape (S, A, K).
        reward: float64, shape (S, A, K).
        terminated: bool, shape (S, A, K): the outcome ends the episode.
        start: float64, shape (S,): the distribution of the first state.
        shape: The (rows, columns) of a grid whose state is ``row * columns + column``.

    Raises:
        ValueError: Tables that do not fit each other, that are no probabilities, or
            that lead to states that do not exist.
    """

    probability: NDArray[np.float64]
    next_state: NDArray[np.int64]
    reward: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    start: NDArray[np.float64]

    def __init__(
        self,
        probability: ArrayLike,
        next_state: ArrayLike,
        reward: ArrayLike,
        terminated: ArrayLike,
        start: ArrayLike,
        shape: tuple[int, int] | None = None,
    ) -> None:
        self.probability = _frozen(probability, np.float64)
        self.next_state = _frozen(next_state, np.int64)
        self.reward = _frozen(reward, np.float64)
        self.terminated = _frozen(terminated, np.bool_)
        self.start = _frozen(start, np.float64)
        self.shape = shape
        self._validate()

    @classmethod
    def from_transitions(
        cls,
        transitions: Transitions,
        start: ArrayLike,
        shape: tuple[int, int] | None = None,
    ) -> TabularMDP:
        """Builds the tables from nested mappings such as Gymnasium's ``P``.

        Args:
            transitions: ``transitions[state][action]``, a sequence of (probability,
                next state, reward, terminated); states and actions count from 0.
            start: The distribution of the first state, shape (S,).
            shape: The (rows, columns) of a grid.

        Raises:
            ValueError: A state that lacks an action, or an action without an outcome.
        """
        if not transitions:
            raise ValueError("no states; give at least one, with at least one action")
        num_states, num_actions = len(transitions), len(transitions[0])
        for state in range(num_states):
            if sorted(transitions.get(state, ())) != list(range(num_actions)):
                raise ValueError(
                    f"state {state} of {num_states} does not have exactly the actions "
                    f"0 ... {num_actions - 1}; every state needs the same actions"
                )
        rows = [
            transitions[state][action]
            for state in range(num_states)
            for action in range(num_actions)
        ]
        size = max(map(len, rows))
        padding: Outcome = (0.0, 0, 0.0, False)
        padded = [[*row, *[padding] * (size - len(row))] for row in rows]
        probability, next_state, reward, terminated = (
            np.array([[outcome[field] for outcome in row] for row in padded]).reshape(
                num_states, num_actions, size
            )
            for field in range(4)
        )
        return cls(probability, next_state, reward, terminated, start, shape)

    @classmethod
    def from_env(cls, env: str | gym.Env[Any, Any]) -> TabularMDP:
        """Reads the tables of an environment that publishes them.

        Args:
            env: An environment of commenv's, or one of Gymnasium's with a ``P`` table
                and an ``initial_state_distrib`` (FrozenLake, CliffWalking, Taxi); or
                the id of one.

        Raises:
            TypeError: It is neither.
            ValueError: The environment has no such table, or the table does not tell
                the whole dynamics.
        """
        if isinstance(env, str):
            env = gym.make(env)
        if not isinstance(env, gym.Env):
            raise TypeError(
                f"env must be an id or a Gymnasium environment, got {env!r}; make one "
                "with gym.make, or read tables with TabularMDP.from_transitions"
            )
        world: Any = _unwrap(env)
        if isinstance(mdp := getattr(world, "mdp", None), cls):
            return mdp
        transitions = getattr(world, "P", None)
        start = getattr(world, "initial_state_distrib", None)
        if transitions is None or start is None:
            raise ValueError(
                f"{_name(env)} publishes no tables (attributes `P` and "
                "`initial_state_distrib`); use an environment with finitely many "
                "states that does, or TabularMDP.from_transitions"
            )
        if getattr(world, "fickle_passenger", False):
            raise ValueError(
                f"{_name(env)} was made with fickle_passenger=True: its passenger's "
                "change of mind is not in the table `P`; use fickle_passenger=False"
            )
        return cls.from_transitions(transitions, start, _grid_shape(world, len(start)))

    @property
    def num_states(self) -> int:
        """S, the number of states."""
        return self.probability.shape[0]

    @property
    def num_actions(self) -> int:
        """A, the number of actions."""
        return self.probability.shape[1]

    @cached_property
    def deterministic(self) -> bool:
        """Whether one start is certain, and one outcome of every state and action."""
        outcomes = np.count_nonzero(self.probability, axis=-1)
        return bool((outcomes == 1).all() and np.count_nonzero(self.start) == 1)

    def optimal_values(self, gamma: float) -> NDArray[np.float64]:
        """The largest expected discounted return from each state, without time limit.

        See :func:`commenv.envs.values.optimal_values` for ``gamma=1``.

        Args:
            gamma: The discount factor, in [0, 1].

        Returns:
            float64, shape (S,).
        """
        return values.optimal_values(self, gamma)

    def policy_values(self, policy: ArrayLike, gamma: float) -> NDArray[np.float64]:
        """The expected discounted return of a policy from each state, without limit.

        See :func:`commenv.envs.values.policy_values` for ``gamma=1``.

        Args:
            policy: Action probabilities of shape (S, A), or integer actions (S,).
            gamma: The discount factor, in [0, 1].

        Returns:
            float64, shape (S,).
        """
        return values.policy_values(self, policy, gamma)

    def finite_horizon_values(
        self, policy: ArrayLike, gamma: float, horizon: int
    ) -> NDArray[np.float64]:
        """The expected discounted return over the next ``horizon`` steps.

        Args:
            policy: Action probabilities of shape (..., S, A), or integer actions
                (..., S); leading axes are policies of their own.
            gamma: The discount factor, in [0, 1].
            horizon: The number of steps to go, at least 0.

        Returns:
            float64, shape (..., S). A policy's values have the same bits whichever
            policies share its call.
        """
        return values.finite_horizon_values(self, policy, gamma, horizon)

    def finite_horizon_optimum(self, gamma: float, horizon: int) -> NDArray[np.float64]:
        """See :func:`commenv.envs.values.finite_horizon_optimum`."""
        return values.finite_horizon_optimum(self, gamma, horizon)

    def start_value(self, state_values: ArrayLike) -> NDArray[np.float64]:
        """The expectation of values over the start distribution.

        Args:
            state_values: float64, shape (..., S).

        Returns:
            float64, shape (...).
        """
        array = np.asarray(state_values, dtype=np.float64)
        total = np.zeros(array.shape[:-1])
        for state in np.flatnonzero(self.start):  # skips 0 * inf, and fixes the order
            total = total + self.start[state] * array[..., state]
        return total

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TabularMDP):
            return NotImplemented
        return self.shape == other.shape and all(
            np.array_equal(mine, theirs)
            for mine, theirs in zip(self._tables(), other._tables(), strict=True)
        )

    def __hash__(self) -> int:
        return hash((self.shape, self.next_state.tobytes()))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (*self._tables(), self.shape)

    def __repr__(self) -> str:
        grid = f", shape={self.shape}" if self.shape else ""
        return f"TabularMDP({self.num_states} states, {self.num_actions} actions{grid})"

    def _tables(self) -> tuple[NDArray[Any], ...]:
        return (
            self.probability,
            self.next_state,
            self.reward,
            self.terminated,
            self.start,
        )

    def _validate(self) -> None:
        shapes = {table.shape for table in self._tables()[:-1]}
        if len(shapes) != 1 or self.probability.ndim != 3 or not self.probability.size:
            raise ValueError(
                f"tables of the shapes {sorted(shapes)}; all four must have one and "
                "the same shape (states, actions, outcomes), each at least 1"
            )
        if self.start.shape != (self.num_states,):
            raise ValueError(
                f"a start distribution of shape {self.start.shape} for "
                f"{self.num_states} states; give one probability per state"
            )
        _check_distribution(self.probability, "the outcome probabilities of (s, a) =")
        _check_distribution(self.start, "the start probabilities")
        wrong = self.next_state[(self.next_state < 0) | self._beyond_last_state()]
        if wrong.size:
            raise ValueError(
                f"next state {wrong[0]} does not exist; states are 0 ... "
                f"{self.num_states - 1}"
            )
        if not np.isfinite(self.reward).all():
            raise ValueError("a reward is not finite; every reward must be a number")
        if self.shape is not None and int(np.prod(self.shape)) != self.num_states:
            raise ValueError(
                f"shape {self.shape} has {int(np.prod(self.shape))} cells for "
                f"{self.num_states} states; leave it out or make them equal"
            )

    def _beyond_last_state(self) -> NDArray[np.bool_]:
        return self.next_state >= self.num_states


def _frozen(table: ArrayLike, dtype: type[np.generic]) -> NDArray[Any]:
    copy = np.array(table, dtype=dtype)
    copy.setflags(write=False)
    return copy


def _check_distribution(table: NDArray[np.float64], what: str) -> None:
    total = table.sum(axis=-1)
    fine = (table >= 0).all(axis=-1) & (np.abs(total - 1) <= _SUM_TOLERANCE)
    if not fine.all():
        where = tuple(int(index) for index in np.argwhere(~fine)[0])
        row = table[where].tolist() if table.ndim > 1 else f"sum {float(total)}"
        raise ValueError(
            f"{what} {where or ''} are {row}; they must be 0 or more and sum to 1"
        )


def _unwrap(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    while isinstance(env, gym.Wrapper):
        if not isinstance(env, _TRANSPARENT):
            raise ValueError(
                f"the wrapper {type(env).__name__} may change what the tables of "
                f"{_name(env.unwrapped)} say; pass env.unwrapped to ignore it"
            )
        env = env.env
    return env


def _name(env: gym.Env[Any, Any]) -> str:
    return env.spec.id if env.spec else type(env.unwrapped).__name__


def _grid_shape(world: Any, num_states: int) -> tuple[int, int] | None:
    shape: Any = getattr(world, "shape", ())
    if hasattr(world, "nrow"):
        shape = (world.nrow, world.ncol)
    if len(shape) == 2 and int(np.prod(shape)) == num_states:
        return int(shape[0]), int(shape[1])
    return None
