from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import TimeLimit, TransformReward

import commenv
from commenv.channel import BernoulliLoss, Budget, Channel, Delay, Fate, Float16
from commenv.errors import BudgetExceededError, NotResetError
from commenv.wrappers import MessageChannel, find_channel

GRADIENT = np.dtype([("gradient", "<f8", (3,))])


def make(env_id="commenv/WindyGrid-v0", **parts):
    return MessageChannel(gym.make(env_id), **parts)


@pytest.mark.filterwarnings("ignore:.*different from the unwrapped:UserWarning")
@pytest.mark.filterwarnings("error")
def test_it_conforms_and_is_rebuilt_from_its_spec():
    uplink = Channel(budget=Budget(messages=2))
    env = make(uplink=uplink, agent=3, gamma=0.5)
    check_env(env)
    again = gym.make(env.spec)
    assert isinstance(again, MessageChannel)
    again.reset(seed=0)
    assert again.star.uplink.channel == uplink
    again.send({"x": 1})
    assert again.star.draws.agents == (3,)


def test_the_environment_is_the_same_with_a_channel():
    plain, env = gym.make("commenv/WindyGrid-v0"), make()
    (one, _), (other, _) = plain.reset(seed=4), env.reset(seed=4)
    random = np.random.default_rng(0)
    ended = False
    while not ended:
        assert one == other
        action = random.integers(5)
        one, *rest, _ = plain.step(action)
        env.send({"seen": other})
        other, *mine, info = env.step(action)
        assert rest == mine
        ended = rest[1] or rest[2]
    metrics = env.metrics
    assert metrics.messages.item() == metrics.episode_length.item()
    assert info["comm"]["sent"] == metrics.messages.item()


def test_what_the_sender_may_know_is_in_the_info():
    env = make(uplink=Channel(budget=Budget(messages=2), link=BernoulliLoss(1.0)))
    _, info = env.reset(seed=0)
    full = {"sent": 0, "refused": 0, "messages_left": 2, "bytes_left": np.inf}
    assert info["comm"] == full
    told = [env.send({"x": 1}) for _ in range(3)]
    assert [one.accepted for one in told] == [True, True, False]
    assert [one.messages for one in told] == [1, 0, 0]
    *_, info = env.step(0)
    assert info["comm"] == full | {"sent": 2, "refused": 1, "messages_left": 0}
    assert env.receive() == []  # lost, which nobody is told
    _, info = env.reset()
    assert info["comm"] == full
    assert info["episode_comm"]["messages"] == 2
    assert info["episode_comm"]["lost"] == 2
    assert info["episode_comm"]["episode_length"] == 1


def test_records_and_parameters_pass_in_both_directions():
    env = make(uplink=Channel(codec=Float16()))
    env.reset(seed=0)
    assert env.receive_broadcast() is None
    record = np.zeros(1, GRADIENT)
    record["gradient"] = 1.5
    assert env.send(record).accepted
    assert env.receive()["gradient"].tolist() == [[1.5] * 3]
    assert env.metrics.size.item() == 6
    env.broadcast(record)
    assert env.receive_broadcast()["gradient"].tolist() == [1.5] * 3
    with pytest.raises(ValueError, match="keep to one form"):
        env.send({"x": 1})


def test_the_clock_ticks_with_every_step():
    env = make(uplink=Channel(link=Delay(2)))
    env.reset(seed=0)
    env.send("late")
    seen = []
    for _ in range(3):
        env.step(4)
        seen.append(env.receive())
    assert seen == [[], ["late"], []]


def test_a_send_after_the_end_belongs_to_the_episode_that_ended():
    env = make("commenv/SimpleGrid-v0")
    env.reset(seed=0)
    for action in [1, 1, 1, 1, 3, 3, 3, 3]:
        *_, terminated, _, info = env.step(action)
    assert terminated
    env.send({"return": -7.0})
    assert info["comm"]["sent"] == 0
    assert env.reset()[1]["episode_comm"]["messages"] == 1
    assert env.metrics.messages.item() == 0


def test_a_penalty_comes_off_the_next_reward():
    budget = Budget(messages=1, exceed="penalize", price=0.25)
    env = make(uplink=Channel(budget=budget))
    env.reset(seed=0)
    for _ in range(3):
        env.send("x")
    assert env.step(4)[1] == -1.5
    assert env.step(4)[1] == -1.0
    assert env.metrics.penalty.item() == 0.5
    assert env.metrics.episode_return.item() == -2.0  # what the world paid


def test_a_budget_may_end_the_episode_or_raise():
    env = make(uplink=Channel(budget=Budget(messages=0, exceed="terminate")))
    env.reset(seed=0)
    assert not env.step(4)[2]
    env.send("x")
    assert env.step(4)[2]
    env.reset()
    assert not env.step(4)[2]
    env = make(uplink=Channel(budget=Budget(messages=0, exceed="raise")))
    env.reset(seed=0)
    with pytest.raises(BudgetExceededError, match="exceeds the budget of 0 messages"):
        env.send("x")


def test_seeds_decide_what_is_lost():
    def lost(seed, agent=0):
        env = make(uplink=Channel(link=BernoulliLoss(0.5)), agent=agent)
        env.reset(seed=seed)
        for _ in range(40):
            env.send("x")
        entry = env.star.uplink.ledger.count(Fate.LOST)
        return entry.item(), len(env.receive())

    assert lost(1) == lost(1)
    assert len({lost(seed) for seed in range(6)}) > 1
    assert len({lost(1, agent) for agent in range(6)}) > 1


def test_it_is_found_through_other_wrappers():
    inner = make()
    env = TransformReward(TimeLimit(inner, 50), lambda reward: 2 * reward)
    assert find_channel(env) is inner
    assert commenv.find_channel(env) is inner
    assert commenv.channel.Channel is Channel  # still a package
    batch = commenv.batched_env("commenv/SimpleGrid-v0", 1, 1)
    assert commenv.find_channel(batch) is batch
    with pytest.raises(ValueError, match="has no message channel; put"):
        commenv.find_channel(gym.make("CartPole-v1"))


@pytest.mark.parametrize(
    "call",
    [
        lambda env: env.send(0),
        lambda env: env.step(0),
        lambda env: env.receive(),
        lambda env: env.metrics,
        lambda env: env.receive_broadcast(),
    ],
)
def test_nothing_is_said_before_the_first_reset(call):
    with pytest.raises(NotResetError, match="call reset"):
        call(make())


def test_what_cannot_be_encoded_is_named():
    env = make()
    env.reset(seed=0)
    with pytest.raises(TypeError, match=r"payload\['a'\]\[1\] is a 'set'"):
        env.send({"a": [1, {2}]})
    for settings, words in (({"gamma": 2}, "gamma 2"), ({"agent": -1}, "agent -1")):
        with pytest.raises(ValueError, match=words):
            make(**settings)
