"""A message channel around one Gymnasium environment, inside your own training code."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from commenv.channel import Channel, Received
from commenv.channel.plain import plain_channel
from commenv.envs.checker import Checker
from commenv.envs.options import check_options
from commenv.errors import NotResetError
from commenv.seeds import integer_seed
from commenv.wrappers.autoreset import refuse_autoreset
from commenv.wrappers.infos import (
    SendResult,
    beside,
    comm_of,
    messages_of,
    result_of,
    totals_of,
)
from commenv.wrappers.metrics import Metrics
from commenv.wrappers.star import Star, seed_of_star
from commenv.wrappers.statistics import EpisodeStatistics
from commenv.wrappers.time_limit import steps_allowed

__all__ = ["MessageChannel", "SingleChannel"]


class SingleChannel:
    """The messages of one agent and its learner, as methods of an environment.

    What :class:`MessageChannel` and the environments that ``gym.make`` makes of our ids
    have in common; see :class:`MessageChannel`.
    """

    _star: Star
    _statistics: EpisodeStatistics
    _cut_short: bool  # a budget ends the episode with the next step
    _allowed: float | None  # steps, by time limits outside; not looked up yet

    @property
    def star(self) -> Star:
        """The links and their ledgers."""
        return self._star

    @property
    def metrics(self) -> Metrics:
        """The metrics of the episode so far, of shape (1, 1).

        Raises:
            NotResetError: Before the first reset.
        """
        return self._measured(*self._links().traffic)

    def send(self, payload: Any) -> SendResult:
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
        receipt = self._links().send(messages_of([payload]))
        self._cut_short = self._cut_short or bool(receipt.ended[0, 0])
        return result_of(receipt)

    def receive(self) -> list[Any] | NDArray[np.void]:
        """The learner's side: what arrived since the last call.

        Returns:
            Free-form payloads in a list, or all records in one array; an empty list
            before anything was sent.

        Raises:
            NotResetError: Before the first reset.
        """
        arrived = self._links().receive()
        if arrived is None:
            return []
        return arrived.records if isinstance(arrived, Received) else arrived[0]

    def broadcast(self, parameters: NDArray[np.void]) -> SendResult:
        """The learner's side: sends one record to the agent.

        Args:
            parameters: A structured array of one record.

        Raises:
            NotResetError: Before the first reset.
            ValueError: Not one record.
            BudgetExceededError: Under ``exceed="raise"``.
        """
        return result_of(self._links().broadcast(np.atleast_1d(parameters)))

    def receive_broadcast(self) -> np.void | None:
        """The last record that the agent received; None before the first.

        Raises:
            NotResetError: Before the first reset.
        """
        received = self._links().receive_broadcast()
        return None if received is None else received[0, 0]

    def _set_up(
        self,
        uplink: Channel | None,
        downlink: Channel | None,
        agent: int,
        gamma: float,
    ) -> None:
        if agent < 0:
            raise ValueError(f"agent {agent} is negative; use 0 or more")
        self._statistics = EpisodeStatistics(gamma)
        self._star = Star([0], [agent], uplink, downlink)

    def _links(self) -> Star:
        """The links, once an episode has begun."""
        if self._star.episode < 0:
            raise NotResetError("the environment was not reset; call reset() first")
        return self._star

    def _begin(self, seed: int | None, info: dict[str, Any]) -> dict[str, Any]:
        """Begins an episode that the environment has begun; what is told of it."""
        closing = {}
        if self._star.episode >= 0:
            closing = {"episode_comm": self._totals()}
        if seed is not None or self._star.episode < 0:
            self._star.open(seed_of_star(seed))
        self._statistics.begin()
        self._begin_messages()
        return beside(info, **closing, comm=self._comm())

    def _begin_messages(self) -> None:
        self._star.begin_episode()
        self._cut_short, self._allowed = False, None

    def _settle(
        self,
        observation: Any,
        reward: float,
        terminated: bool,
        truncated: bool,
        info: dict[str, Any],
    ) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """What a channel makes of a step: its price, its clock, what it tells."""
        star, statistics = self._star, self._statistics
        statistics.add(reward)
        if star.priced:
            reward -= statistics.due(float(star.meter.traffic.penalty[0, 0]))
        terminated = terminated or self._cut_short
        star.tick()
        if self._allowed is None:
            self._allowed = steps_allowed(self)  # type: ignore[arg-type]
        if terminated or truncated or statistics.length >= self._allowed:
            info = beside(info, comm=self._comm(), episode_comm=self._totals())
        else:
            info = beside(info, comm=self._comm())
        return observation, reward, terminated, truncated, info

    def _comm(self) -> dict[str, float]:
        return comm_of(self._star.meter)[0]

    def _measured(self, *traffic: Any) -> Metrics:
        return self._statistics.metrics((1, 1), *traffic)

    def _totals(self) -> dict[str, float]:
        return totals_of(self._measured(*self._star.traffic))


class MessageChannel(
    SingleChannel, gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs
):
    """Gives an environment a metered, budgeted channel to a learner elsewhere.

    The agent sends what it likes with :meth:`send`, before, between and after its
    steps; a send after the end of an episode belongs to it, until the next reset. The
    channel's clock, which delays, rates and step budgets count in, ticks with every
    step and every reset.

    ``info["comm"]`` of every step and reset says what the sender may know: ``sent`` and
    ``refused``, messages of the episode so far, and ``messages_left`` and
    ``bytes_left``.

    ``info["episode_comm"]`` holds the metrics of an episode that is over, as numbers by
    name: ``reward``, ``frequency``, ``size`` and all of :class:`commenv.Metrics`.
    The step that ends an episode has them as of then, whether the environment, a budget
    or a time limit around it has ended it. The reset that follows has the final ones,
    with what was sent in between: log one of the two.

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
        EnvironmentFaultError: The environment says that its rewards are vectors.

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
        self._set_up(uplink, downlink, agent, gamma)
        self._agent = agent
        self._checker = Checker(env, env.observation_space, self._place)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begins the next episode; with a seed, of the channel's draws too.

        A seed empties the ledgers and fills the budgets. Without one at the very first
        reset, one is drawn from the operating system.

        Raises:
            EnvironmentFaultError: The environment returned what cannot be used.
        """
        check_options(options)
        seed = None if seed is None else integer_seed(seed)
        observation, info = self._checker.reset(
            self.env.reset(seed=seed, options=options)
        )
        return observation, self._begin(seed, info)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """One step, and one tick of the channel.

        Raises:
            NotResetError: Before the first reset.
            WrongThreadError: Another thread has begun the episode.
            EnvironmentFaultError: The environment returned what cannot be used.
        """
        self._links().uplink.check_thread()
        return self._settle(*self._checker.step(self.env.step(action)))

    def _place(self) -> dict[str, int]:
        """Where a fault of the environment happened."""
        episode = self._star.episode
        place = {"agent": self._agent, "episode": episode}
        return place if episode < 0 else {**place, "step": self._statistics.length}
