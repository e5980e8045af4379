"""Every public entry says in words what it got and what to give instead."""

from __future__ import annotations

import gymnasium as gym
import pytest
from commenv_baselines.dql import DQL
from gymnasium import spaces

import commenv
from commenv.channel import (
    QSGD,
    AdditiveNoise,
    BernoulliLoss,
    BitErrors,
    Budget,
    Chain,
    Channel,
    Delay,
    Delta,
    ErrorFeedback,
    GilbertElliottLoss,
    RandomK,
    Range,
    RateCap,
    Sparse,
    TopK,
    Uniform,
)
from commenv.learning import Always
from commenv.wrappers import MessageChannel, VectorMessageChannel

GRID = "SimpleGrid-v0"
BUDGET = Budget(messages=1)
SMALL = {"num_agents": 2, "num_trials": 2, "num_episodes": 2, "progress": False}


def made():
    return gym.make(GRID)


def study(environments=GRID, algorithms="dql", schemes=None, **settings):
    return commenv.run(environments, algorithms, schemes, **{**SMALL, **settings})


def batched(env_id=GRID, num_trials=2, num_agents=2, **settings):
    return commenv.batched_env(env_id, num_trials, num_agents, **settings)


def parallel(env_id=GRID, num_agents=2, **settings):
    return commenv.parallel_env(env_id, num_agents, **settings)


def talking(env=None, message_space=None, **settings):
    return commenv.CommunicationBudget(
        parallel() if env is None else env,
        message_space=spaces.Discrete(2) if message_space is None else message_space,
        **settings,
    )


NO_STUDY = [
    (lambda: batched(made()), "give its id, 'SimpleGrid-v0'"),
    (lambda: batched(num_trials="2"), "num_trials must be an integer, got '2'"),
    (lambda: batched(num_trials=None), "num_trials must be an integer, got None"),
    (lambda: batched(num_agents=2.5), "num_agents must be an integer, got 2.5"),
    (lambda: batched(max_episode_steps="9"), "max_episode_steps must be an integer"),
    (lambda: batched(uplink=BUDGET), r"uplink: Budget.* not a Channel; .*Channel\(bud"),
    (lambda: batched(downlink=Channel), "downlink: Channel is a class; give an instan"),
    (lambda: batched(env_kwargs=[1]), "env_kwargs of agent_0 is 1; give a dictionary"),
    (lambda: batched(env_kwargs=3), "env_kwargs must be a dictionary .*got 3"),
    (lambda: batched(gamma="a"), "gamma must be a number, got 'a'"),
    (lambda: parallel(made()), "give its id, 'SimpleGrid-v0'"),
    (lambda: parallel(num_agents=None), "num_agents must be an integer, got None"),
    (lambda: parallel(num_agents="2"), "num_agents must be an integer, got '2'"),
    (lambda: parallel(num_agents=2.5), "num_agents must be an integer, got 2.5"),
    (lambda: parallel(max_cycles="a"), "max_cycles must be an integer, got 'a'"),
    (lambda: parallel(uplink=BUDGET), "uplink: Budget.* is not a Channel; give"),
    (lambda: parallel(env_kwargs=3), "env_kwargs must be a dictionary .*got 3"),
    (lambda: parallel(env_kwargs="ab"), "env_kwargs must be a dictionary .*got 'ab'"),
    (lambda: parallel(gamma="a"), "gamma must be a number, got 'a'"),
    (lambda: parallel(trial="a"), "trial must be an integer, got 'a'"),
    (lambda: talking(made()), "give a ParallelEnv"),
    (lambda: talking(GRID), "give a ParallelEnv"),
    (lambda: talking(message_space=2), "message_space 2 .*Discrete"),
    (lambda: talking(topology=3), "topology 3 .*ring"),
    (lambda: talking(topology="rign"), "did you mean 'ring'"),
    (lambda: talking(budget=64), "budget: 64 is not a Budget; .*Budget"),
    (lambda: talking(link="bernoulli"), r"link: 'bernoulli' is not.*BernoulliLoss\("),
    (lambda: talking(link=BernoulliLoss), "link: BernoulliLoss is a class; give an in"),
    (lambda: talking(codec="int8"), r"codec: 'int8' is not a Codec; .*Int8\("),
    (lambda: Channel(codec="top_k"), r"codec: 'top_k' is not a Codec; .*TopK\("),
    (lambda: Channel(codec="topk"), r"codec: 'topk' is not a Codec; .*TopK\("),
    (lambda: Channel(codec=TopK), r"codec: TopK is a class; give an instance, TopK\("),
    (lambda: Channel(BUDGET), "codec: Budget.* is not a Codec; give an instance"),
    (lambda: Channel(link="delay"), r"link: 'delay' is not a Link; .*Delay\("),
    (lambda: Channel(link=0.1), r"link: 0.1 is not a Link; .*BernoulliLoss\(0.1\)"),
    (lambda: Channel(budget=64), r"budget: 64 is not a Budget; .*Budget\(messages=1"),
    (lambda: Channel(budget="messages=1"), "budget: 'messages=1' is not a Budget; giv"),
    (lambda: Channel(budget={"messages": 1}), "budget: {'messages': 1} is not a Budge"),
    (lambda: Channel(headers=1), "headers must be True or False, got 1"),
    (lambda: Channel(medium=3), "medium must be 'unicast' or 'broadcast', got 3"),
    (lambda: Budget("messages=1"), "budget messages must be an integer .*got 'messag"),
    (lambda: Budget(messages=1, per=3), "unknown budget per '3'; known: episode"),
    (lambda: BernoulliLoss("10%"), "probability of BernoulliLoss must be a number"),
    (lambda: BernoulliLoss(None), "probability of BernoulliLoss .* got None"),
    (lambda: GilbertElliottLoss("a", 0.1), "to_bad of GilbertElliottLoss must be a"),
    (lambda: Delay("2"), "ticks '2' of Delay is not an integer of 0 or more"),
    (lambda: RateCap("2"), "bytes_per_tick of RateCap must be a number, got '2'"),
    (lambda: AdditiveNoise("2"), "deviation of AdditiveNoise must be a number, got"),
    (lambda: BitErrors("2"), "rate of BitErrors must be a number, got '2'"),
    (lambda: Range("2"), "radius must be a number, got '2'"),
    (lambda: Chain([Delay(1)]), r"Chain\(one, other\); \[Delay.* is not a Link"),
    (lambda: Chain(Delay), "Delay is a class; give an instance"),
    (lambda: TopK("3"), "k '3' of codec 'top_k' is not an integer from 1"),
    (lambda: TopK(2.5), "k 2.5 of codec 'top_k' is not an integer from 1"),
    (lambda: RandomK("a"), "k 'a' of codec 'random_k' is not an integer"),
    (lambda: Uniform("a"), "bits 'a' of codec 'uniform' is not an integer from 1"),
    (lambda: QSGD("a"), "levels 'a' of codec 'qsgd' is not an integer"),
    (lambda: ErrorFeedback("top_k"), r"'top_k' is not a Codec; .*TopK\("),
    (lambda: ErrorFeedback(TopK), "TopK is a class; give an instance"),
    (lambda: Delta("sparse"), r"'sparse' is not a Codec; .*Sparse\("),
    (
        lambda: Delta(Sparse(), key_every="a"),
        "key_every 'a' of codec .* is not an",
    ),
    (lambda: commenv.Draws("a", [0], 2), "seed must be an integer, got 'a'"),
    (lambda: commenv.Draws(1.5, [0], 2), "seed must be an integer, got 1.5"),
    (lambda: commenv.Draws(True, [0], 2), "seed must be an integer, got True"),
    (lambda: commenv.Draws(0, 3, 2), "trials must be a sequence of integers, got 3"),
    (lambda: commenv.Draws(0, "ab", 2), "trial must be an integer, got 'a'"),
    (lambda: commenv.Draws(0, [0.5], 2), "trial must be an integer, got 0.5"),
    (lambda: commenv.Draws(0, [0], "a"), "agents must be an integer, got 'a'"),
    (lambda: commenv.Draws(0, [0], 2.5), "agents must be an integer, got 2.5"),
    (lambda: commenv.Draws(0, [0], [0.5]), "agent must be an integer, got 0.5"),
    (
        lambda: commenv.TabularMDP.from_env(3),
        "env must be an id or a .*got 3",
    ),
    (lambda: commenv.TabularMDP.from_env(type(made().unwrapped)), "env must be an id"),
    (lambda: commenv.find_channel("a"), "'a' has no message channel; put"),
    (lambda: MessageChannel(GRID), "got <class 'str'>"),
    (lambda: VectorMessageChannel(made()), "VectorEnv.* but got"),
    (lambda: MessageChannel(made(), uplink=BUDGET), "uplink: Budget.* not a Channel"),
]


def check(call, words):
    with pytest.raises((TypeError, ValueError), match=words) as refusal:
        call()
    assert len(str(refusal.value)) < 500


@pytest.mark.parametrize(("call", "words"), NO_STUDY)
def test_a_plausible_wrong_type_is_answered_in_words(call, words):
    check(call, words)


def test_tables_are_read_of_an_id_as_of_its_environment():
    named = commenv.TabularMDP.from_env("CliffWalking-v1")
    read = commenv.TabularMDP.from_env(gym.make("CliffWalking-v1"))
    assert (named.next_state == read.next_state).all()
    assert (named.reward == read.reward).all()


def test_a_class_of_ones_own_is_named_too():
    class Mine(BernoulliLoss):
        pass

    check(lambda: Channel(link=Mine), "Mine is a class; give an instance, Mine")
    check(lambda: Channel(link="mine"), r"'mine' is not a Link; .*Mine\(")


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    pytest.importorskip("pandas")
    out = tmp_path_factory.mktemp("wrong") / "study"
    return out, study(algorithms=["dql", "ebcdql"], out=out)


STUDY = [
    (lambda d, r: study(made()), "named by its id.*give its id, 'SimpleGrid-v0'"),
    (lambda d, r: study(made().spec), "give its id, 'SimpleGrid-v0'"),
    (lambda d, r: study(type(made().unwrapped)), "got the class SimpleGridEnv; give"),
    (lambda d, r: study([GRID, None]), "got None; give the id"),
    (lambda d, r: study([]), "environment is an empty list; name at least one"),
    (lambda d, r: study(algorithms=DQL), r"DQL is a class; pass an instance, DQL\("),
    (lambda d, r: study(algorithms=3), "3 is not an algorithm; pass a name, or an in"),
    (lambda d, r: study(schemes=Always), r"Always is a class; pass an instance, Alwa"),
    (lambda d, r: study(uplink=BUDGET), "uplink: Budget.* is not a Channel; give"),
    (lambda d, r: study(uplink="messages=1"), "uplink: 'messages=1' is not a Channel"),
    (lambda d, r: study(downlink={}), "downlink: {} is not a Channel; give"),
    (lambda d, r: study(num_agents=2.0), "num_agents must be an integer, got 2.0"),
    (lambda d, r: study(num_trials="2"), "num_trials must be an integer, got '2'"),
    (lambda d, r: study(settings=[1]), r"settings are \[1\]; give a dictionary"),
    (lambda d, r: study(settings="alpha=1"), "settings are 'alpha=1'; give a diction"),
    (lambda d, r: study(stop=1e6), "stop is 1000000.0; give a dictionary"),
    (lambda d, r: study(gamma="0.9"), "gamma '0.9' is outside"),
    (lambda d, r: study(seed=None), "seed must be an integer, got None"),
    (lambda d, r: study(out=3), "out is named by its path.*got 3"),
    (lambda d, r: study(workers="2"), "workers must be an integer, got '2'"),
    (lambda d, r: study(backend=2), "unknown backend 2; known: local"),
    (lambda d, r: study(block="2"), "block must be an integer, got '2'"),
    (lambda d, r: study(max_episode_steps=2.5), "max_episode_steps must be an intege"),
    (lambda d, r: study(checkpoint_minutes="2"), "checkpoint_minutes must be a numb"),
    (lambda d, r: study(checkpoint_episodes="2"), "checkpoint_episodes must be an int"),
    (lambda d, r: commenv.load(None), "a folder is named by its path.*got None"),
    (lambda d, r: commenv.load(r), "a folder is named by its path.*got <Results"),
    (lambda d, r: commenv.load([d, 3]), "a folder is named by its path.*got 3"),
    (lambda d, r: commenv.load_policy([d], "dql"), "a folder is named by its path"),
    (lambda d, r: commenv.load_policy(r, "dql"), "a folder is named by its path"),
    (lambda d, r: commenv.load_policy(d, 3), "unknown label 3; known: dql"),
    (
        lambda d, r: commenv.load_policy(d, trial="0"),
        "trial must be an integer, got",
    ),
    (lambda d, r: r.compare(1, 2), "unknown label 1; known: dql"),
    (lambda d, r: r.compare("dql", "dql"), "'dql' is compared with itself; give two"),
    (lambda d, r: r.compare("dql", "ebcdql", at="end"), "episode 'end'.*give a number"),
    (lambda d, r: r.compare("dql", "ebcdql", at=[1]), r"episode \[1\].*give a number"),
    (
        lambda d, r: r.compare("dql", "ebcdql", y=["reward"]),
        r"unknown y axis \['reward'\]",
    ),
    (lambda d, r: r.plot(x=3), "unknown x axis 3; known: .*env_steps"),
    (lambda d, r: r.plot(y=3), "unknown y axis 3; known: "),
    (lambda d, r: r.plot(path=3), "a picture is named by its path.*got 3"),
    (lambda d, r: r.cost(3), "a link is a name.*got 3"),
    (lambda d, r: r.cost(commenv.study.cost.LoRa), r"an instance is LoRa\(\)"),
]


@pytest.mark.parametrize(("call", "words"), STUDY)
def test_a_study_answers_a_plausible_wrong_type_in_words(kept, call, words):
    check(lambda: call(*kept), words)


def test_folders_may_be_given_as_a_list(kept):
    directory, results = kept
    assert commenv.load([directory]).frame.equals(results.frame)
