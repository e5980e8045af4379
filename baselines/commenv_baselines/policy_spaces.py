"""How observations become numbers for a policy, and its outputs actions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

if TYPE_CHECKING:
    pass

__all__ = ["Array", "Choice", "Flat", "Single", "inputs_of", "kernels", "outputs_of"]

Array = NDArray[np.float64]
Single = NDArray[np.float32]

_WORTH_A_TABLE = 64  # states up to which asking for all at once beats asking each step


@cache
def kernels() -> ModuleType:
    """The compiled arithmetic, imported when a policy needs it: it takes a while."""
    from commenv_baselines import kernels as arithmetic

    return arithmetic


class _Inputs(ABC):
    """How observations enter the first layer."""

    size: int
    states: NDArray[np.int64] = np.empty(0, dtype=np.int64)
    """All observations, where they are few enough to list."""

    @abstractmethod
    def forward(
        self,
        parameters: Single,
        units: NDArray[np.int64],
        rows: NDArray[np.intp],
        observations: NDArray[Any],
        outputs: Single,
    ) -> None:
        """Writes the last layer; see :meth:`MLP.forward`."""


class Flat(_Inputs):
    """Numbers as they are, one after the other."""

    def __init__(self, size: int) -> None:
        self.size = size

    def forward(
        self,
        parameters: Single,
        units: NDArray[np.int64],
        rows: NDArray[np.intp],
        observations: NDArray[Any],
        outputs: Single,
    ) -> None:
        """See :class:`_Inputs`."""
        flat = observations.reshape(len(observations), -1)
        if flat.shape[1] != self.size:
            raise ValueError(
                f"observations of {flat.shape[1]} numbers for a policy that takes "
                f"{self.size}"
            )
        features = np.ascontiguousarray(flat, dtype=np.float32)
        kernels().perceptrons(parameters, units, rows, features, outputs)


class _OneHot(_Inputs):
    """Branches of choices; a one-hot product is a gather of rows of weights."""

    def __init__(self, sizes: NDArray[np.integer], starts: NDArray[np.integer]) -> None:
        self.size = int(sizes.sum())
        self._sizes, self._starts = sizes, starts
        self._first = np.cumsum(sizes) - sizes

    def forward(
        self,
        parameters: Single,
        units: NDArray[np.int64],
        rows: NDArray[np.intp],
        observations: NDArray[Any],
        outputs: Single,
    ) -> None:
        choices = observations.reshape(len(observations), -1) - self._starts
        if ((choices < 0) | (choices >= self._sizes)).any():
            raise ValueError(
                f"observations {observations.min()} ... {observations.max()} leave the "
                f"space of {self._sizes} choices from {self._starts} on"
            )
        places = (choices + self._first).astype(np.int64)
        kernels().perceptrons_of_places(parameters, units, rows, places, outputs)


class _Outputs(ABC):
    """What the last layer stands for."""

    size: int
    scale: tuple[Array, Array] | None = None
    """Middle and half the width of the actions, flat, where outputs are scaled."""

    @abstractmethod
    def actions(self, outputs: Single) -> NDArray[Any]:
        """Actions of shape (rows, ...) from outputs of shape (outputs, rows)."""


class Choice(_Outputs):
    """The largest output is the action."""

    def __init__(self, space: spaces.Discrete[Any]) -> None:
        self.size, self.start = int(space.n), int(space.start)

    def actions(self, outputs: Single) -> NDArray[Any]:
        """See :class:`_Outputs`."""
        chosen: NDArray[np.int64] = kernels().choose(outputs, self.start)
        return chosen


class _Choices(_Outputs):
    def __init__(self, space: spaces.MultiDiscrete) -> None:
        self.size, self._space = int(space.nvec.sum()), space
        self._splits = np.cumsum(space.nvec.ravel())[:-1]

    def actions(self, outputs: Single) -> NDArray[Any]:
        branches = np.split(outputs, self._splits)
        chosen = np.stack([kernels().choose(one, 0) for one in branches], axis=-1)
        return chosen.reshape(-1, *self._space.nvec.shape) + self._space.start


class _Scaled(_Outputs):
    def __init__(self, space: spaces.Box) -> None:
        self.size, self._space = int(np.prod(space.shape)), space
        self._low = space.low.astype(np.float64)
        self._half = (space.high.astype(np.float64) - self._low) / 2
        self.scale = ((self._low + self._half).ravel(), self._half.ravel())

    def actions(self, outputs: Single) -> NDArray[Any]:
        unit = outputs.T.reshape(-1, *self._low.shape)
        scaled = (self._low + (unit + 1) * self._half).astype(self._space.dtype)
        return np.clip(scaled, self._space.low, self._space.high)


def inputs_of(space: gym.Space[Any]) -> _Inputs:
    """How observations of a space go in."""
    if isinstance(space, spaces.Box):
        if len(space.shape) > 2 or (space.dtype == np.uint8 and len(space.shape) == 2):
            raise ValueError(
                f"observations {space} are images, which a perceptron does not fit; "
                "wrap the environment so that it returns features"
            )
        return Flat(int(np.prod(space.shape)))
    if isinstance(space, spaces.Discrete):
        inputs = _OneHot(np.array([int(space.n)]), np.array([int(space.start)]))
        if inputs.size <= _WORTH_A_TABLE:
            inputs.states = np.arange(inputs.size) + int(space.start)
        return inputs
    if isinstance(space, spaces.MultiDiscrete):
        return _OneHot(space.nvec.ravel(), space.start.ravel())
    if isinstance(space, spaces.MultiBinary):
        return Flat(int(np.prod(space.shape)))
    raise ValueError(
        f"observations {space} do not fit a perceptron; wrap the environment in "
        "gymnasium.wrappers.FlattenObservation"
    )


def outputs_of(space: gym.Space[Any]) -> _Outputs:
    """How actions of a space come out."""
    if isinstance(space, spaces.Discrete):
        return Choice(space)
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
