"""Our wrapper: every agent tells all others what it sees, and a fifth is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spread import bare, beside_bare, still

PACKAGES = ("commenv", "mpe2", "pettingzoo", "gymnasium", "numpy")
OWN_CLOCK = True  # the bare environment's share may be taken off


def alone(num_agents: int) -> Callable[[int], tuple[int, float, float]]:
    """The bare environment."""
    return beside_bare(bare(num_agents), still, num_agents, added=False)


def told(
    num_agents: int, loss: float, added: bool
) -> Callable[[int], tuple[int, float, float]]:
    """Observations are sent as messages, each link losing its own."""
    import commenv
    from commenv.channel import BernoulliLoss

    world = bare(num_agents)
    env = commenv.CommunicationBudget(
        world,
        message_space=world.observation_space(world.possible_agents[0]),
        link=BernoulliLoss(loss),
    )

    def act(observations: dict[str, Any]) -> dict[str, Any]:
        return {
            agent: {"action": 0, "message": seen["observation"], "to": 1}
            for agent, seen in observations.items()
        }

    return beside_bare(env, act, num_agents, added)
