import copy
import pickle
import warnings
from fractions import Fraction

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit, TransformReward

import commenv
from commenv.envs import ScalarBatch, make_batched, make_scalar
from commenv.envs.checker import CheckedEnv, Checker
from commenv.envs.patchwork import Patchwork
from commenv.errors import EnvironmentFaultError
from commenv.learning import MonteCarloEvaluator
from commenv.rng import Draws
from tests.faults import UNIT, Faulty, Licence, Unlucky

PARTS = spaces.Dict({"place": UNIT, "state": spaces.Discrete(4)})
WRONG = [
    (None, -1, r"observation -1, outside Discrete\(4\)"),
    (None, 1.7, r"observation 1\.7, outside Discrete\(4\)"),
    (UNIT, np.zeros(1), r"of shape \(1,\), not \(3,\), outside Box"),
    (UNIT, np.full(3, np.nan), r"array\(\[nan, nan, nan\]\), outside Box"),
    (spaces.Box(0, 255, (3,), np.uint8), np.array([0, 300, 0]), "300.*uint8"),
    (PARTS, {"place": np.zeros(3)}, r"the keys \['place'\], where"),
    (PARTS, {"place": np.zeros(3), "state": -1}, r"observation\['state'\] -1, outs"),
    (spaces.Tuple((UNIT, UNIT)), (np.zeros(3),), "of 1 parts, where 2 belong"),
]


def started(**parts):
    env = CheckedEnv(Faulty(**parts))
    env.reset(seed=0)
    env.step(0)
    return env


@pytest.mark.parametrize(("space", "seen", "words"), WRONG, ids=str)
def test_observations_outside_their_space_are_refused(space, seen, words):
    with pytest.raises(EnvironmentFaultError, match=f"Faulty returned .*{words}"):
        started(space=space, observation=seen).step(0)
    with pytest.raises(EnvironmentFaultError, match=words):
        CheckedEnv(Faulty(space, start=seen)).reset(seed=0)


@pytest.mark.parametrize(
    ("reward", "number"),
    [
        (np.array([1.5]), 1.5),
        (np.array([[2]]), 2.0),
        (np.float32(0.5), 0.5),
        (3, 3.0),
        (True, 1.0),
        (np.False_, 0.0),
        ([-1.0], -1.0),
        (Fraction(1, 4), 0.25),
        (float("-inf"), -np.inf),
        (np.array([np.inf]), np.inf),
    ],
    ids=str,
)
def test_one_number_in_any_form_is_a_reward(reward, number):
    paid = started(reward=reward).step(0)[1]
    assert type(paid) is float
    assert paid == number


@pytest.mark.parametrize(
    ("reward", "words"),
    [
        (
            np.array([1.0, -0.5]),
            r"2 rewards at once, array.*LinearReward",
        ),
        ([1, 2, 3], "3 rewards at once"),
        (float("nan"), "the reward nan; a reward is one number"),
        (np.array([np.nan]), "the reward array"),
        (None, "the reward None"),
        ("1.0", "the reward '1.0'"),
        (1j, "the reward 1j"),
        (np.complex64(1), "the reward .1.0j"),
        ([], r"the reward \[\]"),
        (np.ma.masked, "the reward masked"),
    ],
    ids=str,
)
def test_what_is_not_one_number_is_no_reward(reward, words):
    with pytest.raises(EnvironmentFaultError, match=f"Faulty returned {words}"):
        started(reward=reward).step(0)


@pytest.mark.parametrize("name", ["terminated", "truncated"])
def test_flags_are_booleans(name):
    where = 2 if name == "terminated" else 3
    for flag in (True, np.True_, 1, np.array([True])):
        assert started(**{name: flag}).step(0)[where] is True
    for flag in (None, "no", 2, np.array([True, False]), float("nan")):
        with pytest.raises(EnvironmentFaultError, match=f"{name} = .*True or False"):
            started(**{name: flag}).step(0)


def test_results_of_another_form_are_refused():
    class Old(Faulty):
        def reset(self, *, seed=None, options=None):
            return super().reset(seed=seed)[0]

        def step(self, action):
            return super().step(action)[:4]

    checker = Checker(Old(), spaces.Discrete(4))
    with pytest.raises(EnvironmentFaultError, match=r"Old returned a int from reset"):
        checker.reset(Old().reset())
    env = Old()
    env.reset()
    with pytest.raises(EnvironmentFaultError, match=r"4 values from step\(\)"):
        checker.step(env.step(0))
    with pytest.raises(EnvironmentFaultError, match="the info None; return a dict"):
        started(info=None).step(0)


def test_real_numbers_beyond_their_bounds_are_warned_of_once():
    class Overshooting(Faulty):
        pass

    for times_before in range(2):
        env = CheckedEnv(Overshooting(UNIT, observation=np.full(3, 1.25)))
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            env.reset(seed=0)
            seen = [env.step(0)[0].tolist() for _ in range(4)]
        assert seen[1:] == [[1.25] * 3] * 3
        texts = [str(one.message) for one in said]
        assert len(texts) == (times_before == 0)
        assert all("Overshooting returned" in text for text in texts)
        with pytest.raises(EnvironmentFaultError, match="nan"):
            env._checker.observation(np.full(3, np.nan))


def test_rounding_is_not_beyond_bounds():
    tenths = spaces.Box(-0.1, 0.7, (2,), np.float32)
    assert np.float64(0.7) > tenths.high[0]
    started(space=tenths, observation=np.array([-0.1, 0.7])).step(0)


def test_what_an_environment_raises_is_the_cause():
    env = CheckedEnv(gym.make("Unlucky-v0", chance=1, disable_env_checker=True))
    env.reset(seed=0)
    words = "^Unlucky-v0 raised Licence in step.*: simulator lost its licence$"
    with pytest.raises(EnvironmentFaultError, match=words) as caught:
        env.step(0)
    assert isinstance(caught.value.__cause__, Licence)
    copied = pickle.loads(pickle.dumps(caught.value))
    assert str(copied) == str(caught.value)
    assert "in step\n" in copied.__notes__[0]
    assert pickle.loads(pickle.dumps(copied)).__notes__ == copied.__notes__


def test_interrupts_pass():
    class Interrupted(Faulty):
        def step(self, action):
            raise KeyboardInterrupt

    env = CheckedEnv(Interrupted())
    env.reset(seed=0)
    with pytest.raises(KeyboardInterrupt):
        env.step(0)


def test_vectors_of_rewards_are_refused_before_the_first_step_where_they_are_known():
    class Objectives(Faulty):
        reward_space = spaces.Box(-1, 1, (2,))

    class Weighted(gym.Wrapper):
        def step(self, action):
            seen, rewards, *others = self.env.step(action)
            return seen, rewards @ np.ones(2), *others

    rewards, words = np.array([1.0, -0.5]), r"rewards of shape \(2,\); combine"
    for env in (Objectives(), TimeLimit(Objectives(), 5)):
        with pytest.raises(EnvironmentFaultError, match=words):
            CheckedEnv(env)
        with pytest.raises(EnvironmentFaultError, match=words):
            commenv.wrappers.MessageChannel(env)
    for one in (
        Weighted(Objectives(reward=rewards)),
        TransformReward(Objectives(reward=rewards), np.sum),
    ):
        env = CheckedEnv(TimeLimit(one, 5))
        env.reset(seed=0)
        env.unwrapped.time = 1
        assert env.step(0)[1] == 0.5


def test_checkers_are_copied_and_pickled_with_what_they_check():
    env = CheckedEnv(Faulty(reward=np.array([2.0])))
    env.reset(seed=0)
    env.step(0)
    for twin in (copy.deepcopy(env), pickle.loads(pickle.dumps(env))):
        assert twin.step(0)[1] == 2.0


def play(env):
    while True:
        if not env.active.any():
            env.reset()
        env.step(np.zeros(env.num_envs, int))


@pytest.mark.parametrize("fault", ["raise", "observation", "nan"])
def test_a_batch_knows_the_trial_and_the_agent(fault):
    env = commenv.batched_env(
        "Unlucky-v0", 3, 4, env_kwargs={"chance": 0.02, "fault": fault}
    )
    alone = Unlucky(0.02)
    expected = None
    seeds = Draws(5, range(3), 4, owner="environment")
    env.reset(seed=5)
    with pytest.raises(EnvironmentFaultError) as caught:
        play(env)
    for episode in range(env.episode + 1):  # who is the first, step by step
        lives = seeds.seeds("environment", episode).ravel().tolist()
        for row, seed in enumerate(lives):
            alone.reset(seed=seed)
            drawn = alone.np_random.random(6) < 0.02
            if drawn.any():
                first = (episode, int(drawn.argmax()), *divmod(row, 4))
                expected = min(expected or first, first)
    episode, step, trial, agent = expected
    assert caught.value.place == {
        "trial": trial,
        "agent": agent,
        "episode": episode,
        "step": step,
    }
    assert f"trial {trial}, agent {agent}, episode {episode}" in str(caught.value)


def test_a_fault_on_reset_names_the_instance_too():
    batch = ScalarBatch([Faulty(), Faulty(start=7)])
    env = commenv.ChannelEnv(batch, [9], [3, 5])
    with pytest.raises(EnvironmentFaultError, match="trial 9, agent 5, episode 0"):
        env.reset(seed=0)


def test_batches_of_unlike_instances_count_rows_of_the_whole():
    sane, wrong = ScalarBatch([Faulty(), Faulty()]), ScalarBatch([Faulty(reward=None)])
    env = commenv.ChannelEnv(Patchwork([([0, 2], sane), ([1], wrong)]), [0], 3)
    env.reset(seed=0)
    env.step(np.zeros(3, int))
    with pytest.raises(EnvironmentFaultError, match="agent 1, episode 0, step 1"):
        env.step(np.zeros(3, int))


def test_evaluations_name_the_trial():
    evaluator = MonteCarloEvaluator(
        lambda _: ScalarBatch([Faulty(), Faulty(), Faulty(), Faulty(reward=None)]),
        Draws(0, [4, 8], 1),
        0.9,
        2,
    )
    words = r"\(trial 8, evaluation episode 1, episode 17\)"
    with pytest.raises(EnvironmentFaultError, match=words):
        evaluator.values(lambda seen: np.zeros(len(seen), int), 17)


def test_parts_are_checked_before_they_are_flattened():
    wrong = {"place": np.zeros(3), "state": -1}  # one-hot of -1 would be that of 3
    batch = ScalarBatch([Faulty(PARTS, observation=wrong)])
    batch.reset(Draws(0, [0], 1).world(0))
    batch.step(np.zeros(1, int), np.ones(1, bool))
    with pytest.raises(EnvironmentFaultError, match=r"observation\['state'\] -1"):
        batch.step(np.zeros(1, int), np.ones(1, bool))


def test_parallel_agents_and_single_instances_are_checked():
    how = {"env_kwargs": {"chance": 1, "fault": "nan"}}
    env = commenv.parallel_env("Unlucky-v0", 2, **how)
    env.reset(seed=0)
    with pytest.raises(EnvironmentFaultError, match=r"reward nan \(trial 0, agent 0"):
        env.step(dict.fromkeys(env.agents, 0))
    single = make_scalar("Unlucky-v0", **how)
    single.reset(seed=0)
    with pytest.raises(EnvironmentFaultError, match="Unlucky-v0 returned the reward"):
        single.step(0)


def test_sane_environments_are_as_they_were():
    batch, alone = make_batched("MountainCar-v0", 1), gym.make("MountainCar-v0")
    draws = Draws(0, [0], 1)
    seed = int(draws.seeds("environment", 0)[0, 0])
    seen, there = batch.reset(draws.world(0)), alone.reset(seed=seed)[0]
    for _ in range(50):
        assert seen[0].tolist() == there.tolist()
        step = batch.step(np.array([2]), np.ones(1, bool))
        seen, (there, reward, *_) = step.observations, alone.step(2)
        assert step.rewards.tolist() == [reward]
