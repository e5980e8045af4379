"""Playing trained policies again: their returns, with intervals, as a table."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from commenv.errors import ResultsError
from commenv.learning import ExactEvaluator, MonteCarloEvaluator
from commenv.learning.evaluation import Played
from commenv.rng import Draws
from commenv.study.analysis.intervals import LEAST_UNBOUNDED, Mean, mean_interval
from commenv.study.arm import MOST
from commenv.study.execution.build import world_of
from commenv.study.execution.ranges import return_range
from commenv.study.policies.loader import Trained, trained
from commenv.study.storage.frame import Bounds

__all__ = ["Evaluation", "evaluate", "render"]

_HEADER = ("label", "trials", "episodes", "discounted", "return", "steps", "exact")
_FOOTNOTE = f"""\
discounted: mean return with the study's gamma; return: the same without a discount;
brackets: 95 % interval of the mean over trials, or over episodes where there is one
trial alone, by the least and greatest return that the environment can give; where that
is not known, there is an interval from {LEAST_UNBOUNDED} on.
steps: mean length of an episode. exact: the expected discounted return from the
environment's tables (- where there are none), mean over trials."""

_OWN_WORLDS = """\
agent: in this agent's world, and in that of every agent whose arguments are equal."""


@dataclass(frozen=True)
class Evaluation:
    """What the policies of one label came to, in one world.

    Attributes:
        label: The label.
        agent: The first agent in that world; None where all agents are in the same.
        trials: How many policies were played.
        episodes: How many episodes each.
        discounted: Return with the study's gamma, over trials (over episodes where
            there is one trial alone).
        total: The same without a discount.
        length: Mean steps of an episode.
        exact: The exact discounted value, mean over trials; None without tables.
    """

    label: str
    agent: int | None
    trials: int
    episodes: int
    discounted: Mean
    total: Mean
    length: float
    exact: float | None


def evaluate(
    directory: str | Path,
    *,
    label: str | None = None,
    trial: int | None = None,
    episodes: int = 100,
    seed: int = 0,
    allow: Collection[str] = (),
) -> list[Evaluation]:
    """Plays the trained policies of a results folder.

    Args:
        directory: The folder.
        label: One of its labels; all when left out.
        trial: One trial; all that are finished when left out.
        episodes: Episodes of each policy, at least 1.
        seed: Of the episodes. They are never those of the study's own evaluations.
        allow: See :func:`commenv.study.policies.loader.trained`.

    Returns:
        One for each label; where agents are in worlds of their own, one for each world.

    Raises:
        ResultsError: A folder that is not ours or is damaged, or has no finished trial.
        ValueError: An unknown label, a trial that is not finished, no episode, or more
            than are handled.
        MissingExtraError: The extra ``study`` is not installed.
    """
    if episodes < 1:
        raise ValueError(f"{episodes} episodes; at least 1 is needed")
    if episodes > MOST:
        raise ValueError(f"{episodes} episodes; at most {MOST:,} are handled")
    rows = [
        _evaluate(
            one, agents[0], one.trials if trial is None else [trial], episodes, seed
        )
        for one in trained(directory, label, allow)
        if one.trials
        for agents, _ in one.arm.worlds
    ]
    if not rows:
        raise ResultsError(
            f"{directory} holds no finished trial yet; run the study again to go on"
        )
    return rows


def render(rows: Sequence[Evaluation]) -> str:
    """A plain-text table, without a newline at the end."""
    cells = [
        (
            row.label if row.agent is None else f"{row.label}, agent {row.agent}",
            str(row.trials),
            str(row.episodes),
            str(row.discounted),
            str(row.total),
            f"{row.length:.4g}",
            "-" if row.exact is None else f"{row.exact:.4f}",
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(_HEADER, *cells, strict=True)]
    rule = tuple("-" * width for width in widths)
    lines = [_line(line, widths) for line in (_HEADER, rule, *cells)]
    own = any(row.agent is not None for row in rows)
    return "\n".join([*lines, "", _FOOTNOTE, *[_OWN_WORLDS] * own])


def _evaluate(
    one: Trained, agent: int, trials: Sequence[int], episodes: int, seed: int
) -> Evaluation:
    """One label in an agent's world; trial by trial, so that memory does not grow."""
    policies = [one.policy(trial).policy for trial in trials]
    gamma, world = one.study.gamma, world_of(one.arm, episodes, agent)
    played = [
        MonteCarloEvaluator(
            lambda _: world, Draws(seed, [trial], 1), gamma, episodes
        ).play(policy, one.study.num_episodes)
        for trial, policy in zip(trials, policies, strict=True)
    ]
    limit = one.arm.time_limit
    ranges = [return_range(world, discount, limit) for discount in (gamma, 1.0)]
    world.close()
    together = Played(*(np.concatenate(parts) for parts in zip(*played, strict=True)))
    exact = None
    if world.mdp is not None:
        exactly = ExactEvaluator(world.mdp, gamma, limit, 1)
        exact = float(np.mean([exactly.policy_values(one, 0) for one in policies]))
    return Evaluation(
        one.arm.label,
        agent if len(one.arm.worlds) > 1 else None,
        len(trials),
        episodes,
        _mean(together.returns, ranges[0]),
        _mean(together.totals, ranges[1]),
        float(together.lengths.mean()),
        exact,
    )


def _mean(values: NDArray[np.float64], bounds: Bounds | None) -> Mean:
    """The mean of (trials, episodes), where trials are what varies."""
    each = values[0] if len(values) == 1 else values.mean(axis=1)
    if len(each) < 2 or not np.isfinite(each).all():
        return Mean(float(each.mean()), np.nan, np.nan)
    interval = mean_interval(each, bounds=bounds)
    return Mean(float(each.mean()), float(interval.low), float(interval.high))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.rjust(width) for cell, width in zip(cells, widths, strict=True)
    )
    return "  ".join([first.strip().ljust(widths[0]), *others]).rstrip()
