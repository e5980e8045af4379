"""An algorithm's two halves, looked at in every round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from commenv.channel import Messages
from commenv.learning import Learner, Problem, RoundAgents, Rounds, Signal
from commenv.study.arm import Arm
from commenv.study.execution.build import problem_of, worlds_of
from commenv.study.spec import Study
from commenv.wrappers import ChannelEnv

__all__ = ["watch"]


def watch(study: Study, arm: Arm) -> None:
    """Plays a study's rounds, and checks what both halves hold, send and say.

    Raises:
        AssertionError: A promise that is broken.
    """
    trials = range(study.num_trials)
    world = worlds_of(arm, study.num_trials)
    env = ChannelEnv(world, trials, arm.num_agents, gamma=study.gamma)
    problem = problem_of(study, arm, trials, world)
    signals = frozenset(arm.algorithm.signals) | problem.signals
    problem = replace(problem, signals=signals)
    agents = arm.algorithm.agents(problem)
    learner = arm.algorithm.learner(problem)
    assert isinstance(agents, RoundAgents), f"agents() returns {agents!r}"
    assert isinstance(learner, Learner), f"learner() returns {learner!r}"
    rounds = Rounds(env, agents, learner, arm.scheme, seed=study.seed)
    _watch_candidates(agents, problem, signals)
    try:
        _play(rounds, problem, study.num_episodes)
    finally:
        rounds.close()
        problem.evaluator.close()


def _play(rounds: Rounds, problem: Problem, num_rounds: int) -> None:
    agents, learner = rounds.agents, rounds.learner
    trials = problem.shape[:1]
    first = _learner_memory(learner, trials), learner.parameters()
    _check_parameters(first[1], trials)
    held: dict[str, tuple[int, ...]] | None = None
    for episode, _ in enumerate(rounds.play(num_rounds)):
        shapes = _agents_memory(agents, problem.shape)
        assert held in (None, shapes), _changed("the agents'", held, shapes)
        held = shapes
        memory = _learner_memory(learner, trials)
        assert memory == first[0], _changed("the learner's", first[0], memory)
        parameters = learner.parameters()
        _check_parameters(parameters, trials)
        assert parameters.dtype == first[1].dtype, (
            f"parameters() returns {parameters.dtype} after round {episode}, and "
            f"{first[1].dtype} at first; keep to one dtype"
        )
        _check_policy(learner, problem, episode)


def _agents_memory(
    agents: RoundAgents, shape: tuple[int, int]
) -> dict[str, tuple[int, ...]]:
    if not agents.resumable:
        return {}
    return _shapes(getattr(agents, "memory", None), shape, "the agents'")


def _learner_memory(
    learner: Learner, trials: tuple[int, ...]
) -> dict[str, tuple[int, ...]]:
    memory = getattr(learner, "memory", None)
    assert memory, "the learner's memory is empty; keep what it learns there"
    return _shapes(memory, trials, "the learner's")


def _shapes(
    memory: Any, leading: tuple[int, ...], whose: str
) -> dict[str, tuple[int, ...]]:
    """The shapes of a memory, once it is known to be arrays with the right axes."""
    axes = ("trials", "agents")[: len(leading)]
    assert isinstance(memory, dict), (
        f"{whose} memory is {memory!r}; make it a dictionary of arrays"
    )
    for name, values in memory.items():
        assert isinstance(values, np.ndarray) and values.dtype.kind in "biuf", (  # noqa: PT018
            f"{whose} memory {name!r} is {values!r:.80}; use arrays of numbers"
        )
        assert values.shape[: len(leading)] == leading, (
            f"{whose} memory {name!r} has shape {values.shape}; its first axes must be "
            f"({', '.join(axes)}) = {leading}"
        )
    return {name: values.shape for name, values in memory.items()}


def _changed(whose: str, before: Any, after: Any) -> str:
    return (
        f"{whose} memory is {after} after a round, and {before} before; keep names and "
        "shapes as they are, for checkpoints"
    )


def _check_parameters(parameters: Any, trials: tuple[int, ...]) -> None:
    assert isinstance(parameters, np.ndarray) and parameters.dtype.names, (  # noqa: PT018
        f"parameters() returns {parameters!r:.80}; return a structured array"
    )
    assert parameters.shape == trials, (
        f"parameters() has shape {parameters.shape}; return one record for each of the "
        f"{trials[0]} trials"
    )
    _check_finite(parameters, "parameters()")


def _check_finite(records: NDArray[np.void], what: str) -> None:
    for name in records.dtype.names or ():
        values = records[name]
        assert values.dtype.kind != "f" or np.isfinite(values).all(), (
            f"{what} holds numbers in {name!r} that are not finite"
        )


def _watch_candidates(agents: Any, problem: Problem, signals: frozenset[str]) -> None:
    """Has what the agents offer checked whenever the rounds ask for it."""
    offer = agents.candidates

    def candidates() -> tuple[Messages, Mapping[str, Signal]]:
        messages, offered = offer()
        assert isinstance(messages, Messages), f"candidates() offers {messages!r:.80}"
        assert messages.shape == problem.shape, (
            f"candidates() offers messages of shape {messages.shape}; it must be "
            f"(trials, agents) = {problem.shape}"
        )
        _check_finite(messages.records, "candidates()")
        missing = sorted(signals - offered.keys())
        assert not missing, f"declares the signals {missing}, and does not offer them"
        for name in sorted(signals):
            _check_signal(name, offered[name], messages)
        return messages, offered

    agents.candidates = candidates


def _check_signal(name: str, signal: Any, messages: Messages) -> None:
    assert isinstance(signal, Signal), (
        f"signal {name!r} is {signal!r:.80}, not a Signal"
    )
    records = signal.level == "record"
    shape = (len(messages.records),) if records else messages.shape
    assert signal.values.shape == shape, (
        f"signal {name!r} about each {signal.level} has shape {signal.values.shape}; "
        f"it must be {shape}"
    )
    assert np.array_equal(signal.counts, messages.counts), (
        f"signal {name!r} counts other records than the messages hold"
    )


def _check_policy(learner: Learner, problem: Problem, episode: int) -> None:
    try:
        policy = learner.policy()
    except NotImplementedError as error:
        raise AssertionError(f"{error}; say what was learned") from error
    values = learner.evaluate(episode)
    assert isinstance(values, np.ndarray) and values.shape == problem.shape[:1], (  # noqa: PT018
        f"evaluate() returns {values!r:.80}; return one value for each trial"
    )
    assert not np.isnan(values).any(), f"evaluate() returns {values}"
    if isinstance(policy, np.ndarray):
        _check_table(policy, problem)
    played = problem.evaluator.policy_values(policy, episode)
    assert np.array_equal(played, values), (
        f"evaluate() returns {values}, but policy() is worth {played}"
    )


def _check_table(policy: NDArray[Any], problem: Problem) -> None:
    spaces: Any = (problem.observation_space, problem.action_space)
    shape = (problem.shape[0], *(int(getattr(one, "n", 0)) for one in spaces))
    assert policy.shape == shape, (
        f"policy() has shape {policy.shape}; a table must be (trials, states, actions) "
        f"= {shape}"
    )
    assert (policy >= 0).all() and np.allclose(policy.sum(axis=-1), 1), (  # noqa: PT018
        "policy() holds rows that are not probabilities"
    )
