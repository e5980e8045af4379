"""Running a study: its blocks on a backend, and what they measure into its folder."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from commenv.channel import Channel
from commenv.checks import path_of
from commenv.envs.own_worlds import OwnArguments
from commenv.errors import BlocksFailedError, ResultsError
from commenv.learning import Algorithm, Scheme
from commenv.study.analysis.comparability import settings_of_study
from commenv.study.arm import check_count
from commenv.study.callbacks import Callback
from commenv.study.execution.alerts import ReturnsWatched, note_other_machines
from commenv.study.execution.backends import Backend, choose
from commenv.study.execution.block import optimum_of
from commenv.study.execution.checkpoints import Schedule
from commenv.study.execution.jobs import Failed, Measured, run_job
from commenv.study.execution.listeners import Listeners
from commenv.study.execution.plan import blocks_of, missing
from commenv.study.execution.progress import Progress
from commenv.study.execution.ranges import ranges_by_label
from commenv.study.execution.sharding import shares_of
from commenv.study.execution.writer import JobsToDo, Writer
from commenv.study.product import arms
from commenv.study.results import Results
from commenv.study.spec import Study
from commenv.study.storage.extra import check_extra
from commenv.study.storage.frame import Bounds
from commenv.study.storage.lock import locked
from commenv.study.storage.provenance import software
from commenv.study.storage.safe_parquet import lean_memory
from commenv.study.storage.schema import StudySettings
from commenv.study.storage.store import Store
from commenv.study.storage.trace import expected_size

__all__ = ["execute", "run"]

_logger = logging.getLogger("commenv")


class _Known(NamedTuple):
    """What is known of each label before anything has run."""

    optima: dict[str, float | None]
    ranges: dict[str, dict[str, Bounds]]


def run(
    environments: str | Sequence[str] | Mapping[str, str],
    algorithms: str | Algorithm | Sequence[Any] | Mapping[str, Any] = "dql",
    schemes: str | Scheme | Sequence[Any] | Mapping[str, Any] | None = None,
    *,
    num_agents: int | Sequence[int] | Mapping[str, int] = 5,
    num_trials: int = 20,
    first_trial: int = 0,
    last_trial: int | None = None,
    num_episodes: int = 1000,
    gamma: float = 0.9,
    seed: int = 0,
    settings: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    env_kwargs: OwnArguments | Mapping[str, OwnArguments] = None,
    uplink: Channel | Sequence[Channel] | Mapping[str, Channel] | None = None,
    downlink: Channel | Sequence[Channel] | Mapping[str, Channel] | None = None,
    stop: Mapping[str, float] | None = None,
    evaluate_every: int = 1,
    evaluation_episodes: int = 10,
    max_episode_steps: int | None = None,
    out: str | Path | None = None,
    backend: str | None = None,
    workers: int | None = None,
    address: str | None = None,
    actors: int | None = None,
    block: int | None = None,
    checkpoint_episodes: int | None = None,
    checkpoint_minutes: float = 1.0,
    trace: bool = False,
    most_arms: int | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool = True,
) -> Results:
    """Runs a study: the product of everything that its arms may differ in.

    Environments, algorithms, schemes, numbers of agents, settings and channels are one
    value each, a list of values, or a dictionary of values by the name that labels are
    to call them. An *arm* is what a curve shows: one of each.

    Args:
        environments: Gymnasium ids.
        algorithms: Short names (``commenv list`` shows them), ``module:Class``, or
            objects with their settings.
        schemes: The same; each algorithm's own scheme when left out.
        num_agents: Agents of each trial.
        num_trials: Independent training runs of each arm, in all. A folder that holds
            fewer gets those that it lacks.
        first_trial: Of those that are run here, the first; what several machines have
            run, :func:`commenv.merge` joins.
        last_trial: The last one.
        num_episodes: Rounds of each trial, in all. A folder of fewer gets those that it
            lacks: blocks with a state go on from it, and finished ones are run again,
            their first rounds held against what is stored.
        gamma: The discount of the metric and of every algorithm.
        seed: Of all draws. Equal seeds and settings give equal numbers, whatever
            ``workers`` and ``block`` are.
        settings: ``{"alpha": 0.5}`` for every algorithm or scheme that has such a
            setting, ``{"dql.alpha": 0.5}`` for one, ``{"env.size": 7}`` for the
            environments.
        env_kwargs: Arguments of the environments: one dictionary for all agents, a list
            with one for each agent, or a function of the agent's number. Agents that
            are in worlds of their own learn together: an evaluation is the mean over
            agents of the policy's value in each one's world, and the columns
            ``evaluation_agent_0`` and so on hold its value in each world that differs,
            by the first agent in it. A dictionary of these by name, at least one of
            them a list or a function, is a product.
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
            settings is continued, and one of fewer trials or rounds gets more.
        backend: Where the blocks of trials run: ``"local"``, in this process;
            ``"processes"``; or ``"ray"`` (extra ``ray``), on the machines of a Ray
            cluster. Left out, it is ``"local"`` for one worker and ``"processes"`` for
            more. Files are written by this process alone, whatever the backend.
        workers: Blocks that run at a time. Left out, 1 without a backend, and with one
            as many as there are processors: here, or in the cluster.
        address: Of a Ray cluster to join, ``"HOST:PORT"`` or ``"auto"``. Without it,
            the backend ``"ray"`` uses the Ray that this process is connected to, or
            else starts one here and stops it at the end.
        actors: Spread the agents of each block over so many actors of the backend
            ``"ray"``, while blocks run one after the other: for many agents, or slow
            environments. Left out, the blocks are what is spread.
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
        trace: Keep every step and message under ``out`` too; not on a Ray cluster,
            whose machines do not share a disk.
        most_arms: Refuse a product of more arms; any number when left out.
        callbacks: Objects of classes derived from :class:`commenv.Callback`, which hear
            of every round here, in this process, and may stop trials that run here: not
            with several workers. Stopped trials are finished ones, so that the same
            command again returns them as they are.
        progress: Say on standard error how far the study has come.

    Returns:
        The results, complete.

    Raises:
        ValueError: An unknown name, or a value that is not allowed.
        ResultsError: ``out`` holds something else, another run is writing to it, or it
            cannot be written to.
        MissingExtraError: The extra ``study`` is not installed, or ``ray`` is needed
            and not installed.
        ConnectionError: There is no Ray cluster at ``address``.
        BlocksFailedError: An environment raised an error, or returned what cannot be
            used, in some of the blocks; the others were finished first.
        EnvironmentFaultError: An environment says that its rewards are vectors.
        TypeError: ``callbacks`` is not a list of callbacks.
    """
    study = Study(
        arms=arms(
            environments,
            algorithms,
            schemes,
            settings,
            max_episode_steps,
            num_agents=num_agents,
            env_kwargs=env_kwargs,
            uplink=uplink,
            downlink=downlink,
            most=most_arms,
        ),
        num_trials=num_trials,
        first_trial=first_trial,
        last_trial=last_trial,
        num_episodes=num_episodes,
        gamma=gamma,
        seed=seed,
        stop=stop,
        evaluate_every=evaluate_every,
        evaluation_episodes=evaluation_episodes,
        trace=trace,
    )
    return execute(
        study,
        out=out,
        backend=backend,
        workers=workers,
        address=address,
        block=block,
        actors=actors,
        schedule=Schedule(checkpoint_episodes, checkpoint_minutes),
        callbacks=callbacks,
        progress=progress,
    )


def execute(
    study: Study,
    *,
    out: str | Path | None = None,
    backend: str | None = None,
    workers: int | None = None,
    address: str | None = None,
    actors: int | None = None,
    block: int | None = None,
    schedule: Schedule | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool = True,
) -> Results:
    """Runs what is missing of a study; the arguments are those of :func:`run`."""
    check_extra("running a study")
    listeners = Listeners(callbacks)
    schedule = schedule or Schedule()
    chosen = choose(backend, workers, address, actors)
    if block is not None:
        check_count("block", block)
    _check_trace(study, out, chosen)
    if chosen.shards is not None:
        for arm in study.arms:
            shares_of(arm.num_agents, chosen.shards.number)
    known = _Known(
        {arm.label: optimum_of(study, arm) for arm in study.arms},
        ranges_by_label(study),
    )
    how = (known, chosen, block, schedule, listeners, progress)
    if out is None:
        _logger.info("no results folder is named, so this run will keep nothing")
        return _execute(study, None, *how)
    with locked(path_of("out", out)) as lock:
        store = Store(out, lock)
        study = study.in_order_of(store.kept_labels())
        store.begin(study, *known)
        _announce_trace(study, store)
        with _tidied(store):
            return _execute(study, store, *how)


def _check_trace(study: Study, out: str | Path | None, backend: Backend) -> None:
    if study.trace and out is None:
        raise ValueError("a trace needs a folder to go to; give out=")
    if study.trace and not backend.shares_disk:
        raise ValueError(
            "a trace is written where a block runs, and the machines of a Ray cluster "
            "do not share this one's disk; leave trace out, or use another backend"
        )


@lean_memory()
def _execute(
    study: Study,
    store: Store | None,
    known: _Known,
    backend: Backend,
    size: int | None,
    schedule: Schedule,
    listeners: Listeners,
    progress: bool,
) -> Results:
    with listeners.of(study):
        measured = _measure(study, store, backend, size, schedule, listeners, progress)
        results = _results(study, store, known, measured)
        listeners.end(results)
    return results


def _measure(
    study: Study,
    store: Store | None,
    backend: Backend,
    size: int | None,
    schedule: Schedule,
    listeners: Listeners,
    progress: bool,
) -> list[Measured]:
    """Runs the blocks that are missing; returns what they measured if nothing is kept.

    Raises:
        BlocksFailedError: Some have failed.
    """
    left = missing(study, store)
    total = len(study.arms) * len(study.trials) * study.num_episodes
    to_do = sum(len(one.trials) for one in left) * study.num_episodes
    done = total - to_do
    measured: list[Measured] = []
    failed: list[Failed] = []
    others: set[str] = set()
    returns = ReturnsWatched()
    with Progress(total, unit="trial-episodes", enabled=progress, done=done) as bar:
        writer = Writer(study, store, schedule, bar, listeners)
        if left:
            with backend:
                cut = blocks_of(study, left, size, backend.workers, store is not None)
                running = backend.run(
                    run_job, JobsToDo(cut, backend, writer), writer.hear
                )
                with contextlib.closing(running) as results:
                    for one in results:
                        if isinstance(one, Failed):
                            failed.append(one)
                            continue
                        returns.look(one.table)
                        note_other_machines(one.software, others)
                        measured += writer.take(one)
                        del one  # a table is as large as a study's other memory
    if failed:
        raise _failure(failed, study, store) from min(failed).error
    return measured


def _results(
    study: Study, store: Store | None, known: _Known, measured: list[Measured]
) -> Results:
    """The results of a study that is complete."""
    settings = settings_of_study(StudySettings.of(study), software())
    if store is not None:
        return Results(
            store.frame(),
            known.optima,
            store.sizes,
            [store.directory],
            settings=settings,
            ranges=known.ranges,
            pruned=store.pruned(),
        )
    import pyarrow as pa

    measured.sort(key=lambda one: one.block)
    tables = pa.concat_tables(
        (one.table for one in measured),
        promote_options="default",  # some arms have columns of their own
    ).to_pandas()
    sizes = pa.concat_tables(one.sizes for one in measured).to_pandas()
    pruned: dict[str, list[int]] = {}
    for one in measured:
        if one.pruned:
            label = study.arms[one.block.arm].label
            pruned.setdefault(label, []).extend(one.pruned)
    return Results(
        tables,
        known.optima,
        lambda: sizes,
        settings=settings,
        ranges=known.ranges,
        pruned=pruned,
    )


def _failure(
    failed: list[Failed], study: Study, store: Store | None
) -> BlocksFailedError:
    """What became of a study some of whose blocks failed."""
    blocks = "1 block" if len(failed) == 1 else f"{len(failed)} blocks"
    others = "give out= to keep the others"
    if store is not None:
        others = "the others are kept, and another run goes on with what is missing"
    errors = [error for _, error in sorted(failed, key=lambda one: one.block)]
    return BlocksFailedError(f"{blocks} of the study failed; {others}", errors)


@contextlib.contextmanager
def _tidied(store: Store) -> Iterator[None]:
    """Leaves nothing half done behind, however the run ends."""
    try:
        yield
    except BaseException:
        # What cannot be removed now, as the folder is gone, the next run removes.
        with contextlib.suppress(OSError, ResultsError):
            store.tidy()
        raise


def _announce_trace(study: Study, store: Store) -> None:
    if study.trace:
        folder = store.directory / "trace"
        _logger.warning("the trace in %s: %s", folder, expected_size(study))
