r"""Federated Stable-Baselines3: agents train PPO, A2C or DQN, and moves are averaged.

Source: H. B. McMahan, E. Moore, D. Ramage, S. Hampson and B. Agüera y Arcas,
*Communication-Efficient Learning of Deep Networks from Decentralized Data* (2017);
A. Raffin, A. Hill, A. Gleave, A. Kanervisto, M. Ernestus and N. Dormann,
*Stable-Baselines3: Reliable Reinforcement Learning Implementations* (2021).

In a round each agent trains for ``local_steps`` steps in an instance of its own, and
may send its delta: how far its parameters have moved from those that it last received.
The learner adds the mean of the deltas that arrive to theta, and broadcasts theta.

Deviations, and readings of what the sources leave open:

1. Agents send deltas, not parameters: an average of both is the same where everybody
   sends, and deltas can be compressed and can come late. The learner averages over
   those it received, with equal weights, since everybody takes as many steps.
2. The scheme decides who sends, after training; McMahan draws who trains. An agent that
   was silent or refused keeps what it learned, and its next delta holds it; one that
   was accepted starts from the last theta it received, also where its message is lost.
3. All trainable parameters travel, those of the critic included; of DQN the network,
   not its target, which follows Stable-Baselines3's own rule.
4. What an optimizer remembers, the replay buffer of DQN and an unfinished episode stay
   with the agent from round to round.
5. Parameters and deltas are float32. Everybody starts from the same network, drawn as
   Stable-Baselines3 draws it; it is known beforehand and costs nothing.
6. DQN's exploration falls with the agent's own steps, not with a planned total.
7. Stable-Baselines3 learns with ``discount``, where it is given, in place of the
   study's gamma, which then is that of the measured returns alone.
8. The state of a local model (optimizer, buffer, random numbers) is in no file: a study
   goes on from whole trials.

On Cart Pole, with the defaults of ``fed-ppo``, which were chosen on its seed 100::

    commenv run --env commenv/CartPole-v1 --algorithm fed-ppo --agents 4 --trials 5 \
        --episodes 157 --gamma 1 --set discount=0.98 --evaluate-every 3 --out results

is the curve "always" of ``docs/images/fed_ppo_bytes.png``
(``examples/fed_ppo_bytes.py --scale paper``; numbers in ``docs/fed_ppo_bytes.csv``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from gymnasium import spaces

from commenv.learning import Problem
from commenv_baselines.fed_settings import FedSB3

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.vec_env import VecEnv

__all__ = ["FedA2C", "FedDQN", "FedPPO"]


@dataclass(frozen=True)
class FedPPO(FedSB3):
    """Agents train PPO on their own and send how far they moved; the learner averages.

    Args:
        local_steps: Environment steps of each agent in a round, a multiple of
            ``n_steps``.
        learning_rate: Of the local Adam, 0 or more and finite.
        hidden_sizes: Units of each hidden layer of the actor, and of the critic.
        discount: What PPO discounts with, in [0, 1]; None for the study's gamma.
        n_steps: Steps between two updates, at least 2, a multiple of ``batch_size``.
        batch_size: Steps of a minibatch, at least 2.
        n_epochs: Passes over the steps in each update, at least 1.
        gae_lambda: Of the advantages, in [0, 1].
        clip_range: Of the probability ratio, above 0.
        entropy: Weight of the entropy in the loss, 0 or more.

    Raises:
        ValueError: A setting outside its range.
    """

    name: ClassVar[str] = "fed-ppo"

    n_steps: int = 256
    batch_size: int = 256
    n_epochs: int = 10
    gae_lambda: float = 0.95
    clip_range: float = 0.2
    entropy: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(2, "n_steps", "batch_size")
        self._at_least(1, "n_epochs")
        self._within(0, 1, "gae_lambda")
        self._within(0, np.inf, "entropy")
        if not self.clip_range > 0:
            raise ValueError(f"clip_range {self.clip_range} is not above 0")
        self._multiple("local_steps", "n_steps")
        self._multiple("n_steps", "batch_size")

    def model(self, env: VecEnv, gamma: float) -> BaseAlgorithm:
        """Stable-Baselines3's PPO."""
        from stable_baselines3 import PPO

        return PPO(
            env=env,
            gamma=gamma,
            n_steps=self.n_steps,
            batch_size=self.batch_size,
            n_epochs=self.n_epochs,
            gae_lambda=self.gae_lambda,
            clip_range=self.clip_range,
            ent_coef=self.entropy,
            **self._networks(),
        )

    def _policy_class(self) -> Any:
        from stable_baselines3.ppo import MlpPolicy

        return MlpPolicy


@dataclass(frozen=True)
class FedA2C(FedSB3):
    """Agents train A2C on their own and send how far they moved; the learner averages.

    Args:
        local_steps: Environment steps of each agent in a round, a multiple of
            ``n_steps``.
        learning_rate: Of the local RMSprop, 0 or more and finite.
        hidden_sizes: Units of each hidden layer of the actor, and of the critic.
        discount: What A2C discounts with, in [0, 1]; None for the study's gamma.
        n_steps: Steps between two updates, at least 1.
        gae_lambda: Of the advantages, in [0, 1].
        entropy: Weight of the entropy in the loss, 0 or more.

    Raises:
        ValueError: A setting outside its range.
    """

    name: ClassVar[str] = "fed-a2c"

    learning_rate: float = 5e-4
    n_steps: int = 16
    gae_lambda: float = 0.95
    entropy: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(1, "n_steps")
        self._within(0, 1, "gae_lambda")
        self._within(0, np.inf, "entropy")
        self._multiple("local_steps", "n_steps")

    def model(self, env: VecEnv, gamma: float) -> BaseAlgorithm:
        """Stable-Baselines3's A2C."""
        from stable_baselines3 import A2C

        return A2C(
            env=env,
            gamma=gamma,
            n_steps=self.n_steps,
            gae_lambda=self.gae_lambda,
            ent_coef=self.entropy,
            **self._networks(),
        )

    def _policy_class(self) -> Any:
        from stable_baselines3.a2c import MlpPolicy

        return MlpPolicy


@dataclass(frozen=True)
class FedDQN(FedSB3):
    """Agents train DQN on their own and send how far they moved; the learner averages.

    Args:
        local_steps: Environment steps of each agent in a round, a multiple of
            ``train_freq``.
        learning_rate: Of the local Adam, 0 or more and finite.
        hidden_sizes: Units of each hidden layer of the network.
        discount: What DQN discounts with, in [0, 1]; None for the study's gamma.
        train_freq: Steps between two updates, at least 1.
        gradient_steps: Steps of the optimizer in each update, at least 1.
        batch_size: Transitions of a minibatch, at least 1.
        buffer_size: Transitions that an agent's replay buffer holds, at least 1.
        learning_starts: Steps of an agent before its first update, 0 or more.
        target_update_interval: Steps between two copies to the target, at least 1.
        exploration_steps: Steps of an agent in which its share of random actions falls
            from 1, at least 1.
        exploration: That share afterwards, in [0, 1].

    Raises:
        ValueError: A setting outside its range.
    """

    name: ClassVar[str] = "fed-dqn"

    train_freq: int = 4
    gradient_steps: int = 2
    batch_size: int = 64
    buffer_size: int = 50_000
    learning_starts: int = 500
    target_update_interval: int = 100
    exploration_steps: int = 5_000
    exploration: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(1, "train_freq", "gradient_steps", "batch_size", "buffer_size")
        self._at_least(1, "target_update_interval", "exploration_steps")
        self._at_least(0, "learning_starts")
        self._within(0, 1, "exploration")
        self._multiple("local_steps", "train_freq")

    def model(self, env: VecEnv, gamma: float) -> BaseAlgorithm:
        """Stable-Baselines3's DQN, exploring by its own count of steps."""
        from stable_baselines3 import DQN

        model = DQN(
            env=env,
            gamma=gamma,
            train_freq=self.train_freq,
            gradient_steps=self.gradient_steps,
            batch_size=self.batch_size,
            buffer_size=self.buffer_size,
            learning_starts=self.learning_starts,
            target_update_interval=self.target_update_interval,
            **self._networks(),
        )

        def share(_: float) -> float:
            done = min(model.num_timesteps / self.exploration_steps, 1.0)
            return 1.0 + done * (self.exploration - 1.0)

        model.exploration_schedule = share
        model.exploration_rate = 1.0
        return model

    def _policy_class(self) -> Any:
        from stable_baselines3.dqn import MlpPolicy

        return MlpPolicy

    def _check_spaces(self, problem: Problem) -> None:
        super()._check_spaces(problem)
        if not isinstance(problem.action_space, spaces.Discrete):
            raise ValueError(
                f"actions {problem.action_space} do not fit DQN, which chooses from "
                "Discrete spaces; use fed-ppo or fed-a2c"
            )
