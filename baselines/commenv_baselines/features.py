"""Features of state-action pairs for linear value functions."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from commenv.errors import UnknownNameError
from commenv.importing import imported
from commenv.learning import Problem
from commenv_baselines.tabular import table_shape

__all__ = ["DenseFeatures", "FeatureTable", "OneHotFeatures", "find_features"]

Array = NDArray[np.float64]
Index = NDArray[np.integer]


class FeatureTable(ABC):
    """phi(s, a) for every pair; d features each.

    Attributes:
        size: d.
    """

    size: int

    @abstractmethod
    def values(self, weights: Array) -> Array:
        """w'phi(s, a) for weights of shape (rows, d): (rows, states, actions)."""

    @abstractmethod
    def sums(
        self, row: Index, state: Index, action: Index, factor: Array, num_rows: int
    ) -> Array:
        """The sum of factor * phi(s, a) over the records of each row: (num_rows, d)."""


class OneHotFeatures(FeatureTable):
    """Features of which exactly one is 1 for each pair.

    Args:
        hot: Integers, shape (states, actions): which one.
        size: How many features there are.
    """

    def __init__(self, hot: Index, size: int) -> None:
        self.size = size
        self._hot = hot

    def values(self, weights: Array) -> Array:
        """A gather: each pair has the weight of its feature."""
        return weights[:, self._hot]

    def sums(
        self, row: Index, state: Index, action: Index, factor: Array, num_rows: int
    ) -> Array:
        """Adds each factor to its record's feature, in the order of the records."""
        place = row * self.size + self._hot[state, action]
        total = np.bincount(place, factor, minlength=num_rows * self.size)
        return np.asarray(total.reshape(num_rows, self.size), dtype=np.float64)


class DenseFeatures(FeatureTable):
    """Any features.

    Args:
        table: float64, shape (states, actions, d).

    Raises:
        ValueError: Not of that shape, or not finite.
    """

    def __init__(self, table: Array) -> None:
        if table.ndim != 3:
            raise ValueError(
                f"features of shape {table.shape}; give (states, actions, d)"
            )
        if not np.isfinite(table).all():
            state, action, feature = np.argwhere(~np.isfinite(table))[0]
            raise ValueError(
                f"feature {feature} of state {state} and action {action} is "
                f"{table[state, action, feature]}; give finite numbers"
            )
        self.size = table.shape[2]
        self._table = table

    def values(self, weights: Array) -> Array:
        """One product per feature, added in order: the same bits in any batch."""
        total = np.zeros((len(weights), *self._table.shape[:2]))
        for feature in range(self.size):
            total += weights[:, feature, None, None] * self._table[..., feature]
        return total

    def sums(
        self, row: Index, state: Index, action: Index, factor: Array, num_rows: int
    ) -> Array:
        """Adds record by record, in their order."""
        total = np.zeros((num_rows, self.size))
        np.add.at(total, row, factor[:, None] * self._table[state, action])
        return total


def find_features(name: str, problem: Problem) -> FeatureTable:
    """The features of a name, for a problem with discrete spaces.

    Args:
        name: ``"state_action"``, ``"afterstate"``, or ``"module:function"``.
        problem: What they are features of.

    Raises:
        ValueError: An unknown name, spaces that are not discrete, or afterstates of an
            environment without tables.
    """
    states, actions = table_shape(
        problem.observation_space, problem.action_space, "davia"
    )
    if name == "state_action":
        pairs = np.arange(states * actions).reshape(states, actions)
        return OneHotFeatures(pairs, states * actions)
    if name == "afterstate":
        return _afterstates(problem)
    if ":" not in name:
        known = ("state_action", "afterstate")
        raise UnknownNameError("features", name, known, "or name module:function")
    make = imported(name, "features")
    if not callable(make):
        raise ValueError(f"features {name!r} are {make!r}, not a function")
    try:
        table, again = (np.asarray(make(problem), np.float64) for _ in range(2))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"features {name!r} returned no array of real numbers: {error}"
        ) from error
    if not np.array_equal(table, again, equal_nan=True):
        raise ValueError(
            f"features {name!r} differ from call to call, but agents and learner must "
            "share them; draw them from problem.draws or a seed of their own"
        )
    if table.shape[:2] != (states, actions):
        raise ValueError(
            f"features {name!r} have shape {table.shape}; the first axes must be the "
            f"{states} states and {actions} actions"
        )
    return DenseFeatures(table)


def _afterstates(problem: Problem) -> FeatureTable:
    """One-hot in the most probable next state, the first of equals.

    On the thesis' grids that is the next cell without wind. Where a wind is likelier
    than calm, or ice as likely to turn the agent as not, it is not what was meant.
    """
    mdp = problem.mdp
    if mdp is None:
        raise ValueError(
            "features 'afterstate' need the environment's tables, and it publishes "
            "none; use 'state_action'"
        )
    states, actions = mdp.probability.shape[:2]
    reached = np.zeros((states, actions, states))
    place = np.indices(mdp.next_state.shape)
    np.add.at(reached, (place[0], place[1], mdp.next_state), mdp.probability)
    return OneHotFeatures(reached.argmax(axis=-1), states)
