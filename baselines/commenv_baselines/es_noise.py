"""The noise of evolution strategies, which learners regenerate from its address."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from commenv.channel import Received
from commenv.rng import Draws

__all__ = ["Noise"]

Array = NDArray[np.float64]


class Noise:
    """The perturbations e, the same wherever their address is looked up.

    Args:
        draws: The batch's draws.
        size: Parameters q of the policy.
        antithetic: Whether the second half of the agents mirrors the first.
        num_agents: Of each trial, where ``draws`` are those of some.

    Raises:
        ValueError: An odd number of agents that are to be antithetic pairs.
    """

    def __init__(
        self,
        draws: Draws,
        size: int,
        antithetic: bool,
        num_agents: int | None = None,
    ) -> None:
        num_agents = num_agents or draws.shape[1]
        if antithetic and num_agents % 2:
            raise ValueError(
                f"{num_agents} agents cannot be antithetic pairs; use an even number, "
                "or antithetic=False"
            )
        self._size = size
        self._antithetic = antithetic
        self._draws = draws
        if antithetic:
            half = num_agents // 2
            numbers = np.array(draws.agents)
            self._sign = np.where(numbers < half, 1.0, -1.0)[:, None]
            pairs, self._pair = np.unique(numbers % half, return_inverse=True)
            self._draws = Draws(draws.seed, draws.trials, pairs.tolist())

    def of(self, episode: int) -> Array:
        """The perturbation of every agent: float64, shape (trials, agents, q)."""
        noise = self._draws.normals("noise", episode, self._size)
        return noise[:, self._pair] * self._sign if self._antithetic else noise

    def under(self, messages: Received) -> Array:
        """The perturbation that each record's agent used in its header's episode.

        Returns:
            float64, shape (records, q).
        """
        episodes = np.repeat(messages.headers["episode"], messages.lengths)
        senders = messages.senders
        present = np.unique(episodes)
        if len(present) == 1:
            return self.of(int(present[0])).reshape(-1, self._size)[senders]
        out = np.empty((len(senders), self._size))
        for episode in present:
            mine = episodes == episode
            everybody = self.of(int(episode)).reshape(-1, self._size)
            out[mine] = everybody[senders[mine]]
        return out
