"""TorchRL takes our environments, and sees in them what direct play sees."""

import importlib.util
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from torchrl.envs import (
    GymEnv,
    GymWrapper,
    MarlGroupMapType,
    PettingZooWrapper,
    check_env_specs,
)

import commenv
from commenv import Budget, Channel
from commenv.multiagent import IgnoreFinished
from commenv.wrappers import MessageChannel, VectorMessageChannel
from tests.ecosystem.worlds import CART_POLE, GRID, SPREAD, WORD, WORLDS, talk

EXAMPLES = Path(__file__).parents[2] / "examples"
IDS = [
    "commenv/CartPole-v1",
    "commenv/FrozenLake-v0",
    "commenv/SimpleGrid-v0",
    "commenv/WindyGrid-v0",
]


def told(env_id):
    uplink = Channel(budget=Budget(messages=2, per="episode"))
    return MessageChannel(gym.make(env_id), uplink=uplink)


@pytest.mark.parametrize("env_id", IDS)
def test_the_specs_of_an_id_hold(env_id):
    check_env_specs(GymEnv(env_id), seed=0, break_when_any_done="both")


@pytest.mark.parametrize("env_id", IDS)
def test_the_specs_of_an_environment_with_a_channel_hold(env_id):
    check_env_specs(GymWrapper(told(env_id)), seed=0, break_when_any_done="both")


@pytest.mark.parametrize("env_id", IDS)
def test_the_specs_of_a_native_vector_hold(env_id):
    envs = gym.make_vec(env_id, 3, autoreset_mode=AutoresetMode.DISABLED)
    check_env_specs(GymWrapper(envs), seed=0)
    check_env_specs(GymWrapper(VectorMessageChannel(envs)), seed=0)


@pytest.mark.parametrize("make", [gym.make, told])
@pytest.mark.parametrize("env_id", IDS)
def test_a_rollout_is_what_direct_play_of_the_same_seed_is(env_id, make):
    env = GymWrapper(make(env_id), categorical_action_encoding=True)
    torch.manual_seed(0)
    env.set_seed(7)
    rollout = env.rollout(40)
    direct = make(env_id)
    direct.reset(seed=7)
    seen = [direct.reset()[0]]
    rewards, ends = [], []
    for action in rollout["action"].tolist():
        observation, reward, terminated, truncated, _ = direct.step(action)
        seen.append(observation)
        rewards.append(reward)
        ends.append((terminated, truncated))
    np.testing.assert_array_equal(rollout["observation"].numpy(), seen[:-1])
    assert rollout["next", "reward"].ravel().tolist() == rewards
    both = torch.cat([rollout["next", key] for key in ("terminated", "truncated")], -1)
    assert both.tolist() == [list(pair) for pair in ends]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", WORLDS)
def test_the_specs_of_many_agents_hold(name, masked):
    env = PettingZooWrapper(WORLDS[name](), use_mask=masked)
    check_env_specs(env, seed=0, break_when_any_done="both")


@pytest.mark.parametrize("name", [name for name in WORLDS if "dict" not in name])
def test_the_specs_hold_with_one_hot_actions_and_with_a_group_for_each_agent(name):
    check_env_specs(PettingZooWrapper(WORLDS[name](), categorical_actions=False))
    alone = MarlGroupMapType.ONE_GROUP_PER_AGENT
    check_env_specs(PettingZooWrapper(WORLDS[name](), group_map=alone))


def test_agents_of_one_kind_are_one_group():
    env = PettingZooWrapper(GRID())
    assert env.group_map == {"agent": ["agent_0", "agent_1", "agent_2"]}
    assert env.observation_spec["agent", "observation"].shape == (3, 25)


def test_the_state_of_the_environment_passes_through_the_budget():
    env = PettingZooWrapper(talk(SPREAD, WORD, flatten=True), return_state=True)
    check_env_specs(env)
    assert env.reset()["state"].shape == (54,)


def test_what_agents_know_of_their_messages_is_a_tensor():
    world = GRID()
    env = PettingZooWrapper(world, seed=0)
    assert world.send("agent_1", {"x": 1}).accepted
    stepped = env.step(env.rand_action(env.reset()))
    assert stepped["agent", "info", "episode_comm"].shape == (3, 18)
    assert world.send("agent_2", {"x": 1}).accepted
    comm = env.step(env.rand_action(stepped["next"].exclude("next")))
    assert comm["next", "agent", "info", "comm"].tolist() == [
        [0, 0, 2, np.inf],
        [0, 0, 2, np.inf],
        [1, 0, 1, np.inf],
    ]


def replay(rollout, direct, group="agent"):
    """Plays a rollout's actions directly, and compares everything."""
    direct.reset(seed=7)
    seen, infos = direct.reset()
    steps = rollout.exclude("next").unbind(0)
    for step, after in zip(steps, rollout["next"].unbind(0), strict=True):
        live = direct.agents
        mask = [agent in live for agent in direct.possible_agents]
        assert step[group, "mask"].tolist() == mask
        actions = step[group, "action"].numpy()
        given = {
            agent: action
            for agent, action in zip(direct.possible_agents, actions, strict=True)
            if agent in live
        }
        seen, rewards, terminated, truncated, infos = direct.step(given)
        for place, agent in enumerate(direct.possible_agents):
            if agent not in live:
                assert after[group, "reward"][place].item() == 0
                assert after[group, "done"][place].item()
                continue
            reward = np.float32(rewards[agent])
            assert after[group, "reward"][place].item() == reward
            assert after[group, "terminated"][place].item() == terminated[agent]
            assert after[group, "truncated"][place].item() == truncated[agent]
            theirs = after[group, "observation"][place].numpy()
            np.testing.assert_array_equal(theirs, seen[agent])
            comm = after[group, "info", "comm"][place].tolist()
            assert comm == list(infos[agent]["comm"].values())
    assert not direct.agents


@pytest.mark.parametrize("name", ["spread, flat", "cart pole"])
def test_a_rollout_of_many_agents_is_what_direct_play_is(name):
    env = PettingZooWrapper(
        IgnoreFinished(WORLDS[name]()), use_mask=True, done_on_any=False
    )
    torch.manual_seed(0)
    env.set_seed(7)
    replay(env.rollout(60), WORLDS[name]())


def test_agents_that_finish_early_are_masked_until_all_have():
    talking = IgnoreFinished(talk(CART_POLE, WORD, flatten=True))
    env = PettingZooWrapper(talking, use_mask=True, done_on_any=False)
    check_env_specs(env, seed=0, break_when_any_done="both")
    env.set_seed(7)
    rollout = env.rollout(60)
    alive = rollout["agent", "mask"].sum(-1)
    assert alive[0] == 3
    assert alive[-1] < 3
    assert (alive.diff() <= 0).all()
    lengths = rollout["agent", "mask"].sum(0)
    assert commenv.find_channel(talking).metrics.episode_length[0].tolist() == (
        lengths.tolist()
    )


def test_the_example_trains_within_its_budget(capsys):
    spec = importlib.util.spec_from_file_location("x", EXAMPLES / "torchrl_loop.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    example.main(num_batches=2, batch_size=50)
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split()[2:] == ["attempted", "delivered", "refused", "lost", "bytes"]
    rows = np.array([line.split() for line in lines], float)
    assert rows.shape == (2, 7)
    attempted, *fates = rows.T[2:6]
    assert (attempted == np.sum(fates, axis=0)).all()
    assert (rows[:, 6] <= [2 * 3 * 10, 4 * 3 * 10]).all()  # a word is one byte
    assert rows[0, 6] > 0
