"""What environments of others return is checked here, before anybody believes it.

Every face of commenv steps foreign environments through a checker, once. The worlds of
this package (tables, Cart Pole, the robots) are tested instead, and never checked.

- **Observations** outside their space are an error: a state of -1 would be read as
  another row of somebody's table, and a shape of ``(1,)`` would fill every row. What
  is left is one leniency: real numbers beyond the *bounds* of a float Box, which are
  often an estimate (simulators overshoot, bounds are rounded), are warned of once for
  each environment. NaN, other shapes, and infinite numbers in a bounded Box are not.
- **Rewards** are one real number. Arrays of size one are taken as their number, whole
  numbers and booleans too. NaN is an error of the environment, whoever learns from it.
  Infinite rewards are passed on: simulators report crashes so.
- **Flags** are booleans, or 0 and 1. **Infos** are mappings.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

import gymnasium as gym
import numpy as np

from commenv.envs.membership import complaint, membership, spelled
from commenv.errors import EnvironmentFaultError, shown

__all__ = ["CheckedEnv", "Checker", "Place", "name_of", "with_agent"]

Place = Callable[[], dict[str, Any]]
"""Says where a fault happened: the agent, the episode, the step."""

_SPACE_CURE = "correct the environment, or declare the space that it really uses"
_ONE_NUMBER = "a reward is one number, not NaN: correct the environment"
_OBJECTIVES = (
    "combine the objectives into one number first, for instance with LinearReward of "
    "mo_gymnasium.wrappers"
)
_WITHOUT_OBJECTIVES = ("gymnasium", "pettingzoo", "commenv")  # makers of wrappers
_PARTS = ("observation", "reward", "terminated", "truncated", "info")
_beyond_bounds: set[tuple[str, str]] = set()  # environments that were warned of


class Checker:
    """Checks what one environment returns.

    Args:
        env: The environment, for its name.
        space: Of its observations.
        where: Asked for the place of a fault: the agent, the episode, the step.

    Raises:
        EnvironmentFaultError: The environment says that its rewards are vectors.
    """

    def __init__(self, env: Any, space: gym.Space[Any], where: Place = dict) -> None:
        self._env, self._space, self._where = env, space, where
        self._contains = membership(space)
        if shape := _shape_of_rewards(env):
            words = f"has rewards of shape {shape}"
            raise EnvironmentFaultError(name_of(env), words, _OBJECTIVES)

    def __reduce__(self) -> tuple[Any, ...]:  # the test of membership is a closure
        return Checker, (self._env, self._space, self._where)

    def contains(self, observation: Any) -> bool:
        """Whether an observation is in its space."""
        return self._contains(observation)

    def reset(self, result: Any) -> tuple[Any, dict[str, Any]]:
        """What ``reset()`` returned, if it can be used.

        Raises:
            EnvironmentFaultError: It cannot.
        """
        if not isinstance(result, tuple) or len(result) != 2:
            raise self.fault(
                f"returned {_form(result)} from reset()",
                "return a tuple of observation and info",
            )
        observation, info = result
        return self.observation(observation), self._info(info)

    def step(self, result: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """What ``step()`` returned, if it can be used; the reward as a float.

        Raises:
            EnvironmentFaultError: It cannot.
        """
        try:
            observation, reward, terminated, truncated, info = result
        except (TypeError, ValueError):
            words = f"return a tuple of {', '.join(_PARTS)}"
            raise self.fault(f"returned {_form(result)} from step()", words) from None
        # Each in its usual form first: these lines are all that a sane step costs.
        if not self._contains(observation):
            self._outside(observation)
        if type(reward) is not float or reward != reward:  # NaN
            reward = self.reward(reward)
        if type(terminated) is not bool:
            terminated = self.flag(terminated, "terminated")
        if type(truncated) is not bool:
            truncated = self.flag(truncated, "truncated")
        if type(info) is not dict:
            info = self._info(info)
        return observation, reward, terminated, truncated, info

    def observation(self, observation: Any) -> Any:
        """An observation, if it is in its space.

        Raises:
            EnvironmentFaultError: It is not, and not for a float bound alone.
        """
        if not self._contains(observation):
            self._outside(observation)
        return observation

    def reward(self, reward: Any) -> float:
        """A reward as a float; infinite ones are passed on.

        Raises:
            EnvironmentFaultError: It is NaN, or not one real number.
        """
        number = _one_number(reward)
        if number is not None and not math.isnan(number):
            return number
        if number is None and (count := _objectives(reward)) > 1:
            what = f"returned {count} rewards at once, {spelled(reward)}"
            raise self.fault(what, _OBJECTIVES)
        raise self.fault(f"returned the reward {spelled(reward)}", _ONE_NUMBER)

    def flag(self, flag: Any, name: str) -> bool:
        """A flag as a bool.

        Raises:
            EnvironmentFaultError: It is neither a bool nor 0 or 1.
        """
        number = _one_number(flag)
        if number not in (0.0, 1.0):
            what = f"returned {name} = {spelled(flag)}"
            raise self.fault(what, "return True or False")
        return bool(number)

    def fault(self, problem: str, cure: str) -> EnvironmentFaultError:
        """An error that names the environment and the place."""
        return EnvironmentFaultError(name_of(self._env), problem, cure, self._where())

    def _info(self, info: Any) -> dict[str, Any]:
        if not isinstance(info, Mapping):
            what = f"returned the info {spelled(info)}"
            raise self.fault(what, "return a dictionary, an empty one for nothing")
        return info  # type: ignore[return-value]

    def _outside(self, observation: Any) -> None:
        """Raises, or warns where a float bound is all that is passed."""
        lenient = membership(self._space, bounds=False)
        if not lenient(observation):
            words = complaint(self._space, observation, "observation")
            raise self.fault(f"returned {words}", _SPACE_CURE)
        self._contains = lenient
        about = name_of(self._env), str(self._space)
        if about not in _beyond_bounds:
            _beyond_bounds.add(about)
            warnings.warn(
                f"{about[0]} returned observation {spelled(observation)}, "
                f"beyond the bounds of {shown(self._space)}; this and others like it "
                "are taken as they are. Declare bounds that hold, if learners scale "
                "with them",
                RuntimeWarning,
                stacklevel=2,
            )


class CheckedEnv(gym.Wrapper[Any, Any, Any, Any]):
    """A foreign environment whose results are checked, and whose errors name it.

    Args:
        env: The environment.

    Raises:
        EnvironmentFaultError: It says that its rewards are vectors.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self._checker = Checker(env, env.observation_space)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begins an episode.

        Raises:
            EnvironmentFaultError: The environment raised an error, or returned what
                cannot be used.
        """
        try:
            result = self.env.reset(seed=seed, options=options)
        except Exception as error:
            raise self._raised(error, "reset") from error
        return self._checker.reset(result)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Takes a step.

        Raises:
            EnvironmentFaultError: The environment raised an error, or returned what
                cannot be used.
        """
        try:
            result = self.env.step(action)
        except Exception as error:
            raise self._raised(error, "step") from error
        return self._checker.step(result)

    def _raised(self, error: Exception, method: str) -> EnvironmentFaultError:
        words = f"raised {type(error).__name__} in {method}(): {shown(error)}"
        return self._checker.fault(words, "")


def with_agent(where: Place, agent: Any) -> dict[str, Any]:
    """The place of a fault, and whose it is."""
    return {"agent": agent, **where()}


def name_of(env: Any) -> str:
    """An environment's id, or its class where it has none."""
    if (spec := getattr(env, "spec", None)) is not None:
        return str(spec.id)
    return type(getattr(env, "unwrapped", env)).__name__


def _shape_of_rewards(env: Any) -> tuple[int, ...] | None:
    """The shape of an environment's rewards, where it says that they are vectors.

    What says so is MO-Gymnasium's attribute ``reward_space`` (a method of agents in
    MOMAland). A wrapper that is neither of the library's own nor ours may combine the
    objectives: then the first step will tell.
    """
    layer, innermost = env, getattr(env, "unwrapped", env)
    while layer is not innermost:
        maker = type(layer).__module__.partition(".")[0]
        inner = getattr(layer, "env", None)
        if inner is None or maker not in _WITHOUT_OBJECTIVES:
            return None
        if isinstance(layer, (gym.RewardWrapper, gym.vector.VectorRewardWrapper)):
            return None
        layer = inner
    space = getattr(layer, "reward_space", None)
    if callable(space) and not isinstance(space, gym.Space):
        space = space(layer.possible_agents[0])
    shape = getattr(space, "shape", None)
    several = shape is not None and math.prod(shape) > 1
    # One reward for each sub-environment of a vector is one objective.
    if not several or shape == (getattr(env, "num_envs", None),):
        return None
    return shape


def _one_number(value: Any) -> float | None:
    """A real number, or an array of one, as a float; None for anything else."""
    if isinstance(value, (Real, np.bool_)):
        return float(value)
    if value is None or isinstance(value, (str, bytes, np.ma.MaskedArray)):
        return None
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        return None
    one = array.size == 1 and array.dtype.kind in "biuf"
    return float(array.reshape(())) if one else None


def _objectives(value: Any) -> int:
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        return 0
    return array.size if array.dtype.kind in "biuf" else 0


def _form(result: Any) -> str:
    if isinstance(result, tuple):
        return f"{len(result)} values"
    return f"a {type(result).__name__}"
