"""A message channel around a vector of Gymnasium environments."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from numpy.typing import NDArray

from commenv.channel import Channel, FreeForm, Messages, Receipt, Received
from commenv.errors import NotResetError
from commenv.seeds import seed_each
from commenv.wrappers.autoreset import refuse_autoreset
from commenv.wrappers.metrics import Metrics, check_gamma
from commenv.wrappers.star import Star
from commenv.wrappers.telling import Told, beside

__all__ = ["VectorMessageChannel"]


class VectorMessageChannel(VectorWrapper):  # generic since Gymnasium 1.4
    """Gives each sub-environment a metered, budgeted channel to one learner.

    The vector form of :class:`MessageChannel`: sub-environment i is agent i of a star.
    The clock ticks with every step and every reset. Episodes begin one by one; a send
    after the end of an episode belongs to it, until its sub-environment is reset.

    ``infos["comm"]`` holds arrays of shape (num_envs,): ``sent`` and ``refused``,
    messages of the episodes so far, ``messages_left`` and ``bytes_left``.
    ``infos["episode_comm"]`` holds the metrics of the episodes that the present ones
    follow, by name, with the mask ``infos["_episode_comm"]`` of the sub-environments
    that were just reset.

    Args:
        env: A vector environment that resets itself in the next step, or not at all.
        uplink: From each agent to the learner; unlimited and perfect by default.
        downlink: From the learner to the agents; likewise.
        gamma: The discount of the metric ``reward``, in [0, 1].

    Attributes:
        star: The links and their ledgers.
        autoreset_mode: How the environment resets itself, where TorchRL looks for it.

    Raises:
        ValueError: SAME_STEP autoreset, where an episode is over before its agent can
            send; a budget with ``exceed="terminate"``, since a sub-environment cannot
            be ended from outside; a gamma outside [0, 1]; or Gymnasium's
            ``Autoreset`` around a sub-environment.

    Example:
        >>> import gymnasium as gym
        >>> from commenv.wrappers import VectorMessageChannel
        >>> envs = VectorMessageChannel(gym.make_vec("commenv/SimpleGrid-v0", 3))
        >>> observations, infos = envs.reset(seed=0)
        >>> envs.send([{"hello": 1}, None, {"hello": 3}]).accepted
        array([ True, False,  True])
        >>> envs.receive()
        [[{'hello': 1}], [], [{'hello': 3}]]
    """

    _reward: NDArray[np.float64]
    _return: NDArray[np.float64]
    _length: NDArray[np.int64]
    _discount: NDArray[np.float64]
    _charged: NDArray[np.float64]
    _over: NDArray[np.bool_]

    def __init__(
        self,
        env: VectorEnv[Any, Any, Any],
        *,
        uplink: Channel | None = None,
        downlink: Channel | None = None,
        gamma: float = 0.9,
    ) -> None:
        super().__init__(env)
        mode = env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
        self.autoreset_mode = AutoresetMode(mode)
        if self.autoreset_mode == AutoresetMode.SAME_STEP:
            raise ValueError(
                "autoreset_mode SAME_STEP begins the next episode before an agent can "
                "send what it learned in the last; use NEXT_STEP or DISABLED"
            )
        refuse_autoreset(env, "VectorMessageChannel")
        check_gamma(gamma)
        for channel in (uplink, downlink):
            if channel and channel.budget.exceed == "terminate":
                raise ValueError(
                    "exceed='terminate' cannot end a sub-environment from outside; put "
                    "MessageChannel around each of them"
                )
        self._resets_itself = self.autoreset_mode == AutoresetMode.NEXT_STEP
        self._gamma = gamma
        self.star = Star([0], env.num_envs, uplink, downlink)
        self._clear()

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begins episodes; with a seed, of the channel's draws too.

        Args:
            seed: A seed for all, which also empties the ledgers and fills the budgets;
                or one for each, of which the first addresses the channel's draws.
            options: ``"reset_mask"``, bool of shape (num_envs,): whose episodes begin,
                where the vector environment does not reset itself.
        """
        which = None if options is None else options.get("reset_mask")
        first = None
        if seed is not None:
            each = seed_each(seed, self.num_envs)
            first = each[0]
            seed = each if np.ndim(seed) else first
        closing = None if self.star.episode < 0 else self._totals()
        observations, infos = self.env.reset(seed=seed, options=options)
        if self.star.episode < 0 or (which is None and seed is not None):
            self.star.open(secrets.randbits(63) if first is None else first)
        everybody = np.ones(self.num_envs, dtype=np.bool_)
        begins = everybody if which is None else np.asarray(which, dtype=np.bool_)
        self._begin(begins, together=which is None)
        return observations, self._informed(infos, closing, begins)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """One step, and one tick of the channel.

        A sub-environment whose episode has ended is reset by it, and earns nothing.

        Raises:
            NotResetError: Before the first reset.
        """
        self._check_reset()
        self.star.uplink.owner.check()
        closing, begins = None, self._over & self._resets_itself
        if begins.any():
            closing = self._totals()
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        acts = ~self._over
        earned = np.where(acts, np.asarray(rewards, dtype=np.float64), 0)
        self._reward += self._discount * earned
        self._return += earned
        self._length += acts
        self._discount = np.where(acts, self._discount * self._gamma, self._discount)
        penalty = self.star.traffic[0].penalty[0]
        due = np.where(begins, 0, penalty - self._charged)
        self._charged = penalty
        if begins.any():
            self._begin(begins, together=False)
        else:
            self.star.tick()
        self._over = (self._over & ~begins) | terminated | truncated
        infos = self._informed(infos, closing, begins)
        return observations, rewards - due, terminated, truncated, infos

    def send(self, payloads: Messages | Sequence[Any] | Mapping[int, Any]) -> Told:
        """Sends one message from each agent that is not silent.

        Args:
            payloads: Records, as :class:`commenv.Messages` of shape (1, num_envs), or a
                free-form payload for each agent, None for silence; or free-form
                payloads by the agents' numbers, those left out being silent. Keep to
                one form.

        Returns:
            Arrays of shape (num_envs,).

        Raises:
            NotResetError: Before the first reset.
            TypeError: A payload that cannot be encoded; the message says which part. Or
                a text, bytes or a set in the place of the payloads.
            ValueError: The same, not one payload for each, an agent that does not
                exist, or another form than before.
            BudgetExceededError: Under ``exceed="raise"``; nothing is sent then.
        """
        self._check_reset()
        if isinstance(payloads, Messages):
            return _told(self.star.send(payloads))
        flat = _each(payloads, self.num_envs)
        return _told(self.star.send(FreeForm(flat, (1, self.num_envs))))

    def receive(self) -> Received | list[list[Any]]:
        """The learner's side: what arrived since the last call.

        Returns:
            Records, or a list of free-form payloads for each agent; empty lists before
            anything was sent.

        Raises:
            NotResetError: Before the first reset.
        """
        self._check_reset()
        arrived = self.star.receive()
        return [[] for _ in range(self.num_envs)] if arrived is None else arrived

    def broadcast(self, parameters: NDArray[np.void]) -> Told:
        """The learner's side: sends one record to all agents.

        Raises:
            NotResetError: Before the first reset.
            ValueError: Not one record.
            BudgetExceededError: Under ``exceed="raise"``; nothing is sent then.
        """
        self._check_reset()
        return _told(self.star.broadcast(np.atleast_1d(parameters)))

    def receive_broadcast(self) -> NDArray[np.void] | None:
        """The last record that each agent received, shape (num_envs,).

        Zeros where an agent has not received any, None where nobody has.

        Raises:
            NotResetError: Before the first reset.
        """
        self._check_reset()
        received = self.star.receive_broadcast()
        return None if received is None else received[0]

    @property
    def metrics(self) -> Metrics:
        """The metrics of the episodes so far, of shape (1, num_envs).

        Raises:
            NotResetError: Before the first reset.
        """
        self._check_reset()
        return Metrics.measured(
            self._reward[None].copy(),
            self._return[None].copy(),
            self._length[None].copy(),
            *self.star.traffic,
        )

    def _begin(self, which: NDArray[np.bool_], *, together: bool) -> None:
        """Begins episodes of some sub-environments, and with them the next tick."""
        if self.star.episode < 0:
            together = True
            self._clear()
        self.star.begin_episode(None if together else which[None])
        sums: list[NDArray[Any]] = [self._reward, self._return, self._length]
        for one in [*sums, self._charged]:
            one[which] = 0
        self._discount[which] = 1
        self._over = self._over & ~which

    def _clear(self) -> None:
        count = self.num_envs
        self._reward = np.zeros(count)
        self._return = np.zeros(count)
        self._length = np.zeros(count, dtype=np.int64)
        self._discount = np.ones(count)
        self._charged = np.zeros(count)
        self._over = np.zeros(count, dtype=np.bool_)

    def _informed(
        self,
        infos: dict[str, Any],
        closing: dict[str, NDArray[Any]] | None,
        begins: NDArray[np.bool_],
    ) -> dict[str, Any]:
        up, left = self.star.traffic[0], self.star.uplink.left
        comm = {
            "sent": up.messages[0],
            "refused": up.refused[0],
            "messages_left": left.messages[0],
            "bytes_left": left.bytes[0],
        }
        told = {"comm": comm, "_comm": np.ones(self.num_envs, dtype=np.bool_)}
        if closing is not None:
            told |= {"episode_comm": closing, "_episode_comm": begins}
        return beside(infos, **told)

    def _totals(self) -> dict[str, NDArray[Any]]:
        return {name: values[0] for name, values in vars(self.metrics).items()}

    def _check_reset(self) -> None:
        if self.star.episode < 0:
            raise NotResetError("the environments were not reset; call reset() first")


def _each(payloads: Any, num_envs: int) -> list[Any]:
    """A payload for each agent, None for silence."""
    if not isinstance(payloads, Mapping):
        if isinstance(payloads, (str, bytes, Set)):
            raise TypeError(
                f"payloads are {payloads!r}; give a list of one for each of the "
                f"{num_envs} agents, None for silence, or a dictionary by number"
            )
        return list(payloads)
    flat = [None] * num_envs
    for agent, payload in payloads.items():
        if isinstance(agent, bool) or agent not in range(num_envs):
            raise ValueError(
                f"a payload of agent {agent!r}; agents are the numbers 0 to "
                f"{num_envs - 1} (one message for each: a list of dictionaries)"
            )
        flat[agent] = payload
    return flat


def _told(receipt: Receipt) -> Told:
    left = receipt.left
    return Told(receipt.accepted[0], left.messages[0], left.bytes[0])
