"""Instances as PettingZoo agents: who acts, what is said, and what it costs."""

from dataclasses import fields

import gymnasium as gym
import numpy as np
import pettingzoo
import pytest
from pettingzoo.utils.wrappers import BaseParallelWrapper

import commenv
from commenv import Budget, Channel, FreeForm, Messages
from commenv.channel import AdditiveNoise, BernoulliLoss, Chain, Delay, Fate
from commenv.errors import BudgetExceededError, NotResetError, UnknownNameError

STEP = np.dtype([("state", "<i4"), ("value", "<f8")])
RIGHT, DOWN, STAY = 1, 3, 4
SHORTEST = [RIGHT] * 4 + [DOWN] * 4


def make(agents=2, env_id="commenv/SimpleGrid-v0", **how):
    return commenv.parallel_env(env_id, agents, **how)


def records(*states):
    out = np.zeros(len(states), STEP)
    out["state"] = states
    return out


def everybody(env, action):
    return env.step(dict.fromkeys(env.agents, action))


def equal(one, other):
    return gym.utils.env_checker.data_equivalence(one, other)


def test_an_agent_whose_episode_has_ended_leaves():
    env = make()
    assert env.agents == []
    assert env.possible_agents == ["agent_0", "agent_1"]
    observations, infos = env.reset(seed=0)
    assert observations == {"agent_0": 0, "agent_1": 0}
    assert list(infos) == env.agents == env.possible_agents
    for action in SHORTEST:
        seen, rewards, terminated, truncated, infos = env.step(
            {"agent_0": action, "agent_1": STAY}
        )
    assert seen == {"agent_0": 24, "agent_1": 0}
    assert rewards == {"agent_0": 0.0, "agent_1": -1.0}
    assert terminated == {"agent_0": True, "agent_1": False}
    assert truncated == {"agent_0": False, "agent_1": False}
    assert list(infos) == ["agent_0", "agent_1"]
    assert env.agents == ["agent_1"]
    for one in env.step({"agent_1": STAY}):
        assert list(one) == ["agent_1"]
    assert env.metrics.episode_length.tolist() == [[8, 9]]
    env.reset()
    assert env.agents == env.possible_agents
    assert env.episode == 1


def test_the_time_limit_truncates():
    env = make(max_cycles=2)
    assert env.max_cycles == 2
    env.reset(seed=0)
    everybody(env, STAY)
    _, _, terminated, truncated, _ = everybody(env, STAY)
    assert terminated == {"agent_0": False, "agent_1": False}
    assert truncated == {"agent_0": True, "agent_1": True}
    assert env.agents == []


def test_values_have_the_types_that_the_spaces_and_pettingzoo_want():
    env = make(1)
    observations, _ = env.reset(seed=0)
    seen, rewards, terminated, truncated, _ = everybody(env, np.int32(RIGHT))
    for observation in (observations["agent_0"], seen["agent_0"]):
        assert env.observation_space("agent_0").contains(observation)
        assert observation.dtype == np.int64
    assert type(rewards["agent_0"]) is float
    assert type(terminated["agent_0"]) is type(truncated["agent_0"]) is bool


def test_every_agent_has_spaces_of_its_own():
    env = make(3)
    for kind in (env.observation_space, env.action_space):
        assert kind("agent_1") is kind("agent_1")
        assert kind("agent_1") is not kind("agent_2")
        assert kind("agent_1") == kind("agent_2")


def test_agents_walk_as_single_instances_do():
    env = make(3)
    alone = [gym.make("commenv/SimpleGrid-v0") for _ in range(3)]
    random = np.random.default_rng(0)
    for episode in range(2):
        observations, _ = env.reset(seed=0 if episode == 0 else None)
        assert list(observations.values()) == [one.reset()[0] for one in alone]
        while env.agents:
            actions = {agent: int(random.integers(5)) for agent in env.agents}
            step = env.step(actions)
            for agent, action in actions.items():
                expected = alone[int(agent[-1])].step(action)[:4]
                assert tuple(part[agent] for part in step[:4]) == expected


@pytest.mark.parametrize("env_id", ["commenv/WindyGrid-v0", "commenv/CartPole-v1"])
def test_the_batched_face_is_the_same_bit_for_bit(env_id):
    batch = commenv.ChannelEnv(
        commenv.envs.make_batched(env_id, 3, max_episode_steps=40), [7], 3
    )
    env = make(3, env_id, max_cycles=40, trial=7)
    random = np.random.default_rng(1)
    for episode in range(3):
        seed = 5 if episode == 0 else None
        expected, _ = batch.reset(seed=seed)
        observations, _ = env.reset(seed=seed)
        np.testing.assert_array_equal(list(observations.values()), expected)
        while env.agents:
            actions = random.integers(2, size=3)
            rows = [int(agent[-1]) for agent in env.agents]
            step = env.step({agent: actions[int(agent[-1])] for agent in env.agents})
            for mine, theirs in zip(step[:4], batch.step(actions)[:4], strict=True):
                np.testing.assert_array_equal(list(mine.values()), theirs[rows])
        assert not batch.active.any()
        np.testing.assert_array_equal(env.metrics.reward, batch.metrics.reward)


def test_other_trials_meet_other_worlds():
    def start(trial, seed=3):
        env = make(2, "commenv/CartPole-v1", trial=trial)
        return [one.tolist() for one in env.reset(seed=seed)[0].values()]

    assert start(0) == start(0)
    assert start(0) != start(1)
    assert make(trial=4).metadata == make().metadata


def test_what_a_sender_may_know_is_in_the_infos():
    env = make(uplink=Channel(budget=Budget(messages=2), link=BernoulliLoss(1.0)))
    _, infos = env.reset(seed=0)
    full = {"sent": 0, "refused": 0, "messages_left": 2, "bytes_left": np.inf}
    assert [infos[agent]["comm"] for agent in env.agents] == [full, full]
    told = [env.send("agent_1", {"x": 1}) for _ in range(3)]
    assert [one.accepted for one in told] == [True, True, False]
    assert [one.messages for one in told] == [1, 0, 0]
    infos = everybody(env, STAY)[4]
    spent = full | {"sent": 2, "refused": 1, "messages_left": 0}
    assert infos == {"agent_0": {"comm": full}, "agent_1": {"comm": spent}}
    assert env.receive() == {"agent_0": [], "agent_1": []}  # lost: nobody is told
    _, infos = env.reset()
    assert infos["agent_1"]["comm"] == full
    assert infos["agent_0"]["episode_comm"]["messages"] == 0
    ended = infos["agent_1"]["episode_comm"]
    assert (ended["messages"], ended["lost"], ended["refused"]) == (2, 2, 1)
    assert (ended["episode_length"], ended["reward"]) == (1, -1)


def test_infos_have_the_same_keys_in_every_reset_and_in_every_step():
    env = make()
    first, again = env.reset(seed=0)[1], env.reset()[1]
    assert first == again
    for infos in (first, again):
        ended = infos["agent_0"]["episode_comm"]
        assert list(ended) == [field.name for field in fields(commenv.Metrics)]
        assert not any(ended.values())
    steps = [everybody(env, STAY)[4] for _ in range(2)]
    assert (
        steps[0]
        == steps[1]
        == {agent: {"comm": first[agent]["comm"]} for agent in env.agents}
    )


def test_a_send_after_the_end_belongs_to_the_episode_that_ended():
    env = make(1)
    env.reset(seed=0)
    for action in SHORTEST:
        everybody(env, action)
    assert env.agents == []
    assert env.send("agent_0", {"return": -7.0}).accepted
    assert env.metrics.messages.tolist() == [[1]]
    infos = env.reset()[1]
    assert infos["agent_0"]["episode_comm"]["messages"] == 1
    assert env.metrics.messages.tolist() == [[0]]


def test_the_step_that_ends_an_episode_tells_its_metrics():
    env = pettingzoo.make(
        "parallel", "commenv/simple_grid-v0", num_agents=2, uplink=Channel()
    )
    env.reset(seed=0)
    env.unwrapped.send("agent_1", "xyz")
    for action in SHORTEST[:-1]:
        infos = everybody(env, action)[4]
        assert all("episode_comm" not in info for info in infos.values())
    actions = {"agent_0": SHORTEST[-1], "agent_1": STAY}
    infos = env.step(actions)[4]
    told = infos["agent_0"]["episode_comm"]
    assert (told["frequency"], told["size"]) == (0, 0)
    assert told["reward"] == env.unwrapped.metrics.reward[0, 0]
    assert "episode_comm" not in infos["agent_1"]
    infos = env.step({"agent_1": SHORTEST[-1]})[4]
    told = infos["agent_1"]["episode_comm"]
    assert (told["frequency"], told["size"], told["episode_length"]) == (1, 4, 9)


def test_records_pass_in_both_directions():
    env = make()
    env.reset(seed=0)
    assert env.receive() == {"agent_0": [], "agent_1": []}
    assert env.receive_broadcast("agent_0") is None
    env.send_all({"agent_1": records(7, 8), "agent_0": records(9)})
    env.send("agent_1", records(6))
    received = env.receive()
    assert received["agent_0"]["state"].tolist() == [9]
    assert received["agent_1"]["state"].tolist() == [7, 8, 6]
    assert env.metrics.size.tolist() == [[12, 36]]
    told = env.broadcast(records(5))
    assert [one.accepted for one in told.values()] == [True, True]
    assert env.receive_broadcast("agent_1")["state"] == 5
    assert env.metrics.downlink_size.tolist() == [[12, 12]]
    env.charge_shared(records(0))
    assert env.metrics.downlink_size.tolist() == [[24, 24]]


def test_records_come_with_their_headers_where_asked():
    env = make()
    env.reset(seed=0)
    assert env.receive_records() is None
    env.send_all({"agent_0": records(), "agent_1": records(7, 8)})
    env.reset()
    env.send("agent_1", records(9))
    received = env.receive_records()
    assert received.counts.tolist() == [[0, 3]]
    assert received.lengths.tolist() == [2, 1]
    assert received.headers["sender"].tolist() == [1, 1]
    assert received.headers["episode"].tolist() == [0, 1]
    env.reset(seed=0)
    env.send("agent_0", "free form")
    with pytest.raises(ValueError, match="get them with receive"):
        env.receive_records()
    assert env.receive()["agent_0"] == ["free form"]


def test_no_records_and_none_are_silence():
    env = make(uplink=Channel(budget=Budget(messages=0, exceed="terminate")))
    env.reset(seed=0)
    assert env.send("agent_0", None) == (False, 0, np.inf)  # of no form
    assert not env.send("agent_0", records()).accepted
    assert env.send_all({}) == {}
    assert not env.send("agent_1", None).accepted
    assert not any(everybody(env, STAY)[2].values())
    assert env.metrics.refused.sum() == 0


def test_what_an_agent_holds_stays_when_others_hear_more():
    env = make(4, downlink=Channel(link=BernoulliLoss(0.5)))
    env.reset(seed=3)
    env.initialize_parameters(records(1))
    held = [env.receive_broadcast(agent) for agent in env.possible_agents]
    env.broadcast(records(2))
    first = [env.receive_broadcast(agent) for agent in env.possible_agents]
    env.broadcast(records(3))
    second = [env.receive_broadcast(agent) for agent in env.possible_agents]
    assert [one["state"] for one in held] == [1] * 4
    assert {int(one["state"]) for one in first} == {1, 2}
    assert 3 in [one["state"] for one in second]
    third = env.downlink.ledger.count(Fate.DELIVERED)
    assert 0 < third.sum() < 8


def test_a_team_budget_draws_who_is_served_of_those_who_send_together():
    def served(seed):
        env = make(3, uplink=Channel(budget=Budget(messages=1, scope="team")))
        env.reset(seed=seed)
        told = env.send_all(dict.fromkeys(reversed(env.agents), "x"))
        return [agent for agent, one in told.items() if one.accepted]

    winners = [served(seed) for seed in range(12)]
    assert all(len(one) == 1 for one in winners)
    assert len({one[0] for one in winners}) == 3
    assert served(1) == served(1)


def test_a_penalty_comes_off_the_senders_next_reward():
    budget = Budget(messages=1, exceed="penalize", price=0.25)
    env = make(uplink=Channel(budget=budget))
    env.reset(seed=0)
    for _ in range(3):
        env.send("agent_1", "x")
    assert everybody(env, STAY)[1] == {"agent_0": -1.0, "agent_1": -1.5}
    assert everybody(env, STAY)[1] == {"agent_0": -1.0, "agent_1": -1.0}
    assert env.metrics.penalty.tolist() == [[0.0, 0.5]]
    assert env.metrics.episode_return.tolist() == [[-2.0, -2.0]]
    assert env.metrics.reward.tolist() == [[-1.9, -1.9]]
    env.send("agent_0", "x")
    env.send("agent_0", "x")
    env.reset()
    assert everybody(env, STAY)[1] == {"agent_0": -1.0, "agent_1": -1.0}


def test_a_budget_may_end_the_senders_episode():
    env = make(uplink=Channel(budget=Budget(messages=0, exceed="terminate")))
    env.reset(seed=0)
    everybody(env, RIGHT)
    env.send("agent_0", "x")
    assert env.agents == ["agent_0", "agent_1"]
    seen, rewards, terminated, _, _ = everybody(env, RIGHT)
    assert seen == {"agent_0": 1, "agent_1": 2}  # it has not moved
    assert rewards == {"agent_0": 0.0, "agent_1": -1.0}
    assert terminated == {"agent_0": True, "agent_1": False}
    assert env.agents == ["agent_1"]
    env.send_all({"agent_0": "late", "agent_1": "x"})
    assert everybody(env, RIGHT)[2] == {"agent_1": True}
    assert env.agents == []
    assert env.metrics.episode_length.tolist() == [[1, 2]]


def test_a_budget_may_raise():
    env = make(uplink=Channel(budget=Budget(messages=0, exceed="raise")))
    env.reset(seed=0)
    with pytest.raises(BudgetExceededError, match="exceeds the budget of 0 messages"):
        env.send("agent_0", "x")


def test_the_clock_ticks_with_every_reset():
    env = make(uplink=Channel(link=Delay(2), budget=Budget(messages=1, per="step")))
    env.reset(seed=0)
    env.send("agent_0", "late")
    everybody(env, STAY)
    assert not env.send("agent_0", "the same window").accepted
    arrived = []
    for _ in range(3):
        env.reset()
        arrived.append(env.receive()["agent_0"])
    assert arrived == [[], ["late"], []]


def rough():
    return Channel(
        budget=Budget(messages=4, scope="team"),
        link=Chain(BernoulliLoss(0.3), Delay(1, spread=1), AdditiveNoise(0.1)),
    )


def life(env, seed):
    """Everything that is seen, earned, told and received in four episodes."""
    random = np.random.default_rng(0)
    for episode in range(4):
        yield env.reset(seed=seed if episode == 0 else None)
        env.broadcast(records(episode))
        yield [
            None if (one := env.receive_broadcast(agent)) is None else one.tolist()
            for agent in env.possible_agents
        ]
        while env.agents:
            yield env.step({agent: random.integers(5) for agent in env.agents})
            senders = random.random(len(env.agents)) < 0.2
            chosen = [a for a, yes in zip(env.agents, senders, strict=True) if yes]
            yield env.send_all({agent: records(1, 2) for agent in chosen})
        yield {agent: np.asarray(one).tolist() for agent, one in env.receive().items()}
        yield {name: one.tolist() for name, one in vars(env.metrics).items()}


def test_the_same_seed_gives_the_same_life_over_a_rough_channel():
    def lived(seed):
        env = make(
            3,
            "commenv/WindyGrid-v0",
            uplink=rough(),
            downlink=Channel(link=BernoulliLoss(0.4)),
            max_cycles=60,
        )
        return list(life(env, seed))

    one, other = lived(8), lived(8)
    assert len(one) == len(other)
    assert all(equal(mine, theirs) for mine, theirs in zip(one, other, strict=True))
    fates = [entry for entry in one if isinstance(entry, dict) and "lost" in entry]
    for name in ("lost", "refused", "messages", "downlink_lost"):
        assert sum(map(sum, (row for entry in fates for row in entry[name]))) > 0, name
    assert not equal(one[:20], lived(9)[:20])


def test_it_is_found_through_pettingzoos_wrappers_and_conversions():
    from pettingzoo.utils import conversions

    env = make()
    assert commenv.find_channel(env) is env
    assert commenv.find_channel(BaseParallelWrapper(env)) is env
    turns = conversions.parallel_to_aec(BaseParallelWrapper(env))
    assert commenv.find_channel(turns) is env
    assert commenv.find_channel(conversions.aec_to_parallel_wrapper(turns)) is env


def test_acting_in_turns_agents_send_through_the_channel():
    from pettingzoo.utils.conversions import parallel_to_aec

    env = parallel_to_aec(make(max_cycles=3))
    env.reset(seed=0)
    for agent in env.agent_iter():
        _, _, terminated, truncated, info = env.last()
        ended = terminated or truncated
        commenv.find_channel(env).send(agent, {"at": len(env.agents)})
        env.step(None if ended else STAY)
    assert info["comm"]["sent"] == 3
    assert commenv.find_channel(env).metrics.messages.tolist() == [[4, 4]]


@pytest.mark.parametrize(
    ("actions", "error", "words"),
    [
        ({"agent_0": 0}, ValueError, "no action for agent_1, whose episode goes on"),
        ({"agent_0": 0, "agent_1": 5}, ValueError, "action 5 of agent_1 is outside"),
        ({"agent_0": 0.5, "agent_1": 0}, ValueError, r"action 0.5 of agent_0 is out"),
        (
            {"agent_0": 0, "agent_1": 0, "agnet_1": 0},
            UnknownNameError,
            "unknown agent 'agnet_1'; did you mean 'agent_1'",
        ),
        ([0, 0], TypeError, "actions are a list; give a dictionary"),
    ],
)
def test_wrong_actions_name_the_agent(actions, error, words):
    env = make()
    env.reset(seed=0)
    with pytest.raises(error, match=words):
        env.step(actions)
    assert env.metrics.episode_length.tolist() == [[0, 0]]


def test_an_agent_that_has_ended_gets_no_action():
    env = make()
    env.reset(seed=0)
    for action in SHORTEST:
        env.step({"agent_0": action, "agent_1": STAY})
    with pytest.raises(ValueError, match="action for agent_0, whose episode has ended"):
        env.step({"agent_0": STAY, "agent_1": STAY})
    with pytest.raises(ValueError, match="no action for agent_1"):
        env.step({"agent_0": STAY})


@pytest.mark.parametrize(
    "call",
    [
        lambda env: env.step({}),
        lambda env: env.send("agent_0", "x"),
        lambda env: env.receive(),
        lambda env: env.receive_records(),
        lambda env: env.broadcast(records(1)),
        lambda env: env.receive_broadcast("agent_0"),
        lambda env: env.initialize_parameters(records(1)),
        lambda env: env.charge_shared(records(1)),
        lambda env: env.metrics,
        lambda env: env.draws,
        lambda env: env.uplink,
        lambda env: env.downlink,
        lambda env: env.render(),
    ],
)
def test_nothing_happens_before_the_first_reset(call):
    with pytest.raises(NotResetError, match="call reset"):
        call(make())


def test_nothing_moves_after_the_last_episode_ended():
    env = make(max_cycles=1)
    env.reset(seed=0)
    everybody(env, STAY)
    metrics = env.metrics
    with pytest.raises(NotResetError, match="every episode has ended"):
        env.step({"agent_0": STAY})
    assert env.step({}) == ({}, {}, {}, {}, {})
    np.testing.assert_equal(vars(env.metrics), vars(metrics))


@pytest.mark.parametrize(
    "call",
    [
        lambda env: env.send("agent_3", "x"),
        lambda env: env.send_all({"agent_0": "x", "agent_3": "x"}),
        lambda env: env.receive_broadcast("agent_3"),
        lambda env: env.observation_space("agent_3"),
        lambda env: env.action_space("agent_3"),
    ],
)
def test_unknown_agents_get_a_hint(call):
    env = make()
    env.reset(seed=0)
    with pytest.raises(UnknownNameError, match="unknown agent 'agent_3'; did you mean"):
        call(env)
    assert env.metrics.messages.sum() == 0


@pytest.mark.parametrize(
    ("payload", "error", "words"),
    [
        ({"a": [1, {2}]}, TypeError, r"agent_1: payload\['a'\]\[1\] is a 'set'"),
        ({"a": float("nan")}, ValueError, r"agent_1: payload\['a'\] holds NaN"),
        (2**70, ValueError, "agent_1: .*64 bits"),
        ("\ud800", ValueError, "agent_1: "),
        (np.zeros(1, [("a", "O")]), TypeError, "agent_1: field 'a' has dtype"),
        (np.full(1, np.nan, [("a", "<f8")]), ValueError, "agent_1: field 'a' holds Na"),
        (np.zeros((1, 1), STEP), ValueError, r"agent_1: records of shape \(1, 1\)"),
    ],
)
def test_what_cannot_be_encoded_names_the_agent_and_the_part(payload, error, words):
    env = make()
    env.reset(seed=0)
    with pytest.raises(error, match=words):
        env.send("agent_1", payload)
    assert env.metrics.messages.sum() == 0


def test_one_sending_has_one_form():
    env = make()
    env.reset(seed=0)
    with pytest.raises(TypeError, match=r"messages of .*state.* and of free form in"):
        env.send_all({"agent_0": records(1), "agent_1": "x"})
    other = np.zeros(1, [("x", "<f4")])
    with pytest.raises(TypeError, match=r"messages of .* and of .* in one sending"):
        env.send_all({"agent_0": records(1), "agent_1": other})
    env.send("agent_0", records(1))
    with pytest.raises(ValueError, match="keep to one form"):
        env.send("agent_1", "x")
    with pytest.raises(ValueError, match="give one record"):
        env.broadcast(records(1, 2))


def test_the_first_seed_may_come_from_the_system():
    env = make()
    env.reset()
    seed = env.draws.seed
    assert env.draws.trials == (0,)
    again = make(2, "commenv/CartPole-v1")
    start = again.reset(seed=seed)[0]
    assert equal(start, again.reset(seed=seed)[0])
    with pytest.raises(ValueError, match="seed -1 is negative"):
        env.reset(seed=-1)


def test_messages_are_those_of_the_batched_face():
    uplink = Channel(budget=Budget(bytes=40, exceed="truncate"))
    env = make(uplink=uplink)
    batch = commenv.batched_env("SimpleGrid-v0", 1, 2, uplink=uplink)
    env.reset(seed=0)
    batch.reset(seed=0)
    env.send_all({"agent_0": records(1, 2, 3, 4), "agent_1": records(5)})
    batch.send(Messages(records(1, 2, 3, 4, 5), np.array([[4, 1]])))
    one, other = env.receive_records(), batch.receive()
    np.testing.assert_array_equal(one.records, other.records)
    np.testing.assert_array_equal(one.headers, other.headers)
    env.reset(seed=1)
    batch.reset(seed=1)
    env.send("agent_1", {"x": [1]})
    batch.send(FreeForm([None, {"x": [1]}], (1, 2)))
    assert list(env.receive().values()) == batch.receive()
