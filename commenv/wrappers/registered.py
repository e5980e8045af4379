"""The classes behind our ids: environments that have a channel of their own.

Each is the environment of the same name with :class:`~commenv.wrappers.OwnChannel` or
:class:`~commenv.wrappers.OwnVectorChannel` in front. The robots' are made when they are
asked for, so that this module can be imported without MuJoCo.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from gymnasium.envs.classic_control import cartpole

from commenv.envs import cart_pole_vector, frozen_lake, grid, vector
from commenv.envs.choices import Choices
from commenv.envs.mujoco import gymnasium_class
from commenv.registration import ROBOTS
from commenv.wrappers.own_channel import OwnChannel, OwnVectorChannel, with_channel

__all__ = [
    "CartPoleEnv",
    "CartPoleVectorEnv",
    "FrozenLakeEnv",
    "FrozenLakeVectorEnv",
    "SimpleGridEnv",
    "SimpleGridVectorEnv",
    "WindyGridEnv",
    "WindyGridVectorEnv",
]


class _Quick(OwnChannel):
    """Gymnasium's Cart Pole takes most of a step to check its action; ours does not."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.action_space = Choices(2)


class _Robot(OwnChannel):
    """Gymnasium's robots are pickled as the arguments with which they were made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ezpickle_args, self._ezpickle_kwargs = args, kwargs


def _scalar(base: type, mixin: type = OwnChannel) -> Any:
    return with_channel(base, mixin, __name__)


def _vector(base: type) -> Any:
    return with_channel(base, OwnVectorChannel, __name__)


SimpleGridEnv = _scalar(grid.SimpleGridEnv)
WindyGridEnv = _scalar(grid.WindyGridEnv)
FrozenLakeEnv = _scalar(frozen_lake.FrozenLakeEnv)
CartPoleEnv = _scalar(cartpole.CartPoleEnv, _Quick)

SimpleGridVectorEnv = _vector(vector.SimpleGridVectorEnv)
WindyGridVectorEnv = _vector(vector.WindyGridVectorEnv)
FrozenLakeVectorEnv = _vector(vector.FrozenLakeVectorEnv)
CartPoleVectorEnv = _vector(cart_pole_vector.CartPoleVectorEnv)


def __getattr__(name: str) -> Any:
    """The robots: ``AntEnv`` and so on.

    Raises:
        MissingExtraError: The extra ``mujoco`` is not installed.
    """
    robot = name.removesuffix("Env")
    if robot == name or robot not in ROBOTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _robot(gymnasium_class(robot))


@cache
def _robot(theirs: type) -> Any:
    return _scalar(theirs, _Robot)
