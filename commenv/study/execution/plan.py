"""Which blocks of trials are still to be run, for the runner and in words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from commenv.study.spec import Study
from commenv.study.storage.names import trials_in, words_for
from commenv.study.storage.store import Store
from commenv.study.wording import count_of

__all__ = ["Block", "blocks_of", "has_results", "lacks", "missing"]

LARGEST_BLOCK = 50
_LARGEST_UNKEPT = 100


class Block(NamedTuple):
    """Some consecutive trials of an arm, to be run together.

    Attributes:
        arm: The arm's place in the study.
        trials: The trials' numbers.
        begun: Whether it was begun, with these trials: it has a checkpoint, or fewer
            rounds than the study has now.
    """

    arm: int
    trials: tuple[int, ...]
    begun: bool = False

    def name(self, study: Study) -> str:
        """What messages call it."""
        return words_for(study.arms[self.arm].label, self.trials)


def missing(study: Study, store: Store | None) -> list[Block]:
    """What is still to be run, in blocks as large as can be.

    Those that were begun are as they were.
    """
    blocks = []
    for arm in range(len(study.arms)):
        done = set() if store is None else store.finished(arm)
        begun: list[range] = []
        if store is not None:
            begun = [*store.checkpoints.begun(arm), *store.outgrown(arm)]
        for trials in begun:
            if set(trials) <= set(study.trials) and done.isdisjoint(trials):
                blocks.append(Block(arm, tuple(trials), begun=True))
                done.update(trials)
        pending: list[int] = []
        for trial in (*study.trials, None):
            if trial is not None and trial not in done:
                pending.append(trial)
            elif pending:
                blocks.append(Block(arm, tuple(pending)))
                pending = []
    return blocks


def blocks_of(
    study: Study, left: list[Block], size: int | None, workers: int, kept: bool
) -> Iterator[Block]:
    """Cuts what is left into blocks.

    Args:
        study: The settings.
        left: What :func:`missing` gave.
        size: Trials of each; None to choose.
        workers: Blocks that run at a time.
        kept: Whether results are kept.
    """
    if size is None:
        size = _size(study, workers, kept)
    for whole in left:
        each = len(whole.trials) if whole.begun else size
        for start in range(0, len(whole.trials), each):
            yield whole._replace(trials=whole.trials[start : start + each])


def _size(study: Study, workers: int, kept: bool) -> int:
    """Equal blocks, so that every worker has at least two of all arms' together.

    A worker alone has one, where no results are kept: there is nothing to lose.
    """
    least, largest = 2 * workers, LARGEST_BLOCK
    if workers == 1 and not kept:
        least, largest = 1, _LARGEST_UNKEPT
    trials = len(study.trials)
    share = math.ceil(len(study.arms) * trials / least)
    parts = math.ceil(trials / min(share, largest))
    return math.ceil(trials / parts)


MOST_ARMS = 20
"""Arms that are listed; of more there is the number."""


def has_results(directory: str | Path) -> bool:
    """Whether a results folder has a finished block.

    Raises:
        ResultsError: It is not a results folder, or its manifest is damaged.
    """
    store = Store(directory)
    arms = range(len(store.manifest().study.arms))
    return any(_finished(store, arm) for arm in arms)


def lacks(directory: str | Path) -> str:
    """The arms that lack trials, a line for each of the first; empty if none does.

    Files are counted by their names here, and of their checksums alone is read how many
    rounds they have.

    Raises:
        ResultsError: It is not a results folder, or its manifest is damaged.
    """
    store = Store(directory)
    labels = store.manifest().study.labels
    wanted = set(store.trials)
    lines, there = [], 0
    for arm, label in enumerate(labels):
        finished = _finished(store, arm) & wanted
        there += len(finished)
        if len(finished) < len(wanted):
            begun = [one for one in store.checkpoints.begun(arm) if wanted >= set(one)]
            more = sum(map(len, begun))
            state = f", and the state of {more} more" if begun else ""
            lines.append(f"  {label}: {len(finished)} of {len(wanted)} trials{state}")
    if not lines:
        return ""
    total = len(labels) * len(wanted)
    more = len(lines) - MOST_ARMS
    return "\n".join(
        [
            f"{directory} is unfinished: {there:,} of {total:,} trials are there; run "
            "the study again to go on",
            *lines[:MOST_ARMS],
            *[f"  and {count_of(more, 'more arm')}"] * (more > 0),
        ]
    )


def _finished(store: Store, arm: int) -> set[int]:
    """The trials of an arm's finished blocks, by the names of their files."""
    paths = store.block_paths(arm)
    there = {trial for path in paths for trial in trials_in(path) or ()}
    return there.difference(*store.outgrown(arm))
