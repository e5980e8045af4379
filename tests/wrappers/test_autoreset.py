import gymnasium as gym
import pytest
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv
from gymnasium.wrappers import Autoreset, TimeAwareObservation
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from commenv import Budget, Channel
from commenv.wrappers import MessageChannel, VectorMessageChannel


def grid():
    return gym.make("SimpleGrid-v0", max_episode_steps=3)


def resetting():
    return TimeAwareObservation(Autoreset(grid()))


@pytest.mark.parametrize("env", [Autoreset(grid()), resetting()])
def test_it_is_refused_inside_however_deep(env):
    with pytest.raises(ValueError, match=r"Autoreset\(MessageChannel\(env\)\)"):
        MessageChannel(env)


@pytest.mark.parametrize(
    "make",
    [
        lambda: SyncVectorEnv([grid, lambda: Autoreset(grid())]),
        lambda: AsyncVectorEnv([resetting] * 2),
        lambda: RecordEpisodeStatistics(SyncVectorEnv([resetting])),
        lambda: gym.make_vec("SimpleGrid-v0", 2, "sync", wrappers=[Autoreset]),
    ],
)
def test_it_is_refused_inside_vectors(make):
    env = make()
    with pytest.raises(ValueError, match="Autoreset inside VectorMessageChannel"):
        VectorMessageChannel(env)
    env.close()


def test_outside_it_begins_episodes_that_the_channel_sees():
    once = Channel(budget=Budget(messages=1, per="episode"))
    env = Autoreset(MessageChannel(grid(), uplink=once))
    env.reset(seed=0)
    accepted = []
    for _ in range(12):  # three episodes of three steps and a reset
        accepted.append(env.get_wrapper_attr("send")(b"x").accepted)
        env.step(0)
    assert accepted == [True, False, False, False] * 3
