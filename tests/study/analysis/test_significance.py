from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commenv.study.analysis.intervals import (
    LEAST_UNBOUNDED,
    bootstrap_t_interval,
    mean_interval,
)
from commenv.study.analysis.significance import (
    bootstrap_t,
    bounded_test,
    difference_test,
    equivalence,
    holm,
    mean_test,
    share_test,
    student,
)

stats = pytest.importorskip("scipy.stats")

SAMPLES = 700
# Mean 0. Paired trials differ by the difference of two such draws.
POPULATIONS = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "exponential": lambda rng, shape: rng.exponential(size=shape) - 1,
    "student t": lambda rng, shape: rng.standard_t(3, size=shape),
}


def samples(population, trials, columns=SAMPLES):
    """Many samples side by side, the same ones in every test."""
    rng = np.random.default_rng([7, trials, list(POPULATIONS).index(population)])
    return POPULATIONS[population](rng, (trials, columns))


def most(rate, count=SAMPLES):
    """The rate, and three standard errors of what is counted in so many samples."""
    return rate + 3 * np.sqrt(rate * (1 - rate) / count)


@pytest.mark.parametrize("side", ["greater", "less"])
def test_students_test_is_scipys(side):
    values = samples("exponential", 12, 3)
    expected = stats.ttest_1samp(values, 0.2, alternative=side).pvalue
    np.testing.assert_allclose(student(values, 0.2, side), expected)
    assert student(np.ones(5), 0.0, side) == 1.0


def test_the_bootstrap_comes_near_students_test_for_many_normal_trials():
    values = samples("normal", 100, 1)[:, 0] + 0.15
    expected = stats.ttest_1samp(values, 0, alternative="greater").pvalue
    assert 0.001 < expected < 0.2
    assert bootstrap_t(values) == pytest.approx(expected, rel=0.25)


@pytest.mark.parametrize("bounds", [None, (-1.0, 8.0)])
@pytest.mark.parametrize("side", ["greater", "less"])
def test_p_is_at_most_a_fortieth_where_the_interval_leaves_out_the_margin(side, bounds):
    values = samples("exponential", LEAST_UNBOUNDED, 200)
    if bounds:
        values = np.clip(values, -1, 8)
    how = {"bounds": bounds, "seed": 3, "resamples": 999}
    low, high = mean_interval(values, **how)
    margin = 0.15 if bounds else 0.12
    margin *= -1 if side == "greater" else 1
    p = mean_test(values, margin, side, **how)
    left_out = margin < low if side == "greater" else high < margin
    assert 0.1 < left_out.mean() < 0.9
    clear = np.abs(p - 0.025) > 0.002
    assert ((p <= 0.025) == left_out)[clear].all()


@pytest.mark.parametrize("trials", [1, 2, 20, LEAST_UNBOUNDED - 1])
def test_too_few_trials_of_unknown_range_decide_nothing(trials):
    values = 100.0 + samples("normal", trials, 2)
    assert (mean_test(values) == 1).all()
    assert (difference_test(values) == 1).all()
    assert (equivalence(values - 100, 50.0) == 1).all()


def test_the_bounded_test_by_hand():
    # 10 of 10 trials at 1, against a mean of 3/4: 3/4 / (3/4) is the most that may be
    # staked, and each trial wins a quarter of it.
    assert bounded_test(np.ones(10), (0, 1), 0.75) == pytest.approx(1.25**-10)
    assert bounded_test(np.zeros(10), (0, 1), 0.25, "less") == pytest.approx(1.25**-10)
    assert bounded_test(np.ones(10), (0, 1), 0.75, "less") == 1.0
    assert bounded_test(np.full(10, -6.0), (-10, -6), -7) == pytest.approx(1.25**-10)


def test_what_lies_beyond_the_range_needs_no_trial():
    values = np.full(5, 0.5)
    assert bounded_test(values, (0, 1), -0.1) == 0
    assert bounded_test(values, (0, 1), 1.1, "less") == 0
    assert bounded_test(values, (0, 1), 1.1) == 1
    assert bounded_test(values, (0.5, 0.5), 0.4) == 0
    assert bounded_test(values, (0.5, 0.5), 0.5) == 1


def test_the_bootstrap_test_rejects_where_its_interval_leaves_out_the_margin():
    values = samples("exponential", 20, 300)
    p = bootstrap_t(values, 0.0, "less", resamples=999)
    high = bootstrap_t_interval(values, 0.95, resamples=999).high
    agree = (p <= 0.025) == (high < 0)
    assert agree[np.abs(p - 0.025) > 0.002].all()


@pytest.mark.parametrize("population", POPULATIONS)
def test_a_mean_at_the_margin_is_called_equal_no_more_often_than_said(population):
    # Narrow enough, beside the spread, that many trials could call it equal.
    values = 0.2 * samples(population, LEAST_UNBOUNDED) + 0.5
    assert (equivalence(values, 0.5, resamples=999) <= 0.05).mean() <= most(0.05)
    assert (equivalence(values, 1.0, resamples=999) <= 0.05).mean() > 0.8


def test_a_mean_within_the_margin_is_called_different_no_more_often_than_said():
    values = samples("normal", LEAST_UNBOUNDED)
    assert (difference_test(values, 0.0, resamples=999) <= 0.05).mean() <= most(0.05)
    assert (difference_test(values, 0.5, resamples=999) <= 0.05).mean() <= 0.02
    shifted = values + 2.0
    assert (difference_test(shifted, 0.5, resamples=999) <= 0.05).mean() > 0.85


def test_large_effects_are_found_with_ten_trials():
    rng = np.random.default_rng(0)
    values = rng.uniform(0.5, 0.9, (10, 500))
    p = mean_test(values, 0.3, bounds=(0, 1))
    assert (p <= 0.025).mean() > 0.95
    assert (difference_test(values - 0.3, bounds=(-0.3, 0.7)) <= 0.05).mean() > 0.95
    assert (equivalence(values - 0.7, 0.5, bounds=(-0.7, 0.3)) <= 0.05).mean() > 0.95


def test_equal_trials_are_judged_by_their_number_side_and_range():
    values, bounds = np.full(10, -5.217), (-10.0, -5.0)
    assert mean_test(values, -8.0, bounds=bounds) < 0.025
    assert mean_test(values, -6.0, bounds=bounds) > 0.025  # unseen ones may fail
    assert mean_test(values, -6.0, "less", bounds=bounds) == 1.0
    assert mean_test(values, -5.217, bounds=bounds) == 1.0
    assert mean_test(values, -5.217, "less", bounds=bounds) == 1.0
    many = np.full(LEAST_UNBOUNDED, -5.217)
    assert mean_test(many, -100.0) == bootstrap_t(many) == 1.0


def test_a_rounding_error_is_not_an_effect():
    bounds = (-1.0, 1.0)
    assert mean_test(np.full(12, 1e-16), bounds=bounds) == pytest.approx(1.0)
    assert mean_test(np.full(12, 0.1 + 0.2), 0.3, bounds=bounds) == pytest.approx(1.0)
    assert mean_test(np.full(12, 1 + 1e-15), 1.0, bounds=bounds) == 1.0


@given(
    values=st.lists(st.integers(-50, 50), min_size=3, max_size=12).map(np.array),
    margin=st.integers(0, 20),
    scale=st.floats(-12, 12).map(lambda power: 10.0**power),
    shift=st.integers(-1000, 1000),
)
@settings(max_examples=60, deadline=None)
def test_p_does_not_depend_on_the_unit_nor_on_where_0_is(values, margin, scale, shift):
    how = {"resamples": 199}
    for side in ("greater", "less"):
        moved = scale * (values + shift), scale * (margin + shift), side
        expected = bootstrap_t(values, margin, side, **how)
        assert bootstrap_t(*moved, **how) == expected
        expected = student(values, margin, side)
        assert student(*moved) == pytest.approx(expected, abs=1e-9)
        bounds = scale * (shift - 60), scale * (shift + 60)
        expected = mean_test(values, margin, side, bounds=(-60, 60))
        assert mean_test(*moved, bounds=bounds) == pytest.approx(expected, rel=1e-6)


def test_the_share_test_is_the_binomial_tail():
    assert share_test(100, 100, 0.95) == pytest.approx(0.95**100)
    assert share_test(0, 10, 0.5, "less") == pytest.approx(2**-10)
    for side in ("greater", "less"):
        expected = stats.binomtest(88, 100, 0.95, alternative=side).pvalue
        assert share_test(88, 100, 0.95, side) == pytest.approx(expected)


def test_holms_correction_by_hand():
    # .01 x 4, .02 x 3, .03 x 2 = .06, then .04 x 1, which may not fall below .06.
    np.testing.assert_allclose(holm([0.04, 0.01, 0.03, 0.02]), [0.06, 0.04, 0.06, 0.06])
    np.testing.assert_allclose(holm([0.6, 0.7]), [1.0, 1.0])
    np.testing.assert_allclose(holm([0.03]), [0.03])
    np.testing.assert_allclose(
        holm([[0.01, 0.5], [0.04, 0.01]]), [[0.02, 0.5], [0.04, 0.02]]
    )


def test_a_seed_fixes_p():
    values = samples("normal", LEAST_UNBOUNDED, 1)[:, 0] + 0.1
    p = [float(bootstrap_t(values, seed=seed)) for seed in (4, 4, *range(5))]
    assert p[0] == p[1]
    assert len(set(p)) > 1
    assert mean_test(values, seed=4) == mean_test(values, seed=4)


@pytest.mark.parametrize("test", [student, bootstrap_t, mean_test, difference_test])
def test_values_that_are_not_numbers_are_refused(test):
    with pytest.raises(ValueError, match="NaN or infinite"):
        test([1.0, np.nan, 2.0])


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="side is 'two'"):
        student([1.0, 2.0], side="two")
    with pytest.raises(ValueError, match="side is 'two'"):
        bounded_test([1.0, 2.0], (0, 2), side="two")
    with pytest.raises(ValueError, match="margin is -1"):
        equivalence([1.0, 2.0], -1)
    with pytest.raises(ValueError, match="0 to 1"):
        holm([0.5, 1.5])
