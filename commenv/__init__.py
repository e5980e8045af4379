"""commenv: reinforcement learning with a metered, budgeted message channel.

Importing it registers the environments with Gymnasium and PettingZoo. They have the
channel in their own API, ``gym.make("SimpleGrid-v0", uplink=commenv.Channel())``.
``run``, ``load`` and ``load_policy`` need the extra ``study``; everything else needs no
extra.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from commenv.registration import register_envs, register_parallel_envs

if TYPE_CHECKING:
    from commenv.channel import (
        BernoulliLoss,
        Budget,
        Channel,
        Fate,
        FreeForm,
        Messages,
        Unit,
    )
    from commenv.envs import TabularMDP
    from commenv.multiagent import CommunicationBudget, parallel_env
    from commenv.rng import Draws
    from commenv.study.callbacks import Callback, StopTrial, TrialRound
    from commenv.study.loader import load
    from commenv.study.merging import merge
    from commenv.study.policies.loader import load_policy
    from commenv.study.results import Results
    from commenv.study.runner import run
    from commenv.wrappers import ChannelEnv, Metrics, batched_env, find_channel

__version__ = "0.1.0"

__all__ = [
    "BernoulliLoss",
    "Budget",
    "Callback",
    "Channel",
    "ChannelEnv",
    "CommunicationBudget",
    "Draws",
    "Fate",
    "FreeForm",
    "Messages",
    "Metrics",
    "Results",
    "StopTrial",
    "TabularMDP",
    "TrialRound",
    "Unit",
    "__version__",
    "batched_env",
    "find_channel",
    "load",
    "load_policy",
    "merge",
    "parallel_env",
    "register_envs",
    "run",
]

register_envs()
register_parallel_envs()

# Rooms are imported when something in them is asked for: many programs need the ids
# alone, and make thousands of processes that import them.
_ROOMS = {
    "channel": (
        "BernoulliLoss",
        "Budget",
        "Channel",
        "Fate",
        "FreeForm",
        "Messages",
        "Unit",
    ),
    "rng": ("Draws",),
    "envs": ("TabularMDP",),
    "multiagent": ("CommunicationBudget", "parallel_env"),
    "study": (
        "Callback",
        "Results",
        "StopTrial",
        "TrialRound",
        "load",
        "load_policy",
        "merge",
        "run",
    ),
    "wrappers": ("ChannelEnv", "Metrics", "batched_env", "find_channel"),
    "errors": (),
    "learning": (),
    "testing": (),
    "trackers": (),
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> Any:
    """A room, or what a room has that is public here."""
    if name in _ROOMS:
        return import_module(f"commenv.{name}")
    if name in _HOMES:
        return getattr(import_module(f"commenv.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    own = (name for name in globals() if name.startswith("__"))
    return sorted({*own, *__all__, *_ROOMS} - {"__getattr__", "__dir__"})
