import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

import commenv  # noqa: F401 - registers the ids
from commenv.envs import ScalarBatch, TabularBatch, TabularMDP
from commenv.errors import NotResetError
from commenv.rng import Draws, GeneratorUniforms
from tests.faults import Faulty

SLIPPERY = ("commenv/FrozenLake-v0", {"is_slippery": True})
CASES = [
    ("commenv/SimpleGrid-v0", {}),
    ("commenv/WindyGrid-v0", {}),
    SLIPPERY,
    ("commenv/FrozenLake-v0", {"desc": ["SFHS", "FFFG"], "is_slippery": True}),
    ("Taxi-v4", {}),
]


class FromSeeds:
    """Draws as the scalar environments make them: one generator per seed."""

    def __init__(self, seeds):
        self._seeds = seeds

    def uniforms(self):
        make = np.random.Generator
        bits = [np.random.PCG64(np.random.SeedSequence(s)) for s in self._seeds]
        return GeneratorUniforms([make(each) for each in bits])

    def seeds(self):
        return np.array(self._seeds)


class Untouchable:
    def __getattr__(self, name):
        raise AssertionError(f"a deterministic world asked for {name}")


def batch_of(env_id, num_envs, max_episode_steps=None, **kwargs):
    mdp = TabularMDP.from_env(gym.make(env_id, **kwargs))
    return TabularBatch(mdp, num_envs, max_episode_steps)


def everybody(batch):
    return np.ones(batch.num_envs, dtype=bool)


@pytest.mark.parametrize(("env_id", "kwargs"), CASES)
def test_tables_and_scalar_environments_live_the_same_lives(env_id, kwargs):
    seeds = list(range(30, 42))
    tabular = batch_of(env_id, len(seeds), max_episode_steps=25, **kwargs)
    scalar = ScalarBatch(
        [gym.make(env_id, max_episode_steps=25, **kwargs) for _ in seeds]
    )
    assert tabular.single_observation_space == scalar.single_observation_space
    assert tabular.single_action_space == scalar.single_action_space
    assert tabular.max_episode_steps == scalar.max_episode_steps == 25
    rng = np.random.default_rng(0)
    for episode in range(3):
        draws = FromSeeds([seed + 100 * episode for seed in seeds])
        first, other = tabular.reset(draws), scalar.reset(draws)
        assert first.dtype == other.dtype == np.int64
        np.testing.assert_array_equal(first, other)
        active = everybody(tabular)
        while active.any():
            actions = rng.integers(0, tabular.single_action_space.n, len(seeds))
            ours, theirs = tabular.step(actions, active), scalar.step(actions, active)
            for mine, yours in zip(ours, theirs, strict=True):
                np.testing.assert_array_equal(mine, yours)
                assert mine.dtype == yours.dtype
            active &= ~(ours.terminated | ours.truncated)


@pytest.mark.parametrize(("env_id", "kwargs"), [CASES[1], SLIPPERY])
def test_an_instance_does_not_feel_who_else_is_in_the_batch(env_id, kwargs):
    together = batch_of(env_id, 6, **kwargs)
    alone = batch_of(env_id, 1, **kwargs)
    states = [together.reset(Draws(0, [0, 1, 2], 2).world(episode=4))]
    lone = [alone.reset(Draws(0, [2], [1]).world(episode=4))]
    actions = np.random.default_rng(0).integers(0, 4, (80, 6))
    for row in actions:
        states.append(together.step(row, everybody(together)).observations)
        lone.append(alone.step(row[5:], everybody(alone)).observations)
    assert np.array(states)[:, 5].tolist() == np.array(lone)[:, 0].tolist()


@pytest.mark.parametrize("make", ["tabular", "scalar"])
def test_inactive_instances_neither_move_nor_draw(make):
    def batch():
        if make == "tabular":
            return batch_of("commenv/WindyGrid-v0", 2)
        return ScalarBatch([gym.make("commenv/WindyGrid-v0") for _ in range(2)])

    steady, pausing = batch(), batch()
    draws = Draws(3, [0], 2)
    steady.reset(draws.world(0))
    before = pausing.reset(draws.world(0))
    for _ in range(70):  # longer than a block of draws
        paused = pausing.step(np.array([99, 1]), np.array([False, True]))
        assert paused.observations[0] == before[0]
        assert paused.rewards[0] == 0
        assert not paused.terminated[0]
        assert not paused.truncated[0]
    for action in [1, 3, 1, 3, 1, 3] * 10:
        both = np.array([action, action])
        one = steady.step(both, np.array([True, False]))
        two = pausing.step(both, np.array([True, False]))
        assert [field[0] for field in one] == [field[0] for field in two]


def test_a_deterministic_process_never_touches_its_draws():
    batch = batch_of("commenv/SimpleGrid-v0", 3)
    assert batch.reset(Untouchable()).tolist() == [0, 0, 0]
    step = batch.step(np.array([1, 3, 4]), everybody(batch))
    assert step.observations.tolist() == [1, 5, 0]
    assert step.rewards.tolist() == [-1, -1, -1]
    mask = np.array([True, False, False])
    assert batch.reset(Untouchable(), mask).tolist() == [0, 5, 0]


def test_the_time_limit_truncates_what_has_not_ended():
    # One step before the goal, the limit and the goal come together for instance 0.
    batch = batch_of("commenv/SimpleGrid-v0", 2, max_episode_steps=2, size=(1, 3))
    batch.reset(Untouchable())
    first = batch.step(np.array([1, 4]), everybody(batch))
    assert (first.terminated.any(), first.truncated.any()) == (False, False)
    last = batch.step(np.array([1, 4]), everybody(batch))
    assert last.observations.tolist() == [2, 0]
    assert last.rewards.tolist() == [0, -1]
    assert last.terminated.tolist() == [True, False]
    assert last.truncated.tolist() == [False, True]
    batch.reset(Untouchable(), np.array([False, True]))
    again = batch.step(np.array([1, 1]), np.array([False, True]))
    assert again.truncated.tolist() == [False, False]


def test_scalar_batch_also_separates_the_goal_from_the_limit():
    envs = [
        gym.make("commenv/SimpleGrid-v0", max_episode_steps=2, size=(1, 3))
        for _ in range(2)
    ]
    batch = ScalarBatch(envs)
    batch.reset(FromSeeds([0, 1]))
    batch.step(np.array([1, 4]), everybody(batch))
    last = batch.step(np.array([1, 4]), everybody(batch))
    assert last.terminated.tolist() == [True, False]
    assert last.truncated.tolist() == [False, True]


def test_a_masked_reset_goes_on_with_the_streams_of_the_episode():
    batch = batch_of("commenv/FrozenLake-v0", 2, desc=["SSSS", "FFFG"])
    world = Draws(0, [0], 2).world(0)
    uniforms = Draws(0, [0], 2).uniforms("environment", 0, 8)[0]
    first = batch.reset(world)
    assert first.tolist() == (uniforms[:, 0] * 4).astype(int).tolist()
    second = batch.reset(world, np.array([False, True]))
    assert second.tolist() == [first[0], int(uniforms[1, 1] * 4)]


def test_results_are_never_written_to_again():
    for batch in (
        batch_of("commenv/WindyGrid-v0", 2),
        ScalarBatch([gym.make("commenv/WindyGrid-v0") for _ in range(2)]),
    ):
        first = batch.reset(FromSeeds([0, 1]))
        first[:] = 7
        step = batch.step(np.array([4, 4]), everybody(batch))
        copies = [np.array(field) for field in step]
        assert (step.observations != 7).all()
        batch.step(np.array([1, 1]), everybody(batch))
        for field, copy in zip(step, copies, strict=True):
            np.testing.assert_array_equal(field, copy)


def test_scalar_batch_of_a_continuous_world():
    batch = ScalarBatch([gym.make("Pendulum-v1") for _ in range(3)])
    assert batch.mdp is None
    assert batch.max_episode_steps == 200
    draws = Draws(0, [0, 1, 2], 1)
    first = batch.reset(draws.world(0))
    assert (first.shape, first.dtype) == ((3, 3), np.float32)
    single = gym.make("Pendulum-v1")
    seed = int(draws.seeds("environment", 0)[1, 0])
    np.testing.assert_array_equal(first[1], single.reset(seed=seed)[0])
    torques = np.array([[0.5], [-1.5], [np.nan]])  # float64, as people have them
    step = batch.step(torques, np.array([True, True, False]))
    there, reward, *_ = single.step(np.array([-1.5], np.float32))
    np.testing.assert_array_equal(step.observations[1], there)
    assert step.rewards[1] == reward
    np.testing.assert_array_equal(step.observations[2], first[2])
    batch.close()


def test_scalar_batch_starts_each_episode_from_its_own_seed():
    batch = ScalarBatch([gym.make("CartPole-v1")])
    draws = Draws(0, [0], 1)
    fourth = batch.reset(draws.world(4))
    batch.step(np.array([1]), everybody(batch))
    batch.reset(draws.world(5))
    np.testing.assert_array_equal(batch.reset(draws.world(4)), fourth)
    go_on = batch.reset(draws.world(4), everybody(batch))
    assert (go_on != fourth).any()


@pytest.mark.parametrize("make", ["tabular", "scalar"])
def test_wrong_calls_are_refused(make):
    batch = batch_of("commenv/SimpleGrid-v0", 2)
    if make == "scalar":
        batch = ScalarBatch([gym.make("commenv/SimpleGrid-v0") for _ in range(2)])
    with pytest.raises(NotResetError, match="call reset"):
        batch.step(np.array([0, 0]), everybody(batch))
    with pytest.raises(NotResetError, match="reset all instances first"):
        batch.reset(FromSeeds([0, 1]), everybody(batch))
    batch.reset(FromSeeds([0, 1]))
    with pytest.raises(ValueError, match="action 5 of instance 1 is outside"):
        batch.step(np.array([0, 5]), everybody(batch))
    with pytest.raises(ValueError, match=r"actions of shape \(1,\)"):
        batch.step(np.array([0]), everybody(batch))


@pytest.mark.parametrize(("count", "limit"), [(0, None), (-1, None), (1, 0)])
def test_counts_below_1_are_refused(count, limit):
    with pytest.raises(ValueError, match="use 1 or more"):
        batch_of("commenv/SimpleGrid-v0", count, limit)


def test_scalar_batch_refuses_no_instance_and_spaces_that_are_no_array():
    with pytest.raises(ValueError, match="num_envs 0"):
        ScalarBatch([])
    image = spaces.Dict({"image": spaces.Box(0, 255, (4, 4), np.uint8)})
    with pytest.raises(ValueError, match=r"observation space Dict.*FlattenObs"):
        ScalarBatch([Faulty(image)])
