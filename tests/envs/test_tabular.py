import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest

import commenv  # noqa: F401 - registers the ids
from commenv.envs import TabularMDP

# Two states: action 0 stays in 0 or ends, action 1 goes to 1; state 1 absorbs.
CHAIN = {
    0: {0: [(0.25, 0, -1.0, False), (0.75, 1, 2.0, True)], 1: [(1.0, 1, -3.0, False)]},
    1: {0: [(1.0, 1, 0.0, True)], 1: [(1.0, 1, 0.0, True)]},
}


@pytest.fixture
def chain():
    return TabularMDP.from_transitions(CHAIN, [0.5, 0.5])


def tables(**changes):
    """Tables of two states, one action and one outcome, with some replaced."""
    fields = {
        "probability": np.ones((2, 1, 1)),
        "next_state": np.ones((2, 1, 1), dtype=int),
        "reward": np.zeros((2, 1, 1)),
        "terminated": np.ones((2, 1, 1), dtype=bool),
        "start": [1.0, 0.0],
    }
    return {**fields, **changes}


def test_outcomes_keep_their_order_and_are_padded_with_probability_0(chain):
    assert chain.probability.tolist() == [[[0.25, 0.75], [1, 0]], [[1, 0], [1, 0]]]
    assert chain.next_state[0].tolist() == [[0, 1], [1, 0]]
    assert chain.reward[0].tolist() == [[-1, 2], [-3, 0]]
    assert chain.terminated[0].tolist() == [[False, True], [False, False]]
    assert (chain.num_states, chain.num_actions, chain.shape) == (2, 2, None)


def test_equal_outcomes_are_not_merged():
    twice = [(0.5, 0, 0.0, True), (0.5, 0, 0.0, True)]
    mdp = TabularMDP.from_transitions({0: {0: twice}}, [1.0])
    assert mdp.probability.tolist() == [[[0.5, 0.5]]]


def test_deterministic_needs_a_certain_start_and_certain_outcomes(chain):
    certain = tables()
    assert TabularMDP(**certain).deterministic
    assert not TabularMDP(**tables(start=[0.5, 0.5])).deterministic
    assert not chain.deterministic


def test_tables_are_copies_that_nobody_can_write_to():
    reward = np.zeros((2, 1, 1))
    mdp = TabularMDP(**tables(reward=reward))
    reward[:] = 5
    assert not mdp.reward.any()
    with pytest.raises(ValueError, match="read-only"):
        mdp.reward[0] = 1


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda mdp: pickle.loads(pickle.dumps(mdp))]
)
def test_a_copy_is_equal_and_read_only_too(chain, duplicate):
    other = duplicate(chain)
    assert other == chain
    assert hash(other) == hash(chain)
    assert not other.reward.flags.writeable


def test_equality_looks_at_every_table():
    original = TabularMDP(**tables())
    for changes in (
        {"next_state": np.zeros((2, 1, 1), dtype=int)},
        {"reward": np.ones((2, 1, 1))},
        {"terminated": np.zeros((2, 1, 1), dtype=bool)},
        {"start": [0.0, 1.0]},
        {"shape": (1, 2)},
    ):
        assert TabularMDP(**tables(**changes)) != original
    assert original != "tables"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reward": np.zeros((2, 1, 2))}, "same shape"),
        ({"probability": np.ones(2)}, "same shape"),
        ({"start": [1.0]}, r"shape \(1,\) for 2 states"),
        ({"start": [0.6, 0.6]}, "start probabilities .* sum to 1"),
        ({"start": [1.5, -0.5]}, "start probabilities"),
        ({"probability": [[[1.0]], [[0.9]]]}, r"\(1, 0\) are \[0.9\]; .* sum to 1"),
        ({"probability": [[[1.0]], [[np.nan]]]}, r"\(1, 0\) are \[nan\]"),
        ({"next_state": [[[0]], [[2]]]}, "next state 2 does not exist.* 0 ... 1"),
        ({"next_state": [[[0]], [[-1]]]}, "next state -1"),
        ({"reward": [[[0.0]], [[np.inf]]]}, "not finite"),
        ({"shape": (2, 2)}, "4 cells for 2 states"),
    ],
)
def test_wrong_tables_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        TabularMDP(**tables(**changes))


def test_no_states_are_refused():
    with pytest.raises(ValueError, match="no states"):
        TabularMDP.from_transitions({}, [])


def test_states_with_different_actions_are_refused():
    lacking = {0: CHAIN[0], 1: {0: CHAIN[1][0]}}
    with pytest.raises(ValueError, match=r"state 1 of 2 .* the actions 0 ... 1"):
        TabularMDP.from_transitions(lacking, [1.0, 0.0])


@pytest.mark.parametrize(
    ("env_id", "arguments", "shape"),
    [
        ("FrozenLake-v1", {}, (4, 4)),
        ("FrozenLake-v1", {"map_name": "8x8", "is_slippery": False}, (8, 8)),
        ("CliffWalking-v1", {}, (4, 12)),
        ("CliffWalking-v1", {"is_slippery": True}, (4, 12)),
        ("Taxi-v4", {}, None),
        ("Taxi-v4", {"is_rainy": True}, None),
    ],
)
def test_from_env_holds_what_the_environment_publishes(env_id, arguments, shape):
    env = gym.make(env_id, **arguments)
    mdp = TabularMDP.from_env(env)
    assert mdp.shape == shape
    assert mdp.start.tolist() == env.unwrapped.initial_state_distrib.tolist()
    for state, actions in env.unwrapped.P.items():
        for action, outcomes in actions.items():
            fields = (mdp.probability, mdp.next_state, mdp.reward, mdp.terminated)
            ours = list(zip(*(f[state, action].tolist() for f in fields), strict=True))
            assert ours[: len(outcomes)] == [tuple(o) for o in outcomes]
            assert all(outcome[0] == 0 for outcome in ours[len(outcomes) :])


def test_from_env_returns_the_tables_of_our_own_environments():
    env = gym.make("commenv/WindyGrid-v0")
    assert TabularMDP.from_env(env) is env.unwrapped.mdp


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gym.make("CartPole-v1"), "CartPole-v1 publishes no tables"),
        (lambda: gym.make("Taxi-v4", fickle_passenger=True), "fickle_passenger=False"),
        (
            lambda: gym.wrappers.StickyAction(gym.make("FrozenLake-v1"), 0.1),
            "StickyAction .* env.unwrapped",
        ),
    ],
)
def test_from_env_refuses_tables_that_are_missing_or_not_the_whole_truth(make, message):
    with pytest.raises(ValueError, match=message):
        TabularMDP.from_env(make())


def test_start_value_is_the_expectation_over_the_start(chain):
    assert chain.start_value([2.0, 4.0]) == 3.0
    assert chain.start_value([[2.0, 4.0], [0.0, 1.0]]).tolist() == [3.0, 0.5]


def test_start_value_ignores_states_in_which_nothing_starts():
    assert TabularMDP(**tables()).start_value([7.0, -np.inf]) == 7.0
