"""What is known beforehand of a study's numbers: the least and the greatest value.

Intervals for means rest on it (:mod:`commenv.study.analysis.intervals`). The range of
a return follows from the environment's tables or, without any, from the rewards of its
steps (:attr:`commenv.envs.BatchedEnv.reward_range`), the discount and the time limit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from commenv.envs import BatchedEnv, TabularMDP
from commenv.study.arm import Arm
from commenv.study.execution.build import world_of
from commenv.study.spec import Study
from commenv.study.storage.frame import Bounds, world_column

__all__ = ["ranges_by_label", "ranges_of", "return_range", "value_range"]


_NOT_OF_THE_WORLD = ("label", "algorithm", "scheme", "uplink", "downlink")


def ranges_by_label(study: Study) -> dict[str, dict[str, Bounds]]:
    """What :func:`ranges_of` gives for each arm, of each world once."""
    known: dict[str, dict[str, Bounds]] = {}
    found = {}
    for arm in study.arms:
        told = arm.describe().items()
        world = json.dumps([one for one in told if one[0] not in _NOT_OF_THE_WORLD])
        if world not in known:
            known[world] = ranges_of(study, arm)
        found[arm.label] = known[world]
    return found


def ranges_of(study: Study, arm: Arm) -> dict[str, Bounds]:
    """The ranges of an arm's columns; of those that are left out none is known."""
    found = {agents[0]: _ranges_in(study, arm, agents[0]) for agents, _ in arm.worlds}
    if len(found) == 1:
        return found[0]
    weights = [len(agents) for agents, _ in arm.worlds]
    known = {
        name: _mean([ranges[name] for ranges in found.values()], weights)
        for name in found[0]
        if all(name in ranges for ranges in found.values())
    }
    return known | {
        world_column(agent): ranges["evaluation"]
        for agent, ranges in found.items()
        if "evaluation" in ranges
    }


def _ranges_in(study: Study, arm: Arm, agent: int) -> dict[str, Bounds]:
    """The same in the world of one agent."""
    world = world_of(arm, 1, agent)
    try:
        discounted = return_range(world, study.gamma, arm.time_limit)
        total = return_range(world, 1.0, arm.time_limit)
        value = discounted
        if world.mdp is not None:
            value = value_range(world.mdp, study.gamma, arm.time_limit)
    finally:
        world.close()
    known = {"evaluation": value, "reward": discounted, "episode_return": total}
    return {
        name: bounds
        for name, bounds in known.items()
        if bounds is not None and np.isfinite(bounds).all()
    }


def _mean(ranges: Sequence[Bounds], weights: Sequence[int]) -> Bounds:
    """The range of a mean over agents, some of whom share a range."""
    low, high = np.average(np.asarray(ranges), axis=0, weights=weights).tolist()
    return low, high


def value_range(mdp: TabularMDP, gamma: float, horizon: int) -> Bounds:
    """The expected discounted returns of the worst and of the best policy."""
    return _range(mdp, gamma, horizon, lambda values: float(mdp.start_value(values)))


def return_range(world: BatchedEnv, gamma: float, horizon: int) -> Bounds | None:
    """The least and the greatest discounted return that an episode can have.

    Args:
        world: The environment.
        gamma: The discount.
        horizon: The time limit.

    Returns:
        From tables, over all actions and all outcomes that have a chance; else from the
        range of the rewards, over all lengths of an episode. None where there is
        neither.
    """
    if (mdp := world.mdp) is not None:
        starts = mdp.start > 0
        # Chance is taken for an adversary, and then for a friend.
        return _range(
            _every_outcome(mdp),
            gamma,
            horizon,
            lambda values: float(values[starts].max()),
        )
    if world.reward_range is None:
        return None
    lowest, highest = world.reward_range
    longest = float(np.sum(gamma ** np.arange(horizon)))
    return min(lowest, lowest * longest), max(highest, highest * longest)


def _range(
    mdp: TabularMDP,
    gamma: float,
    horizon: int,
    start: Callable[[NDArray[np.float64]], float],
) -> Bounds:
    """The optima of the costs and of the rewards."""
    costs = TabularMDP(
        mdp.probability, mdp.next_state, -mdp.reward, mdp.terminated, mdp.start
    )
    least, greatest = (
        start(one.finite_horizon_optimum(gamma, horizon)) for one in (costs, mdp)
    )
    return 0.0 - least, greatest


def _every_outcome(mdp: TabularMDP) -> TabularMDP:
    """The process in which each outcome that has a chance is an action of its own."""
    possible = mdp.probability > 0
    # An outcome without a chance becomes the first one of its row that has one.
    places = np.arange(possible.shape[-1])
    chosen = np.where(possible, places, possible.argmax(axis=-1, keepdims=True))
    tables = (
        np.take_along_axis(table, chosen, axis=-1).reshape(mdp.num_states, -1, 1)
        for table in (mdp.next_state, mdp.reward, mdp.terminated)
    )
    next_state, reward, terminated = tables
    return TabularMDP(np.ones(reward.shape), next_state, reward, terminated, mdp.start)
