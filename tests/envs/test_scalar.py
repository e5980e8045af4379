import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_for_sb3

import commenv  # noqa: F401 - registers the ids
from commenv.envs import TabularEnv, TabularMDP
from commenv.errors import NotResetError

ARGUMENTS = {
    "commenv/SimpleGrid-v0": [{}, {"size": (2, 7), "goal": (0, 6), "start": (1, 0)}],
    "commenv/WindyGrid-v0": [
        {},
        {"size": 3, "wind": {"right": 1.0, "down": 0.25, "up": 0.0}},
    ],
    "commenv/FrozenLake-v0": [
        {},
        {"map_name": "4x4", "is_slippery": True},
        {"desc": ["SFS", "HFG"], "is_slippery": True},
    ],
}
CASES = [(env_id, kwargs) for env_id in ARGUMENTS for kwargs in ARGUMENTS[env_id]]
every_case = pytest.mark.parametrize(("env_id", "kwargs"), CASES)


def play(env, actions, seed=None):
    """Everything that an environment returns over some actions, resets included."""
    trace = [env.reset(seed=seed)]
    for action in actions:
        trace.append(env.step(action))
        if trace[-1][2] or trace[-1][3]:
            trace.append(env.reset())
    return trace


def random_actions(env, count, seed=0):
    return np.random.default_rng(seed).integers(0, env.action_space.n, count).tolist()


@every_case
@pytest.mark.parametrize("render_mode", [None, "ansi", "rgb_array"])
def test_gymnasiums_check_finds_nothing(env_id, kwargs, render_mode):
    env = gym.make(env_id, render_mode=render_mode, **kwargs)
    check_env(env.unwrapped, skip_render_check=render_mode is None)


@every_case
def test_stable_baselines_check_finds_nothing(env_id, kwargs):
    check_env_for_sb3(gym.make(env_id, **kwargs).unwrapped)


@every_case
def test_twins_live_the_same_lives(env_id, kwargs):
    one, two = gym.make(env_id, **kwargs), gym.make(env_id, **kwargs)
    actions = random_actions(one, 1000)
    assert play(one, actions, seed=7) == play(two, actions, seed=7)


@every_case
def test_an_environment_made_from_its_spec_is_the_same(env_id, kwargs):
    env = gym.make(env_id, **kwargs)
    twin = gym.make(env.spec)
    assert twin.spec == env.spec
    assert twin.unwrapped.mdp == env.unwrapped.mdp
    actions = random_actions(env, 300)
    assert play(env, actions, seed=3) == play(twin, actions, seed=3)


@every_case
def test_a_pickled_environment_goes_on_as_the_original_does(env_id, kwargs):
    env = gym.make(env_id, **kwargs)
    actions = random_actions(env, 300)
    new = pickle.loads(pickle.dumps(env))
    assert play(new, actions, seed=5) == play(env, actions, seed=5)
    env.reset()
    begun = pickle.loads(pickle.dumps(env))
    assert begun.unwrapped.mdp == env.unwrapped.mdp
    assert [begun.step(a) for a in actions[:3]] == [env.step(a) for a in actions[:3]]
    assert play(begun, actions) == play(env, actions)


@every_case
def test_returns_plain_python_values_and_an_empty_info(env_id, kwargs):
    env = gym.make(env_id, **kwargs).unwrapped
    state, info = env.reset(seed=0)
    assert (type(state), info) == (int, {})
    for action in random_actions(env, 50):
        step = env.step(np.int64(action))
        assert list(map(type, step)) == [int, float, bool, bool, dict]
        assert step[4] == {}


@every_case
def test_the_time_limit_of_200_is_in_the_spec(env_id, kwargs):
    assert gym.spec(env_id).max_episode_steps == 200


def test_the_time_limit_truncates():
    env = gym.make("commenv/SimpleGrid-v0")
    env.reset(seed=0)
    ends = [env.step(4)[2:4] for _ in range(200)]
    assert ends == [(False, False)] * 199 + [(False, True)]


@every_case
def test_one_uniform_per_reset_and_one_per_step(env_id, kwargs):
    env = gym.make(env_id, **kwargs).unwrapped
    counted = np.random.default_rng(np.random.PCG64(np.random.SeedSequence(11)))
    env.reset(seed=11)
    env.reset()
    for action in random_actions(env, 20):
        env.step(action)
    counted.random(22)
    assert env.np_random.random() == counted.random()


def test_the_first_outcome_whose_cumulative_probability_exceeds_the_draw():
    outcomes = [(0.25, 0, 0.0, False), (0.0, 1, 1.0, False), (0.75, 2, 2.0, False)]
    table = {state: {0: outcomes} for state in range(3)}
    env = TabularEnv(TabularMDP.from_transitions(table, [0.5, 0.0, 0.5]))

    class Scripted:
        def __init__(self, *numbers):
            self.random = iter(numbers).__next__

    below = np.nextafter(0.25, 0)
    env.np_random = Scripted(0.0, below, 0.25, np.nextafter(1, 0), 0.5)
    assert env.reset()[0] == 0
    assert [env.step(0)[1] for _ in range(3)] == [0.0, 2.0, 2.0]
    assert env.reset()[0] == 2


@pytest.mark.parametrize("env_id", ARGUMENTS)
def test_a_finished_episode_stays_where_it_is(env_id):
    env = gym.make(env_id).unwrapped
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    while not (last := env.step(rng.integers(4)))[2]:
        pass
    for action in range(env.action_space.n):
        assert env.step(action) == (last[0], 0.0, True, False, {})


@pytest.mark.parametrize("action", [-1, 5, 1.0, "left", None, np.array([1, 2])])
def test_an_action_outside_the_space_is_refused(action):
    env = gym.make("commenv/SimpleGrid-v0").unwrapped
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"action .* outside .* integers 0 ... 4"):
        env.step(action)
    assert env.step(1)[0] == 1  # and nothing has happened


def test_a_step_or_a_picture_before_the_reset_is_refused():
    env = gym.make("commenv/SimpleGrid-v0", render_mode="ansi").unwrapped
    with pytest.raises(NotResetError, match="call reset"):
        env.step(0)
    with pytest.raises(NotResetError, match="call reset"):
        env.render()


def test_an_unknown_render_mode_is_refused():
    mdp = TabularMDP.from_transitions({0: {0: [(1.0, 0, 0.0, True)]}}, [1.0])
    with pytest.raises(ValueError, match=r"render_mode 'ansi' .* \[None\]"):
        TabularEnv(mdp, render_mode="ansi")
    scene = gym.make("commenv/SimpleGrid-v0").unwrapped.scene
    with pytest.raises(ValueError, match=r"render_mode 'svg' .* 'rgb_array'"):
        TabularEnv(mdp, scene, render_mode="svg")


@pytest.mark.parametrize(
    ("env_id", "kwargs", "gamma"),
    [
        ("commenv/SimpleGrid-v0", {}, 0.9),
        ("commenv/WindyGrid-v0", {}, 0.9),
        ("commenv/WindyGrid-v0", {}, 1.0),
        ("commenv/FrozenLake-v0", {"map_name": "4x4", "is_slippery": True}, 0.9),
    ],
)
def test_play_of_the_optimal_policy_earns_its_exact_value(env_id, kwargs, gamma):
    env = gym.make(env_id, max_episode_steps=5000, **kwargs)
    mdp = TabularMDP.from_env(env)
    values = mdp.optimal_values(gamma)
    future = np.where(mdp.terminated, 0, values[mdp.next_state])
    policy = (mdp.probability * (mdp.reward + gamma * future)).sum(2).argmax(1).tolist()
    returns = []
    state, _ = env.reset(seed=1)
    for _ in range(2000):
        total, discount, done = 0.0, 1.0, False
        while not done:
            state, reward, done, truncated, _ = env.step(policy[state])
            assert not truncated
            total += discount * reward
            discount *= gamma
        returns.append(total)
        state, _ = env.reset()
    error = abs(np.mean(returns) - mdp.start_value(values))
    assert error <= 4 * np.std(returns) / np.sqrt(len(returns)) + 1e-9
