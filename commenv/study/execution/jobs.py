"""Running a block as a job, which may be anywhere: it reads and returns plain data."""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from commenv.errors import EnvironmentFaultError, ShardsLostError
from commenv.snapshots import Snapshot
from commenv.study.execution.backends import Kept, Report
from commenv.study.execution.block import run_block
from commenv.study.execution.checkpoints import Checkpoints, Schedule
from commenv.study.execution.plan import Block
from commenv.study.execution.played import NOTHING, Wanted
from commenv.study.execution.sharding import Shards
from commenv.study.spec import Study
from commenv.study.storage.checkpoint import unpacked
from commenv.study.storage.growth import check_goes_on
from commenv.study.storage.provenance import software
from commenv.study.storage.store import Store
from commenv.study.storage.trace import Trace
from commenv.study.storage.weights import Memory

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Failed", "Job", "Measured", "Resumption", "keep", "run_job"]

_MOST_ATTEMPTS = 10
_logger = logging.getLogger("commenv")


class Resumption(NamedTuple):
    """How a block that is kept goes on after its process has been killed.

    Attributes:
        schedule: When its state is kept.
        about: What its checkpoints say about themselves.
        state: What it goes on from; None to begin.
    """

    schedule: Schedule
    about: dict[str, Any]
    state: Snapshot | None


@dataclass(frozen=True)
class Job:
    """A block and how to run it.

    Attributes:
        study: The settings.
        block: The arm and its trials.
        resumption: None where nothing is kept.
        store: Where the trace goes, if there is one.
        shards: How the agents are spread; None for one batch.
        wanted: Which rounds are reported.
    """

    study: Study
    block: Block
    resumption: Resumption | None = None
    store: Store | None = None
    shards: Shards | None = None
    wanted: Wanted = NOTHING


class Measured(NamedTuple):
    """What a block measured: where it ran, perhaps no file was at hand.

    Attributes:
        block: The block.
        table: Its results.
        sizes: The histogram of its messages' sizes.
        learned: What its learners learned.
        software: What computed it.
        pruned: The trials that whoever listened has stopped.
    """

    block: Block
    table: pa.Table
    sizes: pa.Table
    learned: Memory
    software: dict[str, str]
    pruned: list[int]


class Failed(NamedTuple):
    """A block that an environment at fault has ended; the others are not concerned.

    Attributes:
        block: The block.
        error: What happened, and where.
    """

    block: Block
    error: EnvironmentFaultError


def run_job(job: Job, report: Report) -> Measured | Failed:
    """Runs a block; where shards are lost, again from its last state.

    Args:
        job: The block.
        report: Called with the number of trials that have played another round, with
            the rounds that are wanted, and with the states that are to be kept.

    Raises:
        ShardsLostError: Again and again, without a new state in between.
    """
    states = _States(job, report)
    attempts = 0
    while True:
        known = states.count
        try:
            return _run(job, states)
        except EnvironmentFaultError as error:
            error.locate(label=job.study.arms[job.block.arm].label)
            return Failed(job.block, error)
        except ShardsLostError as error:
            attempts = 1 if states.count > known else attempts + 1
            if attempts == _MOST_ATTEMPTS:
                raise ShardsLostError(
                    f"{error}; block {states.name} came no further in {attempts} "
                    "attempts, perhaps for lack of memory; finished blocks are kept: "
                    "run the study again, with smaller blocks or more machines"
                ) from error
            _logger.warning(
                "%s; block %s %s",
                error,
                states.name,
                "goes on from its last state" if states.any else "begins again",
            )


def keep(store: Store, study: Study, measured: Measured) -> None:
    """Writes what a block measured.

    Raises:
        ResultsError: The folder cannot be written to, or holds other numbers of the
            block's first rounds.
    """
    arm, trials = measured.block.arm, measured.block.trials
    label = study.arms[arm].label
    if (old := store.outgrown_block(arm, label, trials)) is not None:
        name = measured.block.name(study)
        check_goes_on(old, measured.table, study.evaluate_every, name)
        store.forget(old)
    store.write_policies(arm, label, trials, measured.learned)
    store.write_sizes(arm, label, trials, measured.sizes)
    # Last: it says that all is there.
    store.write_block(arm, label, measured.table, measured.software, measured.pruned)


class _States:
    """The states of a block in every attempt, and how far it has come in the best.

    Attributes:
        name: The block's.
        count: How many states were kept.
        report: As given.
    """

    def __init__(self, job: Job, report: Report) -> None:
        self.name = job.block.name(job.study)
        self.report = report
        self._reported = self._played = 0
        self.count = 0
        self._newest: bytes | None = None
        self._first = None if job.resumption is None else job.resumption.state

    @property
    def any(self) -> bool:
        """Whether there is one to go on from."""
        return self._newest is not None or self._first is not None

    def begin(self) -> Snapshot | None:
        """Begins an attempt; what it goes on from, its own to write to."""
        self._played = 0
        if self._newest is None:
            return copy.deepcopy(self._first)
        state: Snapshot = unpacked(self._newest)["state"]
        return state

    def advance(self, count: int) -> None:
        """Hands on what no attempt before has played."""
        self._played += count
        if self._played > self._reported:
            self.report(self._played - self._reported)
            self._reported = self._played

    def keep(self, data: bytes) -> None:
        """Takes the newest state, and hands it on."""
        self._newest, self.count = data, self.count + 1
        self.report(Kept(self.name, data))


def _run(job: Job, states: _States) -> Measured:
    study, block = job.study, job.block
    arm, trials = study.arms[block.arm], list(block.trials)
    learned, trace = Memory(), None
    sizes: list[pa.Table] = []
    pruned: list[int] = []
    if study.trace and job.store is not None:
        folder = job.store.trace_folder(block.arm, arm.label, block.trials)
        trace = Trace(folder, trials, arm.num_agents, job.store.check_ours)
    try:
        table = run_block(
            study,
            arm,
            trials,
            report=states.advance,
            trace=trace,
            keep=learned.update,
            count=sizes.append,
            resume=states.begin(),
            checkpoints=_checkpoints(job, states),
            shards=job.shards,
            tell=states.report,
            wanted=job.wanted,
            pruned=pruned.extend,
        )
        if trace is not None:
            trace.finish()
    except BaseException:
        if trace is not None:
            trace.abandon()
        raise
    return Measured(block, table, sizes[0], learned, software(), pruned)


def _checkpoints(job: Job, states: _States) -> Checkpoints | None:
    if job.resumption is None:
        return None
    return Checkpoints(job.resumption.schedule, states.keep, job.resumption.about)
