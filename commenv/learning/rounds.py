"""The rounds between a learner and its agents (Gunn 2023, Algorithm 2)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from commenv.channel import Received
from commenv.errors import CommenvError
from commenv.learning.algorithm import Learner, RoundAgents
from commenv.learning.scheme import Decision, Scheme, SchemeDraws, Signals
from commenv.wrappers import ChannelEnv, Metrics

__all__ = ["Rounds"]


class Rounds:
    """Plays rounds: broadcast, gather experience, select, send, update.

    Args:
        env: The world and its channel; it is reset with ``seed`` at once.
        agents: The agents' half of an algorithm.
        learner: The learner's half.
        scheme: Decides what is sent.
        seed: The study's seed.
    """

    def __init__(
        self,
        env: ChannelEnv,
        agents: RoundAgents,
        learner: Learner,
        scheme: Scheme,
        *,
        seed: int,
    ) -> None:
        self.env = env
        self.agents = agents
        self.learner = learner
        self.scheme = scheme
        self._seed: int | None = seed
        self._state = scheme.start(env.shape)

    def play(self, num_rounds: int) -> Iterator[Metrics]:
        """Plays rounds one by one.

        Yields:
            Each round's metrics, after the learner's update.
        """
        planned = self.env.episode + 1 + num_rounds
        for _ in range(num_rounds):
            self._act()
            self._communicate(planned)
            yield self.env.metrics

    def _act(self) -> None:
        """The learner broadcasts, and the agents gather experience."""
        env, agents = self.env, self.agents
        observations, _ = env.reset(seed=self._seed)
        if self._seed is not None:
            env.hold(self.learner.parameters())
            if (agreed := self.learner.agreed()) is not None:
                env.agree(agreed)
        self._seed = None
        agents.begin(env.episode)
        env.broadcast(self.learner.parameters())
        if (versions := env.receive_versions()) is not None:
            agents.receive_versions(versions)
        agents.play(env, observations)

    def _communicate(self, planned: int) -> None:
        """The agents send what the scheme selects, and the learner updates."""
        self.agents.told(self._send(planned))
        received = self.env.receive()
        assert isinstance(received, Received)
        self.learner.update(received)

    def _send(self, planned: int) -> NDArray[np.bool_]:
        """Sends what the scheme selects; who was accepted, (trials, agents)."""
        env = self.env
        messages, signals = self.agents.candidates()
        draws = SchemeDraws(env.draws, env.episode, planned)
        mask, self._state = self._decide(signals, draws)
        return env.send(messages.select(mask)).accepted

    def _decide(self, signals: Signals, draws: SchemeDraws) -> Decision:
        """The scheme's decision; a scheme that fails is named."""
        about = f"scheme {self.scheme.name!r} in round {draws.episode}"
        try:
            decision = self.scheme.select(
                signals, self._state, draws, self.env.uplink.left
            )
        except CommenvError:
            raise
        except ValueError as error:
            raise ValueError(f"{about}: {error}") from error
        except Exception as error:
            words = f"{type(error).__name__}: {error}"
            raise RuntimeError(f"{about} failed ({words})") from error
        if not isinstance(decision, tuple) or len(decision) != 2:
            raise TypeError(f"{about} returned {decision!r}; return mask, state")
        if not isinstance(decision[0], np.ndarray):
            raise TypeError(
                f"{about} returned the mask {decision[0]!r}; return an array of bool"
            )
        return decision
