"""What passes a channel, in Stable-Baselines3's logs, so that TensorBoard shows it.

For training code of your own, around an environment with a channel::

    env = MessageChannel(gym.make("CartPole-v1"), uplink=Channel(...))
    model = PPO("MlpPolicy", env, tensorboard_log="runs")
    model.learn(10_000, callback=LedgerCallback())
"""

from __future__ import annotations

import math

import numpy as np

from commenv.errors import MissingExtraError
from commenv.wrappers import ChannelEnv, MessageChannel, find_channel
from commenv.wrappers.metrics import Traffic

try:
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.vec_env import DummyVecEnv
except ImportError as error:
    raise MissingExtraError("logging with Stable-Baselines3", "sb3") from error

__all__ = ["LedgerCallback"]

_COUNTED = ("messages", "refused", "refused_bytes", "lost", "expired", "penalty")


class LedgerCallback(BaseCallback):
    """Logs the ledgers of the training environment's channels after every rollout.

    Under ``channel/`` stand totals over all instances since they were last reset with a
    seed: ``messages``, ``bytes`` (payload sent), ``header_bytes``, ``refused``,
    ``refused_bytes``, ``lost``, ``expired`` and ``penalty`` of the uplink,
    ``downlink_messages`` and ``downlink_bytes``; and, where a budget limits them,
    ``messages_left`` and ``bytes_left`` in its window, an instance's on average.

    Raises:
        ValueError: When training starts: the instances are in other processes, or one
            has no channel.
    """

    def _on_training_start(self) -> None:
        vector = self.training_env.unwrapped
        if not isinstance(vector, DummyVecEnv):
            raise ValueError(
                f"the channels in a {type(vector).__name__} are out of reach; train in "
                "a DummyVecEnv"
            )
        self._channels: list[MessageChannel | ChannelEnv] = [
            find_channel(env) for env in vector.envs
        ]

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        up = [Traffic.read(one.star.uplink) for one in self._channels]
        down = [Traffic.read(one.star.downlink) for one in self._channels]
        totals = {name: _total(up, name) for name in _COUNTED}
        totals["bytes"] = _total(up, "payload")
        totals["header_bytes"] = _total(up, "header")
        totals["downlink_messages"] = _total(down, "messages")
        totals["downlink_bytes"] = _total(down, "payload")
        left = [one.star.uplink.left for one in self._channels]
        totals["messages_left"] = float(np.mean([one.messages for one in left]))
        totals["bytes_left"] = float(np.mean([one.bytes for one in left]))
        for name, value in totals.items():
            if math.isfinite(value):
                self.logger.record(f"channel/{name}", value)


def _total(traffic: list[Traffic], name: str) -> float:
    return float(sum(getattr(one, name).sum() for one in traffic))
