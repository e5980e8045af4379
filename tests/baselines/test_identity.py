"""Every algorithm gives the same numbers however its trials are grouped."""

import pandas as pd
import pytest

import commenv
from commenv.learning import plugin_names
from commenv.learning.plugins import ALGORITHMS

TRIALS = 5
SETTINGS = {
    "es.hidden_sizes": [4],
    "espc.hidden_sizes": [4],
    "fed-a2c.hidden_sizes": [4],
    "fed-a2c.local_steps": 16,
    "fed-dqn.hidden_sizes": [4],
    "fed-dqn.local_steps": 16,
    "fed-dqn.learning_starts": 8,
    "fed-ppo.hidden_sizes": [4],
    "fed-ppo.local_steps": 16,
    "fed-ppo.n_steps": 16,
    "fed-ppo.batch_size": 16,
    "fed-ppo.n_epochs": 1,
}


def run(name, trials=TRIALS, **how):
    settings = {k: v for k, v in SETTINGS.items() if k.startswith(f"{name}.")}
    return commenv.run(
        "WindyGrid-v0",
        name,
        num_agents=4,
        num_trials=trials,
        num_episodes=12,
        settings=settings,
        progress=False,
        **how,
    ).frame


@pytest.fixture(scope="module", params=plugin_names(ALGORITHMS))
def together(request):
    return request.param, run(request.param)


@pytest.mark.parametrize("block", [1, 2, 3])
def test_ragged_blocks_change_no_bit(together, block):
    name, expected = together
    pd.testing.assert_frame_equal(run(name, block=block), expected, check_exact=True)


def test_a_trial_alone_is_the_same(together):
    name, expected = together
    alone = expected[expected["trial"] == 0].reset_index(drop=True)
    pd.testing.assert_frame_equal(run(name, trials=1), alone, check_exact=True)


@pytest.mark.slow
def test_workers_change_no_bit(together):
    name, expected = together
    pd.testing.assert_frame_equal(
        run(name, block=2, workers=2), expected, check_exact=True
    )


def test_evolution_strategies_on_cart_pole_change_no_bit():
    """Matrices of real observations, and rows that stop one after the other."""

    def cart(**how):
        return commenv.run(
            "commenv/CartPole-v1",
            ["es", "espc"],
            num_agents=6,
            num_trials=5,
            num_episodes=8,
            gamma=1.0,
            evaluate_every=4,
            evaluation_episodes=2,
            progress=False,
            **how,
        ).frame

    expected = cart()
    assert expected["episode_length"].nunique() > 10
    pd.testing.assert_frame_equal(cart(block=2), expected, check_exact=True)
    pd.testing.assert_frame_equal(cart(block=1), expected, check_exact=True)
