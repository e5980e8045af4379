import random

import numpy as np
import pytest
import torch
from commenv_baselines.random_state import preserved_random_state
from commenv_baselines.sb3_envs import ParallelVecEnv
from stable_baselines3 import PPO

from commenv.multiagent import signal_v0


def states():
    return (
        random.getstate(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002
        torch.random.get_rng_state().tolist(),
    )


def test_stable_baselines_leaves_no_trace_in_the_global_generators():
    before = states()
    with preserved_random_state():
        env = ParallelVecEnv([signal_v0.parallel_env])
        PPO("MlpPolicy", env, n_steps=4, batch_size=8, seed=3).learn(8)
        assert states() != before
    assert states() == before


def test_the_state_is_put_back_after_an_error_too():
    def fails():
        with preserved_random_state():
            random.seed(0)
            torch.manual_seed(0)
            raise ZeroDivisionError

    before = states()
    with pytest.raises(ZeroDivisionError):
        fails()
    assert states() == before
