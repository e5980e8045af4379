import numpy as np
import pytest

from commenv.envs import TabularMDP
from commenv.envs.flat import FlatTables, integer_actions, thresholds

INF = np.inf
CERTAIN = [(1.0, 1, -1.0, False)]
SPLIT = [(0.25, 0, 2.0, False), (0.25, 1, 3.0, True), (0.5, 0, 4.0, False)]


@pytest.fixture
def mdp():
    return TabularMDP.from_transitions(
        {0: {0: CERTAIN, 1: SPLIT}, 1: {0: SPLIT, 1: CERTAIN}}, [0.5, 0.5]
    )


@pytest.mark.parametrize(
    ("probability", "cuts"),
    [
        ([0.25, 0.25, 0.5], [0.25, 0.5]),
        ([1.0, 0.0, 0.0], [INF, INF]),
        ([0.0, 1.0, 0.0], [0.0, INF]),
        ([0.0, 0.0, 1.0], [0.0, 0.0]),
        ([0.5, 0.0, 0.5], [0.5, 0.5]),
        ([1.0], []),
    ],
)
def test_thresholds_lie_between_the_possible_outcomes(probability, cuts):
    assert thresholds(np.array(probability)).tolist() == cuts


def test_rounding_leaves_no_number_without_an_outcome():
    tenth = np.full(10, 0.1)
    assert tenth.cumsum()[-1] < 1  # so some uniform numbers exceed every sum
    assert thresholds(tenth).searchsorted(np.nextafter(1, 0), side="right") == 9


def test_move_is_one_gather_per_field(mdp):
    tables = FlatTables(mdp)
    pairs = np.array([0, 0, 0, 0, 1, 1]) * tables.stride + [1, 1, 1, 0, 0, 1]
    uniforms = np.array([0.0, 0.25, 0.5, 0.9, 0.3, 0.3])
    states, rewards, terminated = tables.move(pairs, uniforms)
    assert states.tolist() == [0, 1, 0, 1, 1, 1]
    assert rewards.tolist() == [2, 3, 4, -1, 3, -1]
    assert terminated.tolist() == [False, True, False, False, True, False]


def test_idling_changes_nothing(mdp):
    tables = FlatTables(mdp)
    pairs = np.array([0, 1]) * tables.stride + tables.idle
    states, rewards, terminated = tables.move(pairs, np.array([0.9, 0.1]))
    assert states.tolist() == [0, 1]
    assert rewards.tolist() == [0, 0]
    assert terminated.tolist() == [False, False]


def test_start_follows_the_start_distribution(mdp):
    tables = FlatTables(mdp)
    assert tables.random_start
    assert tables.start(np.array([0.0, 0.49, 0.5, 0.99])).tolist() == [0, 0, 1, 1]


def test_check_names_the_first_action_outside_the_space(mdp):
    tables = FlatTables(mdp)
    good = np.array([0, 1, 1])
    assert tables.check(good) is good
    for wrong in (2, -1, 2**62, -(2**62)):
        with pytest.raises(
            ValueError, match=rf"action {wrong} of instance 1 .* 0 ... 1"
        ):
            tables.check(np.array([0, wrong, wrong]))


def test_integer_actions_takes_any_integers_of_the_right_shape():
    for given in ([1, 0], (1, 0), np.array([1, 0], np.uint8), np.array([1, 0])):
        actions = integer_actions(given, (2,))
        assert (actions.dtype, actions.tolist()) == (np.int64, [1, 0])
    for wrong in ([1.0, 0.0], [1], [[1, 0]], [True, False], "ab", 1):
        with pytest.raises(ValueError, match=r"integers of shape \(2,\)"):
            integer_actions(wrong, (2,))
