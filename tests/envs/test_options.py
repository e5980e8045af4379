from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

import commenv
from commenv.envs.options import check_options
from commenv.multiagent import signal_v0
from commenv.wrappers import MessageChannel, VectorMessageChannel

GRID = "SimpleGrid-v0"


def vector(env_id=GRID):
    return gym.make_vec(env_id, num_envs=2, autoreset_mode="Disabled")


@pytest.mark.parametrize(
    ("make", "options", "words"),
    [
        (
            lambda: gym.make(GRID),
            {"start": (1, 1)},
            "'start'.*argument of SimpleGridEnv",
        ),
        (lambda: gym.make(GRID), {"seed": 3}, r"pass reset\(seed="),
        (lambda: gym.make(GRID), [1], r"must be a dictionary, got \[1\]"),
        (
            lambda: gym.make("commenv/FrozenLake-v0"),
            {"is_slippery": True},
            "argument of FrozenLakeEnv",
        ),
        (vector, {"reset_masks": 1}, "'reset_masks'; did you mean 'reset_mask'"),
        (vector, {"resetmask": 1}, "did you mean 'reset_mask'"),
        (lambda: vector("commenv/CartPole-v1"), {"low": 1}, "low"),
        (lambda: VectorMessageChannel(vector()), {"rest_mask": 1}, "'reset_mask'"),
        (lambda: MessageChannel(gym.make(GRID)), {"seed": 3}, r"pass reset\(seed="),
        (lambda: commenv.parallel_env(GRID, 2), {"seed": 3}, r"pass reset\(seed="),
        (signal_v0.parallel_env, {"gaol": 3}, "'gaol'; did you mean 'goal'"),
        (signal_v0.parallel_env, {"max_cycles": 3}, "argument of SignalEnv"),
    ],
)
def test_an_option_that_would_have_no_effect_is_refused(make, options, words):
    env = make()
    env.reset(seed=0)
    with pytest.raises((ValueError, TypeError), match=words):
        env.reset(options=options)


@pytest.mark.parametrize(
    "options", [None, {}, {"options": 1}, {"somebody's": 2}, {3: 4}, {"mode": "a"}]
)
def test_what_others_read_passes(options):
    check_options(options, ("reset_mask", "goal"), gym.make(GRID).unwrapped)
    for make in (lambda: gym.make(GRID), vector, signal_v0.parallel_env):
        make().reset(seed=0, options=options)


def test_known_options_pass():
    env = vector()
    env.reset(seed=0)
    env.reset(options={"reset_mask": np.array([True, False])})
    signal_v0.parallel_env().reset(options={"goal": 3})
