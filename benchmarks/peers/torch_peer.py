"""PyTorch: a perceptron for each agent, in the loop of Gymnasium's Cart Pole."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import gymnasium as gym
import torch

PACKAGES = ("torch", "gymnasium", "numpy")

SIZES = (4, 8, 8, 2)

Layers = list[tuple[torch.Tensor, torch.Tensor]]


def vmap(num_envs: int) -> Callable[[int], int]:
    """``torch.func.vmap`` over the parameters."""

    def one(layers: Layers, hidden: torch.Tensor) -> torch.Tensor:
        for weights, biases in layers:
            hidden = torch.tanh(hidden @ weights + biases)
        return hidden

    each = torch.func.vmap(one)
    layers = _layers(num_envs)
    return _loop(num_envs, lambda seen: each(layers, seen))


def baddbmm(num_envs: int) -> Callable[[int], int]:
    """``torch.baddbmm`` layer by layer."""
    layers = [(weights, biases[:, None]) for weights, biases in _layers(num_envs)]

    def forward(seen: torch.Tensor) -> torch.Tensor:
        hidden = seen[:, None]
        for weights, biases in layers:
            hidden = torch.baddbmm(biases, hidden, weights).tanh_()
        return hidden[:, 0]

    return _loop(num_envs, forward)


def _layers(num_envs: int) -> Layers:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(num_envs, *shape, generator=generator)

    return [
        (normal(inputs, outputs), normal(outputs))
        for inputs, outputs in pairwise(SIZES)
    ]


def _loop(num_envs: int, forward: Callable[[Any], Any]) -> Callable[[int], int]:
    env = gym.make_vec("CartPole-v1", num_envs, vectorization_mode="vector_entry_point")
    observations, _ = env.reset(seed=0)

    @torch.inference_mode()
    def run(calls: int) -> int:
        nonlocal observations
        for _ in range(calls):
            actions = forward(torch.from_numpy(observations)).argmax(1).numpy()
            observations, *_ = env.step(actions)
        return calls * num_envs

    return run
