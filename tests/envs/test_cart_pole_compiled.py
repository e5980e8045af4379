"""Compiled steps and episodes of Cart Pole are twins of NumPy's, bit for bit."""

import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode

from commenv.compiling import compiled
from commenv.envs import CartPoleBatch, cart_pole_dynamics
from commenv.envs.cart_pole_dynamics import compiled_dynamics
from commenv.errors import NotResetError
from commenv.rng import Draws, GeneratorUniforms
from commenv.rng.streams import take_from_blocks

pytest.importorskip("numba")

SIZES = [1, 2, 7, 255, 256, 257, 1000]
SUTTON = {"sutton_barto_reward": True}
NEXT, SAME, OFF = (
    AutoresetMode.NEXT_STEP,
    AutoresetMode.SAME_STEP,
    AutoresetMode.DISABLED,
)


@pytest.fixture
def compile_after(monkeypatch):
    """Says after how many steps of a batch steps are compiled; None: never."""

    def after(steps, num_envs=0):
        calls = cart_pole_dynamics._AS_MANY_AS_A_CALL + num_envs
        worth = sys.maxsize if steps is None else (steps + 1) * calls
        monkeypatch.setattr(cart_pole_dynamics, "_WORTH_LOADING_CODE", worth)
        monkeypatch.setattr(cart_pole_dynamics, "_WORTH_LOADING_NUMBA", worth)

    return after


def assert_equal_bits(ours, theirs):
    assert type(ours) is type(theirs)
    if isinstance(ours, dict):
        assert list(ours) == list(theirs)
        ours, theirs = tuple(ours.values()), tuple(theirs.values())
    if isinstance(ours, tuple) or (
        isinstance(ours, np.ndarray) and ours.dtype.hasobject
    ):
        for mine, yours in zip(ours, theirs, strict=True):
            assert_equal_bits(mine, yours)
    elif isinstance(ours, np.ndarray):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        assert ours.tobytes() == theirs.tobytes()


def is_compiled(batch):
    return batch._compiled.steps < 0


def started(num_envs, seed, episode=0, **kwargs):
    batch = CartPoleBatch(num_envs, **kwargs)
    batch.reset(Draws(seed, [0], num_envs).world(episode))
    return batch


def twins(num_envs, seed, compile_after, steps, **kwargs):
    """What some steps of random rows return and leave behind."""
    compile_after(steps, num_envs)
    batch = started(num_envs, seed, max_episode_steps=30, **kwargs)
    world = Draws(seed, [0], num_envs).world(0)
    rng = np.random.default_rng(seed)
    seen = []
    for step in range(50):
        active = rng.random(num_envs) < [1, 0.9, 0.3][step // 2 % 3]
        active[-1] |= not active.any()
        actions = np.where(active, rng.integers(2, size=num_envs), 77)
        seen.append((*batch.step(actions, active), batch.states))
        if (over := seen[-1][2] | seen[-1][3]).any() and step % 3:
            seen.append((batch.reset(world, over), batch.states))
    assert is_compiled(batch) == (steps is not None)
    return tuple(seen)


@pytest.mark.parametrize("kwargs", [{}, SUTTON])
@pytest.mark.parametrize("num_envs", SIZES)
def test_steps_of_any_rows_are_the_same(num_envs, kwargs, compile_after):
    for seed in range(3):
        expected = twins(num_envs, seed, compile_after, None, **kwargs)
        for steps in (0, 17):
            got = twins(num_envs, seed, compile_after, steps, **kwargs)
            assert_equal_bits(got, expected)


@pytest.mark.parametrize("push", [0, 1])
def test_states_at_the_edges_and_beyond_are_the_same(push, compile_after):
    far, steep = 2.4, 12 * 2 * np.pi / 360
    edges = [0.0, -0.0, 1e-310, 1.0, np.nan, 1e300, -np.inf]
    for edge in (far, steep):
        edges += [edge, np.nextafter(edge, 0), np.nextafter(edge, 9), -edge]
    states = np.stack(np.meshgrid(edges, edges, edges, [0.0, -3.0])).reshape(4, -1)
    count = states.shape[1]
    seen = []
    for steps in (None, 0):
        compile_after(steps)
        batch = started(count, 0)
        batch._states = states.copy()
        actions, active = np.full(count, push), np.ones(count, dtype=bool)
        with np.errstate(all="ignore"):
            seen.append([(*batch.step(actions, active), batch.states)])
            active[::3] = False
            seen[-1].append((*batch.step(actions, active), batch.states))
    for ours, theirs in zip(*map(tuple, seen), strict=True):
        for mine, yours in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(mine, yours)  # NaN may have any sign


@pytest.mark.parametrize("kwargs", [{}, SUTTON, {"max_episode_steps": 12}])
@pytest.mark.parametrize("mode", [NEXT, SAME, OFF])
@pytest.mark.parametrize("num_envs", [1, 6, 300])
def test_the_vector_form_is_the_same(num_envs, mode, kwargs, compile_after):
    """Some rows restart over 65 times, and come to the end of a block of numbers."""

    def run(steps):
        compile_after(steps, num_envs)
        env = gym.make_vec(
            "commenv/CartPole-v1", num_envs, autoreset_mode=mode, **kwargs
        )
        rng = np.random.default_rng(0)
        seen = [env.reset(seed=3)]
        for count in range(1700 if num_envs < 10 else 150):
            seen.append(env.step(rng.integers(2, size=num_envs)))
            if mode is OFF and (over := seen[-1][2] | seen[-1][3]).any():
                seen.append(env.reset(options={"reset_mask": over}))
            if count % 397 == 99:
                seed = [None if row % 2 else row for row in range(num_envs)]
                seen.append(env.reset(seed=seed))
        assert is_compiled(env.unwrapped._batch) == (steps is not None)
        return tuple(seen)

    expected = run(None)
    assert_equal_bits(run(0), expected)
    assert_equal_bits(run(40), expected)


def test_what_is_told_is_ignored_or_refused_as_in_numpy(compile_after):
    compile_after(0)
    env = gym.make_vec("commenv/CartPole-v1", 3)
    env.reset(seed=0)
    ended = np.zeros(3, dtype=bool)
    for _ in range(40):
        ended = env.step(np.where(ended, 99, 1))[2]
    batch = started(3, 0)
    everybody = np.ones(3, dtype=bool)
    batch.step(np.zeros(3, dtype=int), everybody)
    before = batch.states
    with pytest.raises(ValueError, match=r"action 2 of instance 1 .* 0 \.\.\. 1"):
        batch.step(np.array([0, 2, 1]), everybody)
    with pytest.raises(ValueError, match="action -1 of instance 0"):
        batch.step(np.array([-1, 2, 2]), np.array([True, False, False]))
    np.testing.assert_array_equal(batch.states, before)


def test_arrays_of_other_kinds_are_taken_without_compiling_anew(compile_after):
    compile_after(0)
    batch = started(4, 0)
    everybody = np.ones(4, dtype=bool)
    batch.step(np.zeros(4, dtype=np.int64), everybody)
    known = len(compiled_dynamics().move.signatures)
    fixed = np.array([0, 1, 0, 1])
    fixed.flags.writeable = False
    for actions in (fixed, fixed.astype(np.uint8), np.repeat(fixed, 2)[::2]):
        batch.step(actions, np.broadcast_to(True, 4))
    assert len(compiled_dynamics().move.signatures) == known


@pytest.mark.parametrize("how", ["not installed", "not compiled"])
def test_without_numba_steps_go_on_in_numpy(how, compile_after, monkeypatch):
    compile_after(3, 5)
    if how == "not installed":
        monkeypatch.setitem(sys.modules, "numba", None)
        compiled_dynamics.cache_clear()
    else:
        compile_after(None)
    batch = started(5, 0)
    for _ in range(20):
        batch.step(np.zeros(5, dtype=int), np.ones(5, dtype=bool))
    assert not is_compiled(batch)


def test_a_short_run_does_not_import_numba():
    code = """
import sys, gymnasium as gym, numpy as np
env = gym.make_vec("commenv:commenv/CartPole-v1", 100)
env.reset(seed=0)
for _ in range(1000):
    env.step(np.zeros(100, dtype=int))
print("numba" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


class Leaning:
    """Linear policies, one for each instance, played in columns or step by step."""

    def __init__(self, num_envs, seed):
        rng = np.random.default_rng(seed)
        self.weights = rng.normal(size=(4, num_envs)).astype(np.float32)
        self.weights[2:] += 2 * (rng.random(num_envs) < 0.6)
        self.width = num_envs

    def __call__(self, observations, width, holes):
        for place, hole in enumerate(holes):
            self.weights[:, hole] = self.weights[:, self.width - 1 - place]
        assert width == self.width - len(holes)
        self.width = width
        return self.act(observations[:, :width].T, self.weights[:, :width])

    @staticmethod
    def act(observations, weights):
        parts = observations.T * weights
        return (parts[0] + parts[1] + parts[2] + parts[3] > 0).astype(np.int64)


@pytest.mark.parametrize("kwargs", [{}, SUTTON])
@pytest.mark.parametrize("limit", [1, 2, 9, 200, 500])
@pytest.mark.parametrize("num_envs", SIZES)
def test_whole_episodes_are_those_of_as_many_steps(num_envs, limit, kwargs):
    for seed in range(2):
        batch = started(num_envs, seed, 5, max_episode_steps=limit, **kwargs)
        first = batch.states
        lengths, fallen = batch.play(Leaning(num_envs, seed))
        np.testing.assert_array_equal(batch.states, first)
        weights = Leaning(num_envs, seed).weights
        observations = first.astype(np.float32)
        active = np.ones(num_envs, dtype=bool)
        steps, falls = np.zeros(num_envs, dtype=int), np.zeros(num_envs, dtype=bool)
        returns, discounts = np.zeros((3, num_envs)), np.ones(3)
        gammas = np.array([1.0, 0.83, 0.0])
        while active.any():
            step = batch.step(Leaning.act(observations, weights), active)
            returns += discounts[:, None] * step.rewards
            discounts *= gammas
            steps += active
            falls |= step.terminated
            active &= ~(step.terminated | step.truncated)
            observations = step.observations
        np.testing.assert_array_equal(lengths, steps)
        np.testing.assert_array_equal(fallen, falls)
        for gamma, expected in zip(gammas, returns, strict=True):
            got = batch.returns(lengths, fallen, gamma)
            assert got.tobytes() == expected.tobytes()


def test_without_a_limit_all_episodes_are_played_until_they_fall():
    batch = started(30, 1)
    lengths, fallen = batch.play(lambda *_: np.zeros(30, dtype=np.int64))
    assert fallen.all()
    assert (lengths > 5).all()


def test_nothing_is_played_before_a_reset():
    with pytest.raises(NotResetError, match="call reset"):
        CartPoleBatch(2).play(Leaning(2, 0))


@pytest.mark.parametrize("count", [1, 4, 7, 300])
def test_numbers_handed_out_at_once_are_those_of_the_stream(count):
    def stream():
        return GeneratorUniforms([seeding.np_random(seed)[0] for seed in range(9)])

    one, other, take = stream(), stream(), compiled(take_from_blocks)
    rng = np.random.default_rng(count)
    for _ in range(400):
        rows = rng.permutation(9)[: rng.integers(1, 9)]
        numbers = np.empty((len(rows), count))
        one.take_into(rows, numbers, take)
        np.testing.assert_array_equal(numbers, other.several_of(rows, count))
        if rng.random() < 0.1:
            np.testing.assert_array_equal(one.next(), other.next())
