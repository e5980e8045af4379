import logging

import gymnasium as gym
import numpy as np
import pytest

from commenv.envs import MujocoBatch, make_batched
from commenv.errors import NotResetError
from commenv.rng import Draws

pytest.importorskip("mujoco")

ROBOTS = ["Ant", "HalfCheetah", "Hopper", "Humanoid", "Walker2d"]
# Each robot as it is, and with every argument that the batch has to follow.
CASES = [
    *((robot, {}) for robot in ROBOTS),
    ("Ant", {"include_cfrc_ext_in_observation": False}),
    (
        "Ant",
        {
            "exclude_current_positions_from_observation": False,
            "main_body": "torso",
            "contact_force_range": (-0.5, 0.2),
            "contact_cost_weight": 0.1,
            "ctrl_cost_weight": 0.3,
            "forward_reward_weight": 2.5,
            "healthy_reward": 0.3,
            "healthy_z_range": (0.4, 0.9),
            "reset_noise_scale": 0.05,
            "frame_skip": 2,
        },
    ),
    ("Ant", {"terminate_when_unhealthy": False, "healthy_z_range": (0.5, 0.7)}),
    ("HalfCheetah", {"exclude_current_positions_from_observation": False}),
    ("Hopper", {"healthy_state_range": (-2.0, 2.0)}),
    ("Hopper", {"terminate_when_unhealthy": False, "healthy_angle_range": (-9, 9)}),
    (
        "Humanoid",
        {
            "include_cinert_in_observation": False,
            "include_qfrc_actuator_in_observation": False,
            "contact_cost_range": (0.01, 0.02),
            "contact_cost_weight": 1e-4,
        },
    ),
    ("Walker2d", {"healthy_z_range": (1.2, 1.3), "reset_noise_scale": 0.02}),
]
SHORT = 120  # steps; enough for contacts, falls and controls at their bounds


class FromSeeds:
    def __init__(self, seeds):
        self._seeds = list(seeds)

    def seeds(self):
        return np.array(self._seeds)


def batch_of(robot, num_envs, limit=None, **env_kwargs):
    return make_batched(
        f"commenv/{robot}-v5",
        num_envs,
        env_kwargs=env_kwargs,
        max_episode_steps=limit,
    )


def random_actions(batch, rng, strength=1.0):
    space = batch.single_action_space
    shape = (batch.num_envs, *space.shape)
    return rng.uniform(strength * space.low, strength * space.high, shape)


def play_beside_gymnasium(robot, limit, strength=1.0, num_envs=5, **kwargs):
    """Whole episodes of a batch, each step compared; (terminated, truncated) counts."""
    batch = batch_of(robot, num_envs, limit, **kwargs)
    assert isinstance(batch, MujocoBatch)
    envs = [
        gym.make(f"{robot}-v5", max_episode_steps=limit, **kwargs)
        for _ in range(num_envs)
    ]
    assert batch.single_observation_space == envs[0].observation_space
    assert batch.single_action_space == envs[0].action_space
    observations = batch.reset(FromSeeds(range(num_envs)))
    first = [env.reset(seed=seed)[0] for seed, env in enumerate(envs)]
    np.testing.assert_array_equal(observations, first)
    rng, active = np.random.default_rng(0), np.ones(num_envs, dtype=bool)
    ends = np.zeros(2, dtype=int)
    while active.any():
        actions = random_actions(batch, rng, strength)
        step = batch.step(actions, active)
        for row in np.flatnonzero(active).tolist():
            there, reward, ended, cut, _ = envs[row].step(
                actions[row].astype(np.float32)
            )
            np.testing.assert_array_equal(step.observations[row], there)
            assert step.rewards[row] == reward
            assert step.terminated[row] == ended
            assert step.truncated[row] == (cut and not ended)
        ends += [step.terminated.sum(), step.truncated.sum()]
        active &= ~(step.terminated | step.truncated)
    batch.close()
    return ends.tolist()


@pytest.mark.slow
@pytest.mark.parametrize("kwargs", [{}, {"include_cfrc_ext_in_observation": False}])
def test_five_whole_episodes_of_ant_equal_gymnasiums_bit_for_bit(kwargs):
    gentle = play_beside_gymnasium("Ant", 1000, strength=0.3, **kwargs)
    wild = play_beside_gymnasium("Ant", 1000, **kwargs)
    assert sum(gentle) == sum(wild) == 5
    assert gentle[1] > 0  # some lived to the limit of 1000
    assert wild[0] > 0  # some fell


@pytest.mark.parametrize(("robot", "kwargs"), CASES)
def test_every_robot_equals_gymnasiums_bit_for_bit(robot, kwargs):
    assert sum(play_beside_gymnasium(robot, SHORT, **kwargs)) == 5


def test_the_registered_limit_is_a_thousand_steps():
    assert batch_of("Ant", 1).max_episode_steps == 1000


def test_ants_without_contact_forces_see_27_numbers():
    batch = batch_of("Ant", 2, include_cfrc_ext_in_observation=False)
    assert batch.reset(FromSeeds([0, 1])).shape == (2, 27)


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_the_number_of_threads_changes_nothing(threads):
    one, many = (
        batch_of("Ant", 9, num_threads=1),
        batch_of("Ant", 9, num_threads=threads),
    )
    draws, rng = Draws(0, [0], 9).world(0), np.random.default_rng(0)
    np.testing.assert_array_equal(one.reset(draws), many.reset(draws))
    for _ in range(40):
        actions, active = random_actions(one, rng), rng.random(9) < 0.7
        for mine, yours in zip(
            one.step(actions, active), many.step(actions, active), strict=True
        ):
            np.testing.assert_array_equal(mine, yours)


def test_a_reset_starts_from_the_seeds_of_the_draws():
    batch, single = batch_of("Hopper", 4), gym.make("Hopper-v5")
    draws = Draws(3, [0, 1], 2)
    for episode in (5, 0, 5):
        first = batch.reset(draws.world(episode))
        seeds = draws.seeds("environment", episode).ravel().tolist()
        assert first[2].tolist() == single.reset(seed=seeds[2])[0].tolist()


def test_a_masked_reset_goes_on_with_the_instances_own_generators():
    batch, single = batch_of("Ant", 2), gym.make("Ant-v5")
    draws = FromSeeds([4, 5])
    first = batch.reset(draws)
    second = batch.reset(draws, np.array([False, True]))
    single.reset(seed=5)
    assert second[1].tolist() == single.reset()[0].tolist()
    assert second[0].tolist() == first[0].tolist()
    nobody = np.zeros(2, dtype=bool)
    assert batch.reset(draws, nobody).tolist() == second.tolist()


def test_inactive_instances_neither_move_nor_earn():
    steady, pausing = batch_of("Ant", 2), batch_of("Ant", 2)
    draws, rng = FromSeeds([0, 1]), np.random.default_rng(0)
    steady.reset(draws)
    before = pausing.reset(draws)
    for active in ([False, True], [False, False]):
        actions = random_actions(pausing, rng)
        actions[0] = np.nan  # ignored
        step = pausing.step(actions, np.array(active))
        assert step.observations[0].tolist() == before[0].tolist()
        assert (step.rewards[0], step.terminated[0], step.truncated[0]) == (0, 0, 0)
    for _ in range(20):
        actions = random_actions(steady, rng)
        one = steady.step(actions, np.array([True, False]))
        two = pausing.step(actions, np.array([True, True]))
        assert one.observations[0].tolist() == two.observations[0].tolist()
        assert one.rewards[0] == two.rewards[0]


def test_what_a_step_returns_is_the_callers_to_keep():
    batch = batch_of("Hopper", 2)
    first = batch.reset(FromSeeds([0, 1]))
    first[:] = 7
    on = np.ones(2, dtype=bool)
    step = batch.step(np.zeros((2, 3)), on)
    kept = [field.copy() for field in step]
    batch.step(np.ones((2, 3)), on)
    for field, copy in zip(step, kept, strict=True):
        np.testing.assert_array_equal(field, copy)
    assert (step.observations != 7).all()


def test_the_time_limit_truncates_what_has_not_ended():
    assert play_beside_gymnasium("HalfCheetah", 3) == [0, 5]


def test_wrong_calls_are_refused():
    batch, on = batch_of("Hopper", 2), np.ones(2, dtype=bool)
    with pytest.raises(NotResetError, match="call reset"):
        batch.step(np.zeros((2, 3)), on)
    with pytest.raises(NotResetError, match="reset all instances first"):
        batch.reset(FromSeeds([0, 1]), on)
    batch.reset(FromSeeds([0, 1]))
    with pytest.raises(ValueError, match=r"shape \(2,\) for 2 .* must be \(2, 3\)"):
        batch.step(np.zeros(2), on)
    actions = np.zeros((2, 3))
    for wrong in (1.5, np.nan):
        actions[1, 2] = wrong
        with pytest.raises(ValueError, match=r"of instance 1 is outside .* clip it"):
            batch.step(actions, on)
    batch.step(actions, np.array([True, False]))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"healthy": 1}, "Hopper-v5 has no argument 'healthy'; it knows xml_file, "),
        ({"main_body": 1}, "no argument 'main_body'"),
        ({"num_envs": 1}, "no argument 'num_envs'"),
        ({"num_threads": 0}, "num_threads 0 is below 1"),
    ],
)
def test_wrong_arguments_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        make_batched("commenv/Hopper-v5", 1, env_kwargs=kwargs)


def test_a_batch_of_ours_is_not_stepped_one_by_one(caplog):
    with caplog.at_level(logging.INFO, logger="commenv"):
        batch_of("Hopper", 2)
    assert not caplog.records
