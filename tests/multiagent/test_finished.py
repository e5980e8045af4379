import numpy as np
import pytest
from gymnasium import spaces

import commenv
from commenv.errors import UnknownNameError
from commenv.multiagent import IgnoreFinished
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
