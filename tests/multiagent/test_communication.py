import copy
from random import Random

import numpy as np
import pytest
from gymnasium import spaces
from pettingzoo.utils.conversions import aec_to_parallel, parallel_to_aec

import commenv
from commenv.channel import (
    QSGD,
    AdditiveNoise,
    BernoulliLoss,
    Budget,
    Chain,
    Channel,
    Delay,
    Delta,
    ErrorFeedback,
    Fate,
    Float16,
    GilbertElliottLoss,
    Int8,
    Link,
    Range,
    TopK,
    Transit,
    Unit,
)
from commenv.errors import (
    BudgetExceededError,
    EncodingError,
    NotResetError,
    UnknownNameError,
)
from commenv.study.storage.checkpoint import packed, unpacked
from tests.multiagent.worlds import Counting, does

PAIR = spaces.Box(-100, 100, (2,), np.float32)
SYMBOL = spaces.Discrete(8)


def make(num_agents=3, space=SYMBOL, world=None, **parts):
    env = commenv.CommunicationBudget(
        world or Counting(num_agents), message_space=space, **parts
    )
    env.reset(seed=0)
    return env


def silent(env):
    return {agent: does(0) for agent in env.agents}


def say(env, to=1, **messages):
    """The agents' numbers as letters: a=5 lets agent_0 say 5."""
    spoken = {f"agent_{ord(one) - ord('a')}": what for one, what in messages.items()}
    return env.step(
        silent(env) | {agent: does(0, what, to) for agent, what in spoken.items()}
    )


def test_spaces_are_dictionaries_of_the_parts_and_always_the_same_objects():
    env = make(4, topology="ring")
    action, seen = env.action_space("agent_1"), env.observation_space("agent_1")
    assert action == spaces.Dict(
        action=spaces.Discrete(4), message=SYMBOL, to=spaces.Discrete(4)
    )
    assert seen["inbox"] == spaces.MultiDiscrete([8, 8])
    assert seen["spoke"] == spaces.MultiBinary(2)
    assert env.action_space("agent_1") is action
    assert env.observation_space("agent_1") is seen


@pytest.mark.parametrize(
    ("topology", "choices"),
    [("broadcast", [2, 2, 2]), ("complete", [4, 4, 4]), ("star", [4, 2, 2])],
)
def test_whom_an_agent_can_send_to_follows_from_the_links(topology, choices):
    env = make(topology=topology)
    sizes = [int(env.action_space(agent)["to"].n) for agent in env.agents]
    assert sizes == choices


def test_an_agent_that_nobody_is_linked_to_has_no_inbox():
    env = make(topology={"agent_0": ["agent_1"]})
    seen, _ = env.reset()
    assert set(seen["agent_0"]) == {"observation", "budget"}
    assert env.action_space("agent_1")["to"].n == 1
    say(env, a=3)


def test_a_message_is_in_the_observations_after_the_step_that_sent_it():
    env = make()
    seen, _ = env.reset(seed=0)
    assert seen["agent_1"]["age"].tolist() == [-1, -1]
    seen, *_ = say(env, a=5)
    assert seen["agent_1"]["inbox"].tolist() == [5, 0]
    assert seen["agent_1"]["spoke"].tolist() == [1, 0]
    assert seen["agent_1"]["age"].tolist() == [0, -1]
    assert seen["agent_0"]["spoke"].tolist() == [0, 0]
    seen, *_ = say(env, c=2)
    assert seen["agent_1"]["inbox"].tolist() == [5, 2]
    assert seen["agent_1"]["spoke"].tolist() == [0, 1]
    assert seen["agent_1"]["age"].tolist() == [1, 0]


def test_observations_are_the_callers_to_keep():
    env = make()
    seen, *_ = say(env, a=5)
    kept = seen["agent_1"]["inbox"]
    say(env, a=6)
    assert kept.tolist() == [5, 0]


def test_one_neighbour_can_be_addressed_by_choice_or_by_name():
    env = make(4, topology="complete")
    seen, *_ = say(env, b=5, to=3)  # the second of agents 0, 2, 3
    assert [bool(seen[agent]["spoke"].any()) for agent in seen] == [0, 0, 1, 0]
    seen, *_ = say(env, b=5, to="agent_3")
    assert [bool(seen[agent]["spoke"].any()) for agent in seen] == [0, 0, 0, 1]
    assert env.metrics.messages.tolist() == [[0, 2, 0, 0]]


def test_a_broadcast_costs_one_transmission_and_copies_cost_one_each():
    shared, copied = make(4), make(4, topology="complete")
    for env in (shared, copied):
        say(env, a=5)
        assert env.ledger.attempted().sum() == 3
        assert env.ledger.count(Fate.DELIVERED).sum() == 3
    assert shared.metrics.messages.tolist() == [[1, 0, 0, 0]]
    assert shared.metrics.size.tolist() == [[1, 0, 0, 0]]
    assert copied.metrics.messages.tolist() == [[3, 0, 0, 0]]
    assert copied.metrics.size.tolist() == [[3, 0, 0, 0]]


def test_a_budget_takes_all_copies_or_none():
    env = make(3, topology="complete", budget=Budget(messages=3))
    say(env, a=1)
    *_, infos = say(env, a=2)
    comm = {"sent": 2, "refused": 2, "messages_left": 1, "bytes_left": np.inf}
    assert infos["agent_0"]["comm"] == comm
    *_, infos = say(env, a=3, to=2)
    assert infos["agent_0"]["comm"] == comm | {"sent": 3, "messages_left": 0}
    assert env.ledger.count(Fate.REFUSED).sum() == 2
    assert env.ledger.balanced


def test_a_team_shares_a_budget_in_an_order_that_is_drawn():
    served = set()
    for seed in range(20):
        env = make(budget=Budget(messages=1, per="step", scope="team"))
        env.reset(seed=seed)
        *_, infos = say(env, a=1, b=2, c=3)
        sent = [infos[agent]["comm"]["sent"] for agent in env.agents]
        assert sum(sent) == 1
        served.add(sent.index(1))
    assert served == {0, 1, 2}


def test_the_observation_shows_the_shares_that_are_left():
    env = make(budget=Budget(messages=4, bytes=2))
    seen, *_ = say(env, a=1)
    assert seen["agent_0"]["budget"].tolist() == [0.75, 0.5]
    assert seen["agent_1"]["budget"].tolist() == [1, 1]
    nothing = make(budget=Budget(messages=0))
    seen, _ = nothing.reset()
    assert seen["agent_0"]["budget"].tolist() == [0, 1]


def test_with_a_budget_of_nothing_the_world_is_the_bare_one_step_for_step():
    bare, env = Counting(), make(budget=Budget(messages=0))
    seen, infos = bare.reset(seed=3)
    wrapped, told = env.reset(seed=3)
    rng = np.random.default_rng(0)
    while bare.agents:
        for agent in seen:
            np.testing.assert_array_equal(wrapped[agent]["observation"], seen[agent])
            assert infos[agent].items() <= told[agent].items()
        actions = {agent: int(rng.integers(4)) for agent in bare.agents}
        seen, rewards, terminations, truncations, infos = bare.step(actions)
        wrapped, *rest, told = env.step(
            {agent: does(action, 5, 1) for agent, action in actions.items()}
        )
        assert rest == [rewards, terminations, truncations]
        assert all(wrapped[agent]["age"].max() == -1 for agent in wrapped)
    assert env.agents == []
    assert env.unwrapped.log == bare.log
    assert env.ledger.attempted().sum() == env.ledger.count(Fate.REFUSED).sum() == 60


def test_messages_that_are_under_way_expire_with_their_episode():
    env = make(link=Delay(3))
    say(env, a=5)
    assert env.ledger.count(Fate.IN_FLIGHT).sum() == 2
    seen, _ = env.reset()
    assert env.ledger.count(Fate.EXPIRED).sum() == 2
    for _ in range(4):
        seen, *_ = env.step(silent(env))
        assert seen["agent_1"]["age"].tolist() == [-1, -1]
    assert env.ledger.balanced


def test_a_late_message_has_an_age_and_does_not_hide_a_newer_one():
    class FirstIsSlow(Link):
        def carry(self, sending, state, draws):
            wait = 3 if sending.clock == 2 else 0
            count = len(sending.links)
            delay = np.full(count, wait)
            return Transit(np.zeros(count, dtype=bool), delay), state

    env = make(link=FirstIsSlow())
    say(env, a=1)
    say(env, a=2)
    env.step(silent(env))
    seen, *_ = env.step(silent(env))
    assert seen["agent_1"]["inbox"].tolist() == [2, 0]
    assert seen["agent_1"]["spoke"].tolist() == [1, 0]
    assert seen["agent_1"]["age"].tolist() == [2, -1]


def test_delayed_messages_arrive_in_their_step():
    env = make(link=Delay(2))
    ages = []
    say(env, a=5)
    for _ in range(3):
        seen, *_ = env.step(silent(env))
        ages.append(int(seen["agent_2"]["age"][0]))
    assert ages == [-1, 2, 3]


def test_a_queued_message_leaves_in_a_later_window():
    env = make(budget=Budget(messages=1, per="step", scope="team", exceed="queue"))
    *_, infos = say(env, a=1, b=2)
    assert sum(infos[agent]["comm"]["refused"] for agent in env.agents) == 0
    seen, *_, infos = env.step(silent(env))
    assert [infos[agent]["comm"]["sent"] for agent in env.agents] == [1, 1, 0]
    assert sorted(seen["agent_2"]["age"].tolist()) == [1, 1]


def test_penalties_come_off_the_senders_reward_and_not_off_the_metric():
    env = make(budget=Budget(messages=1, exceed="penalize", price=0.5))
    say(env, a=1)
    actions = silent(env) | {"agent_0": does(3, 1, 1)}
    _, rewards, *_ = env.step(actions)
    assert rewards == {"agent_0": 2.5, "agent_1": 0, "agent_2": 0}
    assert env.metrics.penalty.tolist() == [[0.5, 0, 0]]
    assert env.metrics.episode_return.tolist() == [[3, 0, 0]]


def test_a_budget_can_end_the_episode_for_everybody():
    env = make(budget=Budget(messages=1, exceed="terminate"))
    say(env, a=1)
    _, _, terminations, _, _ = say(env, a=1)
    assert all(terminations.values())
    assert env.agents == []
    with pytest.raises(NotResetError, match="every agent has finished"):
        say(env, a=1)
    env.reset()
    assert len(env.agents) == 3


def test_a_budget_can_raise_and_nothing_has_happened_then():
    env = make(budget=Budget(messages=1, exceed="raise"), link=Delay(1))
    say(env, b=1)
    with pytest.raises(BudgetExceededError, match="agent 'agent_1': a message of 1 by"):
        say(env, a=3, b=1)
    assert env.unwrapped.steps == 1
    seen, *_ = say(env, a=3)
    assert seen["agent_2"]["age"].tolist() == [-1, 1]
    assert env.ledger.attempted().sum() == 4


class Refusing(Counting):
    """Refuses the action 3, as worlds do with illegal moves."""

    def step(self, actions):
        if 3 in actions.values():
            raise ValueError("an illegal move")
        return super().step(actions)


@pytest.mark.parametrize(
    "channel",
    [
        {},
        {"budget": Budget(messages=2), "topology": "complete"},
        {"budget": Budget(messages=1, per="step", exceed="raise")},
        {"budget": Budget(bytes=8, per="step", exceed="queue", max_wait=2)},
        {"budget": Budget(messages=1, exceed="penalize"), "topology": "ring"},
        {"budget": Budget(messages=3, scope="team")},
        {"link": Delay(2), "acknowledgements": True, "silence": True},
        {"link": BernoulliLoss(0.4), "codec": Float16(), "headers": True},
    ],
)
def test_a_step_that_the_world_refuses_leaves_no_trace(channel):
    undisturbed, env = (
        commenv.CommunicationBudget(world, message_space=PAIR, **channel)
        for world in (Counting(length=6), Refusing(length=6))
    )
    for one in (undisturbed, env):
        one.reset(seed=5)
    for agent in env.agents:
        env.action_space(agent).seed(7)
    while env.agents:
        said = {agent: env.action_space(agent).sample() for agent in env.agents}
        said = {agent: act | {"action": 1} for agent, act in said.items()}
        with pytest.raises(ValueError, match="an illegal move"):
            env.step(said | {"agent_1": said["agent_1"] | {"action": 3}})
        np.testing.assert_equal(env.step(said), undisturbed.step(said))
    assert env.metrics.messages.sum() > 0
    np.testing.assert_equal(vars(env.metrics), vars(undisturbed.metrics))
    np.testing.assert_equal(env.bill, undisturbed.bill)
    assert env.network.clock == undisturbed.network.clock == 7


@pytest.mark.parametrize(
    ("channel", "message", "error"),
    [
        ({"budget": Budget(messages=0, exceed="raise")}, 0, BudgetExceededError),
        (
            {"budget": Budget(bytes=7, per="step", exceed="raise")},
            0,
            BudgetExceededError,
        ),
        ({"codec": QSGD(levels=4)}, np.inf, EncodingError),
    ],
)
def test_a_step_whose_message_cannot_be_sent_does_not_move_the_world(
    channel, message, error
):
    env = commenv.CommunicationBudget(
        Counting(), message_space=spaces.Box(-np.inf, np.inf, (2,)), **channel
    )
    env.reset(seed=0)
    said = {"agent_1": does(1, np.full(2, message, np.float32), 1)}
    for _ in range(2):
        with pytest.raises(error, match="agent 'agent_1'"):
            env.step(silent(env) | said)
        assert env.unwrapped.steps == 0
        assert env.network.clock == 1
        assert env.metrics.messages.sum() == env.ledger.attempted().sum() == 0
    env.step(silent(env))
    assert (env.unwrapped.steps, env.network.clock) == (1, 2)


def test_a_window_of_one_step_is_full_again_in_the_next_step():
    env = make(budget=Budget(messages=1, per="step", exceed="raise", scope="team"))
    for _ in range(3):
        say(env, a=1)
        with pytest.raises(BudgetExceededError):
            say(env, a=1, b=2)


def test_a_finished_agent_hears_nothing_and_cannot_send():
    env = make(world=Counting(3, lives=[10, 1, 10]), topology="complete")
    say(env, b=7)
    assert env.agents == ["agent_0", "agent_2"]
    say(env, a=5)
    assert env.metrics.messages.tolist() == [[1, 2, 0]]
    say(env, a=5, to="agent_1")
    assert env.ledger.count(Fate.LOST).sum() == 1
    assert env.ledger.balanced
    with pytest.raises(ValueError, match="agent 'agent_1' has finished and cannot"):
        env.step(silent(env) | {"agent_1": does(0, 1, 1)})
    env.step(silent(env) | {"agent_1": does(0)})


def test_what_is_on_its_way_to_an_agent_that_leaves_is_lost():
    env = make(world=Counting(3, lives=[10, 2, 10]), link=Delay(2))
    say(env, a=5)
    env.step(silent(env))
    env.step(silent(env))
    assert env.ledger.count(Fate.LOST).sum() == 1
    assert env.ledger.count(Fate.DELIVERED).sum() == 1


def test_a_function_of_the_state_links_those_who_are_near_now():
    def near(world):
        return {"agent_0": ["agent_1"]} if world.steps < 1 else {"agent_0": ["agent_2"]}

    env = make(topology=near)
    seen, *_ = say(env, a=5)
    assert [bool(seen[agent]["spoke"].any()) for agent in seen] == [0, 1, 0]
    seen, *_ = say(env, a=6)
    assert [bool(seen[agent]["spoke"].any()) for agent in seen] == [0, 0, 1]
    say(env, a=6, to="agent_1")
    assert env.ledger.count(Fate.LOST).sum() == 1


def test_a_range_loses_what_has_to_go_too_far():
    def where(world):
        return {"agent_0": [0, 0], "agent_1": [0, 3], "agent_2": [4, 3]}

    env = make(link=Range(4), positions=where)
    seen, *_ = say(env, a=5, b=6, c=7)
    assert {agent: one["spoke"].tolist() for agent, one in seen.items()} == {
        "agent_0": [1, 0],
        "agent_1": [1, 1],
        "agent_2": [0, 1],
    }
    with pytest.raises(ValueError, match="needs to know where agents are"):
        say(make(link=Range(4)), a=5)


def test_headers_acknowledgements_silence_and_polls_can_be_charged():
    ideal = make()
    full = make(headers=True, acknowledgements=True, silence=True, polls=True)
    for env in (ideal, full):
        say(env, a=5)
        say(env, a=5, b=5)
    assert ideal.bill.payload.tolist() == full.bill.payload.tolist() == [2, 1, 0]
    assert ideal.bill.charged.tolist() == [2, 1, 0]
    assert full.bill.headers.tolist() == [32, 16, 0]
    assert full.bill.acknowledgements.tolist() == [64, 32, 0]
    assert full.bill.silence.tolist() == [0, 16, 32]
    assert full.bill.polls.tolist() == [32, 32, 32]
    assert full.bill.charged.tolist() == [130, 97, 64]
    assert full.metrics.size.tolist() == [[34, 17, 0]]


def test_acknowledged_copies_are_told_to_their_sender_alone():
    env = make(acknowledgements=True, link=BernoulliLoss(0.5))
    for _ in range(8):
        *_, infos = say(env, a=5)
    delivered = int(env.ledger.count(Fate.DELIVERED).sum())
    assert 0 < delivered < 16
    assert infos["agent_0"]["comm"]["acknowledged"] == delivered
    assert infos["agent_1"]["comm"]["acknowledged"] == 0


def test_before_the_first_episode_all_totals_are_zero():
    world = commenv.CommunicationBudget(Counting(2), message_space=spaces.Discrete(9))
    first, again = world.reset(seed=0)[1], world.reset()[1]
    assert first == again
    totals = first["agent_1"]["episode_comm"]
    assert {"messages", "charged_size", "episode_return"} < totals.keys()
    assert not any(totals.values())


def test_the_totals_of_an_episode_come_with_the_next_reset():
    env = make()
    _, infos = env.reset()
    assert infos["agent_0"]["episode_comm"]["messages"] == 0
    env.step({agent: does(2, 5, int(agent == "agent_0")) for agent in env.agents})
    _, infos = env.reset()
    closing = infos["agent_0"]["episode_comm"]
    assert (closing["messages"], closing["size"], closing["reward"]) == (1, 1, 2)
    assert closing["charged_size"] == 1
    assert infos["agent_1"]["episode_comm"]["messages"] == 0
    assert env.metrics.messages.sum() == 0
    _, infos = env.reset(seed=1)
    assert env.ledger.attempted().sum() == 0


def test_the_step_that_ends_an_episode_tells_its_totals():
    world = commenv.parallel_env("SimpleGrid-v0", 2, max_cycles=2)
    env = commenv.CommunicationBudget(world, message_space=spaces.Discrete(9))
    env.reset(seed=0)
    quiet = {"action": 4, "message": 0, "to": 0}
    actions = {"agent_0": {**quiet, "to": 1}, "agent_1": quiet}
    infos = env.step(actions)[4]
    assert "episode_comm" not in infos["agent_0"]
    infos = env.step(actions)[4]
    told = [infos[agent]["episode_comm"]["messages"] for agent in actions]
    assert told == env.metrics.messages[0].tolist() == [2, 0]
    assert infos["agent_0"]["episode_comm"]["reward"] == -1.9


def play(env, seed, cycles=10):
    """A whole episode as one list, with random messages to random receivers."""
    seen, infos = env.reset(seed=seed)
    rng = np.random.default_rng(7)
    trace = [seen, infos]
    for _ in range(cycles):
        actions = {}
        for agent in env.agents:
            space = env.action_space(agent)
            space.seed(int(rng.integers(2**31)))
            actions[agent] = space.sample()
        trace.append(env.step(actions))
    return trace


def test_whole_episodes_with_loss_delay_and_noise_are_the_same_twice():
    link = Chain(BernoulliLoss(0.3), Delay(0, spread=2), AdditiveNoise(0.1))
    parts = {"space": PAIR, "link": link, "topology": "complete"}
    one, other = (make(**parts, codec=Float16()) for _ in range(2))
    np.testing.assert_equal(play(one, 5), play(other, 5))
    assert one.ledger.count(Fate.LOST).sum() > 0
    np.testing.assert_equal(play(one, 5), play(other, 5))
    with pytest.raises(AssertionError):
        np.testing.assert_equal(play(one, 5), play(other, 6))


def test_codecs_change_what_is_read_and_what_it_weighs():
    env = make(space=PAIR, codec=Float16())
    seen, *_ = say(env, a=[1 / 3, 50.0])
    read = seen["agent_1"]["inbox"][0]
    assert read.tolist() == [np.float32(np.float16(1 / 3)), 50]
    assert env.metrics.size[0, 0] == 4
    assert env.ledger.count(Fate.DELIVERED, Unit.PAYLOAD).sum() == 8
    differences = make(space=PAIR, codec=Delta(key_every=2))
    for value in (1.0, 1.5, 7.0):
        seen, *_ = say(differences, a=[value, 0.0])
        assert seen["agent_2"]["inbox"][0].tolist() == [value, 0]
    differences.reset()
    seen, *_ = say(differences, a=[2.0, 0.0])
    assert seen["agent_2"]["inbox"][0].tolist() == [2, 0]


def test_codecs_that_cannot_encode_such_messages_are_refused_at_once():
    with pytest.raises(ValueError, match="has to know which messages arrived"):
        make(space=PAIR, codec=Delta())
    with pytest.raises(TypeError, match="message"):
        make(space=SYMBOL, codec=Int8())


def test_a_message_that_the_codec_cannot_encode_is_named_with_its_sender():
    wide = spaces.Box(-np.inf, np.inf, (2,), np.float32)
    env = make(space=wide, codec=QSGD(levels=4))
    with pytest.raises(EncodingError, match=r"agent 'agent_1': .*inf"):
        say(env, a=[1, 2], b=[1, np.inf])
    assert env.ledger.attempted().sum() == 0


def test_it_converts_to_an_aec_environment_and_back():
    env = make()
    aec = parallel_to_aec(env)
    assert aec_to_parallel(aec) is env
    assert commenv.find_channel(aec) is env
    aec.reset(seed=0)
    for agent in aec.agent_iter(3):
        aec.step(does(1, 5, 1) if agent == "agent_0" else does(1))
    seen = aec.observe("agent_1")
    assert seen["inbox"].tolist() == [5, 0]


def test_an_aec_environment_is_taken_as_it_is():
    env = commenv.CommunicationBudget(parallel_to_aec(Counting()), message_space=SYMBOL)
    assert env.env.possible_agents == ["agent_0", "agent_1", "agent_2"]


@pytest.mark.parametrize("action", [0, {"action": 0}, {"to": 0}, None, [0, 0, 0]])
def test_an_action_of_another_form_is_told_the_right_one(action):
    env = make()
    with pytest.raises(ValueError, match=r"agent 'agent_1' does .*'action', 'message'"):
        env.step(silent(env) | {"agent_1": action})


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("agent_7", "unknown recipient of agent 'agent_0' 'agent_7'.*'agent_1'"),
        ("agent_0", "unknown recipient of agent 'agent_0' 'agent_0'"),
        (4, "unknown recipient of agent 'agent_0' 4.*0 .silence. to 3"),
        (-1, "unknown recipient of agent 'agent_0' -1"),
        (1.5, "unknown recipient of agent 'agent_0' 1.5"),
        (None, "unknown recipient of agent 'agent_0' None"),
    ],
)
def test_an_unknown_recipient_is_named_with_its_sender(to, words):
    env = make(topology="complete")
    with pytest.raises(UnknownNameError, match=words):
        say(env, a=5, to=to)
    assert env.ledger.attempted().sum() == 0


def test_a_broadcast_cannot_be_addressed_and_says_what_can():
    with pytest.raises(UnknownNameError, match="topology='complete' lets agents be"):
        say(make(), a=5, to="agent_1")


def test_unknown_agents_are_named():
    env = make()
    with pytest.raises(UnknownNameError, match="unknown agent 'agent_9'"):
        env.step(silent(env) | {"agent_9": does(0)})
    for method in (env.observation_space, env.action_space):
        with pytest.raises(UnknownNameError, match="unknown agent 'agent_9'"):
            method("agent_9")


def test_messages_without_content_or_outside_their_space_are_refused():
    env = make()
    with pytest.raises(ValueError, match="'agent_0' sends without a message"):
        env.step(silent(env) | {"agent_0": {"action": 0, "to": 1}})
    with pytest.raises(ValueError, match="'agent_0' sends 8, which is not in"):
        say(env, a=8)


def test_nothing_can_be_asked_before_the_first_reset():
    env = commenv.CommunicationBudget(Counting(), message_space=SYMBOL)
    for ask in (lambda: env.step({}), lambda: env.metrics, lambda: env.bill):
        with pytest.raises(NotResetError):
            ask()
    with pytest.raises(ValueError, match="gamma 2 is outside"):
        make(gamma=2)


def test_budgets_to_the_learner_and_to_other_agents_are_both_told():
    world = commenv.parallel_env(
        "WindyGrid-v0", 3, uplink=Channel(budget=Budget(messages=2, per="episode"))
    )
    inner = commenv.CommunicationBudget(
        world, message_space=SYMBOL, budget=Budget(messages=5)
    )
    env = commenv.CommunicationBudget(
        inner, message_space=SYMBOL, budget=Budget(messages=7)
    )
    env.reset(seed=0)
    world.send("agent_0", {"x": 1})
    says = does(does(3, 4, 1), 5, 1)
    *_, infos = env.step(dict.fromkeys(env.agents, says))
    told = infos["agent_0"]
    names = ("comm", "inner_comm", "inner_inner_comm")
    assert [told[name]["messages_left"] for name in names] == [6, 4, 1]
    _, infos = env.reset()
    names = [name.replace("comm", "episode_comm") for name in names]
    assert [infos["agent_1"][name]["messages"] for name in names] == [1, 1, 0]


RESUMED = {
    "plain": {},
    "late": {"link": Chain(BernoulliLoss(0.3), Delay(1, spread=2, expiry=2))},
    "queue": {
        "budget": Budget(messages=2, per="step", scope="team", exceed="queue"),
        "topology": "complete",
        "link": GilbertElliottLoss(0.3, 0.4),
    },
    "feedback": {
        "space": PAIR,
        "codec": ErrorFeedback(TopK(1)),
        "acknowledgements": True,
        "topology": "ring",
        "link": Chain(BernoulliLoss(0.3), Delay(1)),
    },
    "differences": {
        "space": PAIR,
        "codec": Delta(),
        "acknowledgements": True,
        "link": BernoulliLoss(0.2),
        "budget": Budget(bytes=90, exceed="penalize"),
    },
}


def goes_on(env, random, steps):
    """Observations, rewards and infos of some steps, as text that shows every bit."""
    lines = []
    for _ in range(steps):
        if not env.agents:
            lines.append(repr(env.reset()))
        actions = {}
        for agent in env.agents:
            space = env.action_space(agent)
            space.seed(random.randrange(2**31))
            actions[agent] = {**space.sample(), "action": 0}
        lines.append(repr(env.step(actions)))
        lines.append(repr((env.metrics, env.bill, env.ledger.traffic)))
    return lines


@pytest.mark.parametrize("name", RESUMED)
def test_it_is_resumed_in_mid_episode_to_the_bit(name):
    """From what a file keeps, as after a kill."""
    parts = RESUMED[name]
    env = make(**parts)
    env.reset(seed=7)
    goes_on(env, Random(1), 5)
    kept = packed({"state": env.snapshot()})
    world = copy.deepcopy(env.env)
    expected = goes_on(env, Random(2), 12)
    again = make(**parts)
    again.env = world
    again.restore(unpacked(kept)["state"])
    assert goes_on(again, Random(2), 12) == expected
