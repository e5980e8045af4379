"""Whether a stored study is whole, adds up, and is what this version computes."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from commenv.errors import CommenvError, ResultsError, UnknownNameError
from commenv.study.checksums import MANIFEST, Seal, digest_of, read_seal
from commenv.study.conservation import unbalanced
from commenv.study.described import study_of
from commenv.study.progress import Progress
from commenv.study.recomputed import Recomputed, is_tabular, recompute
from commenv.study.software import software, unlike
from commenv.study.spec import Study
from commenv.study.store import Store, check_extra

__all__ = ["TOLERANCE", "Check", "Verification", "verify"]

TOLERANCE = 1e-6
"""How far a number may be from the stored one, as a share of it (or of 1 where it is
smaller), where another type of processor computed it and it is no table's."""

_KINDS = ("blocks", "sizes", "policies")
_AGAIN = "repeat the command that made the study"
_MOST_PROBLEMS = 20


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: Such as ``"checksums"``.
        text: What was found, in a line.
        problems: What does not hold, each with its cure.
        notes: What could not be checked, or how it was.
    """

    name: str
    text: str
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


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
    def holds(self) -> bool:
        """Whether no check found a problem."""
        return not any(check.problems for check in self.checks)

    def __str__(self) -> str:
        lines = []
        for check in self.checks:
            lines.append(f"{check.name}: {check.text}")
            lines += [f"  {note}" for note in check.notes]
            lines += [f"  WRONG {line}" for line in check.problems[:_MOST_PROBLEMS]]
            if (more := len(check.problems) - _MOST_PROBLEMS) > 0:
                lines.append(f"  and {more} more")
        count = sum(len(check.problems) for check in self.checks)
        found = "holds" if self.holds else f"does not hold, {count} problems"
        return "\n".join([*lines, f"verdict: {self.directory} {found}"])


class _Block(NamedTuple):
    """A stored block."""

    cell: int
    label: str
    path: Path
    trials: range

    def __str__(self) -> str:
        first, last = self.trials.start, self.trials.stop - 1
        return f"{self.label}:{first}" + (f"-{last}" if last > first else "")


class _Cell(msgspec.Struct):
    label: str
    environment: str


class _Settings(msgspec.Struct):
    """What of a manifest the sums are held against."""

    cells: list[_Cell]
    num_agents: int
    num_trials: int
    num_episodes: int
    stop: dict[str, float] | None = None


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
        The report; its ``holds`` says whether all is well.

    Raises:
        ResultsError: No results folder, or one without a finished block.
        UnknownNameError: No such block; the message lists the nearest.
        ValueError: More than one of ``block``, ``seed`` and ``every``.
        MissingExtraError: The extra ``study`` is not installed.
    """
    check_extra("verifying a study")
    if (block is not None) + (seed is not None) + every > 1:
        raise ValueError("block, seed and every exclude each other; give one of them")
    if seed is not None and seed < 0:
        raise ValueError(f"seed {seed} is negative; use 0 or more")
    store = Store(directory)
    software_there = store.manifest().software
    try:
        settings = msgspec.convert(store.manifest().study, _Settings)
    except msgspec.ValidationError as error:
        raise ResultsError(
            f"{store.manifest_path} is damaged ({error}); restore it, or run the study "
            "into a new folder"
        ) from None
    blocks, odd = _blocks(store, settings)
    if not blocks and not odd.problems:
        raise ResultsError(
            f"{directory} holds no finished block yet; run the study again to go on"
        )
    chosen, how = _choose(blocks, block, seed, every)
    seals, sums = _checksums(store, blocks)
    checks = [odd, sums, _ledgers(store, blocks, settings)]
    there = {one.path: seals.get(one.path, software_there) for one in chosen}
    checks.append(_recomputed(store, chosen, how, there, allow, progress))
    return Verification(Path(directory), tuple(checks))


def _blocks(store: Store, settings: _Settings) -> tuple[list[_Block], Check]:
    """The blocks that can be read, and the others as problems."""
    blocks, problems, notes = [], [], []
    for cell, one in enumerate(settings.cells):
        finished: set[int] = set()
        for path in store.block_paths(cell):
            try:
                trials = store.trials_of(path)
            except ResultsError as error:
                problems.append(str(error))
                continue
            blocks.append(_Block(cell, one.label, path, trials))
            finished |= set(trials)
        if len(finished) < settings.num_trials:
            notes.append(
                f"{one.label} is unfinished: {len(finished)} of {settings.num_trials} "
                "trials are there"
            )
    if (store.directory / "trace").exists():
        notes.append("the trace has no checksums and is not checked")
    count = sum(len(block.trials) for block in blocks)
    text = f"{len(blocks)} blocks of {count} trials"
    return blocks, Check("study", text, tuple(problems), tuple(notes))


def _choose(
    blocks: Sequence[_Block], wanted: str | None, seed: int | None, every: bool
) -> tuple[list[_Block], str]:
    """The blocks to run again, and how they were chosen."""
    if every or not blocks:
        return list(blocks), "all of them"
    if wanted is not None:
        return [_named(blocks, wanted)], "as asked for"
    drawn = secrets.randbelow(2**32) if seed is None else seed
    position = int(np.random.default_rng(drawn).integers(len(blocks)))
    return [blocks[position]], f"drawn with seed {drawn}"


def _named(blocks: Sequence[_Block], wanted: str) -> _Block:
    for block in blocks:
        if str(block) == wanted:
            return block
    label, _, trial = wanted.rpartition(":")
    for block in blocks:
        if block.label == label and trial.isdecimal() and int(trial) in block.trials:
            return block
    raise UnknownNameError("block", wanted, [str(block) for block in blocks])


def _checksums(
    store: Store, blocks: Sequence[_Block]
) -> tuple[dict[Path, dict[str, str]], Check]:
    """What computed each block, and whether its files are as they were written."""
    there, problems, notes = {}, [], []
    files, without = 0, []
    manifest = digest_of(store.manifest_path)
    for block in blocks:
        path = store.beside(block.path, "checksums")
        try:
            seal = read_seal(path)
        except FileNotFoundError:
            without.append(str(block))
            continue
        except ResultsError as error:
            problems.append(f"{error}; delete {block.path} and {_AGAIN}")
            continue
        there[block.path] = seal.software
        problems += _changed(store, block, seal)
        files += len(seal.files) - 1
        if seal.files.get(MANIFEST) != manifest:
            problems.append(
                f"{store.manifest_path} is not as it was when {block} was written; "
                "restore it, or run the study into a new folder"
            )
    if without:
        notes.append(
            f"no checksums of {', '.join(without[:5])}"
            f"{' and others' * (len(without) > 5)} (stored by an earlier version, or "
            f"removed): delete those blocks and {_AGAIN} to have them"
        )
    right = "" if problems else ", all as they were written"
    text = f"{files} files of {len(blocks) - len(without)} blocks{right}"
    return there, Check("checksums", text, tuple(problems), tuple(notes))


def _changed(store: Store, block: _Block, seal: Seal) -> Iterator[str]:
    """The files of a block that are not as they were written."""
    for kind, expected in seal.files.items():
        if kind not in _KINDS:
            continue
        path = block.path if kind == "blocks" else store.beside(block.path, kind)
        try:
            same = digest_of(path) == expected
            how = "is not as it was written"
        except OSError as error:
            same, how = False, f"cannot be read ({error.strerror})"
        if not same:
            cure = f"delete {block.path} and {_AGAIN}"
            yield f"{path} {how}; {cure}"


def _ledgers(store: Store, blocks: Sequence[_Block], settings: _Settings) -> Check:
    """Whether the tables and the sizes of messages add up, trial by trial."""
    problems, notes, trials = [], [], 0
    for block in blocks:
        constant = {
            "label": block.label,
            "environment": settings.cells[block.cell].environment,
            "num_agents": settings.num_agents,
        }
        sizes = None
        try:
            if store.beside(block.path, "sizes").exists():
                sizes = store.read_sizes(block.path)
            else:
                notes.append(f"{block} was stored without the sizes of its messages")
            lines = unbalanced(
                store.read_block(block.path),
                sizes,
                block.trials,
                constant,
                settings.num_episodes,
                bool(settings.stop),
            )
        except ResultsError as error:
            problems.append(str(error))
            continue
        trials += len(block.trials)
        problems += [f"{block.path}, {line}" for line in lines]
    if problems:
        problems.append(f"whatever block does not add up: delete it and {_AGAIN}")
    text = f"{trials} trials" + ("" if problems else ", all add up exactly")
    return Check("ledger sums", text, tuple(problems), tuple(notes))


def _recomputed(
    store: Store,
    blocks: Sequence[_Block],
    how: str,
    there: dict[Path, dict[str, str]],
    allow: Collection[str],
    progress: bool,
) -> Check:
    """Runs blocks again, and says how they compare."""
    name = f"run again ({how})"
    problems: list[str] = []
    notes: list[str] = []
    try:
        study = study_of(store, allow)
    except (CommenvError, ImportError) as error:
        return Check(name, "not done", (str(error),))
    rounds = sum(len(block.trials) for block in blocks) * study.num_episodes
    with Progress(rounds, unit="trial-episodes", enabled=progress) as bar:
        for block in blocks:
            try:
                found = recompute(store, study, block.cell, block.path, bar.advance)
            except ResultsError as error:
                problems.append(f"{block}: {error}")
                continue
            note, problem = _compared(study, block, there[block.path], found)
            notes.append(f"{block}: {note}")
            problems += [f"{block}: {problem}"] if problem else []
    text = ", ".join(map(str, blocks[:5])) + " and others" * (len(blocks) > 5)
    return Check(name, text, tuple(problems), tuple(notes))


def _compared(
    study: Study, block: _Block, there: dict[str, str], found: Recomputed
) -> tuple[str, str]:
    """What was compared and found, and what is wrong with it, if anything is."""
    other = unlike(there)
    stored, here = (one.get("commenv", "unknown") for one in (there, software()))
    versions = "" if stored == here else f", stored by commenv {stored}, now {here}"
    kind = f"another type of machine ({'; '.join(other)})" if other else "the same type"
    if not found.differences:
        return f"{found.compared} columns equal bit for bit, on {kind}{versions}", ""
    exact = not other or is_tabular(study, study.cells[block.cell])
    worst = found.differences[0]
    rule = "must be equal bit for bit" if exact else f"may differ by {TOLERANCE:g}"
    note = (
        f"{len(found.differences)} of {found.compared} columns differ, most in "
        f"{worst.column!r}, by {worst.distance:.3g}; on {kind} they {rule}{versions}"
    )
    if not exact and worst.distance <= TOLERANCE:
        return note, ""
    if not exact:
        return note, (
            "beyond the tolerance; learning can amplify a last bit, so verify it on "
            f"{there.get('cpu', 'the processor that computed it')}"
        )
    return note, (
        f"{worst.column!r} is not what this version computes; delete {block.path} and "
        f"{_AGAIN} for the numbers of this version"
    )
