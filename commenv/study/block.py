"""Running one block: some trials of one cell, from the first round to the last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from commenv.draws import Draws
from commenv.envs.batched import BatchedEnv
from commenv.envs.making import make_batched, make_scalar
from commenv.learning import (
    ExactEvaluator,
    Learner,
    PlayedEvaluator,
    Problem,
    Rounds,
)
from commenv.learning.evaluation import Evaluator
from commenv.study.frame import COLUMNS
from commenv.study.policies import Memory, check_memory
from commenv.study.sizes import SentSizes
from commenv.study.spec import Cell, Study
from commenv.wrappers import ChannelEnv

if TYPE_CHECKING:
    import pyarrow as pa

    from commenv.study.trace import Trace

__all__ = ["optimum_of", "problem_of", "run_block", "world_of"]

_COSTS = {
    "env_steps": "episode_length",
    "messages": "messages",
    "uplink_bytes": "size",
    "total_bytes": "total_size",
}


def optimum_of(study: Study, cell: Cell) -> float | None:
    """The exact optimal value of the start within the time limit; None without tables.

    Raises:
        ValueError: The algorithm does not fit the environment, or its learner remembers
            what cannot be kept.
    """
    world = world_of(cell, 1)  # the least that tells whether the algorithm fits
    problem = problem_of(replace(study, evaluation_episodes=1), cell, [0], world)
    cell.algorithm.agents(problem)
    check_memory(cell.algorithm.learner(problem).memory, cell.algorithm.name)
    world.close()
    if world.mdp is None:
        return None
    values = world.mdp.finite_horizon_optimum(study.gamma, cell.time_limit)
    return float(world.mdp.start_value(values))


def run_block(
    study: Study,
    cell: Cell,
    trials: Sequence[int],
    *,
    report: Callable[[int], None] = lambda count: None,
    trace: Trace | None = None,
    keep: Callable[[Memory], None] = lambda memory: None,
    count: Callable[[pa.Table], None] = lambda sizes: None,
) -> pa.Table:
    """Runs some trials of a cell together.

    Args:
        study: The settings.
        cell: Which of the study's cells.
        trials: The trials' numbers; what a trial gives does not depend on the others.
        report: Called after each round with the number of trials that played it.
        trace: Told of every step and message, if given.
        keep: Called at the end with the learner's memory, of each trial as it was when
            the trial stopped.
        count: Called at the end with the histogram of what was sent, of each trial
            until it stopped: a table of :data:`commenv.study.sizes.SIZE_COLUMNS`.

    Returns:
        A table of :data:`commenv.study.frame.COLUMNS`, ordered by trial and episode.
    """
    env, rounds, evaluator = _set_up(study, cell, trials, trace)
    sent = SentSizes(env, cell.label, list(trials))
    try:
        series, learned = _play(study, rounds, env, report, trace, sent)
    finally:
        env.close()
        rounds.agents.close()
        evaluator.close()
    keep(learned.memory)
    count(sent.table())
    return _table(study, cell, trials, series)


def _play(
    study: Study,
    rounds: Rounds,
    env: ChannelEnv,
    report: Callable[[int], None],
    trace: Trace | None,
    sent: SentSizes,
) -> tuple[_Series, _Learned]:
    """Plays all rounds; what was measured in them, and what was learned."""
    series, learned = _Series(study, env.shape[0]), _Learned(rounds.learner)
    for episode, metrics in enumerate(rounds.play(study.num_episodes)):
        running = series.running.copy()
        invalid = rounds.learner.invalid / study.num_agents
        series.add({**metrics.mean_over_agents(), "invalid": invalid})
        if trace is not None:
            trace.on_round(env)
            trace.follow(series.running)
        due = (episode + 1) % study.evaluate_every == 0
        stopped = running & ~series.running
        learned.keep(stopped)
        sent.keep(stopped)
        if due or stopped.any():
            which = running if due else stopped
            series.evaluate(which, rounds.learner.evaluate(episode))
        report(int(running.sum()))
        if not series.running.any():
            break
    return series, learned


class _Series:
    """What is measured in each round, for every trial of a block."""

    def __init__(self, study: Study, num_trials: int) -> None:
        self._stop = dict(study.stop or {})
        self._num_episodes = study.num_episodes
        self._totals = {name: np.zeros(num_trials) for name in _COSTS}
        self.running = np.ones(num_trials, dtype=np.bool_)
        self.rows: list[dict[str, NDArray[np.float64]]] = []
        self.taken: list[NDArray[np.bool_]] = []

    def add(self, measured: dict[str, NDArray[np.float64]]) -> None:
        """Takes a round, and finds out who has reached a limit."""
        for name, source in _COSTS.items():
            self._totals[name] = self._totals[name] + measured[source]
        measured["env_steps"] = self._totals["env_steps"]
        measured["evaluation"] = np.full(len(self.running), np.nan)
        self.rows.append(measured)
        self.taken.append(self.running)
        self.running = self.running & (len(self.rows) < self._num_episodes)
        for name, limit in self._stop.items():
            self.running = self.running & (self._totals[name] < limit)

    def evaluate(self, which: NDArray[np.bool_], values: NDArray[np.float64]) -> None:
        """Enters evaluations of the last round for some of the trials.

        NaN stands for a round that was not evaluated, so a policy whose value is not a
        number gets -inf.
        """
        values = np.where(np.isnan(values), -np.inf, values)
        self.rows[-1]["evaluation"][which] = values[which]

    def column(self, name: str) -> NDArray[np.float64]:
        """A measured column, trial by trial, of the rounds that each has played."""
        stacked = np.stack([row[name] for row in self.rows], axis=1)
        return stacked[self.mask]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """bool, shape (trials, episodes): which rounds each trial has played."""
        return np.stack(self.taken, axis=1)


class _Learned:
    """A copy of the learner's memory, each trial's from the round in which it stopped.

    The batch plays on after that, for as long as any of its trials does.
    """

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self.memory = {name: one.copy() for name, one in learner.memory.items()}

    def keep(self, stopped: NDArray[np.bool_]) -> None:
        """Takes the present memory of some trials."""
        if stopped.any():
            for name, values in self._learner.memory.items():
                self.memory[name][stopped] = values[stopped]


def world_of(cell: Cell, num_envs: int) -> Any:
    """A batch of instances of a cell's environment."""
    return make_batched(
        cell.environment,
        num_envs,
        env_kwargs=cell.env_kwargs,
        max_episode_steps=cell.time_limit,
    )


def _set_up(
    study: Study, cell: Cell, trials: Sequence[int], trace: Trace | None
) -> tuple[ChannelEnv, Rounds, Evaluator]:
    world = world_of(cell, len(trials) * study.num_agents)
    env = ChannelEnv(
        world,
        trials,
        study.num_agents,
        uplink=study.uplink,
        downlink=study.downlink,
        gamma=study.gamma,
        journal=trace is not None,
    )
    problem = problem_of(study, cell, trials, world)
    env.observer = trace
    rounds = Rounds(
        env,
        cell.algorithm.agents(problem),
        cell.algorithm.learner(problem),
        cell.scheme,
        seed=study.seed,
    )
    return env, rounds, problem.evaluator


def problem_of(study: Study, cell: Cell, trials: Sequence[int], world: Any) -> Problem:
    """What a cell's algorithm is told about its task."""
    draws = Draws(study.seed, trials, study.num_agents)

    def make_env() -> gym.Env[Any, Any]:
        return make_scalar(
            cell.environment,
            env_kwargs=cell.env_kwargs,
            max_episode_steps=cell.time_limit,
        )

    return Problem(
        draws=draws,
        observation_space=world.single_observation_space,
        action_space=world.single_action_space,
        gamma=study.gamma,
        num_episodes=study.num_episodes,
        evaluator=_evaluator(study, cell, world, draws),
        signals=frozenset(cell.scheme.requires),
        mdp=world.mdp,
        make_env=make_env,
    )


def _evaluator(study: Study, cell: Cell, world: Any, draws: Draws) -> Evaluator:
    if world.mdp is not None:
        return ExactEvaluator(
            world.mdp, study.gamma, world.max_episode_steps, len(draws.trials)
        )

    def make_world(num_envs: int) -> BatchedEnv:
        return world_of(cell, num_envs)

    return PlayedEvaluator(make_world, draws, study.gamma, study.evaluation_episodes)


def _table(
    study: Study, cell: Cell, trials: Sequence[int], series: _Series
) -> pa.Table:
    import pyarrow as pa

    played = series.mask
    position, episode = np.nonzero(played)
    constant = {
        "label": cell.label,
        "environment": cell.environment,
        "algorithm": cell.algorithm.name,
        "scheme": cell.scheme.name,
        "codec": study.uplink.codec.name,
        "num_agents": study.num_agents,
    }
    varying = {"trial": np.asarray(trials)[position], "episode": episode}
    columns = {
        column.name: np.full(len(episode), constant[column.name])
        if column.name in constant
        else varying[column.name]
        if column.name in varying
        else series.column(column.name)
        for column in COLUMNS
    }
    return pa.table(columns)
