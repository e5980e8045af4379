"""Batched multi-layer perceptrons: each row acts with parameters of its own.

A policy's parameters are one flat vector theta: for each layer its weights, an
(inputs, outputs) matrix row by row, and then its biases. tanh follows every layer, the
last one too (Gunn 2023).

Theta is rounded to float32, and so are observations and all that follows: the forward
pass is the compiled one of :mod:`commenv_baselines.kernels`, in training, evaluation
and replay. Its outputs are within 1e-5 of those of a float32 network that uses the
library's tanh, such as :meth:`MLP.to_torch` makes. A row's outputs do not depend on the
rows beside it, to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from commenv.errors import MissingExtraError

if TYPE_CHECKING:
    import torch

from commenv_baselines.policy_spaces import (
    Array,
    Choice,
    Flat,
    Single,
    inputs_of,
    kernels,
    outputs_of,
)

__all__ = ["MLP", "ColumnPlayers", "Greedy", "Players", "TablePlayers"]


_WORTH_DROPPING = 0.75  # rows are regathered when fewer than this share still act


class MLP:
    """A perceptron from observations to actions; it holds sizes, not parameters.

    Observations: a Box is flattened; Discrete and MultiDiscrete are one-hot, as
    :func:`gymnasium.spaces.flatten` has them; MultiBinary is taken as it is. Actions:
    the largest output for Discrete (the first of equals), the largest of each branch
    for MultiDiscrete; for a bounded Box, outputs -1 ... 1 stand for ``low ... high``.

    Args:
        observation_space: Of one agent.
        action_space: Of one agent.
        hidden_sizes: Units of each hidden layer; none makes a linear policy.

    Attributes:
        sizes: Units of all layers, from the inputs to the outputs.
        units: The same, an array.
        num_parameters: The length q of theta.

    Raises:
        ValueError: A space of another kind, an image, an unbounded or integer Box of
            actions, or a layer without units.
        MissingExtraError: The extra ``baselines`` is not installed.
    """

    def __init__(
        self,
        observation_space: gym.Space[Any],
        action_space: gym.Space[Any],
        hidden_sizes: Sequence[int],
    ) -> None:
        if any(size < 1 for size in hidden_sizes):
            raise ValueError(f"hidden sizes {tuple(hidden_sizes)}; use 1 or more units")
        self._inputs = inputs_of(observation_space)
        self._outputs = outputs_of(action_space)
        self.sizes = (self._inputs.size, *hidden_sizes, self._outputs.size)
        pairs = zip(self.sizes, self.sizes[1:], strict=False)
        self._shapes = [(inputs, outputs) for inputs, outputs in pairs]
        self.num_parameters = sum((i + 1) * o for i, o in self._shapes)
        self.units = np.array(self.sizes)
        kernels()

    def __repr__(self) -> str:
        return f"MLP({'-'.join(map(str, self.sizes))})"

    @property
    def fan_in(self) -> Array:
        """How many inputs each weight's unit has, 0 for biases: float64, shape (q,)."""
        return np.concatenate(
            [np.repeat([i, 0.0], [i * o, o]) for i, o in self._shapes]
        )

    def act(self, theta: Array, observations: NDArray[Any]) -> NDArray[Any]:
        """Actions of rows with parameters (rows, q) that saw ``observations``."""
        return Players(self, theta).act(observations)

    def outputs(self, theta: Array, observations: NDArray[Any]) -> Single:
        """The last layer, in [-1, 1]: float32, shape (rows, outputs)."""
        return Players(self, theta).outputs(observations).T

    def greedy(self, theta: Array) -> Greedy:
        """One policy for each trial, theta of shape (trials, q)."""
        return Greedy(self, theta)

    def columns(self, theta: Array) -> ColumnPlayers | None:
        """Rows of parameters (rows, q) for a world that closes up, where they can.

        They can where observations are a Box, and actions Discrete.
        """
        if not isinstance(self._inputs, Flat) or not isinstance(self._outputs, Choice):
            return None
        return ColumnPlayers(self.units, Players(self, theta), self._outputs.start)

    def players(self, theta: Array) -> Players | TablePlayers:
        """The quickest way to act many times with parameters (rows, q)."""
        players = Players(self, theta)
        states = self._inputs.states
        return TablePlayers(players, states) if len(states) else players

    def rounded(self, theta: Array) -> Single:
        """Parameters as the policy uses them, float32.

        Raises:
            ValueError: theta is not (rows, q).
        """
        if theta.ndim != 2 or theta.shape[1] != self.num_parameters:
            raise ValueError(
                f"theta has shape {theta.shape}; {self!r} needs (rows, "
                f"{self.num_parameters})"
            )
        return theta.astype(np.float32)

    def forward(
        self,
        parameters: Single,
        rows: NDArray[np.intp],
        observations: NDArray[Any],
        outputs: Single,
    ) -> None:
        """Writes the last layer of some rows.

        Args:
            parameters: Shape (blocks, q, lanes); see :meth:`Players.hold`.
            rows: Shape (blocks * lanes,): the row that each column belongs to.
            observations: Of all rows, shape (rows, ...).
            outputs: float32, shape (outputs, rows), written to.

        Raises:
            ValueError: Observations that do not fit the space or the number of rows.
        """
        if len(observations) != outputs.shape[1]:
            raise ValueError(
                f"{len(observations)} observations for {outputs.shape[1]} rows of "
                "parameters; give one for each"
            )
        self._inputs.forward(parameters, self.units, rows, observations, outputs)

    def decode(self, outputs: Single) -> NDArray[Any]:
        """Outputs of shape (outputs, rows) as one action for each row."""
        return self._outputs.actions(outputs)

    def to_torch(self, theta: Array) -> torch.nn.Module:
        """One policy as a torch module, float32.

        It takes flat observations (one-hot where the space is discrete). It returns
        the action for a Box, flat; else the last layer, in [-1, 1], whose largest
        number stands for the action.

        Raises:
            MissingExtraError: The extra ``torch`` is not installed.
        """
        try:
            import torch
        except ImportError as error:
            raise MissingExtraError("a policy as a torch module", "torch") from error
        modules: list[torch.nn.Module] = []
        rest = torch.from_numpy(self.rounded(theta.reshape(1, -1))[0])
        for inputs, outputs in self._shapes:
            linear = torch.nn.Linear(inputs, outputs)
            weights, biases, rest = rest.tensor_split(
                (inputs * outputs, (inputs + 1) * outputs)
            )
            with torch.no_grad():
                linear.weight.copy_(weights.reshape(inputs, outputs).T)
                linear.bias.copy_(biases)
            modules += [linear, torch.nn.Tanh()]
        if (scale := self._outputs.scale) is not None:
            linear = torch.nn.Linear(self.sizes[-1], self.sizes[-1])
            with torch.no_grad():
                linear.weight.copy_(torch.diag(torch.from_numpy(scale[1])))
                linear.bias.copy_(torch.from_numpy(scale[0]))
            modules.append(linear)
        return torch.nn.Sequential(*modules)


class Greedy:
    """Policies as a function from observations to actions.

    It is an :data:`commenv.learning.evaluation.Act`: observations have a flat,
    trial-major leading axis, the same number of rows for each trial.

    Args:
        mlp: The sizes.
        theta: float64, shape (trials, q).
    """

    def __init__(self, mlp: MLP, theta: Array) -> None:
        self._mlp = mlp
        self._theta = theta
        self._rows = 0
        self._players: Players | TablePlayers | None = None

    def __call__(self, observations: NDArray[Any]) -> NDArray[Any]:
        """One action for each row."""
        if self._players is None or len(observations) != self._rows:
            self._rows = len(observations)
            each = self._rows // len(self._theta)
            self._players = self._mlp.players(np.repeat(self._theta, each, axis=0))
        return self._players.act(observations)

    def to_torch(self, trial: int = 0) -> torch.nn.Module:
        """The policy of the trial at this position; see :meth:`MLP.to_torch`."""
        return self._mlp.to_torch(self._theta[trial])


class Players:
    """Rows that act with parameters of their own; those that have ended cost nothing.

    Args:
        mlp: The sizes.
        theta: float64, shape (rows, q).

    Attributes:
        rows: Positions of the rows whose parameters are at hand.
        parameters: Theirs, in blocks: float32, shape (blocks, q, lanes).
    """

    def __init__(self, mlp: MLP, theta: Array) -> None:
        self._mlp = mlp
        self._theta = mlp.rounded(theta)
        self._hold(np.arange(len(theta)))

    def act(
        self, observations: NDArray[Any], active: NDArray[np.bool_] | None = None
    ) -> NDArray[Any]:
        """One action for each row; those of inactive rows mean nothing.

        Args:
            observations: Shape (rows, ...).
            active: bool, shape (rows,); all rows when left out.
        """
        return self._mlp.decode(self.outputs(observations, active))

    def outputs(
        self, observations: NDArray[Any], active: NDArray[np.bool_] | None = None
    ) -> Single:
        """The last layer, which actions are decoded from: (outputs, rows)."""
        if active is not None:
            self._follow(active)
        outputs = np.zeros((self._mlp.sizes[-1], len(self._theta)), np.float32)
        self._mlp.forward(self.parameters, self._columns, observations, outputs)
        return outputs

    def _follow(self, active: NDArray[np.bool_]) -> None:
        """Drops rows once many have ended; takes all back if one acts again."""
        number = np.count_nonzero(active)
        if number and number < _WORTH_DROPPING * len(self.rows):
            self._hold(active.nonzero()[0])
        if len(self.rows) < len(active) and (active & ~self._held).any():
            self._hold(np.arange(len(active)))

    def _hold(self, rows: NDArray[np.intp]) -> None:
        """Lays out the parameters of some rows; copies of the last fill its block."""
        lanes = kernels().LANES
        places = np.arange(-(-len(rows) // lanes) * lanes)
        self.rows, self._columns = rows, rows[np.minimum(places, len(rows) - 1)]
        self._held = np.zeros(len(self._theta), dtype=np.bool_)
        self._held[rows] = True
        blocks = self._theta[self._columns].reshape(-1, lanes, self._theta.shape[1])
        self.parameters = np.ascontiguousarray(blocks.transpose(0, 2, 1))


class ColumnPlayers:
    """Rows that choose an action from some numbers, for a world that closes up.

    It is a :class:`commenv.envs.cart_pole.Decide`, which says what it is called with.

    Args:
        units: Of all layers, from the inputs to the outputs.
        players: The rows, none dropped; they are not used otherwise.
        first: The first action.
    """

    def __init__(self, units: NDArray[np.int64], players: Players, first: int) -> None:
        self._units, self._first = units, first
        self._parameters, self._width = players.parameters, len(players.rows)
        self._actions = np.empty(self._width, dtype=np.int64)

    def __call__(
        self, observations: Single, width: int, holes: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """One action for each of the first columns."""
        before, self._width = self._width, width
        kernels().choose_in_columns(
            self._parameters,
            self._units,
            before,
            width,
            holes,
            observations,
            self._first,
            self._actions,
        )
        return self._actions


class TablePlayers:
    """Rows that act from a table of their actions in every state.

    Args:
        players: The rows.
        states: The discrete observations, counted up without gaps.
    """

    def __init__(self, players: Players, states: NDArray[np.int64]) -> None:
        count = len(players.rows)
        self._first = states[0]
        self._actions = np.stack(
            [players.act(np.full(count, state)) for state in states], axis=1
        )
        self._rows = np.arange(len(self._actions))

    def act(
        self, observations: NDArray[Any], active: NDArray[np.bool_] | None = None
    ) -> NDArray[Any]:
        """One action for each row; see :meth:`Players.act`."""
        return self._actions[self._rows, observations - self._first]
