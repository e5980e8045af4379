"""Stable-Baselines3 as local learners: parameters as vectors, no global state touched.

Stable-Baselines3 draws from Python's, NumPy's and torch's global generators. Each model
here has a state of all three of its own, which is in force while the model works and at
no other time.
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.vec_env import DummyVecEnv
from stable_baselines3.dqn.policies import DQNPolicy
from torch import nn

from commenv.envs.checker import name_of
from commenv.errors import EnvironmentFaultError

__all__ = [
    "LocalModel",
    "Measured",
    "RandomState",
    "TorchPolicy",
    "new_policy",
    "one_thread",
    "read_parameters",
    "write_parameters",
]

Vector = NDArray[np.float32]
MakeModel = Callable[[DummyVecEnv], BaseAlgorithm]


class RandomState:
    """A state of the three global generators, in force inside a ``with`` block.

    What the block draws moves this state on; the caller's is put back at its end. The
    generators of other devices than the CPU are not touched.

    Args:
        seed: Starts the state as ``random.seed``, ``numpy.random.seed`` and
            ``torch.manual_seed`` would, in [0, 2**32).
    """

    def __init__(self, seed: int) -> None:
        self._state = (
            random.Random(seed).getstate(),
            np.random.RandomState(seed).get_state(),
            torch.Generator().manual_seed(seed).get_state(),
        )

    def __enter__(self) -> None:
        self._swap()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._swap()

    def _swap(self) -> None:
        """Exchanges this state and the one in force."""
        outer = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
        random.setstate(self._state[0])
        np.random.set_state(self._state[1])  # noqa: NPY002
        torch.set_rng_state(self._state[2])
        self._state = outer


@contextmanager
def one_thread() -> Iterator[None]:
    """Keeps torch to one thread, since threads would decide the order of its sums."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Measured(NamedTuple):
    """What a model measured of its episodes since it was asked before.

    Attributes:
        reward: Mean discounted return of the episodes that ended; if none did, that of
            the episode that goes on, so far.
        episode_return: The same without discount.
    """

    reward: float
    episode_return: float


class LocalModel:
    """One Stable-Baselines3 model that trains in an instance of its own.

    Args:
        make_model: Makes the model, without a seed, for the instance given to it.
        env: The instance.
        gamma: The discount of what is measured.
        seed: Of everything that the model and the instance draw, in [0, 2**31).
        start: The parameters that it starts from, float32 of shape (P,).

    Attributes:
        model: The model.
    """

    def __init__(
        self,
        make_model: MakeModel,
        env: gym.Env[Any, Any],
        gamma: float,
        seed: int,
        start: Vector,
    ) -> None:
        self._meter = _Meter(env, gamma)
        self._random = RandomState(seed)
        with self._random, one_thread():
            vector = DummyVecEnv([lambda: self._meter])
            self.model = make_model(vector)
            self.model.set_logger(Logger(folder=None, output_formats=[]))
            self.model.action_space.seed(seed)
            vector.seed(seed)
        self.write(start)
        if isinstance(self.model.policy, DQNPolicy):
            target, net = self.model.policy.q_net_target, self.model.policy.q_net
            target.load_state_dict(net.state_dict())

    def train(self, steps: int) -> Measured:
        """Trains for some environment steps, from where the last call stopped."""
        with self._random, one_thread():
            self.model.learn(steps, log_interval=None, reset_num_timesteps=False)  # type: ignore[arg-type]
        return self._meter.take()

    def read(self) -> Vector:
        """The trainable parameters: float32, shape (P,)."""
        return read_parameters(self.model.policy)

    def write(self, vector: Vector) -> None:
        """Sets the trainable parameters; the optimizer keeps what it remembers."""
        write_parameters(self.model.policy, vector)

    def close(self) -> None:
        """Closes the instance."""
        self._meter.close()


def read_parameters(policy: BasePolicy) -> Vector:
    """A policy's trainable parameters, one after the other: float32, shape (P,)."""
    parts = [part.detach().numpy().ravel() for part in _trainable(policy)]
    return np.concatenate(parts).astype(np.float32)


def write_parameters(policy: BasePolicy, vector: Vector) -> None:
    """Sets a policy's trainable parameters from float32 of shape (P,)."""
    at = 0
    for part in _trainable(policy):
        size = part.numel()
        values = torch.from_numpy(vector[at : at + size].copy())
        part.data.copy_(values.view_as(part))
        at += size


def _trainable(policy: BasePolicy) -> Iterable[nn.Parameter]:
    """What an optimizer changes: of DQN its network, not the target's copy."""
    return (policy.q_net if isinstance(policy, DQNPolicy) else policy).parameters()


def new_policy(
    policy_class: type[ActorCriticPolicy] | type[DQNPolicy],
    observation_space: gym.Space[Any],
    action_space: Any,
    hidden_sizes: Iterable[int],
    seed: int,
) -> BasePolicy:
    """A policy with the parameters that Stable-Baselines3 draws for it."""
    with RandomState(seed), one_thread():
        return policy_class(
            observation_space,
            action_space,
            lambda _: 0.0,  # its optimizer is never used
            net_arch=list(hidden_sizes),
        ).to("cpu")


class TorchPolicy:
    """Policies that do not explore, as a function from observations to actions.

    It is an :data:`commenv.learning.evaluation.Act`: observations have a flat,
    trial-major leading axis, the same number of rows for each trial. Each trial's rows
    pass its network together.

    Args:
        template: A policy of the right sizes; it is not changed.
        theta: float32, shape (trials, P).
    """

    def __init__(self, template: BasePolicy, theta: Vector) -> None:
        self._policies = [copy.deepcopy(template) for _ in theta]
        for policy, vector in zip(self._policies, theta, strict=True):
            write_parameters(policy, vector)

    def __call__(self, observations: NDArray[Any]) -> NDArray[Any]:
        """One action for each row."""
        parts = np.split(np.asarray(observations), len(self._policies))
        with one_thread():
            actions = [
                policy.predict(part, deterministic=True)[0]
                for policy, part in zip(self._policies, parts, strict=True)
            ]
        return np.concatenate(actions)

    def to_torch(self, trial: int = 0) -> nn.Module:
        """The policy of the trial at this position as a torch module, float32.

        It takes flat observations (one-hot where the space is discrete). It returns
        the action for a Box, flat; else the last layer, whose largest number (of each
        branch) stands for the action.
        """
        policy = copy.deepcopy(self._policies[trial])
        if isinstance(policy, DQNPolicy):
            return policy.q_net.q_net
        assert isinstance(policy, ActorCriticPolicy)
        layers = [*policy.mlp_extractor.policy_net, policy.action_net]
        if isinstance(policy.action_space, spaces.Box):
            layers.append(_Clip(policy.action_space))
        return nn.Sequential(*layers)


class _Clip(nn.Module):
    """Keeps actions within the bounds of their space."""

    def __init__(self, space: spaces.Box) -> None:
        super().__init__()
        self.low: torch.Tensor
        self.high: torch.Tensor
        self.register_buffer("low", torch.from_numpy(space.low.ravel()))
        self.register_buffer("high", torch.from_numpy(space.high.ravel()))

    def forward(self, actions: torch.Tensor) -> torch.Tensor:
        return torch.clamp(actions, self.low, self.high)


class _Meter(gym.Wrapper[Any, Any, Any, Any]):
    """Measures the episodes of one instance, and has an action space of its own.

    Environments may share one action space between instances, whose draws would then
    depend on who else draws.
    """

    def __init__(self, env: gym.Env[Any, Any], gamma: float) -> None:
        super().__init__(env)
        self.action_space = copy.deepcopy(env.action_space)
        self._gamma = gamma
        self._ended: list[tuple[float, float]] = []
        self._begin()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        self._begin()
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        reward = float(reward)
        if not math.isfinite(reward):
            raise EnvironmentFaultError(
                name_of(self.env),
                f"returned the reward {reward}",
                "no value function learns from it: give a large finite penalty, or use "
                "es, which sends whole returns",
            )
        self._discounted += self._discount * reward
        self._total += reward
        self._discount *= self._gamma
        if terminated or truncated:
            self._ended.append((self._discounted, self._total))
        return observation, reward, terminated, truncated, info

    def take(self) -> Measured:
        """The means since the last call."""
        episodes, self._ended = self._ended, []
        means = np.mean(episodes or [(self._discounted, self._total)], axis=0)
        return Measured(float(means[0]), float(means[1]))

    def _begin(self) -> None:
        self._discounted, self._total, self._discount = 0.0, 0.0, 1.0
