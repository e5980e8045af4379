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
from commenv.errors import ContractError
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
            total, length = total + outcome[1]["speaker_0"], length + 1
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


class Masked(Relay):
    """Agent i may not do i; it says so in its info, or in its observation."""

    inside = False

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.spaces = {}

    def observation_space(self, agent):
        space = super().observation_space(agent)
        if self.inside:
            space = spaces.Dict(plain=space, action_mask=spaces.MultiBinary(4))
        return self.spaces.setdefault(("observation", agent), space)

    def action_space(self, agent):
        return self.spaces.setdefault(("action", agent), super().action_space(agent))

    def mask(self, agent):
        return (np.arange(4) != self._number(agent)).astype(np.int8)

    def reset(self, seed=None, options=None):
        seen, infos = super().reset(seed, options)
        return self._with_masks(seen, infos)

    def step(self, actions):
        seen, *rest, infos = super().step(actions)
        seen, infos = self._with_masks(seen, infos)
        return seen, *rest, infos

    def _with_masks(self, seen, infos):
        if self.inside:
            return {
                a: {"plain": one, "action_mask": self.mask(a)}
                for a, one in seen.items()
            }, infos
        return seen, {a: {"action_mask": self.mask(a)} for a in seen}


class MaskedInside(Masked):
    """The same, in the observation."""

    inside = True


@pytest.mark.parametrize("kind", [Masked, MaskedInside])
def test_each_agent_has_its_own_action_mask(kind):
    env = ParallelVecEnv([partial(kind, (1, 3, 2), (0, 1, 0))] * 2)
    env.reset()
    free = [True] * 4
    own = [[choice != number for choice in range(4)] for number in range(3)]
    # Agent 0 leaves after one step, when agent 1 begins; agent 2 leaves after two.
    expected = [[own[0], free, own[2]], [free, own[1], own[2]], [free, own[1], free]]
    for masks in expected:
        assert env.action_masks().tolist() == masks * 2
        answers = env.env_method("action_masks", indices=[5, 1])
        assert [one.tolist() for one in answers] == [masks[2], masks[1]]
        env.step(np.full(6, 3))
    assert env.action_masks().tolist() == expected[0] * 2  # a new episode
    assert env.has_attr("action_masks")


def test_masks_are_kept_apart_from_the_environments_own_arrays():
    mask = np.array([1, 0, 1, 1], np.int8)

    class Reusing(Masked):
        def mask(self, agent):
            return mask

    env = ParallelVecEnv([Reusing])
    env.reset()
    mask[:] = 0
    assert env.action_masks().tolist() == [[True, False, True, True]] * 3


def test_masks_that_do_not_fit_and_no_masks_are_named():
    class Short(Masked):
        def mask(self, agent):
            return [1, 0]

    env = ParallelVecEnv([Short])
    env.reset()
    with pytest.raises(ValueError, match="sub-environment 0 has an action mask of 2"):
        env.action_masks()
    env = ParallelVecEnv([Relay])
    env.reset()
    with pytest.raises(ValueError, match="no agent has an 'action_mask'"):
        env.env_method("action_masks")


@pytest.mark.parametrize("kind", [Masked, MaskedInside])
def test_the_mask_of_a_talking_agent_covers_its_message_and_recipient(kind):
    talking = partial(
        commenv.CommunicationBudget,
        message_space=spaces.Discrete(3),
        topology="complete",
        flatten=True,
    )
    env = ParallelVecEnv([lambda: talking(kind())])
    env.reset()
    for _ in range(2):
        masks = env.action_masks()
        assert masks.shape == (3, 4 + 3 + 4)
        for number, mask in enumerate(masks):
            assert [choice for choice, may in enumerate(mask) if not may] in (
                [number],
                [],
            )
        assert not masks[1, 1]
        env.step(np.array([[3, 0, 0]] * 3))


def test_an_agent_that_nobody_announced_is_named():
    class Growing(Relay):
        def step(self, actions):
            result = super().step(actions)
            self.agents = [*self.agents, "stranger"]
            return result

    env = ParallelVecEnv([Growing])
    env.reset()
    with pytest.raises(ContractError, match=r"Growing .* agent 'stranger' after step"):
        env.step(np.zeros(3, int))
