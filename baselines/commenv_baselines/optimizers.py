"""Optimizers for a batch of parameter vectors, one for each trial.

They climb: the step is added to the parameters. What an optimizer remembers is a
dictionary of arrays with a leading axis over trials.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Adam", "Momentum", "Normalized", "Optimizer"]

Array = NDArray[np.float64]
State = dict[str, NDArray[Any]]


class Optimizer(ABC):
    """Turns gradients into steps."""

    def start(self, shape: tuple[int, int]) -> State:
        """The state before the first step, for parameters of shape (trials, q)."""
        return {}

    @abstractmethod
    def step(self, gradient: Array, state: State) -> tuple[Array, State]:
        """The step up a gradient of shape (trials, q), and the next state."""


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma and Ba 2015), as in torch.

    Args:
        learning_rate: The size of a step, alpha in the paper.
        beta1: Decay of the gradient's moving mean, in [0, 1).
        beta2: Decay of the squared gradient's moving mean, in [0, 1).
        epsilon: Keeps the division finite.
    """

    learning_rate: float
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def start(self, shape: tuple[int, int]) -> State:
        """Moments of 0, and no step taken."""
        return {
            "first_moment": np.zeros(shape),
            "second_moment": np.zeros(shape),
            "steps": np.zeros(shape[0], dtype=np.int64),
        }

    def step(self, gradient: Array, state: State) -> tuple[Array, State]:
        """The mean over the root of the mean square, both corrected for their start."""
        steps = state["steps"] + 1
        first = self.beta1 * state["first_moment"] + (1 - self.beta1) * gradient
        second = self.beta2 * state["second_moment"] + (1 - self.beta2) * gradient**2
        bias1 = 1 - self.beta1 ** steps[:, None].astype(np.float64)
        bias2 = 1 - self.beta2 ** steps[:, None].astype(np.float64)
        step = first / bias1 / (np.sqrt(second / bias2) + self.epsilon)
        after = {"first_moment": first, "second_moment": second, "steps": steps}
        return self.learning_rate * step, after


@dataclass(frozen=True)
class Momentum(Optimizer):
    """Heavy-ball momentum, as torch's SGD: v = momentum v + g, step = learning_rate v.

    Args:
        learning_rate: The size of a step, relative to the velocity.
        momentum: What remains of the velocity, in [0, 1).
    """

    learning_rate: float
    momentum: float = 0.9

    def start(self, shape: tuple[int, int]) -> State:
        """At rest."""
        return {"velocity": np.zeros(shape)}

    def step(self, gradient: Array, state: State) -> tuple[Array, State]:
        """Along the velocity."""
        velocity = self.momentum * state["velocity"] + gradient
        return self.learning_rate * velocity, {"velocity": velocity}


@dataclass(frozen=True)
class Normalized(Optimizer):
    """Steps of one length along the gradient; none where it is 0.

    Args:
        learning_rate: The length of a step.
    """

    learning_rate: float

    def step(self, gradient: Array, state: State) -> tuple[Array, State]:
        """Only the gradient's direction counts."""
        norm = np.linalg.norm(gradient, axis=-1, keepdims=True)
        return self.learning_rate * gradient / np.where(norm > 0, norm, 1.0), {}
