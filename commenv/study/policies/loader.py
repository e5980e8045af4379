"""Trained policies out of a results folder, ready to act again.

A manifest is outside data, and names code: the algorithm's class, and perhaps an
environment or a setting written ``module:Name``. Importing a module runs it. So only
algorithms that installed packages have registered are imported, and what the caller
names again in ``allow``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from msgspec import structs

from commenv.errors import ResultsError, UnknownNameError
from commenv.learning import Policy
from commenv.seeds import integer_seed
from commenv.study.arm import Arm
from commenv.study.execution.build import problem_of, world_of
from commenv.study.spec import Study
from commenv.study.storage.extra import check_extra
from commenv.study.storage.manifest import brief
from commenv.study.storage.names import trials_in
from commenv.study.storage.reconstruction import rebuilt, unfit, without_channels
from commenv.study.storage.store import Store
from commenv.study.storage.stored_block import StoredBlock
from commenv.study.storage.weights import Memory, read_memory

if TYPE_CHECKING:
    import torch

__all__ = ["Trained", "TrainedPolicy", "load_policy", "trained"]


class TrainedPolicy:
    """What one trial has learned; it does not explore.

    Args:
        arm: The label, its environment and its algorithm.
        trial: The trial's number.
        world: A batch with the environment's spaces.
        policy: What was learned, for this one trial.
        seed: Of the draws between actions that are equally good.

    Attributes:
        arm: As given.
        trial: As given.
        observation_space: Of what :meth:`act` takes.
        action_space: Of what it returns.
        policy: As given: a table of shape (1, states, actions), or a function.
    """

    def __init__(
        self, arm: Arm, trial: int, world: Any, policy: Policy, seed: int = 0
    ) -> None:
        self.arm = arm
        self.trial = trial
        self.observation_space: gym.Space[Any] = world.parts_space
        self._flat_space: gym.Space[Any] = world.single_observation_space
        self.action_space: gym.Space[Any] = world.single_action_space
        self.policy = policy
        self._random = np.random.default_rng(integer_seed(seed))

    def __repr__(self) -> str:
        where = self.arm.environment
        return f"<policy of {self.arm.label!r}, trial {self.trial}, for {where}>"

    def act(self, observation: Any) -> Any:
        """The action for one observation, both as the Gymnasium environment has them.

        Raises:
            ValueError: The observation does not fit the observation space.
        """
        if self.observation_space != self._flat_space:
            if not self.observation_space.contains(observation):
                raise ValueError(
                    f"observation {observation} does not fit the space "
                    f"{self.observation_space}"
                )
            observation = spaces.flatten(self.observation_space, observation)
        seen = np.asarray(observation)
        self._check(seen)
        if isinstance(self.policy, np.ndarray):
            chances = self.policy[0, seen]
            uniform = self._random.random()
            return int((uniform >= np.cumsum(chances)[:-1]).sum())
        action = np.asarray(self.policy(seen[None]))[0]
        return int(action) if isinstance(self.action_space, spaces.Discrete) else action

    def to_torch(self) -> torch.nn.Module:
        """The policy as a torch module, from flat observations to the last layer.

        Raises:
            ValueError: It is a table, or a function that is not a network.
            MissingExtraError: The extra ``torch`` is not installed.
        """
        export: Any = getattr(self.policy, "to_torch", None)
        if export is None:
            raise ValueError(
                f"{self!r} is no network, so it has no torch module; its table or "
                "function is the attribute policy"
            )
        module: torch.nn.Module = export(0)
        return module

    def _check(self, seen: np.ndarray[Any, Any]) -> None:
        space = self._flat_space
        # A Box is not asked whether it contains it: simulators leave its bounds.
        fits = seen.shape == space.shape
        if not isinstance(space, spaces.Box):
            fits = fits and space.contains(seen)
        if not fits:
            raise ValueError(f"observation {seen} does not fit the space {space}")


class Trained:
    """One label of a results folder.

    Args:
        store: The folder.
        position: The label's place in the study.
        study: The study, with this label alone.

    Attributes:
        arm: The label, its environment and its algorithm.
        study: As given.
        world: One instance of the environment, closed: its spaces and tables.
        trials: The finished trials.
    """

    def __init__(self, store: Store, position: int, study: Study) -> None:
        self._store = store
        self.study, (self.arm,) = study, study.arms
        self.world = world_of(self.arm, 1)
        self.world.close()  # it is asked for its spaces and tables alone
        self._blocks = store.blocks(position)
        self.trials = sorted(self._blocks)
        self._read: tuple[StoredBlock, Memory] | None = None

    def policy(self, trial: int, seed: int = 0) -> TrainedPolicy:
        """What a trial has learned.

        Raises:
            ValueError: No such trial is finished.
            ResultsError: Its file is missing, damaged or another study's, or the
                algorithm does not say what its policy is.
        """
        problem = problem_of(self.study, self.arm, [trial], self.world)
        try:
            learner = self.arm.algorithm.learner(problem)
        except ValueError as error:
            raise unfit(self._store, error) from error
        learner.memory = self._memory(trial, learner.memory)
        try:
            policy = learner.policy()
        except NotImplementedError as error:
            raise ResultsError(
                f"{self.arm.label!r} cannot act again: {error}"
            ) from error
        return TrainedPolicy(self.arm, trial, self.world, policy, seed)

    def _memory(self, trial: int, like: Memory) -> Memory:
        """What one trial has learned; a block is read once for all of its trials."""
        if (block := self._blocks.get(trial)) is None:
            raise ValueError(
                f"trial {trial} is not among the finished ones, "
                f"{brief.repr(self.trials)}"
            )
        if self._read is None or self._read[0] is not block:
            self._read = block, read_memory(block, like)
        first = (trials_in(block.path) or range(0)).start
        row = slice(trial - first, trial - first + 1)
        return {name: values[row].copy() for name, values in self._read[1].items()}


def trained(
    directory: str | Path, label: str | None = None, allow: Collection[str] = ()
) -> Iterator[Trained]:
    """The labels of a results folder, or one of them.

    Args:
        directory: The folder.
        label: One label; all when left out.
        allow: Every ``module:Name`` in the folder's settings that may be imported;
            registered algorithms need no such leave.

    Raises:
        ResultsError: A folder that is not ours or is damaged, settings that this
            commenv cannot use, or a name that is not allowed.
        UnknownNameError: No such label; the message lists the nearest.
        MissingExtraError: The extra ``study`` is not installed.
    """
    check_extra("playing trained policies")
    store = Store(directory)
    settings = store.manifest().study
    if label is not None and label not in settings.labels:
        raise UnknownNameError("label", label, settings.labels)
    for position, arm in enumerate(settings.arms):
        if label in (None, arm.label):
            alone = structs.replace(settings, arms=[without_channels(arm)])
            yield Trained(store, position, rebuilt(store, alone, allow))


def load_policy(
    directory: str | Path,
    label: str | None = None,
    trial: int | None = None,
    *,
    seed: int = 0,
    allow: Collection[str] = (),
) -> TrainedPolicy:
    """A trained policy out of a results folder, for use elsewhere.

    Args:
        directory: The folder that a study was written to.
        label: Which of its labels; the first when left out.
        trial: Which trial; the first that is finished when left out.
        seed: Of the draws between actions that are equally good.
        allow: Every ``module:Name`` in the folder's settings that may be imported;
            registered algorithms need no such leave.

    Raises:
        ResultsError: A folder or file that is not ours or is damaged, or names code
            that is not allowed.
        ValueError: No such label or finished trial.
        MissingExtraError: The extra ``study`` is not installed.

    Example:
        >>> import commenv, gymnasium as gym
        >>> policy = commenv.load_policy("results")  # doctest: +SKIP
        >>> env = gym.make("SimpleGrid-v0")
        >>> observation, _ = env.reset(seed=0)
        >>> env.step(policy.act(observation))  # doctest: +SKIP
    """
    one = next(trained(directory, label, allow))
    chosen = next(iter(one.trials), 0) if trial is None else trial
    return one.policy(chosen, seed)
