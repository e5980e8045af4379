"""The environment with a channel: episodes, messages, and what is measured of them."""

import numpy as np
import pytest

import commenv
from commenv import Budget, Channel, FreeForm, Messages
from commenv.errors import BudgetExceededError, NotResetError

STEP = np.dtype([("state", "<i4"), ("value", "<f8")])
RIGHT, DOWN = 1, 3


def make(trials=2, agents=3, **kwargs):
    return commenv.batched_env("SimpleGrid-v0", trials, agents, **kwargs)


def records(counts):
    counts = np.asarray(counts)
    out = np.zeros(counts.sum(), STEP)
    out["state"] = np.arange(len(out))
    return Messages(out, counts)


def play(env, actions):
    for action in actions:
        env.step(np.full(env.num_envs, action))


def test_an_episode_of_eight_steps_has_the_return_of_the_shortest_path():
    env = make(gamma=0.9)
    observations, info = env.reset(seed=0)
    assert observations.tolist() == [0] * 6
    assert info == {}
    assert env.shape == (2, 3)
    play(env, [RIGHT] * 4 + [DOWN] * 3)
    assert env.active.all()
    observations, rewards, terminated, truncated, _ = env.step(np.full(6, DOWN))
    assert observations.tolist() == [24] * 6
    assert rewards.tolist() == [0.0] * 6
    assert terminated.all()
    assert not truncated.any()
    assert not env.active.any()
    metrics = env.metrics
    assert metrics.reward.shape == (2, 3)
    np.testing.assert_allclose(metrics.reward, -(1 - 0.9**7) / (1 - 0.9), rtol=1e-15)
    assert metrics.episode_return.tolist() == [[-7.0] * 3] * 2
    assert metrics.episode_length.tolist() == [[8] * 3] * 2


def test_inactive_rows_neither_move_nor_earn():
    env = make(1, 2)
    env.reset(seed=0)
    stays = 4
    for action in [RIGHT] * 4 + [DOWN] * 4:
        env.step(np.array([action, stays]))
    assert env.active.tolist() == [False, True]
    observations, rewards, terminated, _, _ = env.step(np.array([99, stays]))
    assert observations.tolist() == [24, 0]
    assert rewards.tolist() == [0.0, -1.0]
    assert not terminated.any()
    assert env.metrics.episode_length.tolist() == [[8, 9]]


def test_the_time_limit_cuts_and_does_not_terminate():
    env = make(1, 1, max_episode_steps=3)
    env.reset(seed=0)
    play(env, [4, 4])
    _, _, terminated, truncated, _ = env.step(np.array([4]))
    assert truncated.tolist() == [True]
    assert terminated.tolist() == [False]
    with pytest.raises(NotResetError, match="every episode has ended"):
        env.step(np.array([4]))


def test_metrics_count_what_was_sent_in_the_episode():
    env = make(uplink=Channel(budget=Budget(messages=1)))
    env.reset(seed=0)
    receipt = env.send(records([[2, 0, 1], [0, 0, 3]]))
    assert receipt.accepted.tolist() == [[True, False, True], [False, False, True]]
    assert receipt.left.messages.tolist() == [[0, 1, 0], [1, 1, 0]]
    env.send(records([[1, 1, 0], [0, 0, 0]]))
    metrics = env.metrics
    assert metrics.messages.tolist() == [[1, 1, 1], [0, 0, 1]]
    assert metrics.frequency.tolist() == [[1.0, 1.0, 1.0], [0.0, 0.0, 1.0]]
    assert metrics.size.tolist() == [[24, 12, 12], [0, 0, 36]]
    assert metrics.header_size.tolist() == [[16, 16, 16], [0, 0, 16]]
    assert metrics.refused.tolist() == [[1, 0, 0], [0, 0, 0]]
    assert metrics.refused_bytes.tolist() == [[12, 0, 0], [0, 0, 0]]
    received = env.receive()
    assert received.counts.tolist() == [[2, 1, 1], [0, 0, 3]]
    assert received.records["state"].tolist() == [0, 1, 1, 2, 3, 4, 5]
    assert received.headers["sender"].tolist() == [0, 1, 2, 2]


def test_a_send_after_the_last_step_belongs_to_the_episode_that_ended():
    env = make(1, 1)
    env.reset(seed=0)
    play(env, [RIGHT] * 4 + [DOWN] * 4)
    env.send(records([[5]]))
    assert env.metrics.size.tolist() == [[60]]
    env.reset()
    assert env.episode == 1
    assert env.metrics.size.tolist() == [[0]]
    assert env.receive().headers["episode"].tolist() == [0]


def test_headers_count_towards_size_where_the_channel_says_so():
    env = make(1, 1, uplink=Channel(headers=True), downlink=Channel(headers=True))
    env.reset(seed=0)
    env.send(records([[2]]))
    env.broadcast(np.zeros(1, STEP))
    assert env.metrics.size.tolist() == [[24 + 16]]
    assert env.metrics.downlink_size.tolist() == [[12 + 16]]
    assert env.metrics.total_size.tolist() == [[24 + 16 + 12 + 16]]


def test_every_agent_holds_the_last_parameters_that_it_received():
    loss = commenv.BernoulliLoss(0.5)
    env = make(4, 5, downlink=Channel(link=loss))
    env.reset(seed=3)
    assert env.receive_broadcast() is None
    held = np.zeros((4, 5))
    for round_number in range(1, 6):
        parameters = np.zeros(4, STEP)
        parameters["value"] = round_number + np.arange(4) / 10
        before = env.downlink.ledger.count(commenv.Fate.DELIVERED)
        env.broadcast(parameters)
        arrived = env.downlink.ledger.count(commenv.Fate.DELIVERED) > before
        assert 0 < arrived.sum() < 20
        held = np.where(arrived, parameters["value"][:, None], held)
        np.testing.assert_array_equal(env.receive_broadcast()["value"], held)


def test_an_agent_that_has_heard_nothing_keeps_what_it_held():
    env = make(1, 3, downlink=Channel(budget=Budget(messages=1, scope="team")))
    env.reset(seed=0)
    start = np.zeros(1, STEP)
    start["value"] = 5.0
    env.initialize_parameters(start)
    assert env.receive_broadcast()["value"].tolist() == [[5.0, 5.0, 5.0]]
    assert env.metrics.downlink_size.tolist() == [[0, 0, 0]]
    news = np.zeros(1, STEP)
    news["value"] = 7.0
    env.broadcast(news)
    assert sorted(env.receive_broadcast()["value"][0]) == [5.0, 5.0, 7.0]
    assert env.metrics.downlink_refused.sum() == 2


def test_a_queued_message_is_sent_when_it_leaves_and_never_if_it_expires():
    queue = Budget(messages=1, scope="team", exceed="queue", max_wait=1)
    env = make(1, 3, uplink=Channel(budget=queue))
    env.reset(seed=0)
    env.send(records([[1, 1, 1]]))
    assert env.metrics.messages.sum() == 1
    assert env.metrics.size.sum() == 12
    env.reset()
    assert env.metrics.messages.sum() == 1
    assert env.metrics.expired.sum() == 0
    env.reset()
    assert env.metrics.messages.sum() == 0
    assert env.metrics.expired.sum() == 1


def test_a_broadcast_medium_is_charged_once_for_each_trial():
    env = make(2, 3, downlink=Channel(medium="broadcast"))
    env.reset(seed=0)
    env.broadcast(np.zeros(2, STEP))
    assert env.metrics.downlink_size.tolist() == [[12, 0, 0], [12, 0, 0]]
    assert env.receive_broadcast().shape == (2, 3)


def test_a_budget_that_terminates_ends_a_running_episode():
    uplink = Channel(budget=Budget(messages=0, exceed="terminate"))
    env = make(1, 2, uplink=uplink)
    env.reset(seed=0)
    env.step(np.array([4, 4]))
    receipt = env.send(records([[1, 0]]))
    assert receipt.ended.tolist() == [[True, False]]
    assert env.active.tolist() == [False, True]
    _, rewards, terminated, _, _ = env.step(np.array([4, 4]))
    assert terminated.tolist() == [True, False]
    assert rewards.tolist() == [0.0, -1.0]
    _, _, terminated, _, _ = env.step(np.array([4, 4]))
    assert terminated.tolist() == [False, False]


def test_a_budget_that_terminates_refuses_once_the_episode_is_over():
    uplink = Channel(budget=Budget(messages=0, exceed="terminate"))
    env = make(1, 1, uplink=uplink, max_episode_steps=1)
    env.reset(seed=0)
    env.step(np.array([4]))
    assert not env.send(records([[1]])).accepted.any()
    with pytest.raises(NotResetError, match="every episode has ended"):
        env.step(np.array([4]))


def test_a_budget_that_raises_leaves_everything_as_it_was():
    env = make(1, 2, uplink=Channel(budget=Budget(bytes=20, exceed="raise")))
    env.reset(seed=0)
    env.send(records([[1, 1]]))
    with pytest.raises(BudgetExceededError, match=r"12 bytes exceeds.*20 bytes"):
        env.send(records([[1, 0]]))
    assert env.metrics.size.tolist() == [[12, 12]]
    assert env.uplink.ledger.attempted().tolist() == [[1, 1]]


def test_free_form_payloads_arrive_as_they_were_sent():
    env = make(1, 2)
    env.reset(seed=0)
    env.send(FreeForm([{"theta": np.arange(3.0), "note": "hello"}, None], (1, 2)))
    (first,), second = env.receive()
    assert first["note"] == "hello"
    np.testing.assert_array_equal(first["theta"], [0.0, 1.0, 2.0])
    assert second == []
    assert env.metrics.frequency.tolist() == [[1.0, 0.0]]


def test_a_seed_starts_everything_afresh():
    env = commenv.batched_env("WindyGrid-v0", 3, 2)
    actions = np.random.default_rng(0).integers(0, 5, size=(30, 6))

    def episode():
        return [env.step(row)[0].tolist() for row in actions]

    env.reset(seed=5)
    first = episode()
    env.send(records(np.ones((3, 2), dtype=int)))
    env.reset()
    second = episode()
    env.reset(seed=5)
    assert env.episode == 0
    assert env.uplink.ledger.attempted().sum() == 0
    assert episode() == first
    assert second != first
    env.reset(seed=6)
    assert episode() != first


def test_a_trial_does_not_depend_on_the_others():
    actions = np.random.default_rng(0).integers(0, 5, size=(30, 6))
    many = commenv.batched_env("WindyGrid-v0", 3, 2)
    alone = commenv.batched_env("WindyGrid-v0", 1, 2)
    many.reset(seed=1)
    alone.reset(seed=1)
    for row in actions:
        np.testing.assert_array_equal(many.step(row)[0][:2], alone.step(row[:2])[0])


def test_worlds_without_tables_have_a_channel_too():
    env = commenv.batched_env("CartPole-v1", 2, 2, gamma=1.0)
    observations, _ = env.reset(seed=0)
    assert observations.shape == (4, 4)
    assert len({tuple(row) for row in observations}) == 4
    while env.active.any():
        env.step(np.ones(4, dtype=int))
    np.testing.assert_array_equal(env.metrics.reward, env.metrics.episode_length)


@pytest.mark.parametrize("name", ["step", "send", "receive", "broadcast", "metrics"])
def test_before_the_reset_everything_is_refused(name):
    env = make()
    arguments = {
        "step": [np.zeros(6, dtype=int)],
        "send": [records(np.zeros((2, 3), dtype=int))],
        "broadcast": [np.zeros(2, STEP)],
        "receive": [],
        "metrics": [],
    }

    def use():
        return getattr(env, name)(*arguments[name])

    with pytest.raises(NotResetError, match=r"call reset\(\) first"):
        use()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_trials": 0}, "num_trials 0 is too small"),
        ({"num_agents": 0}, "num_agents 0 is too small"),
        ({"gamma": 1.1}, r"gamma 1.1 is outside \[0, 1\]"),
        ({"env_id": "SimpelGrid-v0"}, "did you mean 'SimpleGrid-v0'"),
        ({"env_kwargs": {"sise": 3}}, "no argument 'sise'"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    good = {"env_id": "SimpleGrid-v0", "num_trials": 1, "num_agents": 1}
    with pytest.raises(ValueError, match=message):
        commenv.batched_env(**(good | arguments))


def test_messages_of_another_shape_or_form_are_refused():
    env = make(1, 2)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"messages for \(1, 1\)"):
        env.send(records([[1]]))
    env.send(records([[1, 1]]))
    other = Messages(np.zeros(2, np.dtype([("x", "<f4")])), np.array([[1, 1]]))
    with pytest.raises(ValueError, match="keep to one form"):
        env.send(other)
    with pytest.raises(ValueError, match="one record for each of the 1 trials"):
        env.broadcast(np.zeros(2, STEP))


@pytest.mark.parametrize("way", ["uplink", "downlink"])
def test_what_is_no_channel_is_named(way):
    with pytest.raises(TypeError, match=f"{way}: 3 is not a Channel; give"):
        commenv.batched_env("SimpleGrid-v0", 1, 1, **{way: 3})


def test_what_agents_measured_elsewhere_stands_in_the_metrics():
    env = make(2, 2)
    env.reset(seed=0)
    reward = np.array([[1.0, 2.0], [3.0, 4.0]])
    env.instances.measure(reward, 10 * reward, np.full((2, 2), 7))
    reward[:] = 0  # the caller's array
    assert not env.active.any()
    assert env.metrics.reward.tolist() == [[1, 2], [3, 4]]
    assert env.metrics.episode_return.tolist() == [[10, 20], [30, 40]]
    assert env.metrics.episode_length.tolist() == [[7, 7], [7, 7]]
    env.send(records([[1, 0], [0, 0]]))
    assert env.metrics.messages.tolist() == [[1, 0], [0, 0]]
    with pytest.raises(NotResetError, match="every episode has ended"):
        env.step(np.zeros(4, dtype=int))
    env.reset()
    assert env.metrics.episode_length.tolist() == [[0, 0], [0, 0]]
    assert env.active.all()


def test_measurements_are_one_for_each_agent():
    env = make(2, 2)
    ones = np.ones((2, 2))
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"shape \(2, 3\) for \(2, 2\)"):
        env.instances.measure(ones, np.ones((2, 3)), ones)
