"""A message channel around a vector of Gymnasium environments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from numpy.typing import NDArray

from commenv.channel import Channel, FreeForm, Messages, Receipt, Received
from commenv.envs.options import check_options
from commenv.errors import NotResetError
from commenv.seeds import seed_each
from commenv.wrappers.autoreset import refuse_autoreset
from commenv.wrappers.infos import SendResult, beside, payloads_of
from commenv.wrappers.metrics import Metrics
from commenv.wrappers.star import Star, seed_of_star
from commenv.wrappers.statistics import EpisodeStatistics
from commenv.wrappers.vector_checker import VectorChecker

__all__ = ["VectorChannel", "VectorMessageChannel"]

_Step = tuple[Any, Any, Any, Any, dict[str, Any]]


class VectorChannel:
    """The messages of sub-environments and their learner, as methods of a vector.

    What :class:`VectorMessageChannel` and the native vectors of ``gym.make_vec`` have
    in common; see :class:`VectorMessageChannel`.
    """

    num_envs: int
    _star: Star
    _statistics: EpisodeStatistics
    autoreset_mode: AutoresetMode
    _over: NDArray[np.bool_]  # whose episode has ended, and none has begun

    @property
    def star(self) -> Star:
        """The links and their ledgers."""
        return self._star

    @property
    def metrics(self) -> Metrics:
        """The metrics of the episodes so far, of shape (1, num_envs).

        Raises:
            NotResetError: Before the first reset.
            EnvironmentFaultError: The environment returned what cannot be used.
        """
        return self._measured(*self._links().traffic)

    def send(
        self, payloads: Messages | Sequence[Any] | Mapping[int, Any]
    ) -> SendResult:
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
        star = self._links()
        if isinstance(payloads, Messages):
            receipt = star.send(payloads)
        else:
            receipt = star.send(
                FreeForm(payloads_of(payloads, self.num_envs), (1, self.num_envs))
            )
        cut_short = receipt.ended[0] & ~self._over
        if cut_short.any():
            self._end(cut_short)
        return _result_of(receipt)

    def receive(self) -> Received | list[list[Any]]:
        """The learner's side: what arrived since the last call.

        Returns:
            Records, or a list of free-form payloads for each agent; empty lists before
            anything was sent.

        Raises:
            NotResetError: Before the first reset.
        """
        arrived = self._links().receive()
        return [[] for _ in range(self.num_envs)] if arrived is None else arrived

    def broadcast(self, parameters: NDArray[np.void]) -> SendResult:
        """The learner's side: sends one record to all agents.

        Raises:
            NotResetError: Before the first reset.
            ValueError: Not one record.
            BudgetExceededError: Under ``exceed="raise"``; nothing is sent then.
        """
        return _result_of(self._links().broadcast(np.atleast_1d(parameters)))

    def receive_broadcast(self) -> NDArray[np.void] | None:
        """The last record that each agent received, shape (num_envs,).

        Zeros where an agent has not received any, None where nobody has.

        Raises:
            NotResetError: Before the first reset.
        """
        received = self._links().receive_broadcast()
        return None if received is None else received[0]

    def _set_up(
        self,
        uplink: Channel | None,
        downlink: Channel | None,
        gamma: float,
    ) -> None:
        self._statistics = EpisodeStatistics(gamma, self.num_envs)
        self._star = Star([0], self.num_envs, uplink, downlink)

    def _open(self, seed: Any, over: NDArray[np.bool_] | None = None) -> None:
        """Opens the links, before a first episode begins on them.

        Args:
            seed: As a reset got it.
            over: Whose episode has ended already.
        """
        nobody = np.zeros(self.num_envs, dtype=np.bool_)
        self._star.open(seed_of_star(seed))
        self._over = nobody if over is None else over

    def _links(self) -> Star:
        """The links, once an episode has begun."""
        if self._star.episode < 0:
            raise NotResetError("the environments were not reset; call reset() first")
        return self._star

    def _end(self, rows: NDArray[np.bool_]) -> None:
        """Ends episodes with the next step, since a budget says so."""
        raise NotImplementedError

    def _begin(
        self, seed: Any, which: NDArray[np.bool_] | None, infos: dict[str, Any]
    ) -> dict[str, Any]:
        """Begins the episodes that a reset has begun; what is told of it.

        Args:
            seed: As the reset got it.
            which: Its mask, if it had one.
            infos: What the environment says.
        """
        begins = np.ones(self.num_envs, dtype=np.bool_) if which is None else which
        closing = self._totals() if self._star.episode >= 0 else None
        if self._star.episode < 0 or (which is None and seed is not None):
            self._open(seed)
            which = None
        self._begin_episodes(which)
        return beside(infos, **self._comm(), **_closed(closing, begins))

    def _begin_episodes(self, which: NDArray[np.bool_] | None) -> None:
        """Begins episodes, all if left out, and with them the next tick."""
        self._star.begin_episode(None if which is None else which[None])
        self._statistics.begin(which)
        begins = slice(None) if which is None else which
        self._over[begins] = False

    def _settle(
        self,
        observations: Any,
        rewards: Any,
        terminated: NDArray[np.bool_],
        truncated: NDArray[np.bool_],
        infos: dict[str, Any],
    ) -> _Step:
        """What channels make of a step: their prices, their clock, what they tell.

        Sub-environments that the step has reset earn nothing. With SAME_STEP autoreset
        they are those that have ended in it; its tick begins their next episodes.
        """
        ended = terminated | truncated
        same_step = self.autoreset_mode is AutoresetMode.SAME_STEP
        resting = self._over.copy()
        begins = resting & (self.autoreset_mode is AutoresetMode.NEXT_STEP)
        closing = self._totals() if begins.any() else None
        due = self._enter(np.asarray(rewards, dtype=np.float64), ~resting)
        if same_step and ended.any():
            begins, closing = ended, self._totals()
            infos = {**infos, "final_info": self._final(infos, closing, ended)}
            infos["_final_info"] = ended.copy()
        if begins.any():
            self._begin_episodes(begins)
        else:
            self._star.tick()
        if not same_step:
            self._over |= ended
            if ended.any():
                now, closing = self._totals(), closing or {}
                closing = {
                    name: np.where(ended, value, closing.get(name, 0))
                    for name, value in now.items()
                }
        infos = beside(infos, **self._comm(), **_closed(closing, begins | ended))
        return observations, rewards - due, terminated, truncated, infos

    def _enter(
        self, rewards: NDArray[np.float64], acts: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Adds a step to the statistics; the prices that come off its rewards."""
        self._statistics.add(np.where(acts, rewards, 0.0), acts)
        due = self._statistics.due(self._star.meter.traffic.penalty[0])
        resets = ~acts & (self.autoreset_mode is AutoresetMode.NEXT_STEP)
        return np.where(resets, 0.0, due)

    def _final(
        self,
        infos: Mapping[str, Any],
        closing: Mapping[str, NDArray[Any]],
        ended: NDArray[np.bool_],
    ) -> dict[str, Any]:
        """The last infos of episodes whose sub-environments have been reset."""
        told = _masked("comm", self._known(), ended)
        last = infos.get("final_info", {})
        return beside(last, **told, **_closed(closing, ended))

    def _known(self) -> dict[str, NDArray[Any]]:
        up, left = self._star.meter.traffic, self._star.uplink.left
        return {
            "sent": up.messages[0],
            "refused": up.refused[0],
            "messages_left": left.messages[0],
            "bytes_left": left.bytes[0],
        }

    def _comm(self) -> dict[str, Any]:
        return _masked("comm", self._known(), np.ones(self.num_envs, dtype=np.bool_))

    def _measured(self, *traffic: Any) -> Metrics:
        return self._statistics.metrics((1, self.num_envs), *traffic)

    def _totals(self) -> dict[str, NDArray[Any]]:
        metrics = self._measured(*self._star.traffic)
        return {name: values[0] for name, values in vars(metrics).items()}


class VectorMessageChannel(VectorChannel, VectorWrapper):  # generic since Gymnasium 1.4
    """Gives each sub-environment a metered, budgeted channel to one learner.

    The vector form of :class:`MessageChannel`: sub-environment i is agent i of a star.
    The clock ticks with every step and every reset. Episodes begin one by one; a send
    after the end of an episode belongs to it, until its sub-environment is reset.

    Infos are those that ``SyncVectorEnv`` makes of single environments with a channel:
    ``infos["comm"]`` holds arrays of shape (num_envs,), ``sent`` and ``refused``,
    messages of the episodes so far, ``messages_left`` and ``bytes_left``.

    ``infos["episode_comm"]`` holds the metrics of episodes that are over, by name:
    ``reward``, ``frequency``, ``size`` and all others of :class:`commenv.Metrics`. The
    mask ``infos["_episode_comm"]`` says whose: of those whose episode this step ends,
    as of then; and of those whom this step or reset has reset, the final ones, with
    what was sent in between. Log one of the two: ``terminations | truncations`` tells
    them apart.

    With SAME_STEP autoreset nothing can be sent between two episodes, and the last
    infos of the first are in ``infos["final_info"]``, as usual.

    Args:
        env: A vector environment.
        uplink: From each agent to the learner; unlimited and perfect by default.
        downlink: From the learner to the agents; likewise.
        gamma: The discount of the metric ``reward``, in [0, 1].

    Attributes:
        star: The links and their ledgers.
        autoreset_mode: How the environment resets itself, where TorchRL looks for it.

    Raises:
        ValueError: A budget with ``exceed="terminate"``, since a sub-environment cannot
            be ended from outside; a gamma outside [0, 1]; or Gymnasium's
            ``Autoreset`` around a sub-environment.
        EnvironmentFaultError: The environment says that its rewards are vectors.

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

    def __init__(
        self,
        env: VectorEnv[Any, Any, Any],
        *,
        uplink: Channel | None = None,
        downlink: Channel | None = None,
        gamma: float = 0.9,
    ) -> None:
        super().__init__(env)
        refuse_autoreset(env, "VectorMessageChannel")
        mode = env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
        self.autoreset_mode = AutoresetMode(mode)
        for channel in (uplink, downlink):
            if channel and channel.budget.exceed == "terminate":
                raise ValueError(
                    "exceed='terminate' cannot end a sub-environment from outside; put "
                    "MessageChannel around each of them"
                )
        self._set_up(uplink, downlink, gamma)
        self._checker = VectorChecker(env)

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begins episodes; with a seed, of the channel's draws too.

        Args:
            seed: A seed for all, which also empties the ledgers and fills the budgets;
                or one for each, of which the first addresses the channel's draws.
            options: ``"reset_mask"``, bool of shape (num_envs,): whose episodes begin,
                where the vector environment does not reset itself.

        Raises:
            EnvironmentFaultError: The environment returned what cannot be used.
        """
        check_options(options, ("reset_mask",))
        which = reset_mask(options)
        if seed is not None:
            each = seed_each(seed, self.num_envs)
            seed = each if np.ndim(seed) else each[0]
        observations, infos = self.env.reset(seed=seed, options=options)
        self._checker.observations(observations)
        return observations, self._begin(seed, which, infos)

    def step(self, actions: Any) -> _Step:
        """One step, and one tick of the channel.

        A sub-environment whose episode has ended is reset by it, and earns nothing.

        Raises:
            NotResetError: Before the first reset.
            EnvironmentFaultError: The environment returned what cannot be used.
        """
        self._links().uplink.check_thread()
        step = self._checker.step(self.env.step(actions), ~self._over)
        return self._settle(*step)


def reset_mask(options: Mapping[str, Any] | None) -> NDArray[np.bool_] | None:
    """Whose episodes a reset with these options begins; None for all."""
    mask = None if options is None else options.get("reset_mask")
    return None if mask is None else np.array(mask, dtype=np.bool_)


def _closed(
    closing: Mapping[str, NDArray[Any]] | None, which: NDArray[np.bool_]
) -> dict[str, Any]:
    return {} if closing is None else _masked("episode_comm", closing, which)


def _masked(
    key: str, values: Mapping[str, NDArray[Any]], which: NDArray[np.bool_]
) -> dict[str, Any]:
    """Numbers by name as Gymnasium batches them: 0 where they are missing."""
    mask, everybody = which.copy(), which.all()
    parts: dict[str, Any] = {}
    for name, column in values.items():
        parts[name] = column.copy() if everybody else np.where(which, column, 0)
        parts[f"_{name}"] = mask
    return {key: parts, f"_{key}": mask}


def _result_of(receipt: Receipt) -> SendResult:
    left = receipt.left
    return SendResult(
        receipt.accepted[0], left.messages[0].copy(), left.bytes[0].copy()
    )
