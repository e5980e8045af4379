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


def random_process(rng, outcomes, probability):
    """Three states and two actions, with chances made by ``probability``."""
    shape = (3, 2, outcomes)
    return TabularMDP(
        [[probability() for _ in range(2)] for _ in range(3)],
        rng.integers(3, size=shape),
        rng.normal(size=shape),
        rng.random(shape) < 0.5,
        np.ones(3) / 3,
    )


@pytest.mark.parametrize("outcomes", [2, 5, 300])
@pytest.mark.parametrize("kind", ["equal chances", "own chances", "some certain"])
def test_an_outcome_is_the_first_whose_cumulative_probability_exceeds_the_number(
    kind, outcomes
):
    rng = np.random.default_rng(outcomes)
    fair, certain = np.full(outcomes, 1 / outcomes), np.eye(outcomes)
    mdp = random_process(
        rng,
        outcomes,
        {
            "equal chances": lambda: fair,
            "own chances": lambda: rng.dirichlet(np.ones(outcomes)),
            "some certain": lambda: [fair, certain[-1]][rng.integers(2)],
        }[kind],
    )
    tables, cuts = FlatTables(mdp), thresholds(mdp.probability)
    edges = cuts[(cuts < 1)].ravel()  # the numbers at which an outcome changes, too
    numbers = np.concatenate([rng.random(500), edges, np.nextafter(edges, 0), [0.0]])
    numbers = numbers[numbers >= 0]
    states, actions = (
        rng.integers(3, size=len(numbers)),
        rng.integers(2, size=len(numbers)),
    )
    moved = tables.move(states * tables.stride + actions, numbers)
    for row, (s, a, u) in enumerate(zip(states, actions, numbers, strict=True)):
        k = cuts[s, a].searchsorted(u, side="right")
        expected = (mdp.next_state[s, a, k], mdp.reward[s, a, k])
        assert (moved[0][row], moved[1][row]) == expected
        assert moved[2][row] == mdp.terminated[s, a, k]


def test_a_certain_outcome_needs_no_number_wherever_it_stands():
    outcomes = [(0.0, 0, 5.0, True), (1.0, 1, 2.0, False), (0.0, 0, 6.0, True)]
    mdp = TabularMDP.from_transitions({0: {0: outcomes}, 1: {0: outcomes}}, [1.0, 0.0])
    tables = FlatTables(mdp)
    states, rewards, terminated = tables.move(np.array([0, 1]) * tables.stride, None)
    assert states.tolist() == [1, 1]
    assert rewards.tolist() == [2, 2]
    assert terminated.tolist() == [False, False]


@pytest.mark.parametrize("start", [[1.0, 0.0], [0.5, 0.5]])
def test_who_idles_where_episodes_end_does_not_end_again(start):
    end = [(1.0, 1, 0.0, True)]
    mdp = TabularMDP.from_transitions(
        {0: {0: [(1.0, 0, -1.0, False)], 1: end}, 1: {0: end, 1: end}}, start
    )
    tables = FlatTables(mdp)
    pairs = np.array([0, 1, tables.stride + tables.idle])
    assert tables.move(pairs, None)[2].tolist() == [False, True, False]
    ends = tables.move(pairs[:2], None, resting=False)[2]
    assert ends.tolist() == [False, True]
    assert ends.dtype == bool


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
