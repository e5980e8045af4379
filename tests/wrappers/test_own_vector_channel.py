"""The channel of native vectors is that of as many single environments."""

import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import commenv
from commenv import Budget, Channel

COUNT, LIMIT = 4, 9
WORLDS = {
    "WindyGrid-v0": {"size": 3},
    "commenv/FrozenLake-v0": {"is_slippery": True},
    "commenv/CartPole-v1": {"sutton_barto_reward": True},
}
MODES = list(AutoresetMode)
BUDGETS = {
    "episode": Budget(messages=2, per="episode"),
    "lifetime": Budget(messages=20, per="lifetime"),
    "penalize": Budget(messages=2, exceed="penalize", price=0.5),
    "terminate": Budget(messages=2, exceed="terminate"),
}


def pair(env_id, mode, **parts):
    """A native vector, and Gymnasium's of single environments."""
    shared = {"max_episode_steps": LIMIT, "gamma": 0.8, **WORLDS[env_id], **parts}
    return (
        gym.make_vec(env_id, COUNT, autoreset_mode=mode, **shared),
        gym.make_vec(
            env_id,
            COUNT,
            vectorization_mode="sync",
            vector_kwargs={"autoreset_mode": mode},
            **shared,
        ),
    )


def check_same(mine, theirs):
    if isinstance(mine, dict):
        assert mine.keys() == theirs.keys()
        for key, value in mine.items():
            check_same(value, theirs[key])
        return
    mine, theirs = np.asarray(mine), np.asarray(theirs)
    assert mine.dtype == theirs.dtype
    if mine.dtype == object:
        assert repr(mine) == repr(theirs)
    else:
        np.testing.assert_array_equal(mine, theirs)


def check_metrics(native, sync):
    for name, values in vars(native.metrics).items():
        alone = [getattr(one.unwrapped.metrics, name)[0, 0] for one in sync.envs]
        assert values.tolist() == [alone]


def steps(native, sync, count, rng):
    """Steps both alike; the native one's results, after comparing them."""
    for _ in range(count):
        actions = rng.integers(native.single_action_space.n, size=COUNT)
        mine, theirs = native.step(actions), sync.step(actions)
        for one, other in zip(mine, theirs, strict=True):
            check_same(one, other)
        yield mine
        ended = mine[2] | mine[3]
        if native.autoreset_mode is AutoresetMode.DISABLED and ended.any():
            native.reset(options={"reset_mask": ended})
            sync.reset(options={"reset_mask": ended.copy()})


def send(native, sync, payloads):
    told = native.send(payloads)
    for row, payload in enumerate(payloads):
        if payload is not None:
            alone = sync.envs[row].unwrapped.send(payload)
            assert alone == tuple(column[row] for column in told)


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("env_id", WORLDS)
def test_it_is_the_sync_form_with_a_channel(env_id, mode, budget):
    native, sync = pair(env_id, mode, uplink=Channel(budget=BUDGETS[budget]))
    assert commenv.find_channel(native) is native
    for one, other in zip(native.reset(seed=3), sync.reset(seed=3), strict=True):
        check_same(one, other)
    rng = np.random.default_rng(1)
    told = 0
    for _, _, terminated, truncated, infos in steps(native, sync, 50, rng):
        ended = terminated | truncated
        if ended.any():
            told += ended.sum()
            assert infos["_episode_comm"][ended].all()
            assert (infos["episode_comm"]["episode_length"][ended] > 0).all()
        check_metrics(native, sync)
        words = ["x" * int(rng.integers(1, 9)) for _ in range(COUNT)]
        silent = rng.random(COUNT) < 0.5
        send(native, sync, [None if q else w for q, w in zip(silent, words)])  # noqa: B905
    assert told > COUNT


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("env_id", WORLDS)
def test_without_a_channel_it_has_metrics_and_opens_one_at_the_first_send(env_id, mode):
    native, sync = pair(env_id, mode)
    native.reset(seed=3)
    sync.reset(seed=3)
    rng = np.random.default_rng(1)
    for _, rewards, *_, infos in steps(native, sync, 40, rng):
        assert not {"comm", "episode_comm"} & infos.keys()
        rewards[:] = 7  # they are the caller's
        check_metrics(native, sync)
    assert native.receive() == [[]] * COUNT
    send(native, sync, ["x"] * COUNT)
    for *_, infos in steps(native, sync, 20, rng):
        assert infos["_comm"].all()
        check_metrics(native, sync)


@pytest.mark.parametrize(
    "how", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))]
)
@pytest.mark.parametrize("mode", MODES[:2])
def test_a_copy_goes_on_alike(how, mode):
    native, _ = pair("WindyGrid-v0", mode, uplink=Channel())
    native.reset(seed=0)
    native.step(np.zeros(COUNT, int))
    other = how(native)
    for _ in range(12):
        native.send([1, None, 2, None])
        other.send([1, None, 2, None])
        mine, theirs = (env.step(np.ones(COUNT, int)) for env in (native, other))
        for one, two in zip(mine, theirs, strict=True):
            check_same(one, two)


def test_it_is_made_again_from_its_spec_and_takes_wrappers():
    uplink = Channel(budget=Budget(messages=1, per="episode"))
    envs = gym.make_vec("SimpleGrid-v0", 3, uplink=uplink, max_episode_steps=2)
    again = gym.make_vec(envs.spec)
    wrapped = gym.wrappers.vector.RecordEpisodeStatistics(again)
    assert commenv.find_channel(wrapped) is again
    wrapped.reset(seed=0)
    again.send(["x", None, "xyz"])
    wrapped.step([4, 4, 4])
    *_, truncated, infos = wrapped.step([4, 4, 4])
    assert truncated.all()
    assert infos["episode_comm"]["size"].tolist() == [2, 0, 4]
    assert infos["episode_comm"]["frequency"].tolist() == [1, 0, 1]
    np.testing.assert_array_equal(infos["episode_comm"]["reward"], [-1.9] * 3)
    assert infos["episode"]["r"].tolist() == [-2, -2, -2]


@pytest.mark.parametrize("mode", MODES)
def test_a_budget_ends_episodes_of_sub_environments(mode):
    uplink = Channel(budget=Budget(messages=0, exceed="terminate"))
    envs = gym.make_vec("SimpleGrid-v0", 3, uplink=uplink, autoreset_mode=mode)
    envs.reset(seed=0)
    envs.send([None, "x", None])
    _, _, terminated, truncated, infos = envs.step([1, 1, 1])
    assert terminated.tolist() == [False, True, False]
    assert not truncated.any()
    assert infos["_episode_comm"].tolist() == [False, True, False]
    if mode is AutoresetMode.DISABLED:
        envs.reset(options={"reset_mask": terminated})
    observations, _, terminated, *_ = envs.step([1, 1, 1])
    assert not terminated.any()
    assert observations[0] == observations[2] == 2
    assert observations[1] == (0 if mode is AutoresetMode.NEXT_STEP else 1)
