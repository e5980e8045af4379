from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from commenv.errors import ResultsError, UnknownNameError
from commenv.study.analysis.curves import band, curve, curves, labels, step_values

pd = pytest.importorskip("pandas")


def trial_rows(label, trial, **columns):
    """One trial; episodes are counted, what is not given is 0."""
    length = len(next(iter(columns.values())))
    base = {
        "label": label,
        "trial": trial,
        "episode": np.arange(length),
        **dict.fromkeys(
            ["env_steps", "reward", "evaluation", "frequency", "messages"], 0.0
        ),
        **dict.fromkeys(["size", "total_size"], 0.0),
    }
    return pd.DataFrame(base | columns)


def three_trials():
    """Trials of 3, 3 and 2 episodes, shuffled."""
    parts = [
        trial_rows("a", 0, size=[10.0, 10, 20], reward=[1.0, 2, 3]),
        trial_rows("a", 1, size=[20.0, 20, 20], reward=[3.0, 4, 8]),
        trial_rows("a", 2, size=[10.0, 0], reward=[5.0, 6]),
    ]
    return pd.concat(parts).sample(frac=1.0, random_state=0)


def test_labels_keep_their_order():
    frame = pd.DataFrame({"label": ["z", "a", "z", "b"]})
    assert labels(frame) == ["z", "a", "b"]


def test_a_step_function_waits_jumps_and_holds():
    x, y = np.array([1.0, 2, 2, 5]), np.array([10.0, 20, 30, 40])
    grid = np.array([0.0, 1, 1.9, 2, 4.9, 5, 100])
    expected = [np.nan, 10, 10, 30, 30, 40, 40]
    assert_array_equal(step_values(x, y, grid), expected)


def test_the_band_is_the_mean_and_the_linear_percentiles():
    values = np.array([[0.0, 5], [1, 5], [2, 5], [10, 5]])
    mean, low, high = band(values)
    assert_allclose(mean, [3.25, 5])
    # Sorted 0 1 2 10: rank .1 * 3 = .3 and rank 2.7, interpolated.
    assert_allclose(low, [0.3, 5])
    assert_allclose(high, [2 + 0.7 * 8, 5])


def test_on_the_episode_axis_a_trial_that_stopped_holds_its_last_value():
    one = curve(three_trials(), "a", "episode", "reward")
    assert one.trials == 3
    assert one.held_from == 1.0
    assert_array_equal(one.x, [0, 1, 2])
    table = np.array([[1.0, 2, 3], [3, 4, 8], [5, 6, 6]])
    assert_allclose(one.mean, [3, 4, 17 / 3])
    assert_allclose(one.low, np.percentile(table, 10, axis=0))
    assert_allclose(one.high, np.percentile(table, 90, axis=0))


def test_rounds_without_evaluation_are_left_out():
    nan = np.nan
    frame = pd.concat(
        [
            trial_rows("a", 0, evaluation=[nan, 1, nan, 3.0]),
            trial_rows("a", 1, evaluation=[0.0, 2, nan, 5.0]),
        ]
    )
    one = curve(frame, "a", "episode", "evaluation")
    assert_array_equal(one.x, [1, 3])
    assert_array_equal(one.mean, [1.5, 4])
    assert one.held_from is None


def test_on_a_cost_axis_trials_meet_on_a_grid_from_the_first_common_value():
    # Bytes so far: 10 20 40; 20 40 60; 10 10.
    one = curve(three_trials(), "a", "uplink_bytes", "reward", points=5)
    assert_array_equal(one.x, [20, 30, 40, 50, 60])
    table = np.array([[2.0, 2, 3, 3, 3], [3, 3, 4, 4, 8], [6, 6, 6, 6, 6]])
    assert_allclose(one.mean, table.mean(axis=0))
    assert_allclose(one.low, np.percentile(table, 10, axis=0))
    assert_allclose(one.high, np.percentile(table, 90, axis=0))
    assert one.held_from == 20.0  # trial 2 ended at 10 bytes, before the curve begins


def test_the_grid_has_the_point_where_holding_begins():
    frame = pd.concat(
        [
            trial_rows("a", 0, size=[10.0, 10, 10], reward=[1.0, 2, 3]),
            trial_rows("a", 1, size=[10.0, 10, 20], reward=[3.0, 4, 5]),
        ]
    )
    one = curve(frame, "a", "uplink_bytes", "reward", points=3)
    assert_array_equal(one.x, [10, 25, 30, 40])
    assert_array_equal(one.mean, [2, 3, 3.5, 4])
    assert one.held_from == 30.0


def test_a_trial_between_two_evaluations_is_not_yet_held():
    nan = np.nan
    frame = pd.concat(
        [
            trial_rows("a", 0, messages=[1.0, 1, 1], evaluation=[1.0, nan, nan]),
            trial_rows("a", 1, messages=[1.0, 1, 1], evaluation=[3.0, 5, 7]),
        ]
    )
    one = curve(frame, "a", "messages", "evaluation", points=3)
    assert one.held_from is None
    assert_array_equal(one.mean, [2, 3, 4])


def test_a_cheap_label_is_held_to_the_end_of_the_dear_one():
    cheap = trial_rows("cheap", 0, size=[1.0, 1], reward=[1.0, 2])
    dear = trial_rows("dear", 0, size=[50.0, 50], reward=[0.0, 3])
    first, second = curves(pd.concat([cheap, dear]), "uplink_bytes", "reward", points=3)
    assert_array_equal(first.x, [1, 1.5, 2, 100])
    assert_array_equal(first.mean, [1, 1, 2, 2])
    assert first.held_from == 2.0
    assert_array_equal(second.x, [50, 75, 100])
    assert second.held_from is None


def test_on_the_episode_axis_a_label_ends_by_itself():
    short = trial_rows("short", 0, reward=[1.0, 2])
    long = trial_rows("long", 0, reward=[1.0, 2, 3])
    first, second = curves(pd.concat([short, long]), "episode", "reward")
    assert (first.x[-1], first.held_from) == (1.0, None)
    assert (second.x[-1], second.held_from) == (2.0, None)


def test_a_label_that_sends_nothing_is_one_point():
    one = curve(trial_rows("a", 0, reward=[1.0, 2]), "a", "messages", "reward")
    assert_array_equal(one.x, [0])
    assert_array_equal(one.mean, [2])
    assert one.held_from is None


def test_what_cannot_be_drawn_is_said():
    frame = trial_rows("dql", 4, evaluation=[np.nan, np.nan])
    with pytest.raises(
        ResultsError, match=r"'dql' has no evaluation .* trial 4.*every"
    ):
        curve(frame, "dql", "episode", "evaluation")
    with pytest.raises(ResultsError, match="no rows"):
        curves(frame.iloc[:0])
    with pytest.raises(UnknownNameError, match=r"label 'dq'.*'dql'"):
        curve(frame, "dq")
    with pytest.raises(UnknownNameError, match=r"x axis 'episodes'.*'episode'"):
        curve(frame, "dql", "episodes")
    with pytest.raises(UnknownNameError, match=r"y axis 'rewards'.*'reward'"):
        curve(frame, "dql", "episode", "rewards")
    with pytest.raises(ValueError, match="points is 1"):
        curve(frame, "dql", points=1)


@pytest.mark.filterwarnings("error")
def test_a_value_that_is_no_number_takes_the_band_down():
    mean, low, high = band([[-np.inf, 1.0], [2.0, 3.0], [4.0, 5.0]])
    assert mean.tolist() == [-np.inf, 3.0]
    assert low.tolist() == [-np.inf, 1.4]
    assert high.tolist() == [3.6, 4.6]
