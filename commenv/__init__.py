"""commenv: reinforcement learning with a metered, budgeted message channel.

Importing it registers the environments with Gymnasium. ``run``, ``load`` and
``load_policy`` need the extra ``study``; everything else needs no extra.
"""

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
from commenv.registration import register_envs
from commenv.study import Results, load, load_policy, run
from commenv.wrappers import ChannelEnv, Metrics, batched_env

__version__ = "0.1.0"

__all__ = [
    "BernoulliLoss",
    "Budget",
    "Channel",
    "ChannelEnv",
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
    "load",
    "load_policy",
    "register_envs",
    "run",
]

register_envs()
