import gymnasium as gym
import numpy as np
import pytest
from commenv_baselines import tabular
from commenv_baselines.tabular import (
    STEP,
    PairSums,
    PolicyTable,
    Trajectories,
    epsilon_greedy,
    in_parts,
    next_state_of,
    table_shape,
)

from commenv.channel import HEADER, Received
from commenv.learning import Transition
from commenv.rng import Draws


def test_ties_share_what_exploration_leaves():
    q = np.array([[1.0, 1.0, 0.0, -1.0], [0.0, 0.0, 0.0, 2.0]])
    np.testing.assert_allclose(
        epsilon_greedy(q, 0.2),
        [[0.45, 0.45, 0.05, 0.05], [0.05, 0.05, 0.05, 0.85]],
    )


def test_actions_are_drawn_with_the_probabilities_of_their_own_row():
    rows = 40_000
    table = np.zeros((2, 3, 4))
    table[0, 1] = [0.1, 0.2, 0.3, 0.4]
    table[1, 1] = [0.0, 0.0, 1.0, 0.0]
    policy = PolicyTable(np.repeat(table, rows // 2, axis=0))
    draws = Draws(0, [0], rows).stream("policy", 0)
    actions = policy.draw(np.ones(rows, dtype=int), np.ones(rows, dtype=bool), draws)
    share = np.bincount(actions[: rows // 2], minlength=4) / (rows // 2)
    np.testing.assert_allclose(share, [0.1, 0.2, 0.3, 0.4], atol=4 * 0.5 / 20_000**0.5)
    assert (actions[rows // 2 :] == 2).all()


def transition(states, actions, rewards, following, terminated, active):
    return Transition(
        np.array(states),
        np.array(actions),
        np.array(rewards, dtype=float),
        np.array(following),
        np.array(terminated),
        np.zeros(len(states), dtype=bool),
        np.array(active),
    )


def test_a_trajectory_is_kept_in_time_order_and_marks_the_end():
    kept = Trajectories(2)
    kept.add(transition([0, 5], [1, 2], [-1, -1], [1, 6], [False, True], [True, True]))
    kept.add(transition([1, 6], [3, 0], [-2, 0], [2, 6], [False, False], [True, False]))
    messages = kept.messages((1, 2))
    assert messages.counts.tolist() == [[2, 1]]
    assert messages.records.tolist() == [
        (0, 1, -1.0, 1),
        (1, 3, -2.0, 2),
        (5, 2, -1.0, ~6),
    ]
    following, terminated = next_state_of(messages.records)
    assert following.tolist() == [1, 2, 6]
    assert terminated.tolist() == [False, False, True]
    kept.clear()
    assert len(kept.messages((1, 2)).records) == 0


def test_a_trajectory_may_be_long():
    kept = Trajectories(1)
    for step in range(300):
        kept.add(transition([step], [0], [0], [step + 1], [False], [True]))
    assert kept.messages((1, 1)).records["state"].tolist() == list(range(300))


@pytest.mark.parametrize(
    ("observation", "action", "message"),
    [
        (gym.spaces.Box(0, 1), gym.spaces.Discrete(2), "observation space is Box"),
        (gym.spaces.Discrete(2), gym.spaces.Box(0, 1), "action space is Box"),
        (gym.spaces.Discrete(2, start=1), gym.spaces.Discrete(2), "count from 0"),
    ],
)
def test_a_table_needs_discrete_spaces(observation, action, message):
    with pytest.raises(ValueError, match=message):
        table_shape(observation, action, "dql")


def random_messages(counts):
    rng = np.random.default_rng(0)
    records = np.zeros(counts.sum(), STEP)
    records["state"] = rng.integers(3, size=len(records))
    records["action"] = rng.integers(2, size=len(records))
    records["reward"] = rng.normal(size=len(records))
    return Received(records, counts, np.empty(0, HEADER), np.empty(0, dtype=int))


@pytest.mark.parametrize("size", [1, 4, 7, 1000])
def test_no_bit_of_a_sum_tells_of_the_parts(size, monkeypatch):
    monkeypatch.setattr(tabular, "_RECORDS_AT_A_TIME", size)
    messages = random_messages(np.array([[0, 9], [0, 0], [14, 3], [0, 2]]))
    sums, seen = PairSums((4, 3, 2)), []
    for records, trials in in_parts(messages):
        assert len(records) == len(trials) <= size
        sums.add((trials, records["state"], records["action"]), records["reward"])
        seen += trials.tolist()
    assert seen == messages.trials.tolist()
    total, count = np.zeros((4, 3, 2)), np.zeros((4, 3, 2), dtype=int)
    for trial, record in zip(seen, messages.records, strict=True):
        total[trial, record["state"], record["action"]] += record["reward"]
        count[trial, record["state"], record["action"]] += 1
    assert sums.total.tolist() == total.tolist()
    assert sums.count.tolist() == count.tolist()


def test_a_whole_episode_can_be_taken_at_once():
    records = random_messages(np.array([[2, 0, 3]])).records
    kept = Trajectories(3)
    kept.take(records, np.array([2, 0, 3]))
    messages = kept.messages((1, 3))
    assert messages.counts.tolist() == [[2, 0, 3]]
    np.testing.assert_array_equal(messages.records, records)
    kept.clear()
    assert kept.messages((1, 3)).counts.tolist() == [[0, 0, 0]]


def test_rows_may_share_a_table():
    tables = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    policy = PolicyTable(tables, np.array([1, 0, 1, 1]))
    uniforms = Draws(0, [0], 4).stream("policy", 0)
    everybody = np.ones(4, dtype=bool)
    drawn = policy.draw(np.zeros(4, dtype=int), everybody, uniforms)
    assert drawn.tolist() == [1, 0, 1, 1]
