"""The channel that environments of our ids have themselves."""

import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import TimeLimit, TransformReward

import commenv
from commenv import BernoulliLoss, Budget, Channel
from commenv.channel import Delay, Fate
from commenv.errors import BudgetExceededError, NotResetError
from commenv.registration import ROBOTS, env_ids
from commenv.wrappers import MessageChannel

IDS = [*env_ids(), "SimpleGrid-v0", "WindyGrid-v0"]
QUICK = [one for one in IDS if not any(robot in one for robot in ROBOTS)]
METHODS = ("send", "receive", "broadcast", "receive_broadcast")
METRICS = ("reward", "frequency", "size", "downlink_size")
STAY, RIGHT, DOWN = 4, 1, 3
SHORTEST = [RIGHT] * 4 + [DOWN] * 4
RECORD = np.dtype([("visits", "<i4")])


def make(env_id="SimpleGrid-v0", **arguments):
    if "commenv/" in env_id and any(robot in env_id for robot in ROBOTS):
        pytest.importorskip("mujoco")
    return gym.make(env_id, **arguments)


def play(env, steps=1000, seed=0):
    """Infos of random steps of one episode, its last one last; and the rewards."""
    rng = np.random.default_rng(seed)
    env.action_space.seed(int(rng.integers(1000)))
    infos, rewards = [], []
    for _ in range(steps):
        _, reward, terminated, truncated, info = env.step(env.action_space.sample())
        infos.append(info)
        rewards.append(float(reward))
        if terminated or truncated:
            return infos, rewards
    raise AssertionError("the episode did not end")


def discounted(rewards, gamma):
    return sum(gamma**time * reward for time, reward in enumerate(rewards))


@pytest.mark.parametrize("env_id", IDS)
def test_every_id_has_a_channel_and_reports_its_metrics_where_an_episode_ends(env_id):
    uplink = Channel(budget=Budget(messages=1, per="episode"))
    env = make(env_id, uplink=uplink, downlink=Channel(), max_episode_steps=6)
    assert commenv.find_channel(env) is env.unwrapped
    _, info = env.reset(seed=0)
    assert info["comm"] == {
        "sent": 0,
        "refused": 0,
        "messages_left": 1,
        "bytes_left": np.inf,
    }
    world = env.unwrapped
    assert world.send({"x": 1}).accepted
    assert not world.send({"x": 1}).accepted
    assert world.receive() == [{"x": 1}]
    world.broadcast(np.zeros(1, RECORD))
    assert world.receive_broadcast()["visits"] == 0
    infos, rewards = play(env)
    assert all("episode_comm" not in info for info in infos[:-1])
    assert all(info["comm"]["sent"] == 1 for info in infos)
    told = infos[-1]["episode_comm"]
    assert told["reward"] == pytest.approx(discounted(rewards, 0.9), rel=1e-12)
    assert (told["frequency"], told["messages"], told["refused"]) == (1, 1, 1)
    assert (told["size"], told["downlink_size"]) == (4, 4)
    assert told["episode_length"] == len(rewards)
    for name in METRICS:
        assert told[name] == getattr(world.metrics, name).item()


@pytest.mark.parametrize("env_id", IDS)
def test_without_a_channel_nothing_is_told_but_everything_is_counted(env_id):
    env = make(env_id, max_episode_steps=6, gamma=0.5)
    world = env.unwrapped
    assert all(hasattr(type(world), name) for name in METHODS)
    env.reset(seed=0)
    infos, rewards = play(env)
    for info in infos:
        assert not {"comm", "episode_comm"} & info.keys()
    metrics = world.metrics
    assert metrics.reward.item() == pytest.approx(discounted(rewards, 0.5), rel=1e-12)
    assert metrics.episode_length.item() == len(rewards)
    assert metrics.frequency.item() == metrics.size.item() == 0
    assert world.receive() == []
    assert world.receive_broadcast() is None
    assert "comm" not in env.reset()[1]
    assert world.metrics.episode_length.item() == 0


@pytest.mark.parametrize("env_id", QUICK)
def test_the_first_message_opens_an_unlimited_channel(env_id):
    env = make(env_id, max_episode_steps=3)
    world = env.unwrapped
    env.reset(seed=0)
    first = float(env.step(0)[1])
    assert world.send("x") == (True, np.inf, np.inf)
    info, second = None, 0.0
    _, second, *_, info = env.step(0)
    assert info["comm"]["sent"] == 1
    *_, truncated, info = env.step(0)
    assert truncated
    told = info["episode_comm"]
    assert (told["frequency"], told["episode_length"]) == (1, 3)
    assert world.metrics.episode_return.item() == told["episode_return"]
    assert told["episode_return"] >= first + float(second) - 1
    assert env.reset()[1]["comm"]["sent"] == 0


def test_a_broadcast_and_a_look_at_the_ledger_open_it_too():
    for use in (
        lambda world: world.broadcast(np.zeros(1, RECORD)),
        lambda world: world.star.uplink.ledger,
    ):
        env = make()
        env.reset(seed=0)
        use(env.unwrapped)
        assert "comm" in env.step(STAY)[4]
    early = make()
    early.unwrapped.star  # noqa: B018 - it is asked for, and opens with the reset
    assert "comm" in early.reset(seed=0)[1]


@pytest.mark.parametrize("env_id", ["SimpleGrid-v0", "commenv/CartPole-v1"])
@pytest.mark.parametrize("talks", [True, False])
def test_the_world_is_the_same_with_a_channel(env_id, talks):
    arguments = {"uplink": Channel()} if talks else {}
    env, plain = make(env_id, **arguments), make(env_id)
    assert env.reset(seed=3)[0] == pytest.approx(plain.reset(seed=3)[0], abs=0)
    for _ in range(8):
        env.unwrapped.send("x")
        mine, theirs = env.step(1), plain.step(1)
        np.testing.assert_array_equal(mine[0], theirs[0])
        assert mine[1:4] == theirs[1:4]


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"uplink": Channel(budget=Budget(messages=2, per="episode"))},
        {"uplink": Channel(link=BernoulliLoss(0.5)), "agent": 3},
        {"uplink": Channel(link=Delay(2), acknowledgements=True)},
        {"uplink": Channel(budget=Budget(bytes=5, per="step"))},
        {"uplink": Channel(budget=Budget(messages=1, exceed="queue", max_wait=2))},
        {"uplink": Channel(budget=Budget(messages=2, exceed="terminate"))},
        {"uplink": Channel(budget=Budget(messages=2, exceed="penalize", price=0.5))},
        {"downlink": Channel(link=BernoulliLoss(0.5)), "gamma": 0.5},
    ],
)
def test_it_is_what_the_wrapper_is(parts):
    inside = make("WindyGrid-v0", max_episode_steps=15, **{"uplink": Channel()} | parts)
    around = MessageChannel(make("WindyGrid-v0", max_episode_steps=15), **parts)
    own = inside.unwrapped
    rng = np.random.default_rng(0)
    assert inside.reset(seed=5) == around.reset(seed=5)
    ends = 0
    for _ in range(200):
        if rng.random() < 0.5:
            message = "x" * int(rng.integers(1, 9))
            assert own.send(message) == around.send(message)
            own.broadcast(np.zeros(1, RECORD))
            around.broadcast(np.zeros(1, RECORD))
        action = int(rng.integers(5))
        mine, theirs = inside.step(action), around.step(action)
        assert mine == theirs
        assert own.receive() == around.receive()
        assert vars(own.metrics) == vars(around.metrics)
        if mine[2] or mine[3]:
            ends += 1
            assert "episode_comm" in mine[4]
            own.send("late")
            around.send("late")
            assert inside.reset() == around.reset()
    assert ends > 1
    for fate in Fate:
        assert own.star.uplink.ledger.count(fate) == around.star.uplink.ledger.count(
            fate
        )


ROUGH = Channel(
    budget=Budget(bytes=20, per="episode"), link=BernoulliLoss(0.4), headers=True
)


SPARSE = Channel(budget=Budget(messages=9, per="lifetime"))


@pytest.mark.parametrize("uplink", [Channel(), ROUGH, SPARSE])
def test_it_is_what_the_batched_environment_is_to_the_bit(uplink):
    """With the same seed and messages: metrics, ledger, refusals and losses.

    Simple Grid is deterministic, so that it does not matter where the two take their
    world's randomness from. A batch ticks once an episode, so its clock counts in
    nothing that is compared here.
    """
    env = make(uplink=uplink)
    batch = commenv.batched_env("SimpleGrid-v0", 1, 1, uplink=uplink)
    env.reset(seed=11)
    batch.reset(seed=11)
    messages = np.random.default_rng(2)
    lost = refused = 0
    for episode in range(12):
        if episode:
            env.reset()
            batch.reset()
        for action in SHORTEST:
            observation, reward, terminated, _, info = env.step(action)
            seen, rewards, ends, *_ = batch.step(np.array([action]))
            assert (observation, reward, terminated) == (seen[0], rewards[0], ends[0])
        for name, values in vars(batch.metrics).items():
            assert info["episode_comm"][name] == values[0, 0]
        for _ in range(int(messages.integers(1, 5))):
            record = np.zeros(int(messages.integers(1, 3)), RECORD)
            told = env.unwrapped.send(record)
            counts = np.array([[len(record)]])
            receipt = batch.send(commenv.Messages(record, counts))
            assert told.accepted == receipt.accepted[0, 0]
            assert told.bytes == receipt.left.bytes[0, 0]
        arrived, theirs = env.unwrapped.receive(), batch.receive()
        assert arrived.tobytes() == theirs.records.tobytes()
        for name, values in vars(batch.metrics).items():
            mine = getattr(env.unwrapped.metrics, name)
            assert mine.dtype == values.dtype
            assert mine.tobytes() == values.tobytes()
        lost += batch.metrics.lost.item()
        refused += batch.metrics.refused.item()
    if uplink is ROUGH:
        assert lost > 0
        assert refused > 0


def test_what_was_sent_after_the_end_is_in_the_next_reset():
    env = make(uplink=Channel())
    env.reset(seed=0)
    for action in SHORTEST:
        *_, terminated, _, info = env.step(action)
    assert terminated
    assert info["episode_comm"]["frequency"] == 0
    assert info["episode_comm"]["reward"] == pytest.approx(-5.217031)
    env.unwrapped.send({"steps": 8})
    _, info = env.reset()
    assert info["episode_comm"]["frequency"] == 1
    assert info["episode_comm"]["size"] == 8
    assert info["comm"]["sent"] == 0


def test_a_time_limit_ends_an_episode_wherever_it_stands():
    def until_told(env, most=60):
        env.reset(seed=0)
        for step in range(1, most):
            if "episode_comm" in env.step(STAY)[4]:
                return step
        raise AssertionError("no step ended the episode")

    talking = {"uplink": Channel()}
    assert until_told(make(max_episode_steps=7, **talking)) == 7
    assert until_told(TimeLimit(make(max_episode_steps=7, **talking), 5)) == 5
    outer = TransformReward(
        TimeLimit(make(max_episode_steps=50, **talking), 9), lambda r: r
    )
    assert until_told(outer) == 9
    assert until_told(make(**talking), 300) == 200
    again = make(max_episode_steps=7, **talking)
    assert [until_told(again) for _ in range(3)] == [7, 7, 7]
    around = TimeLimit(MessageChannel(make(max_episode_steps=50)), 4)
    assert until_told(around) == 4


def test_another_environments_time_limit_says_nothing():
    class Stepping(gym.Wrapper):
        """Steps an environment inside the step of another one."""

        def step(self, action):
            self.told = other.step(STAY)[4]
            return super().step(action)

    other = make(uplink=Channel())
    other.reset(seed=0)
    env = TimeLimit(Stepping(make()), 1)
    env.reset(seed=0)
    env.step(STAY)
    assert "episode_comm" not in env.env.told


def test_budgets_act_on_rewards_and_ends():
    budget = Budget(messages=1, exceed="penalize", price=0.25)
    env = make(uplink=Channel(budget=budget))
    env.reset(seed=0)
    for _ in range(3):
        env.unwrapped.send("x")
    assert [env.step(STAY)[1] for _ in range(2)] == [-1.5, -1.0]
    assert env.unwrapped.metrics.episode_return.item() == -2.0  # what the world paid
    env = make(uplink=Channel(budget=Budget(messages=0, exceed="terminate")))
    env.reset(seed=0)
    env.unwrapped.send("x")
    *_, terminated, _, info = env.step(STAY)
    assert terminated
    assert info["episode_comm"]["refused"] == 1
    env.reset()
    assert not env.step(STAY)[2]
    env = make(uplink=Channel(budget=Budget(messages=0, exceed="raise")))
    env.reset(seed=0)
    with pytest.raises(BudgetExceededError, match="exceeds the budget of 0 messages"):
        env.unwrapped.send("x")


@pytest.mark.parametrize("env_id", IDS)
def test_it_is_made_again_from_its_spec_and_from_a_pickle(env_id):
    uplink = Channel(budget=Budget(messages=2), link=BernoulliLoss(0.5))
    env = make(env_id, uplink=uplink, gamma=0.5, max_episode_steps=4)
    for again in (
        gym.make(env.spec),
        pickle.loads(pickle.dumps(env)),
        copy.deepcopy(env),
    ):
        assert again.spec.max_episode_steps == 4
        again.reset(seed=0)
        assert again.unwrapped.star.uplink.channel == uplink
        assert "episode_comm" in play(again)[0][-1]


@pytest.mark.parametrize("env_id", QUICK)
@pytest.mark.parametrize("parts", [{}, {"uplink": ROUGH}])
@pytest.mark.parametrize("form", [gym.make, gym.make_vec])
def test_the_spec_passes_through_json(env_id, parts, form):
    env = form(env_id, gamma=0.5, max_episode_steps=4, **parts)
    again = form(EnvSpec.from_json(env.spec.to_json()))
    again.reset(seed=np.int64(0))
    channel = again.unwrapped.star.uplink.channel
    assert channel == parts.get("uplink", Channel())
    assert again.spec.max_episode_steps == env.spec.max_episode_steps


@pytest.mark.parametrize("env_id", QUICK)
def test_metrics_are_told_by_an_environment_made_from_json(env_id):
    env = make(env_id, gamma=0.5, max_episode_steps=4)
    again = gym.make(EnvSpec.from_json(env.spec.to_json()))
    again.reset(seed=0)
    again.unwrapped.send("x")
    assert play(again)[0][-1]["episode_comm"]["frequency"] == 1


@pytest.mark.parametrize("env_id", QUICK)
@pytest.mark.parametrize(
    "how", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))]
)
def test_a_copy_in_the_middle_of_an_episode_goes_on_alike(env_id, how):
    env = make(env_id, uplink=ROUGH, max_episode_steps=6)
    env.reset(seed=1)
    for _ in range(2):
        env.unwrapped.send("x")
        env.step(0)
    other = how(env)
    for _ in range(20):
        assert env.unwrapped.send("y") == other.unwrapped.send("y")
        mine, theirs = env.step(1), other.step(1)
        assert repr(mine) == repr(theirs)
        if mine[2] or mine[3]:
            assert repr(env.reset()) == repr(other.reset())


@pytest.mark.filterwarnings("ignore:.*value is -?infinity:UserWarning")
@pytest.mark.parametrize("env_id", QUICK)
@pytest.mark.parametrize("parts", [{}, {"uplink": Channel()}])
def test_it_conforms(env_id, parts):
    check_env(make(env_id, **parts).unwrapped)
    if parts:
        stable = pytest.importorskip("stable_baselines3.common.env_checker")
        stable.check_env(make(env_id, **parts))


def test_seeds_decide_what_is_lost_and_agents_lose_apart():
    def lost(seed, agent=0):
        env = make(uplink=Channel(link=BernoulliLoss(0.5)), agent=agent)
        env.reset(seed=seed)
        for _ in range(40):
            env.unwrapped.send("x")
        return env.unwrapped.metrics.lost.item(), len(env.unwrapped.receive())

    assert lost(1) == lost(1)
    assert len({lost(seed) for seed in range(6)}) > 1
    assert len({lost(1, agent) for agent in range(6)}) > 1


@pytest.mark.parametrize("env_id", ["SimpleGrid-v0", "commenv/CartPole-v1"])
@pytest.mark.parametrize(
    ("parts", "error", "words"),
    [
        ({"uplink": "x"}, TypeError, "uplink: 'x' is not a Channel; give"),
        (
            {"downlink": Budget(messages=1)},
            TypeError,
            "downlink: Budget.*give an instance, Channel",
        ),
        ({"uplink": {"budget": 1}}, TypeError, "is not a Channel; give an instance"),
        ({"gamma": 2}, ValueError, "gamma 2 is outside"),
    ],
)
@pytest.mark.parametrize("form", [gym.make, gym.make_vec])
def test_what_is_no_channel_is_refused_in_words(env_id, parts, error, words, form):
    with pytest.raises(error, match=words):
        form(env_id, **parts)


def test_the_arguments_of_the_channel_are_none_of_the_environments():
    for name in ("uplink", "gamma", "agent"):
        with pytest.raises(ValueError, match=rf"no argument '{name}'; it knows size"):
            commenv.batched_env("SimpleGrid-v0", 1, 1, env_kwargs={name: None})


@pytest.mark.parametrize("parts", [{}, {"uplink": Channel()}])
@pytest.mark.parametrize(
    "ask",
    [
        lambda world: world.send(0),
        lambda world: world.receive(),
        lambda world: world.receive_broadcast(),
        lambda world: world.metrics,
    ],
)
def test_nothing_is_said_before_the_first_reset(ask, parts):
    for world in (make(**parts).unwrapped, gym.make_vec("SimpleGrid-v0", 2, **parts)):
        with pytest.raises(NotResetError, match="call reset"):
            ask(world)
