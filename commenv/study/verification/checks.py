"""The checks of a stored study: its files, its sums, and blocks that are run again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from commenv.envs import ScalarBatch
from commenv.errors import (
    CannotRerunError,
    CommenvError,
    MissingExtraError,
    ResultsError,
)
from commenv.study.arm import Arm
from commenv.study.execution.build import world_of
from commenv.study.execution.progress import Progress
from commenv.study.spec import Study
from commenv.study.storage.names import words_for
from commenv.study.storage.provenance import software, unlike
from commenv.study.storage.reconstruction import study_of
from commenv.study.storage.schema import StudySettings
from commenv.study.storage.store import Store
from commenv.study.storage.stored_block import StoredBlock
from commenv.study.verification.invariants import unbalanced
from commenv.study.verification.rerun import Recomputed, is_tabular, recompute
from commenv.study.wording import count_of

__all__ = [
    "TOLERANCE",
    "Block",
    "Check",
    "of_checkpoints",
    "of_checksums",
    "of_ledgers",
    "of_recomputing",
]

TOLERANCE = 1e-6
"""How far a number may be from the stored one, as a share of it (or of a typical one of
its column where it is smaller), where another type of processor computed it and it is
no table's."""

_FOREIGN = (
    "the environment draws its own randomness from the seeds that it is given; that "
    "equal seeds give equal episodes rests on the environment"
)
_UNSTEADY = (
    "run again twice, it gave different numbers each time: with equal seeds the "
    "environment gives other episodes, so nobody can run this study again; let it draw "
    "from self.np_random alone"
)
_AGAIN = "repeat the command that made the study"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: Such as ``"checksums"``.
        text: What was found, in a line.
        problems: What does not hold, each with its cure.
        notes: How it was checked, and what could not be but says nothing against it.
        undecided: What would decide the verdict and could not be checked, each with
            its cure.
    """

    name: str
    text: str
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()


class Block(NamedTuple):
    """A block, and its files that are not as they were written, with the cure."""

    arm: int
    label: str
    stored: StoredBlock
    trials: range
    problems: tuple[str, ...] = ()

    def __str__(self) -> str:
        return words_for(self.label, self.trials)


def of_checksums(blocks: Sequence[Block]) -> Check:
    """Whether the files of each block are as they were written."""
    problems = [line for block in blocks for line in block.problems]
    sound = [block for block in blocks if not block.problems]
    files = sum(len(block.stored.seal.files) - 1 for block in sound)
    right = ", all as they were written" if files and not problems else ""
    text = f"{count_of(files, 'file')} of {count_of(len(sound), 'block')}{right}"
    return Check("checksums", text, tuple(dict.fromkeys(problems)))


def of_checkpoints(store: Store) -> Check | None:
    """Whether the states of unfinished blocks can be gone on from; None without any."""
    problems, notes, whole = [], [], 0
    ours = store.about_states()
    paths = store.checkpoints.paths()
    for path in paths:
        try:
            about = store.checkpoints.content(path).get("about")
        except FileNotFoundError:
            continue  # the study is running
        except (ResultsError, OSError) as error:
            problems.append(
                f"{path} is damaged ({error}); delete it: the study then goes on from "
                "an earlier state"
            )
            continue
        whole += 1
        if not isinstance(about, dict) or not ours.items() <= about.items():
            notes.append(
                f"{path} is of another version of commenv, or of another study, and "
                "will not be used"
            )
    blocks = {path.with_suffix("") for path in paths}
    text = f"{count_of(whole, 'state')} of {count_of(len(blocks), 'unfinished block')}"
    return Check("checkpoints", text, tuple(problems), tuple(notes)) if paths else None


def of_ledgers(blocks: Sequence[Block], settings: StudySettings) -> Check:
    """Whether the tables and the sizes of messages add up, trial by trial."""
    problems, notes, trials = [], [], 0
    for block in blocks:
        if block.problems:
            continue
        constant = {
            "label": block.label,
            "environment": settings.arms[block.arm].environment,
            "num_agents": settings.arms[block.arm].num_agents,
        }
        sizes = None
        try:
            if "sizes" in block.stored.seal.files:
                sizes = block.stored.sizes()
            else:
                notes.append(f"{block} was stored without the sizes of its messages")
            lines = unbalanced(
                block.stored.table(),
                sizes,
                block.trials,
                constant,
                block.stored.seal.rounds,
                bool(settings.stop),
                block.stored.seal.pruned,
            )
        except ResultsError as error:
            problems.append(str(error))
            continue
        trials += len(block.trials)
        problems += [f"{block.stored.path}, {line}" for line in lines]
    if problems:
        problems.append(f"whatever block does not add up: delete it and {_AGAIN}")
    text = count_of(trials, "trial") + ("" if problems else ", all add up exactly")
    return Check("ledger sums", text, tuple(problems), tuple(notes))


def of_recomputing(
    store: Store,
    blocks: Sequence[Block],
    how: str,
    allow: Collection[str],
    progress: bool,
) -> Check:
    """Runs blocks again, and says how they compare."""
    name = f"run again ({how})"
    problems: list[str] = []
    notes: list[str] = []
    undecided: list[str] = []
    try:
        study = study_of(store, allow)
    except (CannotRerunError, MissingExtraError) as error:
        return Check(name, "not done", undecided=(str(error),))
    except (CommenvError, ImportError) as error:
        return Check(name, "not done", (str(error),))
    rounds = sum(len(block.trials) for block in blocks) * study.num_episodes
    with Progress(rounds, unit="trial-episodes", enabled=progress) as bar:
        for block in blocks:
            if block.problems:
                notes.append(f"{block}: not run again, since its files were changed")
                continue
            own = draws_its_own(study.arms[block.arm])
            try:
                found = recompute(store, study, block.arm, block.stored, bar.advance)
                again = found
                if own and found.differences:
                    again = recompute(store, study, block.arm, block.stored)
            except ResultsError as error:
                problems.append(f"{block}: {error}")
                continue
            if again != found:
                undecided.append(f"{block}: {_UNSTEADY}")
                continue
            note, problem = _compared(study, block, found)
            notes.append(f"{block}: {note}")
            notes += [f"{block}: {_FOREIGN}"] if own else []
            problems += [f"{block}: {problem}"] if problem else []
    found_by = tuple(problems), tuple(notes), tuple(undecided)
    return Check(name, _listed(blocks), *found_by)


def draws_its_own(arm: Arm) -> bool:
    """Whether an environment draws its own randomness, from seeds that we give it."""
    for agents, _ in arm.worlds:
        world = world_of(arm, 1, agents[0])
        world.close()
        if isinstance(world, ScalarBatch):
            return True
    return False


def _compared(study: Study, block: Block, found: Recomputed) -> tuple[str, str]:
    """What was compared and found, and what is wrong with it, if anything is."""
    there = block.stored.seal.software
    other = unlike(there)
    stored, here = (one.get("commenv", "unknown") for one in (there, software()))
    versions = "" if stored == here else f", stored by commenv {stored}, now {here}"
    kind = (
        f"another or an unknown type of machine ({'; '.join(other)})"
        if other
        else f"the same type of machine ({there['cpu']}, {there['blas']})"
    )
    if not found.differences:
        return (
            f"all {found.compared} columns equal bit for bit, on {kind}{versions}",
            "",
        )
    if found.by_block:
        algorithm = study.arms[block.arm].algorithm.name
        return (
            f"equal in the block that was stored, and not in others, on {kind}",
            "its numbers depend on which trials share a block; "
            f"commenv.testing.check_algorithm tells what is wrong with {algorithm!r}",
        )
    exact = not other or is_tabular(study, study.arms[block.arm])
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
        f"{worst.column!r} is not what this version computes; delete "
        f"{block.stored.path} and {_AGAIN} for the numbers of this version"
    )


def _listed(things: Sequence[object]) -> str:
    """The first few, and whether there are more."""
    return ", ".join(map(str, things[:5])) + " and others" * (len(things) > 5)
