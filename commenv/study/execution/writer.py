"""What is to be done for each block, and the writing of all that comes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from commenv.errors import shown
from commenv.study.execution.backends import Backend, Kept
from commenv.study.execution.checkpoints import Schedule
from commenv.study.execution.jobs import Job, Measured, Resumption, keep
from commenv.study.execution.listeners import Listeners
from commenv.study.execution.plan import Block
from commenv.study.execution.played import Played
from commenv.study.execution.progress import Progress
from commenv.study.spec import Study
from commenv.study.storage.store import Store
from commenv.study.storage.weights import Memory
from commenv.study.wording import size

__all__ = ["JobsToDo", "Writer"]

_MOST_OF_A_LABEL = 60


class JobsToDo(Mapping[str, tuple[Job]]):
    """The arguments of each job by its name, made when they are asked for.

    So a job that is run again goes on from its newest state.

    Args:
        blocks: What is to be run.
        backend: Where.
        writer: Knows what is kept of them.
    """

    def __init__(
        self, blocks: Iterable[Block], backend: Backend, writer: Writer
    ) -> None:
        self._blocks = {writer.know(block): block for block in blocks}
        self._backend, self._writer = backend, writer

    def __getitem__(self, name: str) -> tuple[Job]:
        return (self._writer.job(self._blocks[name], self._backend),)

    def __iter__(self) -> Iterator[str]:
        return iter(self._blocks)

    def __len__(self) -> int:
        return len(self._blocks)


class Writer:
    """Writes all that a study keeps, whoever computes it, and tells who listens.

    Args:
        study: The settings.
        store: Where to; None to keep nothing.
        schedule: When the states of blocks are kept.
        bar: Shows how far the study has come.
        listeners: Are told of rounds.
    """

    def __init__(
        self,
        study: Study,
        store: Store | None,
        schedule: Schedule,
        bar: Progress,
        listeners: Listeners,
    ) -> None:
        self._study, self._store = study, store
        self._schedule, self._bar = schedule, bar
        self._listeners = listeners
        self._blocks: dict[str, Block] = {}
        self._left: Counter[int] = Counter()
        self._newest = ""
        self._taken = 0

    def know(self, block: Block) -> str:
        """Remembers a block, whose states may come; its name."""
        name = block.name(self._study)
        self._blocks[name] = block
        self._left[block.arm] += 1
        return name

    def job(self, block: Block, backend: Backend) -> Job:
        """What is left to be done for a block."""
        self._newest = self._study.arms[block.arm].label
        resumption = None
        if self._store is not None:
            where = self._where(block)
            actors = 0 if backend.shards is None else backend.shards.number
            about = self._store.about_checkpoints(*where, actors)
            state = self._store.checkpoints.read(*where, about)
            resumption = Resumption(self._schedule, about, state)
        elif backend.shards is not None:  # to go on where one is lost
            resumption = Resumption(self._schedule, {}, None)
        trace_to = self._store if self._study.trace else None
        wanted = self._listeners.wanted
        return Job(self._study, block, resumption, trace_to, backend.shards, wanted)

    def hear(self, said: int | Kept | Played) -> None:
        """Takes what a job reports."""
        if isinstance(said, int):
            self._bar.advance(said, self._where_it_is())
        elif isinstance(said, Played):
            arm = self._study.arms[self._blocks[said.block].arm]
            self._listeners.hear(arm, said)
        elif self._store is not None:
            where = self._where(self._blocks[said.name])
            self._store.checkpoints.write(*where, said.data)

    def take(self, measured: Measured) -> list[Measured]:
        """Writes what a block measured; returns it where nothing is kept."""
        self._left[measured.block.arm] -= 1
        trials = len(measured.block.trials)
        self._taken += trials
        # What trials that were stopped have left out is done with, too.
        if left_out := trials * self._study.num_episodes - measured.table.num_rows:
            self._bar.advance(left_out, self._where_it_is())
        if self._store is None:
            return [measured._replace(learned=Memory())]
        first = not self._store.written
        keep(self._store, self._study, measured)
        if first:
            self._bar.foresee(self._room())
        return []

    def _where_it_is(self) -> str:
        """Which arm is being run and how many are finished, where there are several."""
        count = len(self._study.arms)
        if count == 1:
            return ""
        finished = count - sum(left > 0 for left in self._left.values())
        newest = shown(self._newest, _MOST_OF_A_LABEL)
        return f"{finished:,} of {count:,} arms finished · {newest}"

    def _room(self) -> str:
        """How much room on the disk what this run adds will need, going by now."""
        assert self._store is not None
        trials = sum(len(block.trials) for block in self._blocks.values())
        needed = self._store.written * trials / self._taken
        return f"about {size(needed)} on the disk"

    def _where(self, block: Block) -> tuple[int, str, list[int]]:
        return block.arm, self._study.arms[block.arm].label, list(block.trials)
