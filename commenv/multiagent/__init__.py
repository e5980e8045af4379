"""Many agents: PettingZoo environments, and channels in and around them.

Importing it, or using :func:`commenv.parallel_env`, registers commenv's ids with
PettingZoo: ``pettingzoo.make("parallel", "commenv/simple_grid-v0")`` and so on. Where
PettingZoo was imported before commenv, ``import commenv`` has already done so.
"""

from commenv.multiagent.adapter import BatchedFromParallel, batched_from_parallel
from commenv.multiagent.bill import Bill
from commenv.multiagent.communication import CommunicationBudget
from commenv.multiagent.finished import IgnoreFinished
from commenv.multiagent.instances import ParallelInstances
from commenv.multiagent.making import parallel_env
from commenv.multiagent.topology import links_of
from commenv.registration import register_parallel_envs

__all__ = [
    "BatchedFromParallel",
    "Bill",
    "CommunicationBudget",
    "IgnoreFinished",
    "ParallelInstances",
    "batched_from_parallel",
    "links_of",
    "parallel_env",
]

register_parallel_envs()
