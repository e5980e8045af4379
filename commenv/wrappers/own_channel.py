"""Environments that have a channel of their own, opened when it is asked for."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium.envs.registration import EnvSpec
from numpy.typing import NDArray

from commenv.channel import Channel, Received
from commenv.channel.plain import plain_channel
from commenv.errors import NotResetError
from commenv.seeds import integer_seed
from commenv.wrappers.message_channel import SingleChannel
from commenv.wrappers.metrics import Metrics
from commenv.wrappers.star import Star, seed_of_star
from commenv.wrappers.vector_channel import VectorChannel, reset_mask

__all__ = ["OwnChannel", "OwnVectorChannel", "with_channel"]


class _PlainSpec:
    """A mixin for environments whose spec holds channels as plain data.

    ``gym.make`` keeps the arguments in the spec, and the spec can be written as JSON
    only if they are plain.
    """

    _spec: EnvSpec | None = None

    @property
    def spec(self) -> EnvSpec | None:
        """What ``gym.make`` makes the environment by."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        if spec is not None:
            spec = copy.copy(spec)
            spec.kwargs = {
                name: plain_channel(value) if isinstance(value, Channel) else value
                for name, value in spec.kwargs.items()
            }
        self._spec = spec


class OwnChannel(_PlainSpec, SingleChannel):
    """A mixin for environments: a channel to a learner as a part of their API.

    It does what :class:`MessageChannel` does around an environment. Without an uplink
    and a downlink the environment is what it would be without the mixin, with empty
    infos; but it counts what it earns, so that :attr:`metrics` is there, and the first
    :meth:`send` or :meth:`broadcast` opens an unlimited channel, whose episodes are
    counted from there.

    Args:
        *args: The environment's arguments.
        uplink: From the agent to the learner.
        downlink: From the learner to the agent. If only one of the two is given, the
            other is unlimited and perfect.
        agent: The agent's number, which addresses its draws and stands in its headers.
        gamma: The discount of the metric ``reward``, in [0, 1].
        **kwargs: The environment's arguments.

    Raises:
        TypeError: An uplink or downlink that is not a :class:`commenv.Channel`.
        ValueError: A gamma outside [0, 1], or a negative agent.
    """

    has_channel = True

    def __init__(
        self,
        *args: Any,
        uplink: Channel | None = None,
        downlink: Channel | None = None,
        agent: int = 0,
        gamma: float = 0.9,
        **kwargs: Any,
    ) -> None:
        self._set_up(uplink, downlink, agent, gamma)
        self._talks = uplink is not None or downlink is not None
        self._begun = False
        self._star_seed: int | None = None
        super().__init__(*args, **kwargs)

    @property
    def star(self) -> Star:
        """The links and their ledgers; asking for them opens the channel."""
        if self._begun:
            return self._links()
        self._talks = True
        return self._star

    @property
    def metrics(self) -> Metrics:
        """The metrics of the episode so far, of shape (1, 1).

        Raises:
            NotResetError: Before the first reset.
        """
        if self._talks:
            return super().metrics
        self._check_begun()
        return self._measured(None, None)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begins an episode; see :meth:`MessageChannel.reset`."""
        seed = None if seed is None else integer_seed(seed)
        observation, info = super().reset(seed=seed, options=options)  # type: ignore[misc]
        self._begun = True
        if seed is not None:
            self._star_seed = seed
        if self._talks:
            return observation, self._begin(seed, info)
        self._statistics.begin()
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """One step; see :meth:`MessageChannel.step`."""
        if self._talks and self._begun:
            self._links().uplink.check_thread()
        step: Any = super().step(action)  # type: ignore[misc]
        if self._talks:
            return self._settle(*step)
        self._statistics.add(float(step[1]))
        return step

    def receive(self) -> list[Any] | NDArray[np.void]:
        """What arrived since the last call; see :meth:`MessageChannel.receive`."""
        return super().receive() if self._talks else self._nothing([])

    def receive_broadcast(self) -> np.void | None:
        """The last record; see :meth:`MessageChannel.receive_broadcast`."""
        return super().receive_broadcast() if self._talks else self._nothing(None)

    def _links(self) -> Star:
        self._check_begun()
        if self._star.episode < 0:
            self._talks = True
            self._star.open(seed_of_star(self._star_seed))
            self._begin_messages()
        return self._star

    def _nothing(self, nothing: Any) -> Any:
        """What there is to receive where nobody has sent anything."""
        self._check_begun()
        return nothing

    def _check_begun(self) -> None:
        if not self._begun:
            raise NotResetError("the environment was not reset; call reset() first")


class OwnVectorChannel(_PlainSpec, VectorChannel):
    """The same as :class:`OwnChannel` for native vectors; sub-environments are agents.

    It does what :class:`VectorMessageChannel` does around a vector. A budget with
    ``exceed="terminate"`` ends a sub-environment's episode with the next step.

    Args:
        *args: The vector's arguments.
        uplink: From each agent to the learner.
        downlink: From the learner to the agents.
        gamma: The discount of the metric ``reward``, in [0, 1].
        **kwargs: The vector's arguments.

    Raises:
        TypeError: An uplink or downlink that is not a :class:`commenv.Channel`.
        ValueError: A gamma outside [0, 1].
    """

    _talks = False
    _star_seed: Any = None
    _begun: bool
    _elapsed: Callable[[], NDArray[np.int64]]
    _on_step: Any
    _cut_short: NDArray[np.bool_] | None
    _earned: Callable[[NDArray[np.intp]], tuple[float, NDArray[np.float64]]]
    _finished: NDArray[np.intp]

    def __init__(
        self,
        *args: Any,
        uplink: Channel | None = None,
        downlink: Channel | None = None,
        gamma: float = 0.9,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._set_up(uplink, downlink, gamma)
        if uplink is not None or downlink is not None:
            self._talk()

    @property
    def star(self) -> Star:
        """The links and their ledgers; asking for them opens the channel."""
        if self._begun:
            return self._links()
        self._talk()
        return self._star

    @property
    def metrics(self) -> Metrics:
        """The metrics of the episodes so far, of shape (1, num_envs).

        Raises:
            NotResetError: Before the first reset.
        """
        if self._talks:
            return super().metrics
        self._check_begun()
        self._catch_up()
        return self._measured(None, None)

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begins episodes; see :meth:`VectorMessageChannel.reset`."""
        which = reset_mask(options)
        observations, infos = super().reset(seed=seed, options=options)  # type: ignore[misc]
        if seed is not None:
            self._star_seed = seed
        if self._talks:
            return observations, self._begin(seed, which, infos)
        return observations, infos

    def receive(self) -> Received | list[list[Any]]:
        """What arrived since the last call, as :class:`VectorMessageChannel` has it."""
        if self._talks:
            return super().receive()
        self._check_begun()
        return [[] for _ in range(self.num_envs)]

    def receive_broadcast(self) -> NDArray[np.void] | None:
        """Each agent's last record, as :class:`VectorMessageChannel` has it."""
        if self._talks:
            return super().receive_broadcast()
        self._check_begun()
        return None

    def _links(self) -> Star:
        self._check_begun()
        if self._star.episode < 0:
            self._catch_up()
            self._talk()
            over = np.zeros(self.num_envs, dtype=np.bool_)
            over[self._finished] = True
            self._open(self._star_seed, over)
            self._star.begin_episode()
        return self._star

    def _talk(self) -> None:
        self._talks = True
        self._on_step = self._settle

    def _catch_up(self) -> None:
        """Counts what was earned while nobody asked for it.

        To count it in each step would take longer than the step.
        """
        rows = self._finished
        self._statistics.replay(self._elapsed(), *self._earned(rows), rows)

    def _end(self, rows: NDArray[np.bool_]) -> None:
        self._cut_short = rows if self._cut_short is None else self._cut_short | rows

    def _check_begun(self) -> None:
        if not self._begun:
            raise NotResetError("the environments were not reset; call reset() first")


def with_channel(base: type, mixin: type, module: str) -> Any:
    """A class of environments with a channel of their own, under the base's name.

    Args:
        base: The environment.
        mixin: :class:`OwnChannel` or :class:`OwnVectorChannel`.
        module: Where the class is found under its name.
    """
    own = list(inspect.signature(base).parameters.values())
    described = OwnVectorChannel if issubclass(mixin, VectorChannel) else OwnChannel
    channels = inspect.signature(described).parameters.values()
    both = [p for p in own if p.kind is not p.VAR_KEYWORD]
    both += [p for p in channels if p.kind is p.KEYWORD_ONLY]
    both += [p for p in own if p.kind is p.VAR_KEYWORD]
    body = {
        "__module__": module,
        "__doc__": base.__doc__,
        "__signature__": inspect.Signature(both),
    }
    return type(base.__name__, (mixin, base), body)
