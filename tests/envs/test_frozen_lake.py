import gymnasium as gym
import numpy as np
import pytest

import commenv  # noqa: F401 - registers the ids
from commenv.envs import FrozenLakeEnv, TabularMDP

both_ways = pytest.mark.parametrize("is_slippery", [False, True])


@both_ways
@pytest.mark.parametrize("map_name", ["4x4", "8x8"])
def test_the_tables_are_gymnasiums(map_name, is_slippery):
    kwargs = {"map_name": map_name, "is_slippery": is_slippery}
    theirs = TabularMDP.from_env(gym.make("FrozenLake-v1", **kwargs))
    assert FrozenLakeEnv(**kwargs).mdp == theirs


@both_ways
@pytest.mark.parametrize("map_name", ["4x4", "8x8"])
def test_the_episodes_from_one_seed_are_gymnasiums(map_name, is_slippery):
    kwargs = {"map_name": map_name, "is_slippery": is_slippery}
    ours = gym.make("commenv/FrozenLake-v0", **kwargs).unwrapped
    theirs = gym.make("FrozenLake-v1", **kwargs).unwrapped
    rng = np.random.default_rng(0)
    assert ours.reset(seed=4)[0] == theirs.reset(seed=4)[0]
    ends = 0
    for action in rng.integers(0, 4, 3000).tolist():
        step = ours.step(action)
        assert step[:4] == theirs.step(action)[:4]
        if step[2]:
            ends += 1
            assert ours.reset()[0] == theirs.reset()[0]
    assert ends > 20


def test_the_time_limit_is_not_gymnasiums_on_the_small_map():
    assert gym.spec("commenv/FrozenLake-v0").max_episode_steps == 200
    assert gym.spec("FrozenLake-v1").max_episode_steps == 100


def test_the_default_is_the_5x5_map_without_slipping():
    env = FrozenLakeEnv()
    assert env.scene.letters == ("SFFFF", "FHFHF", "FFFHF", "HFFFF", "FFFHG")
    assert env.mdp.deterministic
    assert env.mdp.terminated[24].all()
    assert env.mdp.reward[19].tolist() == [[0], [1], [0], [0]]  # down, to the goal
    assert env.mdp.terminated[5].ravel().tolist() == [False, False, True, False]


def test_a_map_of_ones_own_may_have_several_starts():
    env = FrozenLakeEnv(desc=["SHS", "FGF"])
    assert env.mdp.start.tolist() == [0.5, 0, 0.5, 0, 0, 0]
    starts = [env.reset(seed=seed)[0] for seed in range(50)]
    assert set(starts) == {0, 2}


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (
            {"map_name": "6x6"},
            r"unknown map '6x6'; choose from \['5x5', '4x4', '8x8'\]",
        ),
        ({"desc": ["SF", "G"]}, "one length"),
        ({"desc": []}, "one length"),
        ({"desc": [""]}, "length above 0"),
        ({"desc": ["SX", "FG"]}, r"letters \['X'\]; use S, F, H and G"),
        ({"desc": ["FF", "FG"]}, "no start"),
    ],
)
def test_impossible_maps_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        FrozenLakeEnv(**kwargs)
