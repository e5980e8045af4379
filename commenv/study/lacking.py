"""What an unfinished study lacks, in words."""

from __future__ import annotations

from pathlib import Path

from commenv.study.names import count_of, trials_in
from commenv.study.store import Store

__all__ = ["has_results", "lacks"]

MOST_ARMS = 20
"""Arms that are listed; of more there is the number."""


def has_results(directory: str | Path) -> bool:
    """Whether a results folder has a finished block.

    Raises:
        ResultsError: It is not a results folder, or its manifest is damaged.
    """
    store = Store(directory)
    arms = range(len(store.manifest().study["arms"]))
    return any(_finished(store, arm) for arm in arms)


def lacks(directory: str | Path) -> str:
    """The arms that lack trials, a line for each of the first; empty if none does.

    Files are counted by their names here, and of their checksums alone is read how many
    rounds they have.

    Raises:
        ResultsError: It is not a results folder, or its manifest is damaged.
    """
    store = Store(directory)
    labels = [arm["label"] for arm in store.manifest().study["arms"]]
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
