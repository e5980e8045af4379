"""failure-api: observations are shared, and its Bernoulli model masks some of them."""

from __future__ import annotations

from collections.abc import Callable

from failure_api.communication_models import ProbabilisticModel
from failure_api.wrappers import CommunicationWrapper
from mpe2 import simple_spread_v3
from pettingzoo.utils import aec_to_parallel
from spread import beside_bare, still

PACKAGES = ("failure-api", "mpe2", "pettingzoo", "numpy")
OWN_CLOCK = True  # the bare environment's share may be taken off


def shared(
    num_agents: int, loss: float, added: bool
) -> Callable[[int], tuple[int, float, float]]:
    """Its wrapper takes the form in turns, which is then made parallel, as it shows."""
    env = simple_spread_v3.env(N=num_agents, max_cycles=10**9)
    failures = ProbabilisticModel(env.possible_agents, failure_prob=loss)
    wrapped = aec_to_parallel(CommunicationWrapper(env, failure_models=[failures]))
    return beside_bare(wrapped, still, num_agents, added)
