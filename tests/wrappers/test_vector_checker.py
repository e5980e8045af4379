import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, create_empty_array

from commenv.errors import EnvironmentFaultError
from commenv.wrappers import MessageChannel, VectorMessageChannel
from tests.faults import UNIT, Faulty

COUNT = 3
PARTS = spaces.Dict({"place": UNIT, "state": spaces.Discrete(4)})


class Given(VectorEnv):
    """Three sub-environments that do as they are told."""

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(self, space=None, seen=None, start=None, **parts):
        self.num_envs = COUNT
        self.single_observation_space = space or spaces.Discrete(4)
        self.single_action_space = spaces.Discrete(2)
        self.observation_space = batch_space(self.single_observation_space, COUNT)
        self.action_space = batch_space(self.single_action_space, COUNT)
        sane = create_empty_array(self.single_observation_space, COUNT, np.zeros)
        self.sane = sane if start is None else start
        no = np.zeros(COUNT, bool)
        self.parts = {
            "seen": sane if seen is None else seen,
            "rewards": np.ones(COUNT),
            "terminated": no,
            "truncated": no,
        } | parts

    def reset(self, *, seed=None, options=None):
        return self.sane, {}

    def step(self, actions):
        return *self.parts.values(), {}


def begun(**parts):
    env = VectorMessageChannel(Given(**parts))
    env.reset(seed=0)
    return env


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"seen": np.array([0, -1, 2])}, r"observation .*-1.*, outside Dis.*agent 1"),
        ({"seen": np.array([0, 1, 1.7])}, "observation .*1.7.*agent 2"),
        ({"seen": np.zeros((COUNT, 1))}, r"of shape \(1,\)?.*agent 0"),
        (
            {"space": UNIT, "seen": np.array([[0] * 3, [0] * 3, [np.nan] * 3])},
            "nan.*agent 2",
        ),
        ({"space": UNIT, "seen": np.zeros((COUNT, 1))}, r"\(1,\), not \(3,\).*agent 0"),
        (
            {
                "space": PARTS,
                "seen": {"place": np.zeros((3, 3)), "state": np.array([0, 0, 4])},
            },
            r"observation\['state'\] .*4.*agent 2",
        ),
        ({"rewards": np.ones((COUNT, 2))}, "2 rewards at once.*agent 0.*LinearReward"),
        ({"rewards": np.array([0, np.nan, 1])}, "reward nan.*agent 1"),
        ({"rewards": [1.0, None, 2.0]}, "reward None.*agent 1"),
        ({"rewards": None}, "rewards None; return one for each of 3"),
        ({"terminated": np.array([0, 1, 2])}, "terminated = .*2.*agent 2"),
        ({"truncated": ["no"] * COUNT}, "truncated = 'no'.*agent 0"),
    ],
    ids=str,
)
def test_the_first_sub_environment_at_fault_is_named(parts, words):
    with pytest.raises(EnvironmentFaultError, match=f"^Given returned .*{words}"):
        begun(**parts).step(np.zeros(COUNT, int))


def test_the_observations_of_a_reset_are_checked():
    with pytest.raises(EnvironmentFaultError, match=r"-1.*agent 2"):
        begun(start=np.array([0, 0, -1]))


@pytest.mark.parametrize(
    "rewards",
    [np.ones((COUNT, 1)), [1, 1, 1], np.ones(COUNT, bool), np.float32([1] * 3)],
)
def test_one_number_for_each_is_taken(rewards):
    env = begun(rewards=rewards, terminated=[0, 1, 0])
    _, paid, terminated, *_ = env.step(np.zeros(COUNT, int))
    assert (paid.dtype, paid.tolist()) == (np.float64, [1.0, 1.0, 1.0])
    assert (terminated.dtype, terminated.tolist()) == (np.bool_, [False, True, False])


def test_the_reward_of_a_step_that_resets_does_not_count():
    env = begun(terminated=np.array([False, True, False]))
    env.step(np.zeros(COUNT, int))
    env.env.parts |= {"terminated": np.zeros(COUNT, bool)}
    env.env.parts["rewards"] = np.array([1.0, np.nan, 1.0])
    env.step(np.zeros(COUNT, int))  # NEXT_STEP: agent 1 is reset
    with pytest.raises(EnvironmentFaultError, match="agent 1"):
        env.step(np.zeros(COUNT, int))


def test_vectors_of_rewards_are_refused_before_the_first_step():
    class Objectives(Given):
        reward_space = spaces.Box(-1, 1, (2,))

    with pytest.raises(EnvironmentFaultError, match=r"rewards of shape \(2,\)"):
        VectorMessageChannel(Objectives())
    Objectives.reward_space = spaces.Box(-1, 1, (COUNT,))
    VectorMessageChannel(Objectives())


def test_the_channel_around_one_environment_says_when():
    env = MessageChannel(Faulty(reward=None), agent=7)
    env.reset(seed=0)
    env.reset()
    env.step(0)
    words = "Faulty returned the reward None .agent 7, episode 1, step 1"
    with pytest.raises(EnvironmentFaultError, match=words):
        env.step(0)
    taken = MessageChannel(Faulty(reward=np.array([1.5])))
    taken.reset(seed=0)
    assert [taken.step(0)[1] for _ in range(3)] == [1.0, 1.5, 1.5]
    assert taken.metrics.episode_return.tolist() == [[4.0]]
    with pytest.raises(EnvironmentFaultError, match=r"observation 9.*agent 0"):
        MessageChannel(Faulty(start=9)).reset(seed=0)
