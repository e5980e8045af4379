import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import commenv  # noqa: F401 - registers the ids
from commenv.errors import NotResetError
from commenv.registration import env_ids

NEXT, SAME, OFF = (
    AutoresetMode.NEXT_STEP,
    AutoresetMode.SAME_STEP,
    AutoresetMode.DISABLED,
)
LEFT, RIGHT, STAY = 0, 1, 4
CASES = [  # with limits that random play meets as well as the other ends
    ("commenv/SimpleGrid-v0", {"size": 3}, 30),
    ("commenv/WindyGrid-v0", {"size": 3, "wind": {"down": 0.3, "left": 0.3}}, 30),
    ("commenv/FrozenLake-v0", {}, 8),
    ("commenv/FrozenLake-v0", {"map_name": "4x4", "is_slippery": True}, 8),
    ("commenv/FrozenLake-v0", {"desc": ["SHS", "FFG"], "is_slippery": True}, 5),
]
every_case = pytest.mark.parametrize(("env_id", "kwargs", "limit"), CASES)
every_mode = pytest.mark.parametrize("mode", [NEXT, SAME, OFF])


def vector(env_id, num_envs, mode=NEXT, **kwargs):
    return gym.make_vec(env_id, num_envs, autoreset_mode=mode, **kwargs)


def both(env_id, num_envs, mode, **kwargs):
    """The native form and Gymnasium's sync form."""
    sync = gym.make_vec(
        env_id,
        num_envs,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": mode},
        **kwargs,
    )
    return vector(env_id, num_envs, mode, **kwargs), sync


def assert_same(ours, theirs):
    """Equal in values, types and, for dictionaries, the order of the keys."""
    assert type(ours) is type(theirs)
    if isinstance(ours, dict):
        assert list(ours) == list(theirs)
        for key in ours:
            assert_same(ours[key], theirs[key])
    elif isinstance(ours, tuple):
        assert len(ours) == len(theirs)
        for mine, yours in zip(ours, theirs, strict=True):
            assert_same(mine, yours)
    else:
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
        if ours.dtype == object:
            assert list(map(type, ours)) == list(map(type, theirs))


def walk(size, mode, num_envs=2, limit=None):
    """A vector of corridors: right leads to the goal, the last of ``size`` cells."""
    kwargs = {"size": (1, size)}
    if limit:
        kwargs["max_episode_steps"] = limit
    env = vector("commenv/SimpleGrid-v0", num_envs, mode, **kwargs)
    env.reset(seed=0)
    return env


@every_case
@every_mode
def test_a_thousand_steps_equal_the_sync_form(env_id, kwargs, limit, mode):
    ours, theirs = both(env_id, 7, mode, max_episode_steps=limit, **kwargs)
    rng = np.random.default_rng(0)
    assert_same(ours.reset(seed=123), theirs.reset(seed=123))
    ends = np.zeros(2, dtype=int)
    for _ in range(1000):
        actions = rng.integers(0, ours.single_action_space.n, 7)
        step = ours.step(actions)
        assert_same(step, theirs.step(actions))
        ends += [step[2].sum(), step[3].sum()]
        if mode is OFF and (done := step[2] | step[3]).any():
            given = {"reset_mask": done.copy()}
            assert_same(
                ours.reset(options=dict(given)), theirs.reset(options=dict(given))
            )
    assert (ends > 20).all()  # both kinds of end were met


@every_case
@every_mode
def test_resets_in_between_equal_the_sync_form(env_id, kwargs, limit, mode):
    ours, theirs = both(env_id, 4, mode, max_episode_steps=limit, **kwargs)
    rng = np.random.default_rng(1)
    assert_same(ours.reset(seed=[5, 5, 0, 9]), theirs.reset(seed=[5, 5, 0, 9]))

    def run(steps):
        for _ in range(steps):
            actions = rng.integers(0, ours.single_action_space.n, 4)
            step = ours.step(actions)
            assert_same(step, theirs.step(actions))
            if mode is OFF and (done := step[2] | step[3]).any():
                for env in (ours, theirs):
                    env.reset(options={"reset_mask": done})

    for kind in range(24):
        run(kind)
        seed = [None, 3, [None, 8, None, 1], [2, 2, 2, 2]][kind % 4]
        mask = rng.random(4) < 0.5
        mask[kind % 4] = True
        options = [None, {"reset_mask": mask}, {}][kind % 3]
        ours_reset = ours.reset(seed=seed, options=options)
        theirs_reset = theirs.reset(seed=seed, options=options and dict(options))
        assert_same(ours_reset, theirs_reset)
    run(300)
    assert ours.np_random_seed == theirs.np_random_seed


@pytest.mark.parametrize(
    "env_id", [one for one in env_ids() if gym.spec(one).vector_entry_point]
)
def test_it_looks_like_the_sync_form(env_id):
    ours, theirs = both(env_id, 3, SAME)
    assert ours.num_envs == theirs.num_envs
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    assert ours.single_observation_space == theirs.single_observation_space
    assert ours.single_action_space == theirs.single_action_space
    assert ours.metadata == theirs.metadata
    assert ours.metadata["autoreset_mode"] is SAME
    assert ours.spec.id == env_id
    rebuilt = gym.make_vec(ours.spec)
    assert rebuilt.metadata == ours.metadata
    assert rebuilt.num_envs == 3


@pytest.mark.parametrize("mode", [*AutoresetMode, *(m.value for m in AutoresetMode)])
def test_a_mode_is_given_as_member_or_value(mode):
    env = vector("SimpleGrid-v0", 1, mode)
    assert env.metadata["autoreset_mode"] is AutoresetMode(mode)


def test_next_step_resets_on_the_step_after_the_end():
    env = walk(3, NEXT)
    expected = [  # actions, states, rewards, terminations
        ([RIGHT, STAY], [1, 0], [-1, -1], [False, False]),
        ([RIGHT, RIGHT], [2, 1], [0, -1], [True, False]),
        ([RIGHT, RIGHT], [0, 2], [0, 0], [False, True]),
        ([RIGHT, LEFT], [1, 0], [-1, 0], [False, False]),
        ([LEFT, STAY], [0, 0], [-1, -1], [False, False]),
    ]
    for actions, states, rewards, terminations in expected:
        step = env.step(np.array(actions))
        assert [field.tolist() for field in step[:3]] == [states, rewards, terminations]
        assert not step[3].any()
        assert step[4] == {}


def test_same_step_resets_within_the_step_and_reports_the_end():
    env = walk(3, SAME)
    states, _, terminations, _, infos = env.step(np.array([RIGHT, STAY]))
    assert (states.tolist(), terminations.tolist(), infos) == ([1, 0], [False] * 2, {})
    states, rewards, terminations, truncations, infos = env.step([RIGHT, RIGHT])
    assert states.tolist() == [0, 1]
    assert rewards.tolist() == [0, -1]
    assert terminations.tolist() == [True, False]
    assert truncations.tolist() == [False, False]
    assert infos["final_obs"].tolist() == [2, None]
    assert infos["_final_obs"].tolist() == [True, False]
    assert infos["final_info"] == {}
    assert infos["_final_info"].tolist() == [True, False]
    assert env.step([STAY, RIGHT])[0].tolist() == [0, 0]


def test_disabled_resets_what_the_mask_names_and_nothing_else():
    env = walk(3, OFF)
    env.step([RIGHT, RIGHT])
    states, _, terminations, _, _ = env.step([RIGHT, LEFT])
    assert (states.tolist(), terminations.tolist()) == ([2, 0], [True, False])
    with pytest.raises(NotResetError, match=r"sub-environment 0 .*reset_mask"):
        env.step([STAY, STAY])
    options = {"reset_mask": terminations, "mine": 1}
    assert env.reset(options=options)[0].tolist() == [0, 0]
    assert options == {"reset_mask": terminations, "mine": 1}
    assert env.step([RIGHT, STAY])[0].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("mode", "ends"),
    [
        (NEXT, [0, 0, 1, 0, 0, 0, 1, 0]),  # the reset takes a step of its own
        (SAME, [0, 0, 1, 0, 0, 1, 0, 0]),
    ],
)
def test_the_time_limit_starts_anew_with_the_episode(mode, ends):
    env = walk(3, mode, limit=3)
    steps = [env.step([STAY, STAY]) for _ in ends]
    assert [step[3].tolist() for step in steps] == [[bool(end)] * 2 for end in ends]
    assert not any(step[2].any() for step in steps)


@pytest.mark.parametrize("limit", [1, 253, 254, 255, 256, 300])
@pytest.mark.parametrize("mode", [NEXT, SAME])
def test_time_limits_hold_however_long_the_clock_runs(mode, limit):
    env = walk(3, mode, limit=limit)
    ends = [env.step([STAY, STAY])[3].tolist() for _ in range(1300)]
    period = limit + (mode is NEXT)  # the reset takes a step of its own
    expected = [(step - limit) % period == 0 for step in range(1, 1301)]
    expected[: limit - 1] = [False] * (limit - 1)
    assert ends == [[end] * 2 for end in expected]


def test_an_end_at_the_time_limit_is_both_as_in_gymnasium():
    env = walk(3, NEXT, limit=2)
    env.step([RIGHT, STAY])
    step = env.step([RIGHT, STAY])
    assert step[2].tolist() == [True, False]
    assert step[3].tolist() == [True, True]


def test_the_spec_gives_the_vector_form_its_limit_of_200():
    env = walk(3, NEXT, num_envs=1)
    ends = [bool(env.step([STAY])[3][0]) for _ in range(200)]
    assert ends == [False] * 199 + [True]


def test_what_a_step_returns_is_the_callers_to_change():
    kept, spoilt = (vector("commenv/WindyGrid-v0", 5) for _ in range(2))
    kept.reset(seed=0)
    spoilt.reset(seed=0)[0][:] = 3
    actions = np.random.default_rng(0).integers(0, 5, (200, 5))
    for row in actions:
        given = row.copy()
        spoilt_step = spoilt.step(given)
        assert_same(kept.step(row), spoilt_step)
        assert (given == row).all()
        for field in spoilt_step[:4]:
            field[:] = 1


def test_actions_of_any_integer_kind_are_taken():
    env = walk(9, NEXT)
    for kind in (list, tuple, np.array, lambda a: np.array(a, np.uint8)):
        env.step(kind([RIGHT, STAY]))
    assert env.step([STAY, STAY])[0].tolist() == [4, 0]


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([0, 5], r"action 5 of instance 1 .* actions are 0 ... 4"),
        ([-1, 0], "action -1 of instance 0"),
        ([0], r"shape \(1,\)"),
        ([0, 1, 2], r"shape \(3,\)"),
        ([0.0, 1.0], "dtype float64"),
        (2, r"shape \(\)"),
    ],
)
def test_wrong_actions_are_refused_and_change_nothing(actions, message):
    env = walk(3, NEXT)
    with pytest.raises(ValueError, match=message):
        env.step(actions)
    assert env.step([RIGHT, STAY])[0].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"reset_mask": [True, False]}, TypeError, "of list; give a NumPy array of b"),
        ({"reset_mask": np.array([1, 0])}, TypeError, "of int64"),
        ({"reset_mask": np.array([True])}, ValueError, r"\(1,\); it must be \(2,\)"),
        ({"reset_mask": np.array([False, False])}, ValueError, "has no True"),
    ],
)
def test_wrong_masks_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        walk(3, OFF).reset(options=options)


def test_wrong_seeds_are_refused():
    env = vector("WindyGrid-v0", 2)
    with pytest.raises(ValueError, match="3 seeds for 2 sub-environments"):
        env.reset(seed=[1, 2, 3])
    with pytest.raises(ValueError, match="seed -5 is negative"):
        env.reset(seed=-5)


def test_calls_before_the_reset_are_refused():
    env = vector("SimpleGrid-v0", 2, OFF, render_mode="ansi")
    with pytest.raises(NotResetError, match="call reset"):
        env.step([0, 0])
    with pytest.raises(NotResetError, match="call reset"):
        env.render()
    with pytest.raises(NotResetError, match="reset all of them first"):
        env.reset(options={"reset_mask": np.array([True, False])})


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"num_envs": 0}, "num_envs 0"),
        ({"num_envs": 1, "max_episode_steps": 0}, "max_episode_steps 0"),
        ({"num_envs": 1, "autoreset_mode": "Later"}, r"'Later'; choose from \['Next"),
        ({"num_envs": 1, "render_mode": "human"}, "use 'rgb_array'"),
        ({"num_envs": 1, "size": 0}, "size 0"),
    ],
)
def test_impossible_vectors_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        gym.make_vec("SimpleGrid-v0", **kwargs)


@pytest.mark.parametrize("render_mode", ["ansi", "rgb_array"])
def test_pictures_equal_the_sync_form(render_mode):
    ours, theirs = both("commenv/WindyGrid-v0", 2, NEXT, render_mode=render_mode)
    for env in (ours, theirs):
        env.reset(seed=0)
        for _ in range(9):
            env.step([1, 3])
    mine, yours = ours.render(), theirs.render()
    assert type(mine) is tuple
    assert len(mine) == 2
    for one, other in zip(mine, yours, strict=True):
        assert np.array_equal(one, other)


def test_without_a_render_mode_there_is_no_picture():
    assert walk(3, NEXT).render() is None


def test_every_sub_environment_has_a_generator_of_its_own():
    env = vector("WindyGrid-v0", 3)
    env.reset(seed=4)
    assert env.np_random_seed == (4, 5, 6)
    assert len({id(generator) for generator in env.np_random}) == 3
    chance = vector("WindyGrid-v0", 50)
    assert len(set(chance.np_random_seed)) == 50  # made from chance before a reset
