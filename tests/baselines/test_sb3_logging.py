"""What TensorBoard is shown of a channel, read back from the files that it reads."""

import gymnasium as gym
import pytest

from commenv.channel import BernoulliLoss, Budget, Channel
from commenv.wrappers import MessageChannel

pytest.importorskip("stable_baselines3")
pytest.importorskip("tensorboard")

from commenv_baselines.sb3_logging import LedgerCallback
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.vec_env import DummyVecEnv
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


class Chatty(gym.Wrapper):
    """Sends what it sees after every step."""

    def step(self, action):
        observation, *rest = self.env.step(action)
        self.env.send({"x": observation})
        return observation, *rest


def make(**channels):
    return Chatty(MessageChannel(gym.make("CartPole-v1"), **channels))


def ppo(env, **how):
    return PPO("MlpPolicy", env, n_steps=32, batch_size=16, n_epochs=1, seed=0, **how)


def read(folder):
    (path,) = folder.rglob("events.*")
    events = EventAccumulator(str(path)).Reload()
    tags = [tag for tag in events.Tags()["scalars"] if tag.startswith("channel/")]
    return {
        tag.removeprefix("channel/"): [
            (one.step, one.value) for one in events.Scalars(tag)
        ]
        for tag in tags
    }


def test_tensorboard_shows_the_ledgers_totals_over_all_instances(tmp_path):
    budget = Budget(messages=40, per="lifetime")
    env = DummyVecEnv([lambda: make(uplink=Channel(budget=budget)) for _ in range(2)])
    model = ppo(env, tensorboard_log=str(tmp_path))
    model.learn(128, callback=LedgerCallback())
    shown = read(tmp_path)
    size = size_of_message()
    assert shown["messages"] == [(64, 64), (128, 80)]
    assert shown["bytes"] == [(64, 64 * size), (128, 80 * size)]
    assert shown["header_bytes"] == [(64, 64 * 16), (128, 80 * 16)]
    assert shown["refused"] == [(64, 0), (128, 48)]
    assert shown["refused_bytes"] == [(64, 0), (128, 48 * size)]
    assert shown["messages_left"] == [(64, 8), (128, 0)]
    assert shown["downlink_messages"] == [(64, 0), (128, 0)]
    assert "bytes_left" not in shown  # nothing limits them


def size_of_message():
    env = make()
    env.reset(seed=0)
    env.step(0)
    return int(env.env.metrics.size[0, 0])


def test_what_a_link_loses_is_shown_to_people(tmp_path):
    env = make(uplink=Channel(link=BernoulliLoss(1.0)))
    model = DQN("MlpPolicy", env, learning_starts=1000, tensorboard_log=str(tmp_path))
    model.learn(200, callback=LedgerCallback(), log_interval=1)
    shown = read(tmp_path)
    steps, lost = zip(*shown["lost"], strict=True)
    assert shown["messages"] == shown["lost"]
    # DQN writes when an episode ends, perhaps within a rollout of 4 steps.
    assert all(0 < step - many <= 4 for step, many in zip(steps, lost, strict=True))


def test_an_environment_without_a_channel_is_refused():
    model = ppo(gym.make("CartPole-v1"))
    with pytest.raises(ValueError, match="MessageChannel"):
        model.learn(32, callback=LedgerCallback())


def test_instances_in_other_processes_are_refused():
    class Elsewhere(DummyVecEnv):
        @property
        def unwrapped(self):
            return object()

    model = ppo(Elsewhere([make]))
    with pytest.raises(ValueError, match="out of reach; train in a DummyVecEnv"):
        model.learn(32, callback=LedgerCallback())
