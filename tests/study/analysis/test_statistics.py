from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from commenv.study.analysis.intervals import (
    LEAST_IQM,
    LEAST_UNBOUNDED,
    bca_interval,
    bootstrap_t_interval,
    bounded_interval,
    iqm_interval,
    least_trials,
    mean_interval,
    share_interval,
    student_interval,
)
from commenv.study.analysis.statistics import (
    apart,
    iqm,
    is_constant,
    percentiles,
    probability_of_improvement,
    studentised_resamples,
)
from tests.study.analysis.coverage import TRIALS, most, populations, simulate

stats = pytest.importorskip("scipy.stats")

SAMPLES = 2_000
# Each has mean 0, so an interval for the mean should hold 0.
POPULATIONS = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "exponential": lambda rng, shape: rng.exponential(size=shape) - 1,
    "student t": lambda rng, shape: rng.standard_t(3, size=shape),
}


def samples(population, trials, columns=SAMPLES):
    """Many samples side by side, the same ones in every test."""
    rng = np.random.default_rng([trials, list(POPULATIONS).index(population)])
    return POPULATIONS[population](rng, (trials, columns))


def error_of_a_rate(rate, count=SAMPLES):
    """Three standard errors of a share counted in so many samples."""
    return 3 * np.sqrt(rate * (1 - rate) / count)


def test_percentiles_interpolate_between_trials():
    low, high = percentiles(np.arange(11.0))
    assert (low, high) == (1.0, 9.0)
    low, high = percentiles([[0.0, 10.0], [1.0, 20.0]])
    np.testing.assert_allclose(low, [0.1, 11.0])
    np.testing.assert_allclose(high, [0.9, 19.0])


def test_the_interquartile_mean_leaves_out_a_quarter_on_each_side():
    assert iqm([100.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, -100.0]) == 3.5
    assert iqm([7.0]) == 7.0
    # 2 x 5 numbers: 10 // 4 = 2 go on each side, whichever task they are of.
    assert iqm([[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]) == 4.5
    np.testing.assert_array_equal(
        iqm([[0, 9], [1, 8], [2, 7], [9, 0]], axis=0), [1.5, 7.5]
    )


@pytest.mark.parametrize("count", [4, 10, 21])
def test_the_interquartile_mean_is_scipys_trimmed_mean(count):
    values = np.random.default_rng(count).exponential(size=(count, 3))
    assert iqm(values) == pytest.approx(stats.trim_mean(values, 0.25, axis=None))


def test_students_interval_is_scipys():
    values = samples("exponential", 12, 3)
    low, high = student_interval(values, 0.9)
    expected = [
        stats.ttest_1samp(column, 0).confidence_interval(0.9) for column in values.T
    ]
    np.testing.assert_allclose(np.transpose([low, high]), expected)


def test_students_interval_by_hand():
    # Mean 2, error 1 / sqrt(3); Student's t with 2 degrees reaches 4.30265.
    low, high = student_interval([1.0, 2.0, 3.0])
    assert low == pytest.approx(2 - 4.302653 / np.sqrt(3), abs=1e-6)
    assert high == pytest.approx(2 + 4.302653 / np.sqrt(3), abs=1e-6)


def test_the_bca_interval_is_scipys():
    values = samples("exponential", 40, 1)[:, 0]
    ours = bca_interval(values, np.mean, 0.9, resamples=20_000)
    theirs = stats.bootstrap(
        (values,), np.mean, confidence_level=0.9, n_resamples=20_000, method="BCa"
    ).confidence_interval
    # Both are random; an end moves by about .005 from seed to seed.
    np.testing.assert_allclose(ours, theirs, atol=0.03)
    assert ours.high - values.mean() > values.mean() - ours.low


def test_the_interquartile_means_interval_resamples_whole_trials():
    # Two tasks of equal scores: pooled they are each trial twice, no more certain.
    scores = samples("normal", 20, 1)
    alone = iqm_interval(scores, seed=3)
    twice = iqm_interval(np.hstack([scores, scores]), seed=3)
    np.testing.assert_allclose(alone, twice, atol=0.05)
    assert alone.low < iqm(scores) < alone.high


def test_a_studentised_resample_by_hand():
    # Of 4 trials a resample takes 2 (at least), so it has one of few values.
    values = np.array([0.0, 0.0, 0.0, 4.0])
    ratios = studentised_resamples(values, resamples=500)
    # (0, 0): mean - 1, no variance, so a fourth of the sample's 4, error sqrt(1 / 2).
    # (0, 4): mean + 1, variance 8, error 2. (4, 4): mean + 3, error sqrt(1 / 2).
    np.testing.assert_allclose(
        np.unique(ratios.round(9)), [-np.sqrt(2), 0.5, 3 * np.sqrt(2)]
    )


def test_the_studentised_interval_reaches_further_where_the_tail_is():
    values = samples("exponential", 20, 200)
    low, high = bootstrap_t_interval(values, resamples=999)
    center = values.mean(axis=0)
    assert ((high - center) > 1.2 * (center - low)).mean() > 0.9


@pytest.mark.parametrize("trials", [*TRIALS, LEAST_UNBOUNDED])
@pytest.mark.parametrize("population", [*populations()], ids=lambda one: one.name)
def test_intervals_hold_the_mean_and_figures_have_no_false_verdict(population, trials):
    """The tables of the documentation, with fewer samples."""
    found = simulate(population, trials, 150, resamples=999)
    if trials < least_trials(population.bounds):
        assert np.isnan(found.held)
        return
    assert 1 - found.held <= most(0.07, found.samples)
    assert found.wrong <= most(0.05, found.figures)


@pytest.mark.parametrize("trials", [2, 10, LEAST_UNBOUNDED - 1])
def test_too_few_trials_of_unknown_range_have_no_interval(trials):
    values = samples("normal", trials, 3)
    assert np.isnan(mean_interval(values)).all()
    assert np.isnan(mean_interval(values[:, 0])).all()
    low, high = mean_interval(values, bounds=(-9, 9))
    assert (low < high).all()


def test_many_trials_of_unknown_range_have_one():
    values = samples("exponential", LEAST_UNBOUNDED, 2)
    low, high = mean_interval(values, seed=1)
    one = student_interval(values)
    other = bootstrap_t_interval(values, seed=1)
    np.testing.assert_array_equal(low, np.minimum(one.low, other.low))
    np.testing.assert_array_equal(high, np.maximum(one.high, other.high))


@pytest.mark.parametrize(("trials", "reach"), [(10, 0.380), (20, 0.217), (100, 0.049)])
def test_equal_trials_leave_open_what_the_unseen_may_be(trials, reach):
    low, high = bounded_interval(np.full(trials, 0.5), (0, 1))
    assert 0.5 - low == pytest.approx(reach / 2, abs=5e-4)
    assert high - 0.5 == pytest.approx(reach / 2, abs=5e-4)
    # 3 % of failures are still possible.
    assert low < 0.97 * 0.5


def test_an_interval_does_not_depend_on_the_unit_and_ends_with_the_range():
    values = np.random.default_rng(0).uniform(-9, -5, (30, 4))
    low, high = bounded_interval(values, (-10, -5))
    for scale, shift in ((1e-10, 0.0), (1e10, 0.0), (1.0, 100.0)):
        other = bounded_interval(
            values * scale + shift, (-10 * scale + shift, -5 * scale + shift)
        )
        np.testing.assert_allclose(other.low, low * scale + shift)
        np.testing.assert_allclose(other.high, high * scale + shift)
    down, up = bounded_interval(-values, (5, 10))
    np.testing.assert_allclose((down, up), (-high, -low))
    best = bounded_interval(np.full(20, -5.0), (-10, -5))
    assert best.low < best.high == -5


def test_only_a_range_of_one_value_gives_a_point():
    assert bounded_interval(np.full(5, 3.0), (3, 3)) == (3, 3)
    low, high = bounded_interval(np.full(5, 3.0), (3, 4))
    assert low == 3 < high


@pytest.mark.parametrize("bounds", [(1, 0), (0, np.inf), (np.nan, 1)])
def test_bounds_are_a_range(bounds):
    with pytest.raises(ValueError, match="give two finite numbers, low to high"):
        bounded_interval([0.5, 0.5], bounds)


def test_a_value_outside_its_range_is_refused_but_for_rounding():
    with pytest.raises(ValueError, match=r"1\.5 lies outside the range 0 to 1"):
        mean_interval([0.5, 1.5], bounds=(0, 1))
    assert bounded_interval([0.1 + 0.2, 0.3], (0, 0.3)).high == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(100, 100, 0.025**0.01, 1.0), (0, 10, 0.0, 1 - 0.025**0.1)],
)
def test_the_interval_of_a_share_without_exceptions(successes, trials, low, high):
    np.testing.assert_allclose(share_interval(successes, trials), (low, high))


def test_the_interval_of_a_share_is_scipys_exact_one():
    expected = stats.binomtest(17, 20).proportion_ci(0.9, method="exact")
    np.testing.assert_allclose(share_interval(17, 20, 0.9), expected)


@pytest.mark.parametrize("share", [0.5, 0.95])
@pytest.mark.parametrize("trials", [10, 20, 100])
def test_the_interval_of_a_share_holds_it_at_least_as_often_as_it_says(trials, share):
    intervals = [share_interval(k, trials) for k in range(trials + 1)]
    chances = stats.binom.pmf(np.arange(trials + 1), trials, share)
    held = [low <= share <= high for low, high in intervals]
    assert chances[held].sum() >= 0.95


def test_equal_trials_of_unknown_range_have_no_interval():
    values = np.full((LEAST_UNBOUNDED, 2), -5.217)
    values[:, 1] += np.resize([0.0, 1e-15], LEAST_UNBOUNDED)
    assert np.isnan(mean_interval(values)).all()
    assert is_constant(values).all()


def test_trials_are_equal_by_their_own_size_and_not_by_an_absolute_one():
    assert is_constant(np.full(3, 0.1 + 0.2))
    assert is_constant(np.array([0.3, 0.1 + 0.2]))
    assert is_constant(np.zeros(3))
    assert is_constant(np.array([1e12, 1e12 + 1]))
    assert not is_constant(np.array([0.0, 1e-300]))
    assert not is_constant(np.array([1e-15, -1e-15]))
    assert not is_constant(np.array([1.0, 1 + 1e-8]))
    table = np.array([[1.0, 1e-12], [1.0, 3e-12]])
    np.testing.assert_array_equal(is_constant(table), [True, False])


def test_a_difference_is_0_where_rounding_makes_it():
    a = [0.1 + 0.2, 1e-20, 0.0, 5.0, -5.217, -np.inf]
    b = [0.3, 3e-20, 0.0, 4.0, np.nextafter(-5.217, 0), 1.0]
    expected = [0.0, 1e-20 - 3e-20, 0.0, 1.0, 0.0, -np.inf]
    np.testing.assert_array_equal(apart(a, b), expected)
    np.testing.assert_array_equal(apart([1.0, 0.1 + 0.2], 0.3), [0.7, 0.0])


SCALES = st.floats(-12, 12).map(lambda power: 10.0**power)
TRIALS = st.lists(st.integers(-50, 50), min_size=3, max_size=12).map(np.array)


@given(values=TRIALS, scale=SCALES, shift=st.integers(-1000, 1000))
@example(values=np.array([0, 19, 19, 19, 19]), scale=10.0**2.25, shift=0)
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize(
    ("interval", "how"),
    [
        (student_interval, {}),
        (bootstrap_t_interval, {"resamples": 199}),
        (bca_interval, {"statistic": iqm, "resamples": 199}),
    ],
)
def test_an_interval_moves_and_grows_with_the_unit(interval, how, values, scale, shift):
    low, high = map(float, interval(values, **how))
    moved = interval(scale * (values + shift), **how)
    size = scale * max(np.abs(values + shift).max(), np.ptp(values))
    expected = scale * (np.array([low, high]) + shift)
    np.testing.assert_allclose(moved, expected, rtol=1e-9, atol=1e-11 * size)


@given(values=TRIALS, scale=SCALES)
@settings(max_examples=40, deadline=None)
def test_a_bounded_interval_grows_with_the_unit(values, scale):
    expected = scale * np.array(mean_interval(values, bounds=(-60, 60)))
    moved = mean_interval(scale * values, bounds=(-60 * scale, 60 * scale))
    np.testing.assert_allclose(moved, expected, rtol=1e-6, atol=1e-6 * scale)


@given(values=TRIALS, scale=SCALES)
@settings(deadline=None)
def test_who_is_above_does_not_depend_on_the_unit(values, scale):
    one, other = values / 10, values[::-1] / 10
    expected = probability_of_improvement(values, values[::-1])
    assert probability_of_improvement(scale * one, scale * other) == expected


def test_the_interquartile_mean_has_an_interval_from_20_trials_that_differ():
    values = samples("normal", LEAST_IQM, 1)[:, 0]
    assert np.isnan(iqm_interval(values[:-1])).all()
    assert not np.isnan(iqm_interval(values)).any()
    assert np.isnan(iqm_interval(np.ones(50))).all()


def test_one_deviating_trial_of_many_bounds_the_mean_all_the_same():
    values = np.zeros(LEAST_UNBOUNDED)
    values[7] = 0.002
    low, high = mean_interval(values)
    assert low <= values.mean() < high < 0.001


def test_the_probability_of_improvement_counts_ties_half():
    assert probability_of_improvement([1, 2, 3, 4], [0, 2, 5, 1]) == 2.5 / 4
    assert probability_of_improvement([1, 1], [1, 1]) == 0.5
    assert probability_of_improvement([0.1 + 0.2, 3e-17], [0.3, 1e-17]) == 0.75


def test_a_seed_fixes_an_interval_and_nothing_else_does():
    values = samples("exponential", LEAST_UNBOUNDED, 1)[:, 0]
    np.random.seed(0)  # noqa: NPY002 - the global state, which must not matter
    first = mean_interval(values, seed=1), iqm_interval(values, seed=1)
    np.random.seed(1)  # noqa: NPY002
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    assert (mean_interval(values, seed=1), iqm_interval(values, seed=1)) == first
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    assert iqm_interval(values, seed=2) != first[1]
    assert bootstrap_t_interval(values, seed=2) != bootstrap_t_interval(values, seed=1)


@pytest.mark.parametrize("interval", [mean_interval, iqm_interval, student_interval])
def test_trials_without_a_number_are_refused(interval):
    with pytest.raises(ValueError, match="1 of 3 values are NaN"):
        interval([1.0, np.nan, 2.0])
    with pytest.raises(ValueError, match="1 trials; this needs at least 2"):
        interval([1.0])
    with pytest.raises(ValueError, match="shape"):
        interval(np.zeros((3, 3, 3)))


def test_importing_does_not_import_scipy_or_pandas():
    code = (
        "import sys, commenv.study.analysis.claims, commenv.study.analysis.comparison;"
        "sys.exit(any(name in sys.modules for name in ('scipy', 'pandas')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
