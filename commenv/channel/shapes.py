"""Networks of the usual shapes: a star's two directions, and links between agents."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from commenv.channel.channel import Channel
from commenv.channel.network import Network
from commenv.channel.wire import LEARNER
from commenv.channel.wiring import Wiring
from commenv.rng import Draws

__all__ = ["downlink", "mesh", "uplink", "uplink_wiring"]


def uplink(channel: Channel, draws: Draws, **options: Any) -> Network:
    """From every agent to its trial's learner.

    Args:
        channel: What it is made of.
        draws: Of shape (trials, agents).
        **options: Of :class:`Network`.

    Raises:
        ValueError: ``medium="broadcast"``, since each agent has messages of its own.
    """
    if channel.medium == "broadcast":
        raise ValueError(
            "medium='broadcast' on an uplink: each agent has a message of its own; "
            "use 'unicast'"
        )
    return Network(channel, uplink_wiring(draws), **options)


def uplink_wiring(draws: Draws) -> Wiring:
    """Of links that each have a sender of their own, an agent.

    Args:
        draws: Of shape (trials, agents).
    """
    draws = draws.owned_by("uplink")
    numbers = np.tile(np.array(draws.agents, np.uint32), len(draws.trials))
    return Wiring(draws, draws, None, False, numbers, partial(_agent, draws))


def downlink(channel: Channel, draws: Draws, **options: Any) -> Network:
    """From the learner of every trial to its agents.

    A message is one for all agents of a trial. With ``medium="broadcast"`` it is to
    leave on a trial's first link alone, which all of them hear.

    Args:
        channel: What it is made of.
        draws: Of shape (trials, agents).
        **options: Of :class:`Network`.
    """
    draws = draws.owned_by("downlink")
    learners = Draws(draws.seed, draws.trials, draws.agents[:1], owner="downlink")
    sources = np.zeros(len(draws.agents), dtype=np.intp)
    numbers = np.full(len(draws.trials), LEARNER, dtype=np.uint32)
    wiring = Wiring(draws, learners, sources, False, numbers, partial(_learner, draws))
    all_hear = channel.medium == "broadcast"
    receivers = len(draws.agents) if all_hear else 1
    return Network(channel, wiring, receivers=receivers, **options)


def mesh(
    channel: Channel,
    seed: int,
    names: Sequence[Any],
    sources: NDArray[np.intp],
    targets: NDArray[np.intp],
    **options: Any,
) -> Network:
    """Between agents, over any directed links; draws belong to the pairs.

    Args:
        channel: What it is made of.
        seed: Addresses all draws.
        names: Of the agents.
        sources: Integers, shape (links,), ascending: the sender of each link.
        targets: Integers, shape (links,): the receiver of each.
        **options: Of :class:`Network`.
    """
    count = len(names)
    if not len(sources):  # a network has at least one link; nobody uses it
        sources = targets = np.zeros(1, dtype=np.intp)
    pairs = (sources * count + targets).tolist()
    draws = Draws(seed, [0], pairs, owner="mesh")
    agents = Draws(seed, [0], range(count), owner="mesh")
    numbers = np.arange(count, dtype=np.uint32)
    name = partial(_named, list(names))
    wiring = Wiring(draws, agents, sources, True, numbers, name)
    return Network(channel, wiring, numbered_by_tick=True, **options)


def _agent(draws: Draws, sender: int) -> str:
    trial, agent = divmod(sender, len(draws.agents))
    return f"agent {draws.agents[agent]} of trial {draws.trials[trial]} on the uplink"


def _learner(draws: Draws, sender: int) -> str:
    return f"the downlink of trial {draws.trials[sender]}"


def _named(names: Sequence[Any], sender: int) -> str:
    return f"agent {names[sender]!r}"
