"""What the federated learners share: settings, and how models are made of them."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from commenv.errors import MissingExtraError
from commenv.learning import Algorithm, Problem
from commenv.learning.schemes.chosen import check_whole
from commenv.rng import Draws
from commenv_baselines.fed_averaging import SIGNALS, FedAgents, FedLearner
from commenv_baselines.policies import MLP

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.policies import BasePolicy
    from stable_baselines3.common.vec_env import VecEnv

    from commenv_baselines.sb3_models import LocalModel, TorchPolicy

__all__ = ["FedSB3"]


@dataclass(frozen=True)
class FedSB3(Algorithm):
    """What the federated learners share.

    Args:
        local_steps: Environment steps of each agent in a round, at least 1.
        learning_rate: Of the local optimizer, 0 or more and finite.
        hidden_sizes: Units of each hidden layer of every network.
        discount: What Stable-Baselines3 discounts with, in [0, 1]; None for the
            study's gamma.

    Raises:
        ValueError: A setting outside its range.
    """

    signals: ClassVar[tuple[str, ...]] = SIGNALS

    local_steps: int = 256
    learning_rate: float = 1e-3
    hidden_sizes: tuple[int, ...] = (64, 64)
    discount: float | None = None

    def __post_init__(self) -> None:
        self._at_least(1, "local_steps")
        self._within(0, np.inf, "learning_rate")
        if not np.isfinite(self.learning_rate):
            raise ValueError(f"learning_rate {self.learning_rate} is not finite")
        if any(size < 1 for size in self.hidden_sizes):
            raise ValueError(f"hidden_sizes {self.hidden_sizes}; use 1 or more units")
        if self.discount is not None:
            self._within(0, 1, "discount")

    def agents(self, problem: Problem) -> FedAgents:
        """The agents' half.

        Raises:
            ValueError: The algorithm does not fit the problem's spaces, or the problem
                does not say how to make an instance.
            MissingExtraError: The extra ``sb3`` is not installed.
        """
        if (make_env := problem.make_env) is None:
            raise ValueError(
                f"{self.name} trains in instances of its own, and this problem has no "
                "make_env; give it a function that makes an agent's environment"
            )
        models = _models()
        gamma = problem.gamma if self.discount is None else self.discount

        def make_model(agent: int, seed: int, start: NDArray[np.float32]) -> LocalModel:
            model: LocalModel = models.LocalModel(
                lambda env: self.model(env, gamma),
                make_env(agent),
                problem.gamma,
                seed,
                start,
            )
            return model

        return FedAgents(problem, self._start(problem), self.local_steps, make_model)

    def learner(self, problem: Problem) -> FedLearner:
        """The learner's half.

        Raises:
            ValueError: The algorithm does not fit the problem's spaces.
            MissingExtraError: The extra ``sb3`` is not installed.
        """
        models = _models()
        template = self._policy(problem, seed=0)  # parameters are always set

        def make_policy(theta: NDArray[np.float32]) -> TorchPolicy:
            policy: TorchPolicy = models.TorchPolicy(template, theta)
            return policy

        return FedLearner(problem, self._start(problem), make_policy)

    @abstractmethod
    def model(self, env: VecEnv, gamma: float) -> BaseAlgorithm:
        """A model of Stable-Baselines3 for an instance, with these settings."""

    @abstractmethod
    def _policy_class(self) -> Any:
        """The class of its policy."""

    def _check_spaces(self, problem: Problem) -> None:
        """Raises ValueError for spaces that the networks do not fit."""
        observations, actions = problem.observation_space, problem.action_space
        MLP(observations, actions, ())
        for what, space in (("observations", observations), ("actions", actions)):
            start = np.asarray(getattr(space, "start", 0))
            if start.any() or start.ndim > 1:
                raise ValueError(
                    f"{what} {space} do not fit Stable-Baselines3, which counts "
                    "choices from 0, and their branches in one row; wrap the "
                    "environment"
                )

    def _policy(self, problem: Problem, seed: int) -> BasePolicy:
        self._check_spaces(problem)
        policy: BasePolicy = _models().new_policy(
            self._policy_class(),
            problem.observation_space,
            problem.action_space,
            self.hidden_sizes,
            seed,
        )
        return policy

    def _start(self, problem: Problem) -> NDArray[np.float32]:
        """What every agent of a trial starts from: float32, shape (trials, P)."""
        draws = Draws(problem.draws.seed, problem.draws.trials, 1)
        read = _models().read_parameters
        seeds = draws.seeds("initial network", 0)[:, 0].tolist()
        return np.stack([read(self._policy(problem, seed)) for seed in seeds])

    def _networks(self) -> dict[str, Any]:
        """Arguments that every model takes."""
        return {
            "policy": "MlpPolicy",
            "policy_kwargs": {"net_arch": list(self.hidden_sizes)},
            "learning_rate": self.learning_rate,
            "device": "cpu",
        }

    def _at_least(self, least: int, *names: str) -> None:
        for name in names:
            check_whole(name, value := getattr(self, name))
            if value < least:
                raise ValueError(f"{name} is {value}; at least {least} is needed")

    def _within(self, low: float, high: float, *names: str) -> None:
        for name in names:
            if not low <= (value := getattr(self, name)) <= high:
                raise ValueError(f"{name} {value} is outside [{low}, {high}]")

    def _multiple(self, whole: str, part: str) -> None:
        """Raises ValueError unless one setting is a multiple of another."""
        many, few = getattr(self, whole), getattr(self, part)
        if many % few:
            near = many - many % few
            raise ValueError(
                f"{whole} {many} is no multiple of {part} {few}; use "
                + " or ".join(str(one) for one in (near, near + few) if one)
            )


def _models() -> ModuleType:
    """What imports torch and Stable-Baselines3.

    Raises:
        MissingExtraError: The extra ``sb3`` is not installed.
    """
    try:
        from commenv_baselines import sb3_models
    except ImportError as error:
        raise MissingExtraError("training with Stable-Baselines3", "sb3") from error
    return sb3_models
