"""The one rule for seeds, on everything that takes one."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

import commenv
from commenv.multiagent import IgnoreFinished, batched_from_parallel, signal_v0
from commenv.rng import Draws
from commenv.seeds import integer_seed, seed_each
from commenv.study.product import arms
from commenv.study.spec import Study
from commenv.wrappers import MessageChannel, VectorMessageChannel


def grids(num_agents=2):
    return commenv.parallel_env("WindyGrid-v0", num_agents)


def vector(**arguments):
    return gym.make_vec("WindyGrid-v0", 2, **arguments)


class Made:
    """Something that is seeded when it is made."""

    def __init__(self, make):
        self.make = make

    def reset(self, seed):
        return self.make(seed)


def study(seed):
    return Study(arms("SimpleGrid-v0", "dql"), seed=seed).seed


FACES = {
    "gym.make": lambda: gym.make("WindyGrid-v0"),
    "unwrapped": lambda: gym.make("commenv/FrozenLake-v0").unwrapped,
    "make_vec": vector,
    "cart poles": lambda: gym.make_vec("commenv/CartPole-v1", 2),
    "MessageChannel": lambda: MessageChannel(gym.make("CartPole-v1")),
    "VectorMessageChannel": lambda: VectorMessageChannel(vector()),
    "VectorMessageChannel, sync": lambda: VectorMessageChannel(
        vector(vectorization_mode="sync")
    ),
    "VectorMessageChannel, one generator": lambda: VectorMessageChannel(
        gym.make_vec("CartPole-v1", 2, vectorization_mode="vector_entry_point")
    ),
    "parallel_env": grids,
    "IgnoreFinished": lambda: IgnoreFinished(grids()),
    "batched_from_parallel": lambda: batched_from_parallel([grids()]),
    "batched_env": lambda: commenv.batched_env("WindyGrid-v0", 1, 2),
    "batched_env, others": lambda: commenv.batched_env("CartPole-v1", 1, 2),
    "CommunicationBudget": lambda: commenv.CommunicationBudget(
        grids(), message_space=spaces.Discrete(2)
    ),
    "Signal": signal_v0.parallel_env,
    "Draws": lambda: Made(lambda seed: Draws(seed, [0], 1).seed),
    "Study": lambda: Made(study),
}


def same(one, other):
    try:
        np.testing.assert_equal(one, other)
    except AssertionError:
        return False
    return True


@pytest.fixture(params=FACES, name="make")
def _make(request):
    return FACES[request.param]


@pytest.mark.parametrize("seed", [np.int64(3), np.uint8(3), np.array(3)])
def test_integers_of_numpy_are_the_same_seeds(make, seed):
    assert same(make().reset(seed=seed), make().reset(seed=3))


@pytest.mark.parametrize("seed", [0, 2**31, 2**32, 2**63, 2**200 + 5])
def test_seeds_may_be_large(make, seed):
    assert same(make().reset(seed=seed), make().reset(seed=seed))


@pytest.mark.parametrize("seed", [1.5, 1.0, "1", b"1", np.float64(2), {1}, object])
def test_what_is_not_an_integer_is_named(make, seed):
    with pytest.raises(TypeError, match=r"^seed must be an integer, got "):
        make().reset(seed=seed)


@pytest.mark.parametrize("seed", [-1, np.int64(-3)])
def test_negative_seeds_are_refused(make, seed):
    with pytest.raises(ValueError, match=f"^seed {seed} is negative"):
        make().reset(seed=seed)


def test_a_refused_seed_changes_nothing(make):
    env = make()
    first = env.reset(seed=3)
    if isinstance(env, Made):
        return
    with pytest.raises(TypeError):
        env.reset(seed=1.5)
    other = make()
    assert same(other.reset(seed=3), first)
    assert same(other.reset(seed=None), env.reset(seed=None))


@pytest.mark.parametrize("name", [name for name in FACES if "ec" in name])
@pytest.mark.parametrize("seeds", [[4, 9], (np.int32(4), 9), np.array([4, 9])])
def test_sub_environments_may_have_seeds_of_their_own(name, seeds):
    env = FACES[name]()
    if not isinstance(env, gym.vector.VectorEnv) or "one generator" in name:
        pytest.skip("takes one seed")
    assert same(env.reset(seed=seeds), FACES[name]().reset(seed=[4, 9]))
    with pytest.raises(ValueError, match="1 seeds for 2 sub-environments"):
        env.reset(seed=[4])
    with pytest.raises(TypeError, match=r"seed must be an integer, got 1\.5"):
        env.reset(seed=[4, 1.5])
    with pytest.raises(ValueError, match="seed -4 is negative"):
        env.reset(seed=[-4, 1])


def test_a_first_seed_counts_up_and_none_stays_none():
    assert seed_each(np.int8(5), 3) == [5, 6, 7]
    assert seed_each(None, 2) == [None, None]
    assert seed_each([None, np.uint64(2**63)], 2) == [None, 2**63]
    assert all(type(seed) is int for seed in seed_each(np.array([1, 2]), 2))
    assert type(integer_seed(np.int64(3))) is int
