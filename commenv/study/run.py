"""Running a study: its blocks one after the other, or in worker processes."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from commenv.channel import Channel
from commenv.learning import Algorithm, Scheme
from commenv.study.block import optimum_of, run_block
from commenv.study.checkpoints import Checkpoints, Schedule
from commenv.study.lock import locked
from commenv.study.policies import Memory
from commenv.study.progress import Progress
from commenv.study.results import Results
from commenv.study.spec import Study, cells, check_whole
from commenv.study.store import Store, check_extra
from commenv.study.trace import Trace, expected_size
from commenv.study.workers import in_workers

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["execute", "run"]

LARGEST_BLOCK = 50
_LARGEST_UNKEPT = 100
_logger = logging.getLogger("commenv")


class _Block(NamedTuple):
    """Some consecutive trials of a cell, to be run together."""

    cell: int
    trials: tuple[int, ...]


_Job: TypeAlias = tuple[Study, Store | None, _Block, Schedule | None]
"""The arguments of one block."""


class _Measured(NamedTuple):
    """What a block measured: its table, and the histogram of its messages' sizes."""

    table: pa.Table
    sizes: pa.Table


def run(
    environments: str | Sequence[str],
    algorithms: str | Algorithm | Sequence[str | Algorithm] = "dql",
    schemes: str | Scheme | Sequence[str | Scheme] | None = None,
    *,
    num_agents: int = 5,
    num_trials: int = 20,
    num_episodes: int = 1000,
    gamma: float = 0.9,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    uplink: Channel | None = None,
    downlink: Channel | None = None,
    stop: Mapping[str, float] | None = None,
    evaluate_every: int = 1,
    evaluation_episodes: int = 10,
    max_episode_steps: int | None = None,
    out: str | Path | None = None,
    workers: int = 1,
    block: int | None = None,
    checkpoint_episodes: int | None = None,
    checkpoint_minutes: float = 1.0,
    trace: bool = False,
    progress: bool = True,
) -> Results:
    """Runs a study: every environment with every algorithm and every scheme.

    Args:
        environments: Gymnasium ids.
        algorithms: Short names (``commenv list`` shows them), ``module:Class``, or
            objects with their settings.
        schemes: The same; each algorithm's own scheme when left out.
        num_agents: Agents of each trial.
        num_trials: Independent training runs of each combination.
        num_episodes: Rounds of each trial.
        gamma: The discount of the metric and of every algorithm.
        seed: Of all draws. Equal seeds and settings give equal numbers, whatever
            ``workers`` and ``block`` are.
        settings: ``{"alpha": 0.5}`` for every algorithm or scheme that has such a
            setting, ``{"dql.alpha": 0.5}`` for one, ``{"env.size": 7}`` for the
            environments.
        uplink: The channel from the agents to the learner.
        downlink: The channel from the learner to the agents.
        stop: ``{"uplink_bytes": 1e6}``: a trial stops after the round in which its
            total per agent (a mean over agents) reaches the limit; ``env_steps``,
            ``messages``, ``uplink_bytes`` or ``total_bytes``.
        evaluate_every: Rounds from one evaluation to the next.
        evaluation_episodes: Episodes of an evaluation, where the environment has no
            tables to evaluate exactly from.
        max_episode_steps: The time limit; the environment's own when left out.
        out: A folder for the results. One that holds an unfinished study with the same
            settings is continued.
        workers: Processes.
        block: Trials that run together, and are kept together. Larger ones are faster,
            smaller ones are kept sooner; unless told, the study is cut so that every
            worker has at least two, of at most 50 trials. A worker alone has larger
            ones, of at most 100, where ``out`` is left out.
        checkpoint_episodes: The state of an unfinished block is kept under ``out``
            after each so many episodes, too.
        checkpoint_minutes: Likewise after so many minutes. A study that was killed goes
            on from the last state that was kept; ``inf`` keeps none. A study with
            ``trace``, or with agents that are not resumable, goes on from the blocks
            that were finished.
        trace: Keep every step and message under ``out`` too.
        progress: Say on standard error how far the study has come.

    Returns:
        The results, complete.

    Raises:
        ValueError: An unknown name, or a value that is not allowed.
        ResultsError: ``out`` holds something else, another run is writing to it, or it
            cannot be written to.
        MissingExtraError: The extra ``study`` is not installed.
    """
    study = Study(
        cells=cells(environments, algorithms, schemes, settings, max_episode_steps),
        num_agents=num_agents,
        num_trials=num_trials,
        num_episodes=num_episodes,
        gamma=gamma,
        seed=seed,
        uplink=uplink or Channel(),
        downlink=downlink or Channel(),
        stop=stop,
        evaluate_every=evaluate_every,
        evaluation_episodes=evaluation_episodes,
        trace=trace,
    )
    return execute(
        study,
        out=out,
        workers=workers,
        block=block,
        schedule=Schedule(checkpoint_episodes, checkpoint_minutes),
        progress=progress,
    )


def execute(
    study: Study,
    *,
    out: str | Path | None = None,
    workers: int = 1,
    block: int | None = None,
    schedule: Schedule | None = None,
    progress: bool = True,
) -> Results:
    """Runs what is missing of a study; the arguments are those of :func:`run`."""
    check_extra("running a study")
    for name, value in (("workers", workers), ("block", block)):
        if value is None and name == "block":
            continue
        check_whole(name, value)
        if value is not None and value < 1:
            raise ValueError(f"{name} is {value}; at least 1 is needed")
    size = _block_size(study, workers, out is not None) if block is None else block
    if study.trace and out is None:
        raise ValueError("a trace needs a folder to go to; give out=")
    optima = {cell.label: optimum_of(study, cell) for cell in study.cells}
    if out is None:
        return _execute(study, None, optima, workers, size, progress, None)
    store = Store(out)
    with locked(store.directory):
        store.begin(study, optima)
        _announce_trace(study, store)
        with _tidied(store):
            schedule = schedule or Schedule()
            return _execute(study, store, optima, workers, size, progress, schedule)


def _execute(
    study: Study,
    store: Store | None,
    optima: dict[str, float | None],
    workers: int,
    size: int,
    progress: bool,
    schedule: Schedule | None,
) -> Results:
    blocks = _missing(study, store, size)
    total = len(study.cells) * study.num_trials * study.num_episodes
    left = sum(len(one.trials) for one in blocks) * study.num_episodes
    with Progress(
        total, unit="trial-episodes", enabled=progress, done=total - left
    ) as bar:
        jobs = [(study, store, block, schedule) for block in blocks]
        measured = list(_tables(jobs, workers, bar.advance))
    if store is not None:
        return Results(store.frame(), optima, store.sizes, [store.directory])
    import pyarrow as pa

    tables, sizes = (
        pa.concat_tables(part).to_pandas()
        for part in zip(*filter(None, measured), strict=True)
    )
    return Results(tables, optima, lambda: sizes)


@contextlib.contextmanager
def _tidied(store: Store) -> Iterator[None]:
    """Leaves nothing half done behind, however the run ends."""
    try:
        yield
    except BaseException:
        # What cannot be removed now, as the folder is gone, the next run removes.
        with contextlib.suppress(OSError):
            store.tidy()
        raise


def _block_size(study: Study, workers: int, kept: bool) -> int:
    """Equal blocks, so that every worker has at least two of all cells' together.

    A worker alone has one, where no results are kept: there is nothing to lose.
    """
    least, largest = 2 * workers, LARGEST_BLOCK
    if workers == 1 and not kept:
        least, largest = 1, _LARGEST_UNKEPT
    share = math.ceil(len(study.cells) * study.num_trials / least)
    parts = math.ceil(study.num_trials / min(share, largest))
    return math.ceil(study.num_trials / parts)


def _announce_trace(study: Study, store: Store) -> None:
    if study.trace:
        folder = store.directory / "trace"
        _logger.warning("the trace in %s: %s", folder, expected_size(study))


def _missing(study: Study, store: Store | None, size: int) -> list[_Block]:
    """The blocks that are still to be run: runs of consecutive missing trials.

    Those that have a checkpoint come first, as they were.
    """
    blocks = []
    for cell in range(len(study.cells)):
        done = set() if store is None else store.finished(cell)
        for trials in [] if store is None else store.checkpoints.begun(cell):
            if done.isdisjoint(trials) and trials.stop <= study.num_trials:
                blocks.append(_Block(cell, tuple(trials)))
                done.update(trials)
        pending: list[int] = []
        for trial in range(study.num_trials + 1):
            missing = trial < study.num_trials and trial not in done
            if pending and (not missing or len(pending) == size):
                blocks.append(_Block(cell, tuple(pending)))
                pending = []
            if missing:
                pending.append(trial)
    return blocks


def _tables(
    jobs: Sequence[_Job], workers: int, report: Callable[[int], None]
) -> Iterator[_Measured | None]:
    """What each block measured, or None where it went to the store."""
    if workers == 1 or len(jobs) <= 1:
        return (_run(*job, report) for job in jobs)
    return in_workers(_run, jobs, min(workers, len(jobs)), report)


def _run(
    study: Study,
    store: Store | None,
    block: _Block,
    schedule: Schedule | None,
    report: Callable[[int], None],
) -> _Measured | None:
    cell = study.cells[block.cell]
    trials = list(block.trials)
    trace, learned = None, Memory()
    resume, checkpoints = None, None
    if store is not None and schedule is not None:
        where = (block.cell, cell.label, trials)
        about = store.about_checkpoints(*where)
        resume = store.checkpoints.read(*where, about)
        write = partial(store.checkpoints.write, *where)
        checkpoints = Checkpoints(schedule, write, about)
    sizes: list[pa.Table] = []
    if study.trace and store is not None:
        folder = store.trace_folder(block.cell, cell.label, block.trials)
        trace = Trace(folder, trials, study.num_agents)
    try:
        table = run_block(
            study,
            cell,
            trials,
            report=report,
            trace=trace,
            keep=learned.update,
            count=sizes.append,
            resume=resume,
            checkpoints=checkpoints,
        )
        if trace is not None:
            trace.finish()
    except BaseException:
        if trace is not None:
            trace.abandon()
        raise
    if store is None:
        return _Measured(table, *sizes)
    store.write_policies(block.cell, cell.label, trials, learned)
    store.write_sizes(block.cell, cell.label, trials, *sizes)
    store.write_block(block.cell, cell.label, table)  # last: it says that all is there
    return None
