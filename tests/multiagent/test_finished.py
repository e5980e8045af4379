import numpy as np
import pytest
import supersuit
from gymnasium import spaces

import commenv
from commenv.errors import NotResetError, UnknownNameError
from commenv.multiagent import IgnoreFinished, signal_v0
from tests.multiagent.worlds import Counting


def make():
    return commenv.parallel_env("commenv/CartPole-v1", 3)


def test_with_actions_for_everybody_the_others_live_as_they_would_without():
    plain, lenient = make(), IgnoreFinished(make())
    np.testing.assert_equal(plain.reset(seed=2), lenient.reset(seed=2))
    sizes = []
    while plain.agents:
        sizes.append(len(plain.agents))
        everybody = dict.fromkeys(lenient.possible_agents, len(sizes) % 2)
        live = {agent: everybody[agent] for agent in plain.agents}
        np.testing.assert_equal(plain.step(live), lenient.step(everybody))
        assert plain.agents == lenient.agents
    assert set(sizes) == {3, 2, 1}


def test_an_agent_that_does_not_exist_is_refused_all_the_same():
    env = IgnoreFinished(make())
    env.reset(seed=0)
    with pytest.raises(UnknownNameError, match="agent_7"):
        env.step(dict.fromkeys(env.possible_agents, 0) | {"agent_7": 0})


def test_what_a_finished_agent_would_say_is_neither_sent_nor_counted():
    world = commenv.CommunicationBudget(
        Counting(2, lives=[1, 9]), message_space=spaces.Discrete(4), topology="complete"
    )
    env = IgnoreFinished(world)
    env.reset(seed=0)
    talk = {"action": 0, "message": 3, "to": 1}
    env.step(dict.fromkeys(env.possible_agents, talk))
    assert env.agents == ["agent_1"]
    assert env.metrics.messages.tolist() == [[1, 1]]
    env.step({"agent_0": talk, "agent_1": {**talk, "to": 0}})
    assert world.unwrapped.log[-1].keys() == {"agent_1"}
    assert env.metrics.messages.tolist() == [[1, 1]]


def talking(world, **arguments):
    return commenv.CommunicationBudget(
        world, message_space=spaces.Discrete(4), **arguments
    )


WORLDS = {
    "parallel_env": make,
    "IgnoreFinished": lambda: IgnoreFinished(make()),
    "CommunicationBudget": lambda: talking(make()),
    "flat": lambda: talking(make(), flatten=True),
    "a channel in a channel": lambda: talking(
        talking(make(), flatten=True), flatten=True
    ),
    "IgnoreFinished, CommunicationBudget": lambda: IgnoreFinished(talking(make())),
    "Signal": signal_v0.parallel_env,
    "Signal, CommunicationBudget": lambda: talking(signal_v0.parallel_env()),
}


@pytest.fixture(params=WORLDS, name="env")
def _env(request):
    return WORLDS[request.param]()


def sampled(env):
    for place, agent in enumerate(env.possible_agents):
        env.action_space(agent).seed(place)
    return {agent: env.action_space(agent).sample() for agent in env.agents}


def test_a_step_without_agents_and_actions_is_empty(env):
    with pytest.raises(NotResetError):
        env.step({})
    env.reset(seed=0)
    last = sampled(env)
    while env.agents:
        env.step({agent: last[agent] for agent in env.agents})
    for _ in range(2):
        assert env.step({}) == ({}, {}, {}, {}, {})
    if not isinstance(env, IgnoreFinished):  # which drops them
        with pytest.raises(NotResetError, match="call reset"):
            env.step(last)
    env.reset(seed=0)
    assert env.agents == env.possible_agents


@pytest.mark.parametrize("name", ["parallel_env", "flat", "IgnoreFinished"])
def test_agents_that_die_one_by_one_play_on_under_black_death(name):
    env = supersuit.black_death_v3(WORLDS[name]())
    for _ in range(3):
        observations, _ = env.reset(seed=3)
        dead, steps = 0, 0
        while env.agents:
            observations, rewards, *_ = env.step(sampled(env))
            dead += sum(reward == 0 for reward in rewards.values())
            steps += 1
        assert dead > 0
        assert observations.keys() == set(env.possible_agents)
