"""RLlib takes our environments at the oldest Gymnasium that we allow, and trains."""

import secrets
from importlib.metadata import version

import gymnasium as gym
import numpy as np
import pytest
import ray
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.connectors.env_to_module import FlattenObservations
from ray.rllib.env.wrappers.pettingzoo_env import ParallelPettingZooEnv
from ray.rllib.utils.pre_checks.env import check_multiagent_environments
from ray.tune.registry import register_env

from commenv import Budget, Channel
from commenv.wrappers import MessageChannel
from tests.ecosystem.worlds import WORLDS


@pytest.fixture(name="cluster", scope="module")
def _cluster():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))  # else kept in the home
        ray.init(
            num_cpus=1,
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
        )
        yield
        ray.shutdown()


def test_this_is_the_oldest_gymnasium_that_we_allow():
    assert version("gymnasium") == "1.2.2"


@pytest.mark.parametrize("name", WORLDS)
def test_rllibs_own_checks_pass(name):
    check_multiagent_environments(ParallelPettingZooEnv(WORLDS[name]()))


@pytest.mark.parametrize("name", WORLDS)
def test_whole_episodes_are_what_direct_play_is(name):
    theirs, direct = ParallelPettingZooEnv(WORLDS[name]()), WORLDS[name]()
    for seed in (3, None):
        seen, infos = theirs.reset(seed=seed)
        np.testing.assert_equal((seen, infos), direct.reset(seed=seed))
        ended = {"__all__": False}
        for agent in direct.possible_agents:
            theirs.action_space[agent].seed(5)
        while not ended["__all__"]:
            live = direct.agents
            actions = {agent: theirs.action_space[agent].sample() for agent in live}
            result = theirs.step(actions)
            np.testing.assert_equal(
                [{agent: part[agent] for agent in live} for part in result],
                list(direct.step(actions)),
            )
            terminated, truncated = result[2:4]
            ended = {
                agent: terminated[agent] or truncated[agent] for agent in terminated
            }
            assert live or ended["__all__"]
        assert not direct.agents


def train(config):
    """One iteration of PPO on 60 steps, in this process."""
    algorithm = (
        config.env_runners(num_env_runners=0, rollout_fragment_length=60)
        .learners(num_learners=0)
        .training(train_batch_size_per_learner=60, minibatch_size=30, num_epochs=1)
        .build_algo()
    )
    try:
        return algorithm.train()
    finally:
        algorithm.stop()


def flattened(*_, **__):
    return FlattenObservations(multi_agent=True)


@pytest.mark.parametrize(
    ("name", "connector"),
    [("spread, flat", None), ("cart pole", None), ("simple grid", flattened)],
)
def test_ppo_trains_many_agents(cluster, name, connector):
    register_env(name, lambda _: ParallelPettingZooEnv(WORLDS[name]()))
    config = PPOConfig().environment(name)
    config.env_runners(env_to_module_connector=connector)
    config.multi_agent(policies={"shared"}, policy_mapping_fn=lambda *_, **__: "shared")
    result = train(config)
    assert result["env_runners"]["num_env_steps_sampled"] == 60
    assert result["env_runners"]["num_episodes"] >= 1
    assert np.isfinite(result["learners"]["shared"]["total_loss"])


def test_ppo_trains_one_agent_with_a_channel(cluster):
    def make(_):
        uplink = Channel(budget=Budget(messages=2, per="episode"))
        return MessageChannel(gym.make("commenv/CartPole-v1"), uplink=uplink)

    register_env("told", make)
    result = train(PPOConfig().environment("told"))
    assert result["env_runners"]["num_episodes"] >= 1
    assert np.isfinite(result["learners"]["default_policy"]["total_loss"])
