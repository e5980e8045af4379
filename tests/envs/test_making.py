import logging
import sys

import gymnasium as gym
import numpy as np
import pytest

import commenv  # noqa: F401 - registers the ids
from commenv.envs import (
    CartPoleBatch,
    ScalarBatch,
    TabularBatch,
    make_batched,
    make_scalar,
)
from commenv.errors import UnknownNameError
from commenv.registration import batched_entry_point, env_ids
from commenv.rng import Draws

TABULAR = [one for one in env_ids() if batched_entry_point(one) is None]


@pytest.mark.parametrize("env_id", [*TABULAR, "SimpleGrid-v0", "WindyGrid-v0"])
def test_our_tabular_ids_are_tabular_with_the_limit_of_200(env_id):
    batch = make_batched(env_id, 3)
    assert isinstance(batch, TabularBatch)
    assert batch.mdp == gym.make(env_id).unwrapped.mdp
    assert (batch.num_envs, batch.max_episode_steps) == (3, 200)


@pytest.mark.parametrize(
    ("env_id", "limit"),
    [("FrozenLake-v1", 100), ("CliffWalking-v1", None), ("Taxi-v4", 200)],
)
def test_every_id_with_a_table_is_tabular(env_id, limit):
    batch = make_batched(env_id, 2)
    assert isinstance(batch, TabularBatch)
    assert batch.max_episode_steps == limit


@pytest.mark.parametrize(
    ("env_id", "kwargs", "reason"),
    [
        ("CartPole-v1", {}, "publishes no tables"),
        ("Taxi-v4", {"fickle_passenger": True}, "fickle_passenger"),
    ],
)
def test_others_are_stepped_one_by_one_and_the_log_says_why(
    env_id, kwargs, reason, caplog
):
    with caplog.at_level(logging.INFO, logger="commenv"):
        batch = make_batched(env_id, 2, env_kwargs=kwargs, max_episode_steps=7)
    assert isinstance(batch, ScalarBatch)
    assert batch.mdp is None
    assert (batch.num_envs, batch.max_episode_steps) == (2, 7)
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("commenv", "INFO")
    assert f"{env_id} is stepped one instance at a time" in record.getMessage()
    assert reason in record.getMessage()


def test_observations_of_several_parts_are_flattened_into_one_array(caplog):
    with caplog.at_level(logging.INFO, logger="commenv"):
        batch = make_batched("Blackjack-v1", 2)
    assert "publishes no tables" in caplog.text
    single = gym.make("Blackjack-v1")
    assert batch.single_observation_space == gym.spaces.flatten_space(
        single.observation_space
    )
    draws = Draws(3, [0], 2).world(0)
    parts = [single.reset(seed=int(seed))[0] for seed in draws.seeds()]
    expected = [gym.spaces.flatten(single.observation_space, part) for part in parts]
    np.testing.assert_array_equal(batch.reset(draws), expected)


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Hopper-v5"])
def test_the_log_names_the_batched_twin(env_id, caplog):
    if env_id == "Hopper-v5":
        pytest.importorskip("mujoco")
    with caplog.at_level(logging.INFO, logger="commenv"):
        make_batched(env_id, 2)
    (record,) = caplog.records
    assert f"; commenv/{env_id} is the same world, batched" in record.getMessage()


def test_cart_pole_of_ours_is_a_batch_of_its_own(caplog):
    with caplog.at_level(logging.INFO, logger="commenv"):
        batch = make_batched(
            "commenv/CartPole-v1", 3, env_kwargs={"sutton_barto_reward": True}
        )
    assert isinstance(batch, CartPoleBatch)
    assert (batch.num_envs, batch.max_episode_steps, batch.mdp) == (3, 500, None)
    assert not caplog.records
    assert (
        make_batched("commenv/CartPole-v1", 1, max_episode_steps=9).max_episode_steps
        == 9
    )


@pytest.mark.parametrize("name", ["sutton", "num_envs", "render_mode"])
def test_a_batch_too_names_the_arguments_it_knows(name):
    with pytest.raises(ValueError, match=f"'{name}'; it knows sutton_barto_reward$"):
        make_batched("commenv/CartPole-v1", 1, env_kwargs={name: 1})


def test_arguments_and_limit_reach_the_environment():
    batch = make_batched(
        "SimpleGrid-v0", 1, env_kwargs={"size": (1, 4)}, max_episode_steps=2
    )
    assert batch.mdp.shape == (1, 4)
    batch.reset(Draws(0, [0], 1).world(0))
    on = np.array([True])
    assert not batch.step(np.array([4]), on).truncated[0]
    assert batch.step(np.array([4]), on).truncated[0]


def test_a_module_before_the_colon_is_imported(tmp_path, monkeypatch):
    (tmp_path / "faraway_worlds.py").write_text(
        "import gymnasium\n"
        "gymnasium.register('Faraway-v0', "
        "entry_point='gymnasium.envs.toy_text.frozen_lake:FrozenLakeEnv')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    try:
        batch = make_batched("faraway_worlds:Faraway-v0", 2)
        assert isinstance(batch, TabularBatch)
        assert batch.max_episode_steps is None
    finally:
        gym.registry.pop("Faraway-v0", None)
        sys.modules.pop("faraway_worlds", None)


def test_an_unknown_id_gets_the_nearest_names():
    with pytest.raises(UnknownNameError, match=r"'SimpleGird-v0'.*'SimpleGrid-v0'"):
        make_batched("SimpleGird-v0", 1)
    with pytest.raises(UnknownNameError, match=r"unknown environment 'Zzzz'.*module:"):
        make_batched("Zzzz", 1)


def test_an_unknown_module_is_named():
    with pytest.raises(UnknownNameError, match=r"module 'no_such_package'.* install"):
        make_batched("no_such_package:World-v0", 1)


def test_a_module_that_fails_for_lack_of_another_says_so(tmp_path, monkeypatch):
    (tmp_path / "halfway_worlds.py").write_text("import no_such_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        make_batched("halfway_worlds:World-v0", 1)


def test_an_unknown_argument_is_named_beside_the_known_ones():
    with pytest.raises(ValueError, match=r"no argument 'sise'; it knows size, goal"):
        make_batched("SimpleGrid-v0", 1, env_kwargs={"sise": 3})


def test_a_wrong_argument_value_is_the_environments_own_error():
    with pytest.raises(ValueError, match="size 0 has no cells"):
        make_batched("SimpleGrid-v0", 1, env_kwargs={"size": 0})


@pytest.mark.parametrize(("count", "limit"), [(0, None), (2, 0), (2, -1)])
def test_counts_below_1_are_refused(count, limit):
    with pytest.raises(ValueError, match="use 1 or more"):
        make_batched("SimpleGrid-v0", count, max_episode_steps=limit)


@pytest.mark.parametrize(
    ("env_id", "kwargs"),
    [
        ("SimpleGrid-v0", {"size": 4}),
        ("commenv/CartPole-v1", {"sutton_barto_reward": True}),
        ("Blackjack-v1", {}),
    ],
)
def test_one_instance_has_the_spaces_the_arguments_and_the_limit_of_a_batch(
    env_id, kwargs
):
    how = {"env_kwargs": kwargs, "max_episode_steps": 7}
    batch, env = make_batched(env_id, 1, **how), make_scalar(env_id, **how)
    assert env.observation_space == batch.single_observation_space
    assert env.action_space == batch.single_action_space
    assert env.spec.max_episode_steps == 7
    assert kwargs.items() <= env.spec.kwargs.items()


def test_one_instance_knows_bad_arguments():
    with pytest.raises(ValueError, match="no argument 'size'"):
        make_scalar("CartPole-v1", env_kwargs={"size": 3})
    with pytest.raises(ValueError, match="max_episode_steps 0"):
        make_scalar("CartPole-v1", max_episode_steps=0)
    with pytest.raises(UnknownNameError, match="CartPole-v1"):
        make_scalar("CartPol-v1")
