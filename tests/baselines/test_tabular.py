import gymnasium as gym
import numpy as np
import pytest
from commenv_baselines.tabular import (
    PolicyTable,
    Trajectories,
    epsilon_greedy,
    next_state_of,
    table_shape,
)

from commenv.draws import Draws
from commenv.learning import Transition


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
