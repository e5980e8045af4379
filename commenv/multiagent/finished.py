"""For libraries that go on acting for agents which have finished."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pettingzoo.utils import BaseParallelWrapper

__all__ = ["IgnoreFinished"]


class IgnoreFinished(BaseParallelWrapper[str, Any, Any]):
    """Leaves out the actions of agents that have finished.

    commenv's environments refuse such actions, since they are mistakes where agents act
    for themselves. Libraries that keep all agents in one tensor give them all the same,
    and mask them afterwards: TorchRL's ``PettingZooWrapper`` with ``use_mask=True`` and
    ``done_on_any=False``, for one. Put this wrapper outermost there.

    Args:
        env: A parallel environment.

    Example:
        >>> import commenv
        >>> from commenv.multiagent import IgnoreFinished
        >>> env = IgnoreFinished(commenv.parallel_env("SimpleGrid-v0", 2))
        >>> observations, infos = env.reset(seed=0)
        >>> env.possible_agents
        ['agent_0', 'agent_1']
    """

    def step(self, actions: Mapping[str, Any]) -> Any:
        """One step of the agents that have not finished; see the environment's own.

        An action for an agent that does not exist is left to the environment to refuse.
        """
        finished = set(self.env.possible_agents).difference(self.env.agents)
        return self.env.step(
            {agent: act for agent, act in actions.items() if agent not in finished}
        )
