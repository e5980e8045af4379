"""One block of a study run again, and how far it is from what is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from commenv.errors import ResultsError, shown
from commenv.study.block import optimum_of, run_block
from commenv.study.files import check_regular
from commenv.study.frame import NAMES
from commenv.study.policies import Memory
from commenv.study.ranges import ranges_of
from commenv.study.setting_up import problem_of, world_of
from commenv.study.sizes import SIZE_COLUMNS
from commenv.study.spec import Cell, Study
from commenv.study.statistics import Bounds
from commenv.study.store import Store

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
    """

    compared: int
    differences: tuple[Difference, ...]


def recompute(
    store: Store,
    study: Study,
    cell: int,
    block: Path,
    report: Callable[[int], None] = lambda count: None,
) -> Recomputed:
    """Runs a block again and compares its table, sizes, policies, optimum and ranges.

    Args:
        store: The folder; what a block was stored without is not compared.
        study: The study that it holds.
        cell: The place of the block's cell.
        block: The block's file.
        report: See :func:`commenv.study.block.run_block`.

    Raises:
        ResultsError: A file is damaged.
    """
    tables: list[pa.Table] = []
    memory = Memory()
    now = run_block(
        study,
        study.cells[cell],
        list(store.trials_of(block)),
        report=report,
        keep=memory.update,
        count=tables.append,
    )
    pairs = [(store.read_block(block), now.to_pandas(), "", NAMES)]
    if store.beside(block, "sizes").exists():
        sizes = tables[0].to_pandas()
        pairs.append((store.read_sizes(block), sizes, "sizes: ", tuple(SIZE_COLUMNS)))
    label = study.cells[cell].label
    optimum = store.manifest().optima[label], optimum_of(study, study.cells[cell])
    found = [_difference("optimum", *optimum)]
    ranges = store.manifest().ranges.get(label), ranges_of(study, study.cells[cell])
    found.append(_difference("ranges", *map(_flat, ranges)))
    for stored, fresh, prefix, names in pairs:
        found += [
            _difference(f"{prefix}{name}", stored[name], fresh[name]) for name in names
        ]
    policies = store.beside(block, "policies")
    if policies.exists():
        found += _policies(policies, memory)
    different = sorted(filter(None, found), key=lambda one: -one.distance)
    return Recomputed(len(found), tuple(different))


def is_tabular(study: Study, cell: Cell) -> bool:
    """Whether an environment has tables and what is learned for it is one."""
    world = world_of(cell, 1)
    try:
        if world.mdp is None:
            return False
        learner = cell.algorithm.learner(problem_of(study, cell, [0], world))
        return isinstance(learner.policy(), np.ndarray)
    except NotImplementedError:  # a learner that does not say what its policy is
        return False
    finally:
        world.close()


def _policies(path: Path, now: Mapping[str, Any]) -> Iterator[Difference | None]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        check_regular(path)
        stored = load(path.read_bytes())
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise ResultsError(f"{path} is damaged ({shown(error)})") from None
    for name in sorted(stored.keys() | now.keys()):
        if name in stored and name in now:
            yield _difference(f"policies: {name}", stored[name], now[name])
        else:
            yield Difference(f"policies: {name}", np.inf)


def _flat(ranges: Mapping[str, Bounds] | None) -> list[tuple[str, float, float]]:
    return sorted((name, *bounds) for name, bounds in (ranges or {}).items())


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
