"""Running a study: its blocks on a backend, and what they measure into its folder."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from commenv.channel import Channel
from commenv.learning import Algorithm, Scheme
from commenv.study.backends import Backend, choose
from commenv.study.block import optimum_of, run_block
from commenv.study.lock import locked
from commenv.study.policies import Memory
from commenv.study.progress import Progress
from commenv.study.results import Results
from commenv.study.software import software, unlike
from commenv.study.spec import Study, cells, check_count
from commenv.study.store import Store, check_extra
from commenv.study.trace import Trace, expected_size

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["execute", "run"]

LARGEST_BLOCK = 50
_logger = logging.getLogger("commenv")


class _Block(NamedTuple):
    """Some consecutive trials of a cell, to be run together."""

    cell: int
    trials: tuple[int, ...]


class _Measured(NamedTuple):
    """What a block measured, as plain data: where it ran, perhaps no file was at hand.

    Its table, the histogram of its messages' sizes, what its learners learned, and the
    software that computed them.
    """

    block: _Block
    table: pa.Table
    sizes: pa.Table
    learned: Memory
    software: dict[str, str]


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
    backend: str | None = None,
    workers: int | None = None,
    address: str | None = None,
    block: int | None = None,
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
        backend: Where the blocks of trials run: ``"local"``, in this process;
            ``"processes"``; or ``"ray"`` (extra ``ray``), on the machines of a Ray
            cluster. Left out, it is ``"local"`` for one worker and ``"processes"`` for
            more. Files are written by this process alone, whatever the backend.
        workers: Blocks that run at a time. Left out, 1 without a backend, and with one
            as many as there are processors: here, or in the cluster.
        address: Of a Ray cluster to join, ``"HOST:PORT"`` or ``"auto"``. Without it,
            the backend ``"ray"`` uses the Ray that this process is connected to, or
            else starts one here and stops it at the end.
        block: Trials that run together, and are kept together. Larger ones are faster,
            smaller ones lose less when a study is stopped; unless told, the study is
            cut so that every worker has at least two, of at most 50 trials.
        trace: Keep every step and message under ``out`` too; not on a Ray cluster,
            whose machines do not share a disk.
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
        backend=backend,
        workers=workers,
        address=address,
        block=block,
        progress=progress,
    )


def execute(
    study: Study,
    *,
    out: str | Path | None = None,
    backend: str | None = None,
    workers: int | None = None,
    address: str | None = None,
    block: int | None = None,
    progress: bool = True,
) -> Results:
    """Runs what is missing of a study; the arguments are those of :func:`run`."""
    check_extra("running a study")
    chosen = choose(backend, workers, address)
    if block is not None:
        check_count("block", block)
    _check_trace(study, out, chosen)
    optima = {cell.label: optimum_of(study, cell) for cell in study.cells}
    if out is None:
        return _execute(study, None, optima, chosen, block, progress)
    store = Store(out)
    with locked(store.directory):
        store.begin(study, optima)
        _announce_trace(study, store)
        with _tidied(store):
            return _execute(study, store, optima, chosen, block, progress)


def _check_trace(study: Study, out: str | Path | None, backend: Backend) -> None:
    if study.trace and out is None:
        raise ValueError("a trace needs a folder to go to; give out=")
    if study.trace and not backend.shares_disk:
        raise ValueError(
            "a trace is written where a block runs, and the machines of a Ray cluster "
            "do not share this one's disk; leave trace out, or use another backend"
        )


def _execute(
    study: Study,
    store: Store | None,
    optima: dict[str, float | None],
    backend: Backend,
    size: int | None,
    progress: bool,
) -> Results:
    missing = _missing(study, store)
    total = len(study.cells) * study.num_trials * study.num_episodes
    left = sum(len(one.trials) for one in missing) * study.num_episodes
    measured: list[_Measured] = []
    others: set[str] = set()
    with (
        Progress(
            total, unit="trial-episodes", enabled=progress, done=total - left
        ) as bar,
        contextlib.closing(
            _run_all(study, store, missing, backend, size, bar.advance)
        ) as results,
    ):
        for one in results:
            _note_other_machines(one.software, others)
            if store is None:
                measured.append(one._replace(learned=Memory()))
            else:
                _keep(store, study, one)
    if store is not None:
        return Results(store.frame(), optima, store.sizes, [store.directory])
    import pyarrow as pa

    measured.sort(key=lambda one: one.block)
    tables = pa.concat_tables(one.table for one in measured).to_pandas()
    sizes = pa.concat_tables(one.sizes for one in measured).to_pandas()
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


def _block_size(study: Study, workers: int) -> int:
    """Equal blocks, so that every worker has at least two of all cells' together."""
    share = math.ceil(len(study.cells) * study.num_trials / (2 * workers))
    parts = math.ceil(study.num_trials / min(share, LARGEST_BLOCK))
    return math.ceil(study.num_trials / parts)


def _announce_trace(study: Study, store: Store) -> None:
    if study.trace:
        folder = store.directory / "trace"
        _logger.warning("the trace in %s: %s", folder, expected_size(study))


def _missing(study: Study, store: Store | None) -> list[_Block]:
    """What is still to be run, in blocks as large as can be."""
    blocks = []
    for cell in range(len(study.cells)):
        done = set() if store is None else store.finished(cell)
        pending: list[int] = []
        for trial in range(study.num_trials + 1):
            if trial < study.num_trials and trial not in done:
                pending.append(trial)
            elif pending:
                blocks.append(_Block(cell, tuple(pending)))
                pending = []
    return blocks


def _run_all(
    study: Study,
    store: Store | None,
    missing: list[_Block],
    backend: Backend,
    size: int | None,
    report: Callable[[int], None],
) -> Generator[_Measured]:
    """What each block measured, as soon as it has ended."""
    if not missing:
        return
    with backend:
        if size is None:
            size = _block_size(study, backend.workers)
        jobs = {
            _name(study, block): (study, store, block)
            for whole in missing
            for block in _cut(whole, size)
        }
        with contextlib.closing(backend.run(_run, jobs, report)) as results:
            yield from results


def _cut(whole: _Block, size: int) -> Iterator[_Block]:
    for start in range(0, len(whole.trials), size):
        yield _Block(whole.cell, whole.trials[start : start + size])


def _name(study: Study, block: _Block) -> str:
    """A block as ``commenv verify`` names it, such as ``dql:0-24``."""
    return f"{study.cells[block.cell].label}:{block.trials[0]}-{block.trials[-1]}"


def _keep(store: Store, study: Study, one: _Measured) -> None:
    """Writes what a block measured."""
    cell, trials = one.block
    label = study.cells[cell].label
    store.write_policies(cell, label, trials, one.learned)
    store.write_sizes(cell, label, trials, one.sizes)
    # Last: it says that all is there.
    store.write_block(cell, label, one.table, one.software)


def _note_other_machines(computed_by: Mapping[str, str], known: set[str]) -> None:
    text = "; ".join(unlike(computed_by))
    if text and text not in known:
        known.add(text)
        _logger.warning(
            "a machine that runs blocks is of another type than this one (%s): the "
            "last bits of what it computes may differ",
            text,
        )


def _run(
    study: Study, store: Store | None, block: _Block, report: Callable[[int], None]
) -> _Measured:
    cell = study.cells[block.cell]
    trials = list(block.trials)
    trace, learned = None, Memory()
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
        )
        if trace is not None:
            trace.finish()
    except BaseException:
        if trace is not None:
            trace.abandon()
        raise
    return _Measured(block, table, sizes[0], learned, software())
