"""commenv: reinforcement learning with a metered, budgeted message channel.

Importing it registers the environments with Gymnasium and PettingZoo. ``run``,
``load`` and ``load_policy`` need the extra ``study``; everything else needs no extra.
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from commenv.channel import (
    BernoulliLoss,
    Budget,
    Channel,
    Fate,
    FreeForm,
    Messages,
    Unit,
)
from commenv.draws import Draws
from commenv.envs import TabularMDP
from commenv.registration import register_envs, register_parallel_envs
from commenv.study import Results, load, load_policy, run
from commenv.wrappers import ChannelEnv, Metrics, batched_env, find_channel

if TYPE_CHECKING:
    from commenv.multiagent import CommunicationBudget, parallel_env

__version__ = "0.1.0"

__all__ = [
    "BernoulliLoss",
    "Budget",
    "Channel",
    "ChannelEnv",
    "CommunicationBudget",
    "Draws",
    "Fate",
    "FreeForm",
    "Messages",
    "Metrics",
    "Results",
    "TabularMDP",
    "Unit",
    "__version__",
    "batched_env",
    "find_channel",
    "load",
    "load_policy",
    "parallel_env",
    "register_envs",
    "run",
]

register_envs()
register_parallel_envs()

_MULTIAGENT = ("CommunicationBudget", "parallel_env")


def __getattr__(name: str) -> Any:
    """The faces for many agents, which are imported when they are asked for."""
    if name in _MULTIAGENT:
        from commenv import multiagent

        return getattr(multiagent, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Room(ModuleType):
    """The package ``commenv.channel``, which can also be called."""

    def __call__(self, env: Any) -> Any:
        """See :func:`commenv.find_channel`."""
        return find_channel(env)


sys.modules["commenv.channel"].__class__ = _Room
