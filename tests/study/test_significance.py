from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commenv.study.significance import (
    bootstrap_t,
    difference_test,
    equivalence,
    holm,
    mean_test,
    share_test,
    sign_flip,
)
from commenv.study.statistics import bootstrap_t_interval

stats = pytest.importorskip("scipy.stats")

SAMPLES = 2_000
TRIALS = (10, 20, 100)
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


def test_the_sign_flip_test_by_hand():
    # Of the 8 patterns of (1, 2, 4), only +++ sums to 7 or more; two to 5 or more.
    assert sign_flip([1.0, 2.0, 4.0]) == 1 / 8
    assert sign_flip([-1.0, 2.0, 4.0]) == 2 / 8
    assert sign_flip([1.0, 2.0, 4.0], side="less") == 1.0
    # Away from 1 they are (0, 1, 3): the sign of the 0 changes nothing.
    assert sign_flip([1.0, 2.0, 4.0], 1.0) == 2 / 8
    assert sign_flip([-1.0, -2.0, -4.0], -1.0, "less") == 2 / 8


@pytest.mark.parametrize("side", ["greater", "less"])
def test_the_exact_sign_flip_test_is_scipys_permutation_test(side):
    values = samples("exponential", 9, 1)[:, 0] + 0.3
    expected = stats.permutation_test(
        (values,),
        np.mean,
        permutation_type="samples",
        n_resamples=np.inf,
        alternative=side,
    ).pvalue
    assert sign_flip(values, side=side) == pytest.approx(expected)


def test_many_trials_are_flipped_at_random_and_p_counts_the_trials_themselves():
    values = samples("normal", 17, 1)[:, 0] + 0.4
    bits = (np.arange(2**17)[:, None] >> np.arange(17)) & 1
    exact = ((2.0 * bits - 1) @ values >= values.sum() - 1e-9).mean()
    drawn = float(sign_flip(values, resamples=20_000))
    assert drawn == pytest.approx(exact, abs=4 * np.sqrt(exact / 20_000))
    assert sign_flip(np.full(17, 3.0), resamples=99) == 1 / 100


def test_the_tests_come_near_students_for_many_normal_trials():
    values = samples("normal", 100, 1)[:, 0] + 0.15
    expected = stats.ttest_1samp(values, 0, alternative="greater").pvalue
    assert 0.001 < expected < 0.2
    assert sign_flip(values) == pytest.approx(expected, rel=0.25)
    assert bootstrap_t(values) == pytest.approx(expected, rel=0.25)


def test_the_bootstrap_test_rejects_where_its_interval_leaves_out_the_margin():
    values = samples("exponential", 20, 300)
    p = bootstrap_t(values, 0.0, "less", resamples=999)
    high = bootstrap_t_interval(values, 0.95, resamples=999).high
    agree = (p <= 0.025) == (high < 0)
    assert agree[np.abs(p - 0.025) > 0.002].all()


@pytest.mark.parametrize("trials", TRIALS)
@pytest.mark.parametrize("population", POPULATIONS)
@pytest.mark.parametrize("side", ["greater", "less"])
def test_paired_labels_that_do_not_differ_are_told_apart_no_more_often_than_said(
    population, trials, side
):
    both = samples(population, trials, 2 * SAMPLES)
    p = mean_test(both[:, ::2] - both[:, 1::2], 0.0, side, resamples=999)
    for level in (0.05, 0.025):
        assert (p <= level).mean() <= most(level)
    assert (p <= 0.05).mean() >= 0.02  # nor is it blind


@pytest.mark.parametrize("trials", TRIALS)
def test_a_single_skewed_label_is_judged_falsely_no_more_often_than_said(trials):
    values = samples("exponential", trials)
    wrong = mean_test(values, 0.0, "less", resamples=999)
    assert (wrong <= 0.05).mean() <= most(0.05)
    # What the correction is for: Student's test is wrong more often.
    student = stats.ttest_1samp(values, 0, alternative="less").pvalue
    assert (wrong <= 0.05).mean() < (student <= 0.05).mean() - 0.01


@pytest.mark.parametrize("trials", TRIALS)
@pytest.mark.parametrize("population", POPULATIONS)
def test_a_mean_at_the_margin_is_called_equal_no_more_often_than_said(
    population, trials
):
    # Narrow enough, beside the spread, that many trials could call it equal.
    values = 0.2 * samples(population, trials) + 0.5
    assert (equivalence(values, 0.5, resamples=999) <= 0.05).mean() <= most(0.05)
    assert (equivalence(values, 1.0, resamples=999) <= 0.05).mean() > 0.8


@pytest.mark.parametrize("trials", TRIALS)
def test_a_mean_within_the_margin_is_called_different_no_more_often_than_said(trials):
    values = samples("normal", trials)
    assert (difference_test(values, 0.0, resamples=999) <= 0.05).mean() <= most(0.05)
    assert (difference_test(values, 0.5, resamples=999) <= 0.05).mean() <= 0.02
    shifted = values + 2.0
    assert (difference_test(shifted, 0.5, resamples=999) <= 0.05).mean() > 0.85


def test_large_effects_are_found_with_ten_trials():
    p = mean_test(samples("normal", 10) + 2.0, resamples=999)
    assert (p <= 0.025).mean() > 0.95


def test_equal_trials_are_judged_by_their_number_and_side():
    values = np.full(10, -5.217)
    assert mean_test(values, -6.0) == 2**-10
    assert mean_test(values, -6.0, "less") == 1.0
    assert mean_test(values, -5.217) == 1.0
    assert mean_test(values, -5.217, "less") == 1.0
    assert equivalence(values + 5.217, 1e-6) == 2**-10
    assert bootstrap_t(values) == 1.0


def test_a_rounding_error_is_not_an_effect():
    assert mean_test(np.full(12, 0.1 + 0.2), 0.3) == 1.0
    assert mean_test(np.tile([0.3, 0.1 + 0.2], 6), 0.3) == 1.0
    assert mean_test(np.full(12, 3e-11 + 1e-27), 3e-11) == 1.0
    # Small numbers are not rounding errors: the unit may be large.
    assert mean_test(np.full(12, 1e-16)) == 2**-12


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
        for test in (sign_flip, bootstrap_t, mean_test):
            expected = test(values, margin, side, **how)
            moved = scale * (values + shift), scale * (margin + shift), side
            assert test(*moved, **how) == expected
    for test in (difference_test, equivalence):
        expected = test(values, margin, **how)
        assert test(scale * values, scale * margin, **how) == expected


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
    values = samples("normal", 20, 1)[:, 0] + 0.3
    assert mean_test(values, seed=4) == mean_test(values, seed=4)
    assert len({float(mean_test(values, seed=seed)) for seed in range(5)}) > 1


@pytest.mark.parametrize("test", [sign_flip, bootstrap_t, mean_test, difference_test])
def test_values_that_are_not_numbers_are_refused(test):
    with pytest.raises(ValueError, match="NaN or infinite"):
        test([1.0, np.nan, 2.0])


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="side is 'two'"):
        sign_flip([1.0, 2.0], side="two")
    with pytest.raises(ValueError, match="margin is -1"):
        equivalence([1.0, 2.0], -1)
    with pytest.raises(ValueError, match="0 to 1"):
        holm([0.5, 1.5])
