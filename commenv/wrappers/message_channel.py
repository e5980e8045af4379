"""A message channel around one Gymnasium environment, inside your own training code."""

from __future__ import annotations

import secrets
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from commenv.channel import Channel, Received
from commenv.channel.plain import plain_channel
from commenv.errors import NotResetError
from commenv.seeds import integer_seed
from commenv.wrappers.autoreset import refuse_autoreset
from commenv.wrappers.metrics import Metrics, check_gamma
from commenv.wrappers.star import Star
from commenv.wrappers.telling import (
    Told,
    beside,
    comm_of,
    messages_of,
    told,
    totals_of,
)

__all__ = ["MessageChannel"]


class MessageChannel(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Gives an environment a metered, budgeted channel to a learner elsewhere.

    The agent sends what it likes with :meth:`send`, before, between and after its
    steps; a send after the end of an episode belongs to it, until the next reset. The
    channel's clock, which delays, rates and step budgets count in, ticks with every
    step and every reset.

    ``info["comm"]`` of every step and reset says what the sender may know: ``sent`` and
    ``refused``, messages of the episode so far, and ``messages_left`` and
    ``bytes_left``. ``info["episode_comm"]`` of a reset holds the metrics of the episode
    before it, as numbers by name (see :class:`commenv.Metrics`).

    A budget with ``exceed="penalize"`` takes its price off the next reward, and one
    with ``"terminate"`` ends the episode at the next step.

    Args:
        env: The environment.
        uplink: From the agent to the learner; unlimited and perfect by default.
        downlink: From the learner to the agent; likewise.
        agent: The agent's number, which addresses its draws and stands in its headers,
            so that the messages of many such environments can be told apart.
        gamma: The discount of the metric ``reward``, in [0, 1].

    Attributes:
        star: The links and their ledgers.

    Raises:
        ValueError: A gamma outside [0, 1], a negative agent, or Gymnasium's
            ``Autoreset`` inside; put that outside.

    Example:
        >>> import gymnasium as gym
        >>> from commenv.wrappers import MessageChannel
        >>> env = MessageChannel(gym.make("commenv/SimpleGrid-v0"))
        >>> observation, info = env.reset(seed=0)
        >>> env.send({"hello": [1, 2, 3]}).accepted
        True
        >>> env.receive()
        [{'hello': [1, 2, 3]}]
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        *,
        uplink: Channel | None = None,
        downlink: Channel | None = None,
        agent: int = 0,
        gamma: float = 0.9,
    ) -> None:
        RecordConstructorArgs.__init__(
            self,
            uplink=plain_channel(uplink),
            downlink=plain_channel(downlink),
            agent=agent,
            gamma=gamma,
        )
        gym.Wrapper.__init__(self, env)
        refuse_autoreset(env, "MessageChannel")
        check_gamma(gamma)
        if agent < 0:
            raise ValueError(f"agent {agent} is negative; use 0 or more")
        self.star = Star([0], [agent], uplink, downlink)
        self._gamma = gamma

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begins the next episode; with a seed, of the channel's draws too.

        A seed empties the ledgers and fills the budgets. Without one at the very first
        reset, one is drawn from the operating system.
        """
        seed = None if seed is None else integer_seed(seed)
        closing = (
            {} if self.star.episode < 0 else {"episode_comm": totals_of(self.metrics)}
        )
        observation, info = self.env.reset(seed=seed, options=options)
        if seed is not None or self.star.episode < 0:
            self.star.open(secrets.randbits(63) if seed is None else seed)
        self.star.begin_episode()
        self._reward = self._return = 0.0
        self._length, self._discount = 0, 1.0
        self._charged, self._ended = 0.0, False
        return observation, beside(info, **closing, comm=self._comm())

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """One step, and one tick of the channel."""
        self._check_reset()
        self.star.uplink.owner.check()
        observation, reward, terminated, truncated, info = self.env.step(action)
        reward = float(reward)
        self._reward += self._discount * reward
        self._return += reward
        self._length += 1
        self._discount *= self._gamma
        due = float(self.star.uplink_traffic.penalty.sum()) - self._charged
        self._charged += due
        terminated = bool(terminated) or self._ended
        self.star.tick()
        info = beside(info, comm=self._comm())
        return observation, reward - due, terminated, truncated, info

    def send(self, payload: Any) -> Told:
        """Sends one message to the learner.

        Args:
            payload: Records (a one-dimensional structured array), or a free-form
                payload: nested dictionaries, lists, arrays, strings and numbers. Keep
                to one of the two.

        Raises:
            NotResetError: Before the first reset.
            TypeError: It cannot be encoded; the message says which part.
            ValueError: The same, or another form than before.
            BudgetExceededError: Under ``exceed="raise"``.
        """
        self._check_reset()
        receipt = self.star.send(messages_of([payload]))
        self._ended = self._ended or bool(receipt.ended[0, 0])
        return told(receipt)

    def receive(self) -> list[Any] | NDArray[np.void]:
        """The learner's side: what arrived since the last call.

        Returns:
            Free-form payloads in a list, or all records in one array; an empty list
            before anything was sent.

        Raises:
            NotResetError: Before the first reset.
        """
        self._check_reset()
        arrived = self.star.receive()
        if arrived is None:
            return []
        return arrived.records if isinstance(arrived, Received) else arrived[0]

    def broadcast(self, parameters: NDArray[np.void]) -> Told:
        """The learner's side: sends one record to the agent.

        Args:
            parameters: A structured array of one record.

        Raises:
            NotResetError: Before the first reset.
            ValueError: Not one record.
            BudgetExceededError: Under ``exceed="raise"``.
        """
        self._check_reset()
        return told(self.star.broadcast(np.atleast_1d(parameters)))

    def receive_broadcast(self) -> np.void | None:
        """The last record that the agent received; None before the first.

        Raises:
            NotResetError: Before the first reset.
        """
        self._check_reset()
        received = self.star.receive_broadcast()
        return None if received is None else received[0, 0]

    @property
    def metrics(self) -> Metrics:
        """The metrics of the episode so far, of shape (1, 1).

        Raises:
            NotResetError: Before the first reset.
        """
        self._check_reset()
        return Metrics.measured(
            np.array([[self._reward]]),
            np.array([[self._return]]),
            np.array([[self._length]]),
            *self.star.traffic,
        )

    def _comm(self) -> dict[str, float]:
        return comm_of(self.star.uplink_traffic, self.star.uplink.left)[0]

    def _check_reset(self) -> None:
        if self.star.episode < 0:
            raise NotResetError("the environment was not reset; call reset() first")
