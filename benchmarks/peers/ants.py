"""What all contestants with ants have in common: the agents, and the closed loop."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

SEEN = 27  # positions and velocities, with which Ant-v5's observation begins
TORQUES = 8

Policy = Callable[[np.ndarray], np.ndarray]


def policies(num_agents: int) -> Policy:
    """A fixed layer for each agent, from what it sees to torques in (-1, 1).

    Returns:
        From observations, shape (agents, at least 27), to actions: float32, shape
        (agents, 8).
    """
    weights = np.random.default_rng(0).normal(
        scale=0.3, size=(num_agents, SEEN, TORQUES)
    )

    def act(observations: np.ndarray) -> np.ndarray:
        seen = observations[:, None, :SEEN]
        return np.tanh(seen @ weights)[:, 0].astype(np.float32)

    return act
