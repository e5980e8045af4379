"""Stable-Baselines3's view of a ParallelEnv, against a toy with known steps."""

from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from commenv_baselines.sb3_envs import ParallelVecEnv
from commenv_baselines.sb3_models import RandomState, one_thread
from gymnasium import spaces
from pettingzoo.utils import BaseParallelWrapper
from pettingzoo.utils.env import ParallelEnv
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecMonitor

import commenv
from commenv.multiagent import signal_v0


class Relay(ParallelEnv):
    """Agent i takes part from step ``begins[i]`` until after ``ends[i]`` steps in all.

    It sees (its number + 1, the step, the episode's seed or -1), earns ten times its
    number plus its action, and is truncated if it is the last one and ``cut``.
    """

    metadata = {"name": "relay"}  # noqa: RUF012
    render_mode = "rgb_array"

    def __init__(self, ends=(1, 3, 2), begins=None, cut=False):
        self.ends, self.begins, self.cut = ends, begins or (0,) * len(ends), cut
        self.possible_agents = [f"runner_{i}" for i in range(len(ends))]
        self.agents, self.taken, self.closed, self.options = [], [], 0, []

    def observation_space(self, agent):
        return spaces.Box(-1, 1000, (3,), np.float32)

    def action_space(self, agent):
        return spaces.Discrete(4)

    def reset(self, seed=None, options=None):
        self.step_number, self.seed = 0, -1 if seed is None else seed
        self.options.append(options)
        self.agents = self._present()
        return self._seen(self.agents), {a: {"hello": a} for a in self.agents}

    def step(self, actions):
        assert sorted(actions) == sorted(self.agents)
        before, self.step_number = self.agents, self.step_number + 1
        self.taken.append({a: int(action) for a, action in actions.items()})
        self.agents = self._present()
        gone = {a: a not in self.agents for a in before}
        last = self.cut and not self.agents
        seen = dict.fromkeys([*before, *self.agents])
        return (
            self._seen(seen),
            {a: 10.0 * self._number(a) + actions[a] for a in before},
            {a: gone[a] and not last for a in before},
            {a: gone[a] and last for a in before},
            {a: {"step": self.step_number} for a in before},
        )

    def render(self):
        return np.full((2, 2, 3), self.step_number, np.uint8)

    def close(self):
        self.closed += 1

    def _present(self):
        return [
            agent
            for agent, begin, end in zip(
                self.possible_agents, self.begins, self.ends, strict=True
            )
            if begin <= self.step_number < end
        ]

    def _seen(self, agents):
        return {
            a: np.array([self._number(a) + 1, self.step_number, self.seed], np.float32)
            for a in agents
        }

    def _number(self, agent):
        return self.possible_agents.index(agent)


def steps(env, count, action=0):
    return [env.step(np.full(env.num_envs, action)) for _ in range(count)]


def test_an_agent_that_ended_is_padded_until_the_last_one_ends():
    env = ParallelVecEnv([Relay])
    assert env.reset().tolist() == [[1, 0, -1], [2, 0, -1], [3, 0, -1]]
    observations, rewards, dones, infos = env.step(np.array([1, 2, 3]))
    assert observations.tolist() == [[0, 0, 0], [2, 1, -1], [3, 1, -1]]
    assert rewards.tolist() == [1, 12, 23]
    assert dones.tolist() == [True, False, False]
    assert infos[0]["terminal_observation"].tolist() == [1, 1, -1]
    observations, rewards, dones, infos = env.step(np.array([1, 2, 3]))
    assert observations.tolist() == [[0, 0, 0], [2, 2, -1], [0, 0, 0]]
    assert rewards.tolist() == [0, 12, 23]
    assert dones.tolist() == [False, False, True]
    assert [info["padding"] for info in infos] == [True, False, False]
    observations, rewards, dones, infos = env.step(np.array([1, 2, 3]))
    assert observations.tolist() == [[1, 0, -1], [2, 0, -1], [3, 0, -1]]
    assert rewards.tolist() == [0, 12, 0]
    assert dones.tolist() == [True, True, True]
    last = [info["terminal_observation"].tolist() for info in infos]
    assert last == [[0, 0, 0], [2, 3, -1], [0, 0, 0]]


def test_actions_reach_their_agents_and_those_of_absent_ones_nobody():
    env = ParallelVecEnv([Relay, Relay])
    env.reset()
    env.step(np.array([0, 1, 2, 3, 2, 1]))
    env.step(np.array([0, 1, 2, 3, 2, 1]))
    assert env.envs[0].taken == [
        {"runner_0": 0, "runner_1": 1, "runner_2": 2},
        {"runner_1": 1, "runner_2": 2},
    ]
    assert env.envs[1].taken == [
        {"runner_0": 3, "runner_1": 2, "runner_2": 1},
        {"runner_1": 2, "runner_2": 1},
    ]


def test_an_agent_that_joins_later_is_padded_until_then():
    env = ParallelVecEnv([lambda: Relay(ends=(3, 3), begins=(0, 1))])
    assert env.reset().tolist() == [[1, 0, -1], [0, 0, 0]]
    (first, second, third) = steps(env, 3, action=1)
    assert first[0].tolist() == [[1, 1, -1], [2, 1, -1]]
    assert first[1].tolist() == [1, 0]
    assert first[2].tolist() == [False, True]  # of its padding
    assert first[3][1]["padding"]
    assert first[3][1]["terminal_observation"].tolist() == [0, 0, 0]
    assert second[1].tolist() == [1, 11]
    assert third[3][1]["episode"] == {"r": 22.0, "l": 2}


def test_a_time_limit_is_told_from_a_termination():
    for cut in (False, True):
        env = ParallelVecEnv([lambda cut=cut: Relay(ends=(1, 2), cut=cut)])
        env.reset()
        first, second = steps(env, 2)
        assert not first[3][0]["TimeLimit.truncated"]
        assert [info["TimeLimit.truncated"] for info in second[3]] == [False, cut]


def test_agents_that_are_both_terminated_and_truncated_are_terminated():
    class Both(Relay):
        def step(self, actions):
            *rest, terminated, _, infos = super().step(actions)
            return *rest, terminated, dict(terminated), infos

    env = ParallelVecEnv([Both])
    env.reset()
    *_, infos = env.step(np.zeros(3, dtype=int))
    assert not infos[0]["TimeLimit.truncated"]


def test_returns_equal_those_of_direct_play():
    env = ParallelVecEnv([signal_v0.parallel_env] * 3)
    env.seed(7)
    env.reset()
    actions = np.random.default_rng(0).integers(5, size=(200, 6))
    vectorised = [[] for _ in range(3)]
    for row in actions:
        *_, infos = env.step(row)
        for copy in range(3):
            if episode := infos[2 * copy].get("episode"):
                vectorised[copy].append((episode["r"], episode["l"]))
    for copy in range(3):
        single, direct = signal_v0.parallel_env(), []
        single.reset(seed=7 + copy)
        total = length = 0
        for row in actions[:, 2 * copy : 2 * copy + 2]:
            outcome = single.step(dict(zip(single.possible_agents, row, strict=True)))
            total, length = total + outcome[1]["speaker"], length + 1
            if not single.agents:
                direct.append((total, length))
                single.reset()
                total = length = 0
        assert vectorised[copy] == direct
        assert len(direct) > 10


def test_seeds_and_options_go_to_the_next_reset_alone_one_for_each_copy():
    env = ParallelVecEnv([Relay, Relay])
    assert env.seed(5) == [5, 5, 5, 6, 6, 6]
    env.set_options({"map": 1})
    assert env.reset()[:, 2].tolist() == [5, 5, 5, 6, 6, 6]
    assert env.reset()[:, 2].tolist() == [-1] * 6
    assert [copy.options for copy in env.envs] == [[{"map": 1}, None]] * 2
    env.seed(None)
    assert env.reset()[:, 2].tolist() == [-1] * 6


def test_what_was_returned_does_not_change_later():
    env = ParallelVecEnv([Relay])
    first = env.reset()
    kept = first.copy()
    outcome = steps(env, 1)[0]
    last = outcome[3][0]["terminal_observation"].copy()
    steps(env, 3)
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(outcome[3][0]["terminal_observation"], last)


def test_copies_may_have_different_numbers_of_agents():
    env = ParallelVecEnv([Relay, lambda: Relay(ends=(1,))])
    assert env.num_envs == 4
    env.reset()
    observations, *_ = env.step(np.zeros(4, dtype=int))
    assert observations[:, 1].tolist() == [0, 1, 1, 0]


def test_dictionaries_of_observations_stay_dictionaries():
    class Named(Relay):
        def observation_space(self, agent):
            parts = {"number": spaces.Discrete(5), "time": spaces.Box(0, 9, (1,))}
            return spaces.Dict(parts)

        def _seen(self, agents):
            return {
                a: {"number": self._number(a), "time": np.array([self.step_number])}
                for a in agents
            }

    env = ParallelVecEnv([Named])
    env.reset()
    observations, _, _, infos = env.step(np.zeros(3, dtype=int))
    assert observations["number"].tolist() == [0, 1, 2]
    assert observations["time"].tolist() == [[0], [1], [1]]
    assert infos[0]["terminal_observation"]["time"].tolist() == [1]
    assert infos[0]["terminal_observation"]["number"].tolist() == 0


def test_attributes_and_methods_are_those_of_the_copies():
    env = ParallelVecEnv([Relay, Relay])
    env.reset()
    env.set_attr("cut", True, indices=[3])
    assert env.get_attr("cut") == [False] * 3 + [True] * 3
    assert env.get_attr("cut", indices=4) == [True]
    steps(env, 1)
    answers = env.env_method("observation_space", "runner_0")
    assert len(answers) == 6
    env.env_method("close", indices=[0, 1])
    assert [copy.closed for copy in env.envs] == [1, 0]
    env.close()
    assert [copy.closed for copy in env.envs] == [2, 1]
    assert env.render().shape == (4, 2, 3)  # one picture for each copy
    wrapped = ParallelVecEnv([lambda: BaseParallelWrapper(Relay()), Relay])
    assert wrapped.env_is_wrapped(BaseParallelWrapper) == [True] * 3 + [False] * 3


class WithSpaces(Relay):
    """The second agent's spaces are the last of those given."""

    def __init__(self, observation_spaces=None, action_spaces=None):
        super().__init__(ends=(1, 1))
        self.seen, self.done = observation_spaces, action_spaces

    def observation_space(self, agent):
        which = self.seen or [spaces.Discrete(2)]
        return which[min(self._number(agent), len(which) - 1)]

    def action_space(self, agent):
        which = self.done or [spaces.Discrete(2)]
        return which[min(self._number(agent), len(which) - 1)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"observation_spaces": [spaces.Discrete(2), spaces.Discrete(3)]},
            r"'runner_1' has Discrete\(3\); agents that share a policy need equal",
        ),
        (
            {"action_spaces": [spaces.Discrete(2), spaces.Discrete(3)]},
            "'runner_0' has the action space",
        ),
        (
            {"action_spaces": [spaces.Dict({"action": spaces.Discrete(2)})]},
            "flatten=True",
        ),
        (
            {"observation_spaces": [spaces.Tuple([spaces.Discrete(2)])]},
            "flatten=True",
        ),
        (
            {"observation_spaces": [spaces.Dict({"a": spaces.Dict({})})]},
            "flatten=True",
        ),
    ],
)
def test_spaces_that_cannot_be_shared_or_taken_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        ParallelVecEnv([lambda: WithSpaces(**arguments)])


def test_copies_that_are_missing_or_the_same_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        ParallelVecEnv([])
    env = Relay()
    with pytest.raises(ValueError, match="the same environment"):
        ParallelVecEnv([lambda: env, lambda: env])
    with pytest.raises(ValueError, match="step_async"):
        ParallelVecEnv([Relay]).step_wait()


def test_ppo_learns_what_each_agent_earns():
    env = ParallelVecEnv([Relay] * 4)
    settings = {"n_steps": 16, "batch_size": 192, "learning_rate": 0.01}
    model = PPO("MlpPolicy", env, gamma=0.0, seed=1, **settings)
    model.learn(20 * 192)
    present = np.array([[1, 0, -1], [2, 1, -1], [3, 1, -1]], np.float32)
    actions, _ = model.predict(present, deterministic=True)
    assert actions.tolist() == [3, 3, 3]
    assert len(model.ep_info_buffer) > 50
    assert min(episode["l"] for episode in model.ep_info_buffer) == 1


def test_values_are_not_carried_over_the_borders_of_an_episode():
    env = ParallelVecEnv([lambda: Relay(ends=(1, 3))])
    model = PPO("MlpPolicy", env, n_steps=6, batch_size=12, gamma=1.0, gae_lambda=1.0)
    model.learn(12)
    buffer = model.rollout_buffer
    rewards = buffer.rewards
    returns = buffer.returns.reshape(2, 6).T  # flattened by the training, copy-major
    assert buffer.episode_starts.tolist() == [[1, 1], [1, 0], [0, 0]] * 2
    np.testing.assert_allclose(returns[[0, 3], 0], rewards[[0, 3], 0], rtol=1e-5)
    for first in (0, 3):
        np.testing.assert_allclose(returns[[first + 1, first + 2], 0], 0, atol=1e-5)
        expected = rewards[first : first + 3, 1].sum()
        np.testing.assert_allclose(returns[first, 1], expected, rtol=1e-5)


def test_stable_baselines_own_wrappers_fit_around_it():
    env = VecMonitor(ParallelVecEnv([Relay]))
    env.reset()
    *_, infos = env.step(np.zeros(3, dtype=int))
    assert infos[0]["episode"]["l"] == 1


@pytest.mark.slow
def test_ppo_learns_simple_grid_to_the_exact_optimum_through_parallel_env():
    mdp = commenv.TabularMDP.from_env(gym.make("SimpleGrid-v0"))
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    with RandomState(0), one_thread():
        grids = partial(commenv.parallel_env, "SimpleGrid-v0", 4, max_cycles=50)
        model = PPO(
            "MlpPolicy",
            ParallelVecEnv([grids] * 4),
            learning_rate=0.003,
            n_steps=32,
            batch_size=128,
            n_epochs=4,
            gamma=0.9,
            ent_coef=0.01,
            seed=0,
        ).learn(20_000)
    actions, _ = model.predict(np.arange(25), deterministic=True)
    for gamma, known in ((0.9, -5.21703), (1.0, -7.0)):
        reached = mdp.start_value(mdp.policy_values(actions, gamma))
        optimum = mdp.start_value(mdp.optimal_values(gamma))
        assert reached == pytest.approx(optimum, rel=1e-12)
        assert reached == pytest.approx(known, abs=1e-5)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


@pytest.mark.slow
def test_a_rollout_through_a_budgeted_channel_is_the_same_again():
    def rewards():
        with RandomState(0), one_thread():
            env = ParallelVecEnv([talking] * 4)
            settings = {"n_steps": 32, "batch_size": 64, "seed": 0}
            model = PPO("MlpPolicy", env, **settings).learn(1024)
        return model.rollout_buffer.rewards.tolist(), model.rollout_buffer.actions

    def talking():
        return commenv.CommunicationBudget(
            signal_v0.parallel_env(),
            message_space=spaces.Discrete(8),
            budget=commenv.Budget(bytes=1, per="episode"),
            flatten=True,
        )

    (first, acted), (second, again) = rewards(), rewards()
    assert first == second
    np.testing.assert_array_equal(acted, again)


def test_a_channel_that_is_not_flattened_is_refused_with_the_cure():
    def talking():
        return commenv.CommunicationBudget(
            signal_v0.parallel_env(), message_space=spaces.Discrete(8)
        )

    with pytest.raises(ValueError, match="CommunicationBudget: flatten=True"):
        ParallelVecEnv([talking])
