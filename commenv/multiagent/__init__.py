"""Many agents: PettingZoo environments, and channels in and around them.

There is a module for each id: ``pettingzoo.make("parallel", "commenv/simple_grid-v0")``
is ``commenv.multiagent.simple_grid_v0.parallel_env()``.
"""

from commenv.multiagent.adapter import BatchedFromParallel, batched_from_parallel
from commenv.multiagent.bill import Bill
from commenv.multiagent.communication import CommunicationBudget
from commenv.multiagent.finished import IgnoreFinished
from commenv.multiagent.instances import ParallelInstances
from commenv.multiagent.making import parallel_env
from commenv.multiagent.topology import links_of

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
