"""How long a study will take and how much room it will need, from a short probe of it.

Some of its arms are really run, a few trials of them and as many rounds as fit in some
seconds; nothing is written. What a round costs changes while agents learn, so the
rounds that were not run are taken to cost what the last ones did. A larger block costs
more than a small one, by how much the first rounds say. All other arms are taken to
cost what the probed ones do, those of the same environment, algorithm and number of
agents first of all.
"""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from commenv.study.arm import Arm
from commenv.study.execution.block import run_block
from commenv.study.execution.plan import blocks_of, missing
from commenv.study.spec import Study
from commenv.study.storage.manifest import packed_manifest
from commenv.study.storage.safe_parquet import packed_table
from commenv.study.storage.schema import StudySettings
from commenv.study.storage.weights import Memory, packed

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Estimate", "estimate"]

PROBED_SECONDS = 8.0
"""How long the probes of a study take, where one round of each does not take longer."""

_FEW_TRIALS = 2
_MOST_PROBES = 8
_FIRST_ROUNDS = 3
_LONGER = 4  # each probe of an arm, than the one before
_SEAL_BYTES = 1000  # the checksums of a block


@dataclass(frozen=True)
class Estimate:
    """What a study will need, roughly.

    Attributes:
        seconds: Of the whole study, with as many workers as were asked for.
        bytes: Of its results folder.
        probed: How many arms were run for a moment.
        arms: How many there are.
    """

    seconds: float
    bytes: float
    probed: int
    arms: int


class _Probe(NamedTuple):
    """What some trials of an arm cost.

    Attributes:
        setup: Seconds before the first round.
        rounds: Seconds of all the rounds that a trial plays, of few trials.
        more: How many times as much a round of a whole block costs.
        per_row: Bytes on the disk of a row, an episode of a trial.
        per_trial: Bytes on the disk beside that.
        fixed: Bytes of a block, whatever it holds.
        rows: Episodes of a trial.
    """

    setup: float
    rounds: float
    more: float
    per_row: float
    per_trial: float
    fixed: float
    rows: float


def estimate(
    study: Study,
    *,
    workers: int = 1,
    block: int | None = None,
    seconds: float = PROBED_SECONDS,
) -> Estimate:
    """Runs a study for some seconds, to say what all of it will need.

    Args:
        study: The settings.
        workers: Blocks that will run at a time.
        block: Trials that will run together; chosen as :func:`commenv.run` does.
        seconds: How long to try.
    """
    cut = list(blocks_of(study, missing(study, None), block, workers, True))
    largest = max(len(one.trials) for one in cut)
    probes = _probes(study, largest, seconds)
    durations: list[float] = []
    room = float(len(packed_manifest(StudySettings.of(study), {}, {}, {})))
    for one in cut:
        probe = _like(probes, study, one.arm)
        share = (len(one.trials) - _few(study)) / max(1, largest - _few(study))
        scale = 1 + (probe.more - 1) * max(0.0, share)
        durations.append(probe.setup + probe.rounds * scale)
        per_trial = probe.per_trial + probe.per_row * probe.rows
        room += probe.fixed + per_trial * len(one.trials)
    least = max(durations)
    return Estimate(
        max(least, sum(durations) / workers), room, len(probes), len(study.arms)
    )


def _few(study: Study) -> int:
    return min(_FEW_TRIALS, len(study.trials))


def _probes(study: Study, largest: int, seconds: float) -> dict[int, _Probe]:
    """A probe of some arms, one of each kind first, by the arm's place."""
    kinds: dict[Any, int] = {}
    for place, arm in enumerate(study.arms):
        kinds.setdefault(_kind(arm), place)
    chosen = _spread(list(kinds.values()), _MOST_PROBES)
    others = [place for place in range(len(study.arms)) if place not in chosen]
    chosen += _spread(others, _MOST_PROBES - len(chosen))
    deadline = time.monotonic() + seconds
    _block(study, study.arms[chosen[0]], _few(study), 1)  # loads what is to be loaded
    probes: dict[int, _Probe] = {}
    for number, place in enumerate(chosen):
        left = deadline - time.monotonic()
        if probes and left <= 0:
            break
        share = max(0.0, left) / (len(chosen) - number)
        probes[place] = _probe(study, study.arms[place], largest, share)
    return probes


def _spread(places: list[int], most: int) -> list[int]:
    """So many of some places at most, from the first to the last evenly."""
    if len(places) <= most:
        return places
    return [
        places[round(i * (len(places) - 1) / max(1, most - 1))] for i in range(most)
    ]


def _kind(arm: Arm) -> tuple[Any, ...]:
    return (
        arm.environment,
        arm.time_limit,
        type(arm.algorithm),
        type(arm.scheme),
        arm.num_agents,
    )


def _like(probes: Mapping[int, _Probe], study: Study, place: int) -> _Probe:
    """The probe of the arm that is most like another one."""
    kind = _kind(study.arms[place])

    def likeness(other: int) -> tuple[int, int]:
        same = zip(kind, _kind(study.arms[other]), strict=True)
        return sum(one == another for one, another in same), -abs(other - place)

    return probes[max(probes, key=likeness)]


def _probe(study: Study, arm: Arm, largest: int, seconds: float) -> _Probe:
    """Runs an arm for some seconds, each time longer than before."""
    few = _few(study)
    began = time.monotonic()
    ran = _block(study, arm, few, _FIRST_ROUNDS)
    early = statistics.fmean(ran.rounds)
    more = 1.0
    if largest > few:
        larger = _block(study, arm, largest, _FIRST_ROUNDS)
        more = max(1.0, statistics.fmean(larger.rounds) / early)
    rounds = _FIRST_ROUNDS
    while len(ran.rounds) < study.num_episodes - 1 and not ran.stopped:
        took = sum(ran.rounds)
        if time.monotonic() - began + took * _LONGER > seconds:
            break
        rounds *= _LONGER
        ran = _block(study, arm, few, rounds)
    return _extrapolated(study, ran, few, more)


class _Ran(NamedTuple):
    """A block that was run.

    Attributes:
        setup: Seconds before the second round, less what a round takes.
        rounds: Seconds of each round from the second on.
        stopped: Whether all its trials came to their end.
        table: What was measured.
        sizes: Of its messages.
        memory: What was learned.
    """

    setup: float
    rounds: list[float]
    stopped: bool
    table: pa.Table
    sizes: pa.Table
    memory: Memory


def _block(study: Study, arm: Arm, trials: int, rounds: int) -> _Ran:
    """Runs some trials until they have taken as many steps as rounds may have.

    The number of rounds stays what it is, since agents may plan with it.
    """
    steps = float(rounds * arm.time_limit)
    wanted = dict(study.stop or {})
    own = wanted.get("env_steps", math.inf)
    shortened = replace(study, stop={**wanted, "env_steps": min(own, steps)})
    memory = Memory()
    sizes: list[pa.Table] = []
    marks = [time.perf_counter()]
    table = run_block(
        shortened,
        arm,
        list(study.trials[:trials]),
        report=lambda count: marks.append(time.perf_counter()),
        keep=memory.update,
        count=sizes.append,
    )
    took = [late - early for early, late in itertools.pairwise(marks)]
    each = took[1:] or took
    setup = max(0.0, took[0] - statistics.fmean(each[:_FIRST_ROUNDS]))
    whole = own <= steps or table.column("env_steps").to_numpy().max() < steps
    return _Ran(setup, each, bool(whole), table, sizes[0], memory)


def _extrapolated(study: Study, ran: _Ran, few: int, more: float) -> _Probe:
    """What all rounds need, from those that were run."""
    played = len(ran.rounds)
    rows = ran.table.num_rows
    total = rows / few if ran.stopped else study.num_episodes
    late = statistics.fmean(ran.rounds[-max(1, played // 4) :])
    rounds = sum(ran.rounds) + late * max(0.0, total - played)
    whole = len(packed_table(ran.table))
    half = len(packed_table(ran.table.slice(0, max(1, rows // 2))))
    per_row = max(0.0, whole - half) / max(1, rows - max(1, rows // 2))
    per_trial = (len(packed(ran.memory)) + len(packed_table(ran.sizes))) / few
    fixed = _SEAL_BYTES + max(0.0, whole - per_row * rows)
    return _Probe(ran.setup, rounds, more, per_row, per_trial, fixed, total)
