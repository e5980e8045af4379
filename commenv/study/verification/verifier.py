"""Whether a stored study is whole, adds up, and is what this version computes."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from commenv.errors import ResultsError, UnknownNameError
from commenv.seeds import integer_seed
from commenv.study.storage.extra import check_extra
from commenv.study.storage.names import trials_in
from commenv.study.storage.schema import StudySettings
from commenv.study.storage.store import Store
from commenv.study.verification.checks import (
    Block,
    Check,
    count_of,
    of_checkpoints,
    of_checksums,
    of_ledgers,
    of_recomputing,
)

__all__ = ["Verification", "verify"]

_MOST_PROBLEMS = 20

Verdict: TypeAlias = Literal["holds", "does not hold", "not decided"]


@dataclass(frozen=True)
class Verification:
    """What :func:`verify` found; printed, it is the report.

    Attributes:
        directory: The folder.
        checks: One after the other.
    """

    directory: Path
    checks: tuple[Check, ...]

    @property
    def verdict(self) -> Verdict:
        """What the checks come to."""
        if any(check.problems for check in self.checks):
            return "does not hold"
        if any(check.undecided for check in self.checks):
            return "not decided"
        return "holds"

    @property
    def holds(self) -> bool:
        """Whether the study could be run again, and no check found a problem."""
        return self.verdict == "holds"

    def __str__(self) -> str:
        lines = []
        for check in self.checks:
            lines.append(f"{check.name}: {check.text}")
            lines += [f"  {note}" for note in check.notes]
            lines += [f"  NOT DECIDED {line}" for line in check.undecided]
            lines += [f"  WRONG {line}" for line in check.problems[:_MOST_PROBLEMS]]
            if (more := len(check.problems) - _MOST_PROBLEMS) > 0:
                lines.append(f"  and {more} more")
        return "\n".join([*lines, f"verdict: {self.directory} {self._in_words()}"])

    def _in_words(self) -> str:
        if self.verdict == "not decided":
            return "is not decided: all that could be checked holds"
        count = sum(len(check.problems) for check in self.checks)
        return self.verdict + (f" ({count_of(count, 'problem')})" if count else "")


def verify(
    directory: str | Path,
    *,
    block: str | None = None,
    seed: int | None = None,
    every: bool = False,
    allow: Collection[str] = (),
    progress: bool = True,
) -> Verification:
    """Checks a stored study: its files, its sums, and one block by running it again.

    Of unfinished blocks the states are checked that are kept of them.

    The study need not be finished: what is there is checked.

    Args:
        directory: The folder that it was written to.
        block: Which block to run again, as ``"LABEL:TRIALS"``, such as ``"dql:0-24"``,
            or ``"dql:7"`` for the one that holds that trial.
        seed: Of the draw of that block; the operating system's when left out.
        every: Run all blocks again.
        allow: Every ``module:Name`` in the folder's settings that may be imported; what
            is registered needs no such leave.
        progress: Say on standard error how far the run has come.

    Returns:
        The report; its ``holds`` says whether all is well. Where nothing is wrong, but
        the study cannot be run again here, its ``verdict`` is ``"not decided"``.

    Raises:
        ResultsError: No results folder, or one without a block, finished or begun.
        UnknownNameError: No such block; the message lists the nearest.
        ValueError: More than one of ``block``, ``seed`` and ``every``.
        MissingExtraError: The extra ``study`` is not installed.
    """
    check_extra("verifying a study")
    if (block is not None) + (seed is not None) + every > 1:
        raise ValueError("block, seed and every exclude each other; give one of them")
    seed = None if seed is None else integer_seed(seed)
    store = Store(directory)
    settings = store.manifest().study
    blocks, odd = _blocks(store, settings)
    begun = of_checkpoints(store)
    if not blocks and not odd.problems and begun is None:
        raise ResultsError(
            f"{directory} holds no finished block yet; run the study again to go on"
        )
    chosen, how = _choose(blocks, block, seed, every)
    checks = [odd, of_checksums(blocks), of_ledgers(blocks, settings)]
    if begun is not None:
        checks.append(begun)
    if not blocks and not odd.problems:
        return Verification(Path(directory), tuple(checks))
    checks.append(of_recomputing(store, chosen, how, allow, progress))
    return Verification(Path(directory), tuple(checks))


def _blocks(store: Store, settings: StudySettings) -> tuple[list[Block], Check]:
    """The blocks, and what has the name of one and is none as problems."""
    blocks, problems, notes = [], [], []
    for arm, one in enumerate(settings.arms):
        finished: set[int] = set()
        for path in store.block_paths(arm):
            stored = store.block(path)
            changed = tuple(stored.problems())
            try:
                trials = trials_in(path) if changed else stored.trials()
            except ResultsError as error:
                problems.append(str(error))
                continue
            blocks.append(Block(arm, one.label, stored, trials or range(1), changed))
            if not changed and stored.seal.rounds >= store.rounds:
                finished |= set(blocks[-1].trials)
        if len(finished) < len(settings.trials):
            notes.append(
                f"{one.label} is unfinished: {len(finished)} of {len(settings.trials)} "
                "trials are there"
            )
    count = sum(len(block.trials) for block in blocks)
    text = f"{count_of(len(blocks), 'block')} of {count_of(count, 'trial')}"
    return blocks, Check("study", text, tuple(problems), tuple(notes))


def _choose(
    blocks: Sequence[Block], wanted: str | None, seed: int | None, every: bool
) -> tuple[list[Block], str]:
    """The blocks to run again, and how they were chosen."""
    if every or not blocks:
        return list(blocks), "all of them"
    if wanted is not None:
        return [_named(blocks, wanted)], "as asked for"
    drawn = secrets.randbelow(2**32) if seed is None else seed
    position = int(np.random.default_rng(drawn).integers(len(blocks)))
    return [blocks[position]], f"drawn with seed {drawn}"


def _named(blocks: Sequence[Block], wanted: str) -> Block:
    for block in blocks:
        if str(block) == wanted:
            return block
    label, _, trial = wanted.rpartition(":")
    for block in blocks:
        if block.label == label and trial.isdecimal() and int(trial) in block.trials:
            return block
    raise UnknownNameError("block", wanted, [str(block) for block in blocks])
