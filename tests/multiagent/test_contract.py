import pytest
from gymnasium import spaces
from pettingzoo.utils.conversions import parallel_to_aec

import commenv
from commenv.errors import ContractError
from tests.multiagent.worlds import Counting, does


def wrap(world):
    return commenv.CommunicationBudget(world, message_space=spaces.Discrete(2))


def broken(**methods):
    return type("Broken", (Counting,), methods)()


def test_something_else_than_an_environment_is_named():
    with pytest.raises(ContractError, match=r"int breaks .* it has no possible_agents"):
        wrap(3)


def test_an_environment_without_agents_is_refused():
    with pytest.raises(ContractError, match="has no possible agents"):
        wrap(Counting(0))


def test_spaces_that_are_made_anew_are_refused():
    world = broken(action_space=lambda self, agent: spaces.Discrete(4))
    with pytest.raises(ContractError, match=r"new object from each action_space\('ag"):
        wrap(world)


def test_turns_are_not_taken_for_steps():
    aec = parallel_to_aec(Counting())
    aec.unwrapped.metadata = {"is_parallelizable": False}
    aec.env.metadata = {"is_parallelizable": False}
    with pytest.raises(ContractError, match="turn_based_aec_to_parallel"):
        wrap(aec)


def reset_with(result):
    def reset(self, seed=None, options=None):
        Counting.reset(self, seed)
        return result

    return broken(reset=reset)


def step_with(change):
    return broken(step=lambda self, actions: change(Counting.step(self, actions)))


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({}, r"a dict from reset\(\)"),
        (({}, {}, {}), r"3 values from reset\(\)"),
        (([], {}), r"observations that are no mapping from reset\(\)"),
        (({}, {}), r"left agent 'agent_0' out of the observations of reset\(\)"),
    ],
)
def test_a_reset_of_another_form_is_told_how(result, words):
    with pytest.raises(ContractError, match=words):
        wrap(reset_with(result)).reset(seed=0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda result: result[:4], r"4 values from step\(\)"),
        (lambda result: (*result[:1], 1.0, *result[2:]), "rewards that are no mapping"),
        (
            lambda result: (*result[:2], {"agent_0": False}, *result[3:]),
            "left agent 'agent_1' out of the terminations",
        ),
    ],
)
def test_a_step_of_another_form_is_told_how(change, words):
    env = wrap(step_with(change))
    env.reset(seed=0)
    with pytest.raises(ContractError, match=words):
        env.step({agent: does(0) for agent in env.agents})


def test_agents_that_nobody_announced_are_named():
    def reset(self, seed=None, options=None):
        result = Counting.reset(self, seed)
        self.agents.append("stranger")
        return result

    with pytest.raises(ContractError, match="agent 'stranger' after reset"):
        wrap(broken(reset=reset)).reset(seed=0)
