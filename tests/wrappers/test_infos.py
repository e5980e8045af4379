import copy
import json
import pickle

import gymnasium as gym
import numpy as np
import pytest

from commenv import Budget, Channel
from commenv.wrappers import MessageChannel, VectorMessageChannel
from commenv.wrappers.infos import InfoNumbers, beside

NUMBERS = {"sent": 2, "left": np.inf, "reward": -1.5}


def test_numbers_by_name_are_a_dictionary():
    numbers = InfoNumbers(NUMBERS)
    assert numbers == NUMBERS
    assert json.dumps(numbers) == json.dumps(NUMBERS)
    assert repr(numbers) == repr(NUMBERS)
    assert pickle.loads(pickle.dumps(numbers)) == copy.deepcopy(numbers) == NUMBERS


def test_numbers_by_name_are_a_vector_in_their_order():
    vector = np.asarray(InfoNumbers(NUMBERS))
    assert vector.dtype == np.float64
    assert vector.tolist() == [2, np.inf, -1.5]
    assert np.asarray(InfoNumbers(NUMBERS), np.float32).dtype == np.float32
    assert np.from_dlpack(InfoNumbers(NUMBERS)).tolist() == [2, np.inf, -1.5]
    assert np.asarray(InfoNumbers()).shape == (0,)
    with pytest.raises(ValueError, match="being copied"):
        np.asarray(InfoNumbers(NUMBERS), copy=False)


def test_torch_takes_numbers_by_name_for_a_vector():
    torch = pytest.importorskip("torch")
    for make in (torch.as_tensor, torch.tensor):
        tensor = make(InfoNumbers(NUMBERS))
        assert tensor.dtype == torch.float64
        assert tensor.tolist() == [2, np.inf, -1.5]


def test_what_inner_channels_told_moves_inwards_and_nothing_is_lost():
    world = {"steps": 3}
    first = beside(world, comm=1, _comm="mask 1")
    second = beside(first, comm=2, _comm="mask 2")
    third = beside(second, comm=3, _comm="mask 3")
    assert third == {
        "steps": 3,
        "comm": 3,
        "_comm": "mask 3",
        "inner_comm": 2,
        "_inner_comm": "mask 2",
        "inner_inner_comm": 1,
        "_inner_inner_comm": "mask 1",
    }
    assert world == {"steps": 3}
    assert second == {"steps": 3, "comm": 2, "inner_comm": 1} | {
        "_comm": "mask 2",
        "_inner_comm": "mask 1",
    }


def channel(limit):
    return Channel(budget=Budget(messages=limit))


def test_channels_around_channels_all_tell_what_is_left():
    env = gym.make("commenv/SimpleGrid-v0")
    for limit in (3, 4, 5):
        env = MessageChannel(env, uplink=channel(limit))
    env.reset(seed=0)
    _, info = env.reset()
    assert [
        info[f"{inner}comm"]["messages_left"]
        for inner in ("", "inner_", "inner_inner_")
    ] == [5, 4, 3]
    assert "inner_inner_episode_comm" in info
    *_, info = env.step(0)
    assert info["inner_inner_comm"]["messages_left"] == 3


def test_vectors_of_channels_keep_their_masks():
    envs = gym.make_vec(
        "commenv/SimpleGrid-v0",
        2,
        vectorization_mode="sync",
        wrappers=[lambda env: MessageChannel(env, uplink=channel(3))],
    )
    envs = VectorMessageChannel(envs, uplink=channel(4))
    envs.reset(seed=0)
    *_, infos = envs.step([0, 0])
    assert infos["comm"]["messages_left"].tolist() == [4, 4]
    assert infos["inner_comm"]["messages_left"].tolist() == [3, 3]
    assert infos["_inner_comm"].tolist() == [True, True]
