"""Batched multi-layer perceptrons: each row acts with parameters of its own.

A policy's parameters are one flat vector theta: for each layer its weights, an
(inputs, outputs) matrix row by row, and then its biases. tanh follows every layer, the
last one too (Gunn 2023).

A row's outputs do not depend on the rows beside it, to the last bit: parameters are
held with the rows as their last axis, so that every sum runs over the inputs in order
and no linear-algebra library decides how to split it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from commenv.errors import MissingExtraError

if TYPE_CHECKING:
    import torch

__all__ = ["MLP", "Greedy", "Players", "TablePlayers"]

Array = NDArray[np.float64]
Layers = list[tuple[Array, Array]]

_WORTH_DROPPING = 0.75  # rows are regathered when fewer than this share still act
_WORTH_A_TABLE = 64  # states up to which asking for all at once beats asking each step


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
        num_parameters: The length q of theta.

    Raises:
        ValueError: A space of another kind, an image, an unbounded or integer Box of
            actions, or a layer without units.
    """

    def __init__(
        self,
        observation_space: gym.Space[Any],
        action_space: gym.Space[Any],
        hidden_sizes: Sequence[int],
    ) -> None:
        if any(size < 1 for size in hidden_sizes):
            raise ValueError(f"hidden sizes {tuple(hidden_sizes)}; use 1 or more units")
        self._inputs = _inputs_of(observation_space)
        self._outputs = _outputs_of(action_space)
        self.sizes = (self._inputs.size, *hidden_sizes, self._outputs.size)
        pairs = zip(self.sizes, self.sizes[1:], strict=False)
        self._shapes = [(inputs, outputs) for inputs, outputs in pairs]
        self.num_parameters = sum((i + 1) * o for i, o in self._shapes)

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

    def outputs(self, theta: Array, observations: NDArray[Any]) -> Array:
        """The last layer, in [-1, 1]: float64, shape (rows, outputs)."""
        players = Players(self, theta)
        return self.forward(players.layers, observations[players.rows]).T[: len(theta)]

    def greedy(self, theta: Array) -> Greedy:
        """One policy for each trial, theta of shape (trials, q)."""
        return Greedy(self, theta)

    def players(self, theta: Array) -> Players | TablePlayers:
        """The quickest way to act many times with parameters (rows, q)."""
        players = Players(self, theta)
        states = self._inputs.states
        return TablePlayers(players, states) if len(states) else players

    def layers(self, theta: Array) -> Layers:
        """Weights (inputs, outputs, rows) and biases (outputs, rows) of each layer.

        Raises:
            ValueError: theta is not (rows, q).
        """
        if theta.ndim != 2 or theta.shape[1] != self.num_parameters:
            raise ValueError(
                f"theta has shape {theta.shape}; {self!r} needs (rows, "
                f"{self.num_parameters})"
            )
        stacked, layers, at = np.ascontiguousarray(theta.T), [], 0
        for inputs, outputs in self._shapes:
            split = at + inputs * outputs
            weights = stacked[at:split].reshape(inputs, outputs, -1)
            at = split + outputs
            layers.append((weights, stacked[split:at]))
        return layers

    def forward(self, layers: Layers, observations: NDArray[Any]) -> Array:
        """The last layer for rows of observations: float64, shape (outputs, rows)."""
        (weights, biases), *others = layers
        hidden = np.tanh(self._inputs.first_layer(weights, observations) + biases)
        for weights, biases in others:
            hidden = _weigh(weights, hidden)
            hidden += biases
            np.tanh(hidden, out=hidden)
        return hidden

    def decode(self, outputs: Array) -> NDArray[Any]:
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
        for weights, biases in self.layers(theta.reshape(1, -1)):
            inputs, outputs, _ = weights.shape
            linear = torch.nn.Linear(inputs, outputs)
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(weights[..., 0].T.copy()))
                linear.bias.copy_(torch.from_numpy(biases[..., 0].copy()))
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
        rows: Positions of the rows that ``layers`` holds.
        layers: Their parameters.
    """

    def __init__(self, mlp: MLP, theta: Array) -> None:
        self._mlp = mlp
        self._theta = theta
        self._hold(np.arange(len(theta)), mlp.layers(theta))

    def act(
        self, observations: NDArray[Any], active: NDArray[np.bool_] | None = None
    ) -> NDArray[Any]:
        """One action for each row; those of inactive rows mean nothing.

        Args:
            observations: Shape (rows, ...).
            active: bool, shape (rows,); all rows when left out.
        """
        if active is not None:
            self._follow(active)
        chosen = self._mlp.decode(
            self._mlp.forward(self.layers, observations[self.rows])
        )
        actions = np.zeros((len(self._theta), *chosen.shape[1:]), chosen.dtype)
        actions[self.rows] = chosen
        return actions

    def _follow(self, active: NDArray[np.bool_]) -> None:
        """Drops rows once many have ended; takes all back if one acts again."""
        mine = active[self.rows]
        elsewhere = active.copy()
        elsewhere[self.rows] = False
        if elsewhere.any():
            self._hold(np.arange(len(self._theta)), self._mlp.layers(self._theta))
        elif 0 < mine.sum() < _WORTH_DROPPING * len(mine):
            kept = np.flatnonzero(mine)
            layers = [(w.take(kept, -1), b.take(kept, -1)) for w, b in self.layers]
            self._hold(self.rows[kept], layers)

    def _hold(self, rows: NDArray[np.intp], layers: Layers) -> None:
        """Keeps at least two columns: for one alone, einsum would sum otherwise."""
        if len(rows) == 1:
            rows = rows.repeat(2)
            layers = [(w.repeat(2, -1), b.repeat(2, -1)) for w, b in layers]
        self.rows, self.layers = rows, layers


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


def _weigh(weights: Array, inputs: Array) -> Array:
    return np.einsum("ior,ir->or", weights, inputs)


class _Inputs(ABC):
    """How observations enter the first layer."""

    size: int
    states: NDArray[np.int64] = np.empty(0, dtype=np.int64)
    """All observations, where they are few enough to list."""

    @abstractmethod
    def first_layer(self, weights: Array, observations: NDArray[Any]) -> Array:
        """The first layer's weighted sums: float64, shape (outputs, rows)."""


class _Flat(_Inputs):
    def __init__(self, size: int) -> None:
        self.size = size

    def first_layer(self, weights: Array, observations: NDArray[Any]) -> Array:
        flat = observations.reshape(len(observations), -1)
        if flat.shape[1] != self.size:
            raise ValueError(
                f"observations of {flat.shape[1]} numbers for a policy that takes "
                f"{self.size}"
            )
        return _weigh(weights, np.ascontiguousarray(flat.T, dtype=np.float64))


class _OneHot(_Inputs):
    """Branches of choices; a one-hot product is a gather of rows of weights."""

    def __init__(self, sizes: NDArray[np.integer], starts: NDArray[np.integer]) -> None:
        self.size = int(sizes.sum())
        self._first = np.cumsum(sizes) - sizes - starts

    def first_layer(self, weights: Array, observations: NDArray[Any]) -> Array:
        places = observations.reshape(len(observations), -1) + self._first
        rows = np.arange(len(places))
        total = weights[places[:, 0], :, rows]
        for branch in places.T[1:]:
            total = total + weights[branch, :, rows]
        return np.ascontiguousarray(total.T)


class _Outputs(ABC):
    """What the last layer stands for."""

    size: int
    scale: tuple[Array, Array] | None = None
    """Middle and half the width of the actions, flat, where outputs are scaled."""

    @abstractmethod
    def actions(self, outputs: Array) -> NDArray[Any]:
        """Actions of shape (rows, ...) from outputs of shape (outputs, rows)."""


class _Choice(_Outputs):
    def __init__(self, space: spaces.Discrete[Any]) -> None:
        self.size, self._start = int(space.n), int(space.start)

    def actions(self, outputs: Array) -> NDArray[Any]:
        return outputs.argmax(axis=0) + self._start


class _Choices(_Outputs):
    def __init__(self, space: spaces.MultiDiscrete) -> None:
        self.size, self._space = int(space.nvec.sum()), space
        self._splits = np.cumsum(space.nvec.ravel())[:-1]

    def actions(self, outputs: Array) -> NDArray[Any]:
        branches = np.split(outputs, self._splits)
        chosen = np.stack([branch.argmax(axis=0) for branch in branches], axis=-1)
        return chosen.reshape(-1, *self._space.nvec.shape) + self._space.start


class _Scaled(_Outputs):
    def __init__(self, space: spaces.Box) -> None:
        self.size, self._space = int(np.prod(space.shape)), space
        self._low = space.low.astype(np.float64)
        self._half = (space.high.astype(np.float64) - self._low) / 2
        self.scale = ((self._low + self._half).ravel(), self._half.ravel())

    def actions(self, outputs: Array) -> NDArray[Any]:
        unit = outputs.T.reshape(-1, *self._low.shape)
        scaled = (self._low + (unit + 1) * self._half).astype(self._space.dtype)
        return np.clip(scaled, self._space.low, self._space.high)


def _inputs_of(space: gym.Space[Any]) -> _Inputs:
    if isinstance(space, spaces.Box):
        if len(space.shape) > 2 or (space.dtype == np.uint8 and len(space.shape) == 2):
            raise ValueError(
                f"observations {space} are images, which a perceptron does not fit; "
                "wrap the environment so that it returns features"
            )
        return _Flat(int(np.prod(space.shape)))
    if isinstance(space, spaces.Discrete):
        inputs = _OneHot(np.array([int(space.n)]), np.array([int(space.start)]))
        if inputs.size <= _WORTH_A_TABLE:
            inputs.states = np.arange(inputs.size) + int(space.start)
        return inputs
    if isinstance(space, spaces.MultiDiscrete):
        return _OneHot(space.nvec.ravel(), space.start.ravel())
    if isinstance(space, spaces.MultiBinary):
        return _Flat(int(np.prod(space.shape)))
    raise ValueError(
        f"observations {space} do not fit a perceptron; wrap the environment in "
        "gymnasium.wrappers.FlattenObservation"
    )


def _outputs_of(space: gym.Space[Any]) -> _Outputs:
    if isinstance(space, spaces.Discrete):
        return _Choice(space)
    if isinstance(space, spaces.MultiDiscrete):
        return _Choices(space)
    if not isinstance(space, spaces.Box):
        raise ValueError(
            f"actions {space} do not fit a perceptron; it chooses from Discrete, "
            "MultiDiscrete and bounded Box spaces"
        )
    if not space.is_bounded() or space.dtype is None or space.dtype.kind != "f":
        raise ValueError(
            f"actions {space} need real numbers with finite bounds; wrap the "
            "environment in gymnasium.wrappers.RescaleAction, say"
        )
    return _Scaled(space)
