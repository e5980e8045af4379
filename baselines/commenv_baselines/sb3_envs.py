"""PettingZoo environments for Stable-Baselines3: one policy, shared by all agents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo.utils.env import ParallelEnv

from commenv.errors import MissingExtraError
from commenv.multiagent.checker import ParallelChecker
from commenv.multiagent.contract import check_reset, check_step
from commenv.multiagent.masks import mask_of
from commenv.seeds import integer_seed

try:
    from stable_baselines3.common.vec_env import VecEnv
    from stable_baselines3.common.vec_env.base_vec_env import (
        VecEnvIndices,
        VecEnvObs,
        VecEnvStepReturn,
    )
    from stable_baselines3.common.vec_env.util import dict_to_obs, obs_space_info
except ImportError as error:
    raise MissingExtraError("ParallelVecEnv", "sb3") from error

__all__ = ["ParallelVecEnv"]

_MASKS = "action_masks"
_FLAT = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)


class _Step(NamedTuple):
    """What a step gives besides the observations, by sub-environment."""

    rewards: NDArray[np.float32]
    dones: NDArray[np.bool_]
    infos: list[dict[str, Any]]


class ParallelVecEnv(VecEnv):
    """Copies of a ``ParallelEnv``, each agent of each being one sub-environment.

    The sub-environments stand copy after copy, in the order of ``possible_agents``.

    An agent that is not in its episode, because it ended before its fellows' or has yet
    to begin, is *padded*: it observes zeros, earns 0, and its actions are ignored. When
    the last agent is done, its copy resets. ``done`` is set where an agent's own
    episode ends, and where its padding ends, so no value is carried over either border.

    ``infos[i]`` holds the agent's own info and

    - ``"padding"``: whether the step was one of padding;
    - ``"TimeLimit.truncated"``: truncated and not terminated;
    - ``"terminal_observation"``, where done: the last observation before the border;
    - ``"episode"``, at the end of an agent's own episode: its return ``"r"`` and length
      ``"l"``, which Stable-Baselines3 logs. (``VecMonitor`` and ``evaluate_policy``
      would count paddings as episodes.)

    An environment's action masks are given by :meth:`action_masks`, agent by agent.

    The method ``seed(seed)`` gives the i-th copy the seed ``seed + i`` at its next
    reset; with ``None``, copies draw on.

    Args:
        env_fns: One function for each copy, which makes it.

    Raises:
        ValueError: No copy, one copy given twice, agents with different spaces, or
            spaces that Stable-Baselines3 does not take.
        EnvironmentFaultError: A copy says that its rewards are vectors.

    Example:
        >>> from commenv.multiagent import signal_v0
        >>> env = ParallelVecEnv([signal_v0.parallel_env] * 3)
        >>> env.num_envs, env.reset().shape
        (6, (6, 3))
    """

    def __init__(self, env_fns: Sequence[Callable[[], ParallelEnv]]) -> None:
        self.envs = [make() for make in env_fns]
        if not self.envs:
            raise ValueError("no copy of an environment; give at least one function")
        if len({id(env.unwrapped) for env in self.envs}) < len(self.envs):
            raise ValueError(
                "two functions returned the same environment; let each call make one"
            )
        seats = [(env, agent) for env in self.envs for agent in env.possible_agents]
        count = iter(range(len(seats)))
        self._rows = [
            {agent: next(count) for agent in env.possible_agents} for env in self.envs
        ]
        observation_space, action_space = _shared_spaces(seats)
        self._checkers = [ParallelChecker(env) for env in self.envs]
        self._keys, shapes, dtypes = obs_space_info(observation_space)
        self._observations: dict[Any, NDArray[Any]] = {
            key: np.zeros((len(seats), *shapes[key]), dtypes[key]) for key in self._keys
        }
        self._masks: list[NDArray[np.bool_] | None] = [None] * len(seats)
        self._actions: NDArray[Any] | None = None
        self._returns = np.zeros(len(seats))
        self._lengths = np.zeros(len(seats), dtype=np.int64)
        super().__init__(len(seats), observation_space, action_space)

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seeds the copies at the next reset: the i-th one with ``seed + i``.

        Returns:
            The seed of each sub-environment's copy.
        """
        first = None if seed is None else integer_seed(seed)
        self._seeds = [
            None if first is None else first + copy
            for copy, rows in enumerate(self._rows)
            for _ in rows
        ]
        return self._seeds

    def reset(self) -> VecEnvObs:
        """Resets every copy.

        Returns:
            The observations, shape (num_envs, ...); a dictionary of such for Dict.

        Raises:
            EnvironmentFaultError: A copy returned what cannot be used.
        """
        for copy, rows in enumerate(self._rows):
            row = min(rows.values())
            options = self._options[row] or None
            self._begin(copy, seed=self._seeds[row], options=options)
        self._reset_seeds()
        self._reset_options()
        return self._seen()

    def step_async(self, actions: NDArray[Any]) -> None:
        """Takes the actions of the next step, shape (num_envs, ...)."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Takes the step.

        Returns:
            (observations, rewards as float32, dones, infos), by sub-environment.

        Raises:
            EnvironmentFaultError: A copy returned what cannot be used.
        """
        step = _Step(
            np.zeros(self.num_envs, dtype=np.float32),
            np.zeros(self.num_envs, dtype=bool),
            [{} for _ in range(self.num_envs)],
        )
        for copy in range(len(self.envs)):
            self._step_copy(copy, step)
        return self._seen(), *step

    def close(self) -> None:
        """Closes every copy."""
        for env in self.envs:
            env.close()

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """A picture of each copy, where the render mode is ``"rgb_array"``."""
        if self.render_mode != "rgb_array":
            return [None for _ in self.envs]
        return [env.render() for env in self.envs]

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """An attribute of the copy of each of the sub-environments."""
        if attr_name == _MASKS:  # which is how MaskablePPO asks whether there are any
            return [self.action_masks for _ in self._get_indices(indices)]
        return [getattr(self.envs[i], attr_name) for i in self._copies_of(indices)]

    def set_attr(
        self, attr_name: str, value: Any, indices: VecEnvIndices = None
    ) -> None:
        """Sets an attribute of the copies of some sub-environments."""
        for copy in set(self._copies_of(indices)):
            setattr(self.envs[copy], attr_name, value)

    def env_method(
        self,
        method_name: str,
        *method_args: Any,
        indices: VecEnvIndices = None,
        **method_kwargs: Any,
    ) -> list[Any]:
        """Calls a method once for each copy that has one of the sub-environments.

        Returns:
            For each sub-environment, what its copy answered; its own mask for
            ``"action_masks"``.
        """
        if method_name == _MASKS:
            masks = self.action_masks()
            return [masks[index] for index in self._get_indices(indices)]
        copies = self._copies_of(indices)
        answers = {
            copy: getattr(self.envs[copy], method_name)(*method_args, **method_kwargs)
            for copy in dict.fromkeys(copies)
        }
        return [answers[copy] for copy in copies]

    def action_masks(self) -> NDArray[np.bool_]:
        """Which actions are allowed now, as sb3-contrib's ``MaskablePPO`` asks for it.

        A mask is the agent's ``info["action_mask"]``, or else ``"action_mask"`` of its
        observation, one component after another. Agents without one, and those that are
        padded, may do anything.

        Returns:
            bool, shape (num_envs, choices of an action).

        Raises:
            ValueError: No agent has a mask, or not one entry for each choice.
        """
        width = _num_choices(self.action_space)
        if all(mask is None for mask in self._masks):
            raise ValueError(
                "no agent has an 'action_mask' in its info or its observation; use an "
                "algorithm without masks"
            )
        masks = np.ones((self.num_envs, width), dtype=bool)
        for row, mask in enumerate(self._masks):
            if mask is None:
                continue
            if mask.shape != (width,):
                raise ValueError(
                    f"sub-environment {row} has an action mask of {len(mask)} entries "
                    f"for {width} choices of {self.action_space}; give one for each"
                )
            masks[row] = mask
        return masks

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: Any = None
    ) -> list[bool]:
        """Whether a wrapper of this class is around each sub-environment's copy."""
        return [
            any(isinstance(layer, wrapper_class) for layer in _layers(self.envs[copy]))
            for copy in self._copies_of(indices)
        ]

    def _step_copy(self, copy: int, step: _Step) -> None:
        """Steps one copy, and fills its agents' rows."""
        env, rows = self.envs[copy], self._rows[copy]
        if self._actions is None:
            raise ValueError("step_wait without actions; call step_async first")
        actions = {agent: self._actions[rows[agent]] for agent in env.agents}
        result = env.step(actions)
        check_step(env, [*actions], result, rows)
        result = self._checkers[copy].step(actions, result)
        observations, *outcome = result
        for agent, row in rows.items():
            played, plays_on = agent in actions, agent in env.agents
            step.infos[row] = {"TimeLimit.truncated": False, "padding": not played}
            self._put(row, observations[agent] if played else None)
            if played:
                self._count(row, [part[agent] for part in outcome], step)
            if not env.agents or plays_on != played:
                self._finish(row, step)
            self._put(row, observations[agent] if plays_on else None)
            self._masks[row] = None
            if plays_on:
                self._masks[row] = mask_of(
                    outcome[-1].get(agent, {}), observations[agent]
                )
        if not env.agents:
            self._begin(copy)

    def _count(self, row: int, outcome: Sequence[Any], step: _Step) -> None:
        """Fills the row of an agent that was in its episode."""
        reward, terminated, truncated, info = outcome
        step.rewards[row] = reward
        step.infos[row].update(info)
        step.infos[row]["TimeLimit.truncated"] = bool(truncated and not terminated)
        self._returns[row] += reward
        self._lengths[row] += 1

    def _finish(self, row: int, step: _Step) -> None:
        """Marks the end of an agent's own episode, or of its padding."""
        step.dones[row] = True
        step.infos[row]["terminal_observation"] = self._seen(row)
        if not step.infos[row]["padding"]:
            total, length = float(self._returns[row]), int(self._lengths[row])
            step.infos[row]["episode"] = {"r": total, "l": length}
        self._returns[row] = self._lengths[row] = 0

    def _begin(self, copy: int, **how: Any) -> None:
        """Resets a copy, and fills its rows; absent agents are padded."""
        env, rows = self.envs[copy], self._rows[copy]
        result = env.reset(**how)
        check_reset(env, result, rows)
        observations, infos = result
        self._checkers[copy].reset(env.agents, observations)
        for agent, row in rows.items():
            self._put(row, observations.get(agent))
            self._masks[row] = mask_of(infos.get(agent, {}), observations.get(agent))
            self.reset_infos[row] = infos.get(agent, {})
            self._returns[row] = self._lengths[row] = 0

    def _put(self, row: int, observation: Any) -> None:
        """Writes a row's observation; None is padding."""
        for key, table in self._observations.items():
            if observation is None:
                table[row] = 0
            else:
                table[row] = observation if key is None else observation[key]

    def _seen(self, row: int | slice = slice(None)) -> Any:
        """A copy of all observations, or of one row's."""
        return dict_to_obs(
            self.observation_space,
            {key: table[row].copy() for key, table in self._observations.items()},
        )

    def _copies_of(self, indices: VecEnvIndices) -> list[int]:
        """The number of the copy that each sub-environment belongs to."""
        copies = [copy for copy, rows in enumerate(self._rows) for _ in rows]
        return [copies[index] for index in self._get_indices(indices)]


def _shared_spaces(
    seats: Sequence[tuple[ParallelEnv, Any]],
) -> tuple[gym.Space[Any], gym.Space[Any]]:
    """The (observation, action) spaces that all agents have."""
    env, first = seats[0]
    shared = env.observation_space(first), env.action_space(first)
    for other, agent in seats[1:]:
        spaces_of = other.observation_space(agent), other.action_space(agent)
        for name, mine, theirs in zip(
            ("observation", "action"), shared, spaces_of, strict=True
        ):
            if mine != theirs:
                raise ValueError(
                    f"{first!r} has the {name} space {mine}, {agent!r} has {theirs}; "
                    "agents that share a policy need equal spaces: pad them, or train "
                    "these agents apart"
                )
    parts: Iterable[Any] = [shared[0]]
    if isinstance(shared[0], spaces.Dict):
        parts = shared[0].spaces.values()
    if not all(isinstance(part, _FLAT) for part in parts):
        raise ValueError(
            f"the observation space {shared[0]} has nested parts, which "
            "Stable-Baselines3 does not take; flatten it (CommunicationBudget: "
            "flatten=True)"
        )
    if not isinstance(shared[1], _FLAT):
        raise ValueError(
            f"the action space {shared[1]} has named or nested parts, which "
            "Stable-Baselines3 does not take; make it a MultiDiscrete "
            "(CommunicationBudget: flatten=True)"
        )
    return shared


def _num_choices(space: gym.Space[Any]) -> int:
    """Entries of an action mask.

    Raises:
        ValueError: A space without choices.
    """
    if isinstance(space, spaces.Discrete):
        return int(space.n)
    if isinstance(space, spaces.MultiDiscrete):
        return int(space.nvec.sum())
    if isinstance(space, spaces.MultiBinary):
        return 2 * int(np.prod(space.shape))
    raise ValueError(f"actions of {space} cannot be masked; only choices can")


def _layers(env: Any) -> Iterable[Any]:
    """An environment's wrappers from the outside in, and the environment."""
    while env is not None:
        yield env
        env = getattr(env, "env", None)
