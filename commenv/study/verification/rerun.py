"""One block of a study run again, and how far it is from what is stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from commenv.errors import ResultsError
from commenv.study.arm import Arm
from commenv.study.execution.block import optimum_of, run_block
from commenv.study.execution.build import problem_of, world_of
from commenv.study.execution.played import Played, Wanted
from commenv.study.execution.ranges import ranges_of
from commenv.study.spec import Study
from commenv.study.storage.frame import Bounds
from commenv.study.storage.sizes import SIZE_COLUMNS
from commenv.study.storage.store import Store
from commenv.study.storage.stored_block import StoredBlock
from commenv.study.storage.weights import Memory, unpacked

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Difference", "Recomputed", "is_tabular", "recompute"]


@dataclass(frozen=True)
class Difference:
    """Where a stored array differs from the recomputed one.

    Attributes:
        column: The array's name, such as ``"reward"`` or ``"policies: q"``.
        distance: The largest ``|stored - now| / max(|now|, typical)``, where typical is
            the mean of ``|now|`` over the array, so that it has no unit; inf where text
            or the number of rows differs, or one of two numbers is not finite.
    """

    column: str
    distance: float


@dataclass(frozen=True)
class Recomputed:
    """How a block that was run again compares.

    Attributes:
        compared: How many arrays were compared.
        differences: Those that differ in any bit, the largest distance first.
        by_block: Whether they differ because the trials shared other blocks: run again
            in the block that they were stored in, all are equal.
    """

    compared: int
    differences: tuple[Difference, ...]
    by_block: bool = False


_Numbers = dict[str, Any]
"""Columns, sizes, policies and the optimum, by the names that differences use."""

_STOPPED = "stopped by callbacks"


def recompute(
    store: Store,
    study: Study,
    arm: int,
    block: StoredBlock,
    report: Callable[[int], None] = lambda count: None,
) -> Recomputed:
    """Runs a block again and compares its table, sizes, policies, optimum and ranges.

    Its trials run in other blocks than before, since no number may depend on which
    trials share a block. Those that a callback stopped are stopped in the same round.

    Args:
        store: The folder; what a block was stored without is not compared.
        study: The study that it holds.
        arm: The place of the block's arm.
        block: The block.
        report: See :func:`commenv.study.execution.block.run_block`.

    Raises:
        ResultsError: A file is damaged.
    """
    trials = list(block.trials())
    label = study.arms[arm].label
    manifest = store.manifest()
    known = _known(manifest.optima[label], manifest.ranges.get(label))
    stored = _stored(block) | known
    study = replace(study, num_episodes=block.seal.rounds)
    ends = _ends(stored)
    now = _run(study, study.arms[arm], trials, _other_blocks(trials), ends, report)
    different = _differences(stored, now)
    by_block = False
    if different:
        as_stored = _run(study, study.arms[arm], trials, [trials], ends)
        by_block = not _differences(stored, as_stored)
    return Recomputed(len(stored), tuple(different), by_block)


def _stored(block: StoredBlock) -> _Numbers:
    """What a folder holds of a block."""
    frame = block.table()
    numbers: _Numbers = {str(name): frame[name] for name in frame.columns}
    numbers[_STOPPED] = block.seal.pruned
    if "sizes" in block.seal.files:
        sizes = block.sizes()
        numbers |= {f"sizes: {name}": sizes[name] for name in SIZE_COLUMNS}
    if (data := block.content("policies")) is not None:
        memory = _policies(block.beside("policies"), data)
        numbers |= {f"policies: {name}": one for name, one in memory.items()}
    return numbers


def _ends(stored: _Numbers) -> dict[int, set[int]]:
    """The trials that a callback stopped, by the last round that they played."""
    found: dict[int, set[int]] = {}
    for trial in stored[_STOPPED]:
        last = int((stored["trial"] == trial).sum()) - 1
        found.setdefault(last, set()).add(trial)
    return found


def _known(optimum: float | None, ranges: Mapping[str, Bounds] | None) -> _Numbers:
    """What is known of an environment beforehand."""
    flat = sorted((name, *bounds) for name, bounds in (ranges or {}).items())
    return {"optimum": optimum, "ranges": flat}


def _other_blocks(trials: list[int]) -> list[list[int]]:
    """Several trials in two blocks, and a single one beside another one."""
    if len(trials) == 1:
        return [sorted([*trials, trials[0] - 1 if trials[0] else 1])]
    half = (len(trials) + 1) // 2
    return [trials[:half], trials[half:]]


def _run(
    study: Study,
    arm: Arm,
    trials: list[int],
    blocks: list[list[int]],
    ends: Mapping[int, set[int]],
    report: Callable[[int], None] = lambda count: None,
) -> _Numbers:
    """What some trials give, run in these blocks and stopped after these rounds."""
    frames, sizes, memories = [], [], []
    pruned: list[int] = []

    def stop(played: Played) -> None:
        if played.stops is not None:
            played.stops.update(ends.get(played.episode, ()))

    for block in blocks:
        memory, counted = Memory(), list[Any]()
        table = run_block(
            study,
            arm,
            block,
            report=lambda count: report(min(count, len(trials))),
            keep=memory.update,
            count=counted.append,
            tell=stop,
            wanted=Wanted(rounds=bool(ends)),
            pruned=pruned.extend,
        )
        frames.append(_of_trials(table, trials))
        sizes.append(_of_trials(counted[0], trials))
        own = np.isin(block, trials)
        memories.append({name: values[own] for name, values in memory.items()})
    return (
        _joined(frames, "")
        | {_STOPPED: pruned}
        | _joined(sizes, "sizes: ")
        | _joined(memories, "policies: ")
        | _known(optimum_of(study, arm), ranges_of(study, arm))
    )


def _of_trials(table: pa.Table, trials: list[int]) -> _Numbers:
    """The columns of some trials' rows."""
    rows = np.isin(table["trial"].to_numpy(), trials)
    return {name: table[name].to_numpy()[rows] for name in table.column_names}


def _joined(parts: list[_Numbers], prefix: str) -> _Numbers:
    return {
        f"{prefix}{name}": np.concatenate([part[name] for part in parts])
        for name in parts[0]
    }


def _differences(stored: _Numbers, now: _Numbers) -> list[Difference]:
    """What differs in what was stored, the largest distance first."""
    kinds = {name.rpartition(": ")[0] for name in stored}
    names = [name for name in stored | now if name.rpartition(": ")[0] in kinds]
    found = [
        _difference(name, stored[name], now[name])
        if name in stored and name in now
        else Difference(name, np.inf)
        for name in names
    ]
    return sorted(filter(None, found), key=lambda one: -one.distance)


def is_tabular(study: Study, arm: Arm) -> bool:
    """Whether an environment has tables and what is learned for it is one."""
    world = world_of(arm, 1)
    try:
        if world.mdp is None:
            return False
        learner = arm.algorithm.learner(problem_of(study, arm, [0], world))
        return isinstance(learner.policy(), np.ndarray)
    except NotImplementedError:  # a learner that does not say what its policy is
        return False
    finally:
        world.close()


def _policies(path: Path, data: bytes) -> Memory:
    try:
        return unpacked(data)
    except ValueError as error:
        raise ResultsError(f"{path} is damaged ({error})") from None


def _difference(name: str, stored: Any, now: Any) -> Difference | None:
    """How two arrays differ; None if they are equal bit for bit."""
    one, other = np.asarray(stored), np.asarray(now)
    if one.shape != other.shape:
        return Difference(name, np.inf)
    if one.dtype.kind not in "biuf" or other.dtype.kind not in "biuf":
        same = bool((one.astype(object) == other.astype(object)).all())
        return None if same else Difference(name, np.inf)
    if one.dtype == other.dtype and one.tobytes() == other.tobytes():
        return None
    return Difference(name, _distance(one, other))


def _distance(one: NDArray[Any], other: NDArray[Any]) -> float:
    one, other = one.astype(np.float64), other.astype(np.float64)
    finite = np.isfinite(one) & np.isfinite(other)
    alike = (one == other) | (np.isnan(one) & np.isnan(other))
    if not (finite | alike).all():
        return np.inf
    apart, size = np.abs(one[finite] - other[finite]), np.abs(other[finite])
    if not apart.any():
        return 0.0
    typical = size.mean()
    return float((apart / np.maximum(size, typical)).max()) if typical else np.inf
