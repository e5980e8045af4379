"""Whether an algorithm keeps its promises."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from commenv.errors import ResultsError
from commenv.learning import Algorithm, Scheme
from commenv.learning.plugins import ALGORITHMS, check_plugin
from commenv.study.arm import Arm
from commenv.study.execution.block import run_block
from commenv.study.execution.checkpoints import Checkpoints, Schedule
from commenv.study.execution.sharding import CrewHere, Shards
from commenv.study.product import arms
from commenv.study.spec import Study
from commenv.study.storage.checkpoint import unpacked
from commenv.study.storage.extra import check_extra
from commenv.study.storage.weights import Memory, check_memory
from commenv.testing.global_state import check_untouched, global_state
from commenv.testing.halves import watch

__all__ = ["check_algorithm"]

_TRIALS = 3
_MORE_ROUNDS = 3
_NEVER = float("inf")


def check_algorithm(
    algorithm: Algorithm,
    environment: str = "SimpleGrid-v0",
    scheme: str | Scheme | None = None,
    *,
    num_agents: int = 4,
    num_rounds: int = 6,
    max_episode_steps: int | None = None,
) -> None:
    """Checks that an algorithm keeps the promises that studies rely on.

    It runs small studies and compares them bit for bit. Memories must be arrays with
    the right leading axes that keep their names and shapes, and say everything: a study
    resumed after any round gives the same numbers. No number may depend on which trials
    share a block or which agents share a shard, on pickling, or on a global generator,
    nor, unless the algorithm or its scheme declares ``plans``, on how many rounds there
    are to be.
    Messages and parameters must be finite, every declared signal must be there, and the
    policy must be one that can be evaluated, with the value that the learner reports.

    Args:
        algorithm: The algorithm, with the settings to check it under.
        environment: A Gymnasium id that the algorithm fits.
        scheme: What decides about its messages; the algorithm's own when left out.
        num_agents: Agents of each trial, at least 2.
        num_rounds: Rounds of each trial, at least 2. Use enough for everything that the
            algorithm does now and then to happen.
        max_episode_steps: The time limit; the environment's own when left out.

    Raises:
        AssertionError: A promise that is broken.
        ValueError: Fewer than 2 agents or rounds, an unknown environment or scheme, or
            an algorithm that does not fit them.
        MissingExtraError: The extra ``study`` is not installed.
    """
    check_extra("check_algorithm")
    for name, count in (("num_agents", num_agents), ("num_rounds", num_rounds)):
        if count < 2:
            raise ValueError(f"{name} is {count}; a check needs at least 2")
    try:
        check_plugin(algorithm, ALGORITHMS)
    except (TypeError, ValueError) as error:
        raise AssertionError(str(error)) from error
    study = Study(
        arms=arms(
            environment,
            algorithm,
            scheme,
            None,
            max_episode_steps,
            num_agents=num_agents,
        ),
        num_trials=_TRIALS,
        num_episodes=num_rounds,
        seed=7,
        evaluation_episodes=2,
    )
    watch(study, study.arms[0])
    before = global_state()  # after all imports, some of which draw
    whole = _run(study, algorithm)
    check_untouched(before, "use the problem's draws")
    _same(whole, _run(study, algorithm), "when run again")
    _same(whole, _run(study, _pickled(algorithm)), "after pickling")
    _check_blocks(study, algorithm, whole)
    _check_shards(study, algorithm, whole)
    _check_resume(study, algorithm, whole)
    if not (algorithm.plans or study.arms[0].scheme.plans):
        _check_more_rounds(study, algorithm, whole)


Numbers = dict[str, NDArray[Any]]
"""A study's columns and what its learners remember, by name; axis 0 goes by trials."""


def _run(
    study: Study,
    algorithm: Algorithm,
    trials: Sequence[int] = range(_TRIALS),
    **how: Any,
) -> Numbers:
    """Everything that some trials give."""
    memory = Memory()
    arm = _with(study.arms[0], algorithm)
    table = run_block(study, arm, trials, keep=memory.update, **how)
    check_memory(memory, algorithm.name)
    columns = {name: table[name].to_numpy() for name in table.column_names}
    return columns | {f"learner's {name}": one for name, one in memory.items()}


def _with(arm: Arm, algorithm: Algorithm) -> Arm:
    return replace(arm, algorithm=algorithm)


def _pickled(algorithm: Algorithm) -> Algorithm:
    try:
        copied: Algorithm = pickle.loads(pickle.dumps(algorithm))
    except Exception as error:
        raise AssertionError(
            f"cannot be pickled, which other processes need ({error}); define the "
            "class at the top of a module, and keep plain values in its settings"
        ) from error
    return copied


def _check_blocks(study: Study, algorithm: Algorithm, whole: Numbers) -> None:
    for trials in ([0], [1], [2], [1, 2]):
        part = _of_trials(whole, trials)
        words = f"for trial{'s' * (len(trials) > 1)} {trials} alone"
        _same(part, _run(study, algorithm, trials), words)


def _check_shards(study: Study, algorithm: Algorithm, whole: Numbers) -> None:
    for number in sorted({2, study.arms[0].num_agents}):
        shards = Shards(number, CrewHere)
        words = f"with its agents in {number} shards"
        _same(whole, _run(study, algorithm, shards=shards), words)


def _check_resume(study: Study, algorithm: Algorithm, whole: Numbers) -> None:
    """Goes on after every round, from what a file would hold."""
    kept: list[bytes] = []
    _run(study, algorithm, checkpoints=Checkpoints(Schedule(1, _NEVER), kept.append))
    for played, state in enumerate(kept, 1):
        words = f"resumed after round {played}"
        try:
            resumed = _run(study, algorithm, resume=unpacked(state)["state"])
        except ResultsError as error:
            raise AssertionError(f"cannot be {words}: {error}") from error
        _same(whole, resumed, f"{words}; keep all that a half remembers in memory")


def _check_more_rounds(study: Study, algorithm: Algorithm, whole: Numbers) -> None:
    """Compares the rounds of a study with the first ones of a longer study."""
    more = replace(study, num_episodes=study.num_episodes + _MORE_ROUNDS)
    longer = _run(more, algorithm)
    first = longer["episode"] < study.num_episodes
    begun = {
        name: values[first]
        for name, values in longer.items()
        if len(values) == len(first)
    }
    expected = {name: whole[name] for name in begun}
    _same(expected, begun, "in a longer study; declare plans = True if it is meant")


def _of_trials(numbers: Numbers, trials: list[int]) -> Numbers:
    rows = np.isin(numbers["trial"], trials)
    return {
        name: values[rows] if len(values) == len(rows) else values[trials]
        for name, values in numbers.items()
    }


def _same(expected: Mapping[str, Any], given: Mapping[str, Any], when: str) -> None:
    assert expected.keys() == given.keys(), f"remembers other arrays {when}"
    for name, values in expected.items():
        other = given[name]
        assert values.shape == other.shape, (
            f"gives {name} of shape {other.shape} {when}, and {values.shape} before"
        )
        equal = (values == other) | ((values != values) & (other != other))
        assert equal.all(), (
            f"gives another {name} {when}: {other[~equal][:3]}, and "
            f"{values[~equal][:3]} before"
        )
