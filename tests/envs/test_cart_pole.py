import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode

from commenv.envs import CartPoleBatch
from commenv.errors import MissingExtraError, NotResetError
from commenv.rng import Draws, GeneratorUniforms

NEXT, SAME, OFF = (
    AutoresetMode.NEXT_STEP,
    AutoresetMode.SAME_STEP,
    AutoresetMode.DISABLED,
)
SUTTON = {"sutton_barto_reward": True}


class FromSeeds:
    """Draws as Gymnasium's environments make them: one generator per seed."""

    def __init__(self, seeds):
        self._generators = [seeding.np_random(seed)[0] for seed in seeds]

    def uniforms(self):
        return GeneratorUniforms(self._generators)


def balance(observations):
    """A policy that keeps the pole up: where it leans and turns, there push."""
    return (observations[:, 2] + 0.3 * observations[:, 3] > 0).astype(np.int64)


def random(observations, rng=np.random.default_rng(0)):  # noqa: B008 - one stream
    return rng.integers(0, 2, len(observations))


def both(num_envs, mode, **kwargs):
    """The native form and Gymnasium's sync form."""
    sync = gym.make_vec(
        "commenv/CartPole-v1",
        num_envs,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": mode},
        **kwargs,
    )
    ours = gym.make_vec("commenv/CartPole-v1", num_envs, autoreset_mode=mode, **kwargs)
    return ours, sync


def assert_same(ours, theirs):
    assert type(ours) is type(theirs)
    if isinstance(ours, dict):
        assert list(ours) == list(theirs)
        ours, theirs = tuple(ours.values()), tuple(theirs.values())
    if isinstance(ours, tuple):
        for mine, yours in zip(ours, theirs, strict=True):
            assert_same(mine, yours)
    elif isinstance(ours, np.ndarray):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        if ours.dtype == object:
            assert_same(tuple(ours), tuple(theirs))
        else:
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kwargs", [{}, SUTTON])
@pytest.mark.parametrize("policy", [balance, random])
def test_whole_episodes_equal_gymnasiums_bit_for_bit(policy, kwargs):
    seeds = range(20)
    batch = CartPoleBatch(len(seeds), 500, **kwargs)
    envs = [gym.make("CartPole-v1", **kwargs) for _ in seeds]
    observations = batch.reset(FromSeeds(seeds))
    first = [env.reset(seed=seed)[0] for env, seed in zip(envs, seeds, strict=True)]
    np.testing.assert_array_equal(observations, first)
    active = np.ones(len(seeds), dtype=bool)
    ends = np.zeros(2, dtype=int)
    while active.any():
        actions = policy(observations)
        step = batch.step(actions, active)
        for row in np.flatnonzero(active).tolist():
            there, reward, ended, cut, _ = envs[row].step(actions[row])
            assert batch.states[row].tolist() == envs[row].unwrapped.state.tolist()
            np.testing.assert_array_equal(step.observations[row], there)
            assert step.rewards[row] == reward
            assert step.terminated[row] == ended
            assert step.truncated[row] == (cut and not ended)
        observations = step.observations
        ends += [step.terminated.sum(), step.truncated.sum()]
        active &= ~(step.terminated | step.truncated)
    assert ends[int(policy is balance)] == len(seeds)  # fallen, or at the limit of 500


def test_observations_are_float32_rows_and_the_callers_to_keep():
    batch = CartPoleBatch(3)
    draws = Draws(0, [0, 1, 2], 1)
    first = batch.reset(draws.world(0))
    assert (first.shape, first.dtype) == ((3, 4), np.float32)
    assert first.flags.c_contiguous
    assert (np.abs(first) <= 0.05).all()
    kept = first.copy()
    step = batch.step(np.array([0, 1, 1]), np.ones(3, dtype=bool))
    np.testing.assert_array_equal(first, kept)
    first[:] = step.observations[:] = 9
    assert (batch.states < 1).all()


@pytest.mark.parametrize("share", [0.9, 0.3])
def test_an_instance_does_not_feel_the_others_and_rests_when_not_active(share):
    together, alone = CartPoleBatch(60), CartPoleBatch(1)
    together.reset(Draws(4, range(12), 5).world(3))
    alone.reset(Draws(4, [7], [2]).world(3))
    mine = 7 * 5 + 2
    rng = np.random.default_rng(0)
    for _ in range(30):
        actions, active = rng.integers(0, 2, 60), rng.random(60) < share
        actions[~active] = -5  # ignored
        before = together.states
        step = together.step(actions, active)
        np.testing.assert_array_equal(together.states[~active], before[~active])
        assert step.rewards.tolist() == active.tolist()
        if active[mine]:
            alone.step(actions[mine : mine + 1], np.array([True]))
        np.testing.assert_array_equal(together.states[mine], alone.states[0])


def test_a_reset_takes_four_draws_of_the_active_rows_alone():
    batch = CartPoleBatch(2)
    world = Draws(0, [0], 2).world(0)
    uniforms = Draws(0, [0], 2).uniforms("environment", 0, 8)[0]
    batch.reset(world)
    np.testing.assert_allclose(batch.states, 0.1 * uniforms[:, :4] - 0.05, atol=1e-17)
    first = batch.states
    batch.reset(world, np.array([False, True]))
    assert batch.states[0].tolist() == first[0].tolist()
    np.testing.assert_allclose(
        batch.states[1], 0.1 * uniforms[1, 4:] - 0.05, atol=1e-17
    )


def test_the_time_limit_is_each_instances_own():
    batch = CartPoleBatch(2, max_episode_steps=3)
    world = Draws(0, [0], 2).world(0)
    batch.reset(world)
    both, second = np.array([True, True]), np.array([False, True])
    push = np.array([0, 1])
    cuts = [batch.step(push, active).truncated for active in (second, both, both)]
    batch.reset(world, second)
    cuts.append(batch.step(push, both).truncated)
    expected = [[False, False], [False, False], [False, True], [True, False]]
    assert np.array(cuts).tolist() == expected


def test_what_a_restarting_row_is_told_is_ignored():
    env, twin = both(3, NEXT)[0], both(3, NEXT)[0]
    env.reset(seed=0)
    twin.reset(seed=0)
    push, ended = np.ones(3, dtype=np.int64), np.zeros(3, dtype=bool)
    for _ in range(40):
        given = np.where(ended, 99, push)
        mine, yours = env.step(given), twin.step(push)
        assert_same(mine, yours)
        assert (mine[1] == ~ended).all()
        ended = mine[2]
    env.close()
    twin.close()


def test_wrong_calls_are_refused():
    batch = CartPoleBatch(2)
    everybody = np.ones(2, dtype=bool)
    with pytest.raises(NotResetError, match="call reset"):
        batch.step(np.array([0, 0]), everybody)
    with pytest.raises(NotResetError, match="call reset"):
        batch.begin(np.array([0]))
    with pytest.raises(NotResetError, match="reset all instances first"):
        batch.reset(FromSeeds([0, 1]), everybody)
    batch.reset(FromSeeds([0, 1]))
    with pytest.raises(ValueError, match=r"action 2 of instance 1 .* 0 \.\.\. 1"):
        batch.step(np.array([0, 2]), everybody)
    with pytest.raises(ValueError, match="action -1 of instance 0"):
        batch.step(np.array([-1, 2]), np.array([True, False]))
    with pytest.raises(ValueError, match="dtype float64"):
        batch.step(np.array([0.0, 1.0]), everybody)
    with pytest.raises(ValueError, match="num_envs 0"):
        CartPoleBatch(0)


@pytest.mark.parametrize("kwargs", [{}, SUTTON, {"max_episode_steps": 20}])
@pytest.mark.parametrize("mode", [NEXT, SAME, OFF])
def test_the_vector_form_equals_the_sync_form(mode, kwargs):
    ours, theirs = both(6, mode, **kwargs)
    rng = np.random.default_rng(0)
    assert_same(ours.reset(seed=123), theirs.reset(seed=123))
    ends = np.zeros(2, dtype=int)
    for count in range(600):
        actions = rng.integers(0, 2, 6)
        step = ours.step(actions)
        assert_same(step, theirs.step(actions))
        ends += [step[2].sum(), step[3].sum()]
        if mode is OFF and (done := step[2] | step[3]).any():
            options = {"reset_mask": done}
            assert_same(
                ours.reset(options=options), theirs.reset(options=dict(options))
            )
        if count % 97 == 0:
            seed = [7, None, [None, 4, None, 2, 2, None]][count % 3]
            assert_same(ours.reset(seed=seed), theirs.reset(seed=seed))
    assert ends[0] > 20
    assert ends[1] > 20 or "max_episode_steps" not in kwargs
    assert ours.np_random_seed == theirs.np_random_seed


def test_the_bounds_of_the_scalar_forms_start_are_refused():
    env = gym.make_vec("commenv/CartPole-v1", 2)
    with pytest.raises(ValueError, match=r"\['high', 'low'\] .*sync"):
        env.reset(options={"low": -0.1, "high": 0.1})


def test_pictures_equal_the_sync_form():
    pytest.importorskip("pygame")
    ours, theirs = both(2, NEXT, render_mode="rgb_array")
    for env in (ours, theirs):
        env.reset(seed=0)
        for _ in range(9):
            env.step(np.array([0, 1]))
    for mine, yours in zip(ours.render(), theirs.render(), strict=True):
        np.testing.assert_array_equal(mine, yours)
    assert (ours.render()[0] != ours.render()[1]).any()
    ours.close()
    theirs.close()


def test_a_picture_without_pygame_names_the_extra(monkeypatch):
    env = gym.make_vec("commenv/CartPole-v1", 1, render_mode="rgb_array")
    env.reset(seed=0)
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(MissingExtraError, match="\\[render\\]"):
        env.render()
