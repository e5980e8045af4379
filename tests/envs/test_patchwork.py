import gymnasium as gym
import numpy as np
import pytest

from commenv.envs import CartPoleBatch, ScalarBatch, make_batched
from commenv.envs.patchwork import Patchwork, empty_rows
from commenv.rng import Draws

ROWS = [[0, 3], [1, 2, 4]]


def windy(count, limit=20, **env_kwargs):
    return make_batched(
        "WindyGrid-v0", count, env_kwargs=env_kwargs, max_episode_steps=limit
    )


def cart(count):
    return CartPoleBatch(count, 20)


def foreign(count):
    return ScalarBatch(
        [gym.make("Acrobot-v1", max_episode_steps=20) for _ in range(count)]
    )


@pytest.mark.parametrize("make", [windy, cart, foreign])
def test_pieces_play_as_the_whole_does(make):
    whole = make(5)
    parts = Patchwork([(rows, make(len(rows))) for rows in ROWS])
    assert parts.num_envs == 5
    assert parts.max_episode_steps == 20
    assert parts.single_observation_space == whole.single_observation_space
    assert parts.single_action_space == whole.single_action_space
    draws = Draws(0, [1], 5)
    random = np.random.default_rng(0)
    for episode in range(2):
        world = draws.world(episode)
        np.testing.assert_array_equal(parts.reset(world), whole.reset(world))
        active = np.ones(5, dtype=bool)
        while active.any():
            actions = random.integers(2, size=5)
            step, expected = parts.step(actions, active), whole.step(actions, active)
            for mine, theirs in zip(step, expected, strict=True):
                np.testing.assert_array_equal(mine, theirs, strict=True)
            active = active & ~(step.terminated | step.truncated)
            active &= random.random(5) > 0.02
    mask = np.array([True, False, True, False, False])
    np.testing.assert_array_equal(parts.reset(world, mask), whole.reset(world, mask))
    parts.close()


def test_observations_of_different_shapes_are_objects():
    parts = Patchwork([([1], cart(1)), ([0, 2], foreign(2))])
    observations = parts.reset(Draws(0, [0], 3).world(0))
    assert observations.dtype == object
    assert [one.shape for one in observations] == [(6,), (4,), (6,)]
    step = parts.step(np.array([0, 1, 2]), np.array([True, True, False]))
    assert [one.shape for one in step.observations] == [(6,), (4,), (6,)]
    assert step.rewards.tolist() == [-1.0, 1.0, 0.0]
    assert parts.spaces_of(1)[0].shape == (4,)
    with pytest.raises(ValueError, match="instances' observation spaces differ"):
        _ = parts.single_observation_space
    with pytest.raises(ValueError, match="instances' action spaces differ"):
        _ = parts.single_action_space


def test_actions_of_different_shapes_are_objects():
    spaces = [gym.spaces.Box(-1, 1, (2,)), gym.spaces.Box(-1, 1, (3,))]
    rows = empty_rows(spaces)
    assert rows.dtype == object
    assert empty_rows(spaces[:1] * 3).shape == (3, 2)
    assert empty_rows(spaces[:1] * 3).dtype == np.float32
    assert empty_rows([gym.spaces.Discrete(2), gym.spaces.Discrete(3)]).shape == (2,)


def test_what_an_instance_meets_does_not_depend_on_the_others():
    draws = Draws(3, [0], 3)
    alone, mixed = (
        windy(3),
        Patchwork([([0, 2], windy(2, start=(2, 2))), ([1], windy(1))]),
    )
    active, random = np.ones(3, dtype=bool), np.random.default_rng(0)
    assert alone.reset(draws.world(0)).tolist() == [0, 0, 0]
    assert mixed.reset(draws.world(0)).tolist() == [12, 0, 12]
    for _ in range(15):
        actions = random.integers(5, size=3)
        one, other = alone.step(actions, active), mixed.step(actions, active)
        assert one.observations[1] == other.observations[1]


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ([([0, 1], 2), ([1], 1)], r"the pieces hold the rows \[0, 1\]; give each of 0"),
        ([([0, 2], 2)], "the pieces hold the rows"),
        ([([0, 1], 3)], "2 rows for 3 instances"),
    ],
)
def test_rows_that_do_not_fit_are_named(pieces, words):
    with pytest.raises(ValueError, match=words):
        Patchwork([(rows, windy(count)) for rows, count in pieces])


def test_an_error_names_the_rows_of_its_piece():
    parts = Patchwork([([1], windy(1)), ([0, 2], windy(2))])
    parts.reset(Draws(0, [0], 3).world(0))
    with pytest.raises(ValueError, match=r"in rows \[0, 2\]: action 7 of instance 1"):
        parts.step(np.array([0, 0, 7]), np.ones(3, dtype=bool))


def test_time_limits_that_differ_are_named():
    with pytest.raises(ValueError, match="time limits"):
        Patchwork([([0], windy(1)), ([1], windy(1, limit=9))])
