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
        (([], {}), r"observations that are not a mapping from reset\(\)"),
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
        (lambda result: (*result[:1], 1.0, *result[2:]), "rewards that are not a m"),
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


def with_part(part, value):
    """A change of one part of what a step returns for agent_1."""

    def change(result):
        result[part]["agent_1"] = value
        return result

    return change


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (1, "None for agent 'agent_1' in the rewards .* give a number"),
        (2, "None for agent 'agent_1' in the terminations .* give a bool"),
        (3, "None for agent 'agent_1' in the truncations .* give a bool"),
        (4, r"the info None for agent 'agent_1' from step\(\); give a dictionary"),
    ],
)
def test_none_where_something_belongs_is_named_with_its_agent(part, words):
    env = wrap(step_with(with_part(part, None)))
    env.reset(seed=0)
    with pytest.raises(ContractError, match=f"Broken breaks .* it returned {words}"):
        env.step({agent: does(0) for agent in env.agents})


def test_infos_of_a_reset_are_dictionaries():
    infos = {f"agent_{number}": None for number in range(3)}
    world = reset_with((dict.fromkeys(infos, 0), infos))
    with pytest.raises(ContractError, match=r"info None for agent 'agent_0' from res"):
        wrap(world).reset(seed=0)


def test_agents_that_nobody_announced_are_named():
    def reset(self, seed=None, options=None):
        observations, infos = Counting.reset(self, seed)
        self.agents.append("stranger")
        self.possible_agents = [*self.possible_agents, "stranger"]
        return {**observations, "stranger": 0}, {**infos, "stranger": {}}

    with pytest.raises(ContractError, match="agent 'stranger' after reset"):
        wrap(broken(reset=reset)).reset(seed=0)

    def step(self, actions):
        result = Counting.step(self, actions)
        self.agents.append("stranger")
        self.possible_agents = [*self.possible_agents, "stranger"]
        return tuple({**part, "stranger": 0} for part in result)

    env = wrap(broken(step=step))
    env.reset(seed=0)
    with pytest.raises(ContractError, match=r"agent 'stranger' after step\(\)"):
        env.step({agent: does(0) for agent in env.agents})


def test_an_agent_may_join_late_if_it_was_announced_and_is_observed():
    class Late(Counting):
        def reset(self, seed=None, options=None):
            seen, infos = super().reset(seed)
            self.agents.remove("agent_2")
            del seen["agent_2"], infos["agent_2"]
            return seen, infos

        def step(self, actions):
            seen, *rest = super().step(actions)
            self.agents.append("agent_2")
            if self.shown:
                seen = {**seen, **self._seen({}, ["agent_2"])}
            return seen, *rest

    for shown in (True, False):
        world = Late()
        world.shown = shown
        env = wrap(world)
        env.reset(seed=0)
        quiet = {agent: does(0) for agent in env.agents}
        if shown:
            seen, *_ = env.step(quiet)
            assert seen["agent_2"]["age"].tolist() == [-1, -1]
        else:
            with pytest.raises(ContractError, match="agent 'agent_2' after step"):
                env.step(quiet)
