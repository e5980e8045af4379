"""Running one block: some trials of one arm, from the first round to the last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from commenv.learning import Evaluator, Rounds
from commenv.learning.evaluation import MeanEvaluator
from commenv.snapshots import Resumable, Snapshot
from commenv.study.arm import Arm
from commenv.study.execution.build import problem_of, rounds_of, world_of
from commenv.study.execution.checkpoints import Checkpoints
from commenv.study.execution.played import NOTHING, Played, Wanted, played_by
from commenv.study.execution.recorder import FinalWeights, Recorder
from commenv.study.execution.sharding import Shards, sharded_rounds
from commenv.study.spec import Study
from commenv.study.storage.frame import COLUMNS, HELD, world_column
from commenv.study.storage.sizes import SentSizes
from commenv.study.storage.weights import Memory, check_memory

if TYPE_CHECKING:
    import pyarrow as pa

    from commenv.study.storage.trace import Trace

__all__ = ["optimum_of", "run_block"]


def optimum_of(study: Study, arm: Arm) -> float | None:
    """The exact optimal value of the start within the time limit; None without tables.

    Where agents are in worlds of their own, it is the mean of each one's optimum, which
    no policy that they share need reach.

    Raises:
        ValueError: The algorithm does not fit the environment, or its learner remembers
            what cannot be kept.
    """
    world = world_of(arm, 1)  # the least that tells whether the algorithm fits
    problem = problem_of(replace(study, evaluation_episodes=1), arm, [0], world)
    arm.algorithm.agents(problem)
    check_memory(arm.algorithm.learner(problem).memory, arm.algorithm.name)
    world.close()
    optima = [_optimum_in(study, arm, agents[0]) for agents, _ in arm.worlds]
    if len(optima) == 1:
        return optima[0]
    known = [
        len(agents) * value
        for (agents, _), value in zip(arm.worlds, optima, strict=True)
        if value is not None
    ]
    return sum(known) / arm.num_agents if len(known) == len(optima) else None


def _optimum_in(study: Study, arm: Arm, agent: int) -> float | None:
    """The same in the world of one agent."""
    world = world_of(arm, 1, agent)
    world.close()
    if world.mdp is None:
        return None
    values = world.mdp.finite_horizon_optimum(study.gamma, arm.time_limit)
    return float(world.mdp.start_value(values))


def run_block(
    study: Study,
    arm: Arm,
    trials: Sequence[int],
    *,
    report: Callable[[int], None] = lambda count: None,
    trace: Trace | None = None,
    keep: Callable[[Memory], None] = lambda memory: None,
    count: Callable[[pa.Table], None] = lambda sizes: None,
    resume: Snapshot | None = None,
    checkpoints: Checkpoints | None = None,
    shards: Shards | None = None,
    tell: Callable[[Played], None] = lambda played: None,
    wanted: Wanted = NOTHING,
    pruned: Callable[[list[int]], None] = lambda trials: None,
) -> pa.Table:
    """Runs some trials of an arm together.

    Args:
        study: The settings.
        arm: Which of the study's arms.
        trials: The trials' numbers; what a trial gives does not depend on the others.
        report: Called after each round with the number of trials that played it.
        trace: Told of every step and message, if given.
        keep: Called at the end with the learner's memory, of each trial as it was when
            the trial stopped.
        count: Called at the end with the histogram of what was sent, of each trial
            until it stopped: a table of
            :data:`commenv.study.storage.sizes.SIZE_COLUMNS`.
        resume: A snapshot of the same block; goes on from there.
        checkpoints: Given a snapshot when one is due, if the agents can go on from one
            and nothing is traced.
        shards: Spreads the agents over shards that may run elsewhere.
        tell: Called with the rounds that are wanted; may stop trials. If it raises an
            exception, or ``report`` does, a snapshot is given to ``checkpoints``.
        wanted: Which rounds.
        pruned: Called at the end with the trials that ``tell`` stopped.

    Returns:
        A table of :data:`commenv.study.storage.frame.COLUMNS`, ordered by trial and
        episode.

    Raises:
        ResultsError: ``resume`` is not a snapshot of this block.
    """
    if shards is None:
        rounds, evaluator = rounds_of(study, arm, trials, trace)
    else:
        rounds, evaluator = sharded_rounds(study, arm, trials, shards)
    try:
        state = _State(study, arm, trials, rounds, evaluator)
        if trace is not None or not rounds.resumable:
            checkpoints = None
        if resume is not None:
            state.restore(resume)
            report(state.num_played)
        _play(study, arm, state, _Hearing(report, tell, wanted), trace, checkpoints)
    finally:
        rounds.close()
        evaluator.close()
    keep(state.learned.memory)
    count(state.sent.table())
    pruned(state.trials[state.series.pruned].tolist())
    return _table(study, arm, trials, state.series)


class _Hearing(NamedTuple):
    """Who hears of a block while it runs; see :func:`run_block`."""

    report: Callable[[int], None]
    tell: Callable[[Played], None]
    wanted: Wanted


class _State(Resumable):
    """Everything that a block consists of between two rounds."""

    _remembered: ClassVar[tuple[str, ...]] = ("rounds", "series", "learned", "sent")

    def __init__(
        self,
        study: Study,
        arm: Arm,
        trials: Sequence[int],
        rounds: Rounds,
        evaluator: Evaluator,
    ) -> None:
        self.label, self.trials = arm.label, np.asarray(trials)
        self.rounds = rounds
        self.evaluator = evaluator
        own = len(arm.worlds) > 1
        worlds = [world_column(agents[0]) for agents, _ in arm.worlds] if own else []
        self.series = Recorder(study, len(trials), worlds)
        self.learned = FinalWeights(rounds.learner)
        self.sent = SentSizes(rounds.star, arm.label, list(trials))

    def end(self, stopped: NDArray[np.bool_]) -> None:
        """Keeps what some trials have learned and sent, since they have ended."""
        self.learned.keep(stopped)
        self.sent.keep(stopped)

    def evaluate(self, which: NDArray[np.bool_]) -> None:
        """Evaluates some trials after the last round."""
        if which.any():
            episode = self.rounds.star.episode
            self.series.evaluate(which, _evaluated(self, episode))

    @property
    def num_played(self) -> int:
        """Rounds of all trials that were measured."""
        return int(self.series.mask.sum())


def _play(
    study: Study,
    arm: Arm,
    state: _State,
    hearing: _Hearing,
    trace: Trace | None,
    checkpoints: Checkpoints | None,
) -> None:
    """Plays all rounds that are left."""
    rounds, series = state.rounds, state.series
    if not series.running.any():  # the state was kept after the last round
        return
    first = rounds.star.episode + 1
    played = rounds.play(study.num_episodes - first)
    for episode, metrics in enumerate(played, first):
        running = series.running.copy()
        invalid = np.maximum(rounds.learner.invalid, metrics.invalid)
        invalid = invalid / arm.num_agents
        series.add({**metrics.mean_over_agents(), "invalid": invalid})
        if trace is not None:
            trace.on_round(rounds.star)
        stopped = running & ~series.running
        evaluated = running if (episode + 1) % study.evaluate_every == 0 else stopped
        state.end(stopped)
        state.evaluate(evaluated)
        try:
            hearing.report(int(running.sum()))
            _tell(state, hearing, running, evaluated)
        except (Exception, KeyboardInterrupt):
            if checkpoints is not None:
                checkpoints.keep(state.snapshot())
            raise
        if trace is not None:
            trace.follow(series.running)
        if not series.running.any():
            break
        if checkpoints is not None and checkpoints.due(episode):
            checkpoints.keep(state.snapshot())


def _evaluated(state: _State, episode: int) -> dict[str, NDArray[np.float64]]:
    """The values of what the learner has and of what agents hold, by column."""
    rounds, evaluator = state.rounds, state.evaluator
    held = {HELD: rounds.held_values(evaluator, episode)}
    if not isinstance(evaluator, MeanEvaluator):
        return {"evaluation": rounds.learner.evaluate(episode)} | held
    each = evaluator.each(rounds.learner.policy(), episode)
    worlds = {world_column(agent): values for agent, values in each.items()}
    return {"evaluation": evaluator.mean(each)} | worlds | held


def _tell(
    state: _State,
    hearing: _Hearing,
    running: NDArray[np.bool_],
    evaluated: NDArray[np.bool_],
) -> None:
    """Tells of the last round, and stops the trials that are to stop.

    Args:
        state: After that round.
        hearing: Who is told.
        running: The trials that have played it.
        evaluated: Those of them that were evaluated.
    """
    series, wanted = state.series, hearing.wanted
    ended = running & ~series.running
    heard = (True, evaluated.any(), ended.any())
    if not any(one and due for one, due in zip(wanted, heard, strict=True)):
        return
    told = played_by(state.label, state.trials, series, running, evaluated, False)
    assert told.stops is not None
    try:
        hearing.tell(told)
    finally:  # what was decided before an exception counts
        pruned = np.isin(state.trials, list(told.stops)) & series.running
        late = pruned & ~evaluated
        series.prune(pruned)
        state.end(pruned)
        state.evaluate(late)
    if pruned.any():
        hearing.tell(played_by(state.label, state.trials, series, pruned, late, True))


def _table(study: Study, arm: Arm, trials: Sequence[int], series: Recorder) -> pa.Table:
    import pyarrow as pa

    played = series.mask
    position, episode = np.nonzero(played)
    constant = {
        "label": arm.label,
        "environment": arm.environment,
        "algorithm": arm.algorithm.name,
        "scheme": arm.scheme.name,
        "codec": arm.uplink.codec.name,
        "num_agents": arm.num_agents,
    }
    varying = {"trial": np.asarray(trials)[position], "episode": episode}
    columns = {
        column.name: pa.repeat(constant[column.name], len(episode))
        if column.name in constant
        else varying[column.name]
        if column.name in varying
        else series.column(column.name)
        for column in COLUMNS
    }
    columns |= {name: series.column(name) for name in series.worlds}
    return pa.table(columns)
