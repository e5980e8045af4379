import numpy as np
import pytest
from gymnasium import spaces

import commenv
from commenv.errors import EnvironmentFaultError
from tests.multiagent.worlds import Counting, does

LETTERS = spaces.Discrete(8)


class Faulty(Counting):
    """Gives one agent something else from the second step on."""

    def __init__(self, agent="agent_1", start=None, **parts):
        super().__init__()
        self.agent, self.start, self.parts = agent, start, parts

    def reset(self, seed=None, options=None):
        seen, infos = super().reset(seed=seed)
        if self.start is not None:
            seen[self.agent] = self.start
        return seen, infos

    def step(self, actions):
        step = super().step(actions)
        if self.steps > 1:
            for position, name in enumerate(("seen", "reward", "ends", "cut")):
                if name in self.parts:
                    step[position][self.agent] = self.parts[name]
        return step


def wrapped(**parts):
    env = commenv.CommunicationBudget(Faulty(**parts), message_space=LETTERS)
    env.reset(seed=0)
    everybody = {agent: does(0, 0) for agent in env.agents}
    env.step(everybody)
    return env, everybody


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"seen": np.zeros(1)}, r"observation array.*of shape \(1,\), not \(3,\)"),
        ({"seen": np.array([0, np.nan, 0])}, "observation .*nan"),
        ({"seen": "abc"}, "observation 'abc'"),
        ({"reward": np.array([1.0, -0.5])}, "2 rewards at once"),
        ({"reward": float("nan")}, "the reward nan"),
        ({"ends": "no"}, "terminated = 'no'"),
        ({"cut": 0.5}, "truncated = 0.5"),
    ],
    ids=str,
)
def test_what_an_agent_gets_is_checked(parts, words):
    env, everybody = wrapped(**parts)
    match = f"Faulty returned .*{words}.*agent 'agent_1'"
    with pytest.raises(EnvironmentFaultError, match=match):
        env.step(everybody)


def test_the_observation_of_a_reset_is_checked():
    with pytest.raises(EnvironmentFaultError, match=r"'agent_1'.; correct"):
        wrapped(start=np.zeros(4))


def test_arrays_of_one_number_are_rewards_and_flags():
    env, everybody = wrapped(reward=np.array([1.5]), ends=np.array([True]))
    _, rewards, terminations, *_ = env.step(everybody)
    assert rewards == {"agent_0": 0.0, "agent_1": 1.5, "agent_2": 0.0}
    assert type(rewards["agent_1"]) is float
    assert terminations == {"agent_0": False, "agent_1": True, "agent_2": False}


def test_agents_with_vectors_of_rewards_are_refused_at_once():
    class Objectives(Counting):
        def reward_space(self, agent):
            return spaces.Box(-1, 1, (2,))

    with pytest.raises(EnvironmentFaultError, match=r"rewards of shape \(2,\)"):
        commenv.CommunicationBudget(Objectives(), message_space=LETTERS)


def test_stable_baselines_copies_are_checked():
    pytest.importorskip("stable_baselines3")
    from commenv_baselines.sb3_envs import ParallelVecEnv

    for parts, words in (
        ({"seen": np.zeros(1)}, "of shape"),
        ({"reward": float("nan")}, "reward nan"),
    ):
        env = ParallelVecEnv([Faulty, lambda parts=parts: Faulty(**parts)])
        env.reset()
        env.step(np.zeros(6, int))
        with pytest.raises(EnvironmentFaultError, match=f"{words}.*'agent_1'"):
            env.step(np.zeros(6, int))
    env = ParallelVecEnv([lambda: Faulty(start=np.zeros(1))])
    with pytest.raises(EnvironmentFaultError, match="of shape"):
        env.reset()
