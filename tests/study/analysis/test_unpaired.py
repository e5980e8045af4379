from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commenv.study.analysis.intervals import (
    bootstrap_t_interval,
    mean_interval,
    student_interval,
)
from commenv.study.analysis.statistics import Interval
from commenv.study.analysis.unpaired import (
    permutation_test,
    superiority,
    unpaired_interval,
)

stats = pytest.importorskip("scipy.stats")


def test_the_interval_by_hand():
    # 10 in 9 to 12, less 4 in 1 to 5: 6 - hypot(1, 1) to 6 + hypot(2, 3).
    one, other = (Interval(*map(np.float64, ends)) for ends in ((9, 12), (1, 5)))
    low, high = unpaired_interval(10.0, one, 4.0, other)
    assert (low, high) == pytest.approx((6 - np.sqrt(2), 6 + np.sqrt(13)))


def test_of_many_normal_trials_the_interval_is_welchs():
    rng = np.random.default_rng(0)
    a, b = rng.normal(1, 1, 400), rng.normal(0, 3, 300)
    found = unpaired_interval(a.mean(), mean_interval(a), b.mean(), mean_interval(b))
    welch = stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    np.testing.assert_allclose(found, (welch.low, welch.high), atol=0.03)


def wider_interval(values):
    """What a mean of unknown range has with many trials, on each side."""
    one, other = student_interval(values), bootstrap_t_interval(values, resamples=499)
    return Interval(np.minimum(one.low, other.low), np.maximum(one.high, other.high))


@pytest.mark.parametrize("spread", [1.0, 10.0])
def test_the_interval_holds_the_difference_at_least_as_often_as_it_says(spread):
    rng = np.random.default_rng(1)
    a, b = spread * rng.normal(size=(10, 2000)), rng.exponential(size=(20, 2000)) - 1
    parts = [(x.mean(axis=0), wider_interval(x)) for x in (a, b)]
    low, high = unpaired_interval(*parts[0], *parts[1])
    assert ((low <= 0) & (high >= 0)).mean() >= 0.95


def test_the_permutation_test_is_scipys():
    rng = np.random.default_rng(2)
    a, b = rng.normal(0.8, 1, 12), rng.exponential(1, 9)

    def welch(x, y, axis):
        errors = (
            x.var(axis, ddof=1) / x.shape[axis] + y.var(axis, ddof=1) / y.shape[axis]
        )
        return np.abs(x.mean(axis) - y.mean(axis)) / np.sqrt(errors)

    expected = stats.permutation_test(
        (a, b), welch, vectorized=True, n_resamples=50_000, alternative="greater", rng=1
    ).pvalue
    error = 4 * np.sqrt(expected * (1 - expected) / 9_999)
    assert permutation_test(a, b) == pytest.approx(expected, abs=error + 0.005)


def test_labels_that_do_not_differ_are_told_apart_no_more_often_than_said():
    rng = np.random.default_rng(3)
    samples = rng.exponential(size=(600, 15))
    p = np.array([permutation_test(x[:5], x[5:], resamples=199) for x in samples])
    assert (p <= 0.05).mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 600)
    far = [permutation_test(x[:5] + 4, x[5:], resamples=199) for x in samples[:100]]
    assert (np.array(far) <= 0.05).mean() > 0.9


def test_equal_trials_and_rounding():
    assert permutation_test([0.3] * 5, [0.1 + 0.2] * 5) == 1.0
    # Of 252 divisions two lie as far apart.
    assert permutation_test([1.0] * 5, [2.0] * 5) == pytest.approx(2 / 252, abs=0.004)
    assert permutation_test([0.3, 0.1 + 0.2], [0.3, 0.3]) == 1.0


def test_superiority_is_mann_and_whitneys_share():
    rng = np.random.default_rng(4)
    a, b = rng.integers(5, size=12) / 10, rng.integers(5, size=7) / 10
    expected = stats.mannwhitneyu(a, b).statistic / (12 * 7)
    assert superiority(a, b) == pytest.approx(expected)
    assert superiority([0.1 + 0.2], [0.3]) == 0.5


@given(
    a=st.lists(st.integers(-9, 9), min_size=2, max_size=6).map(np.array),
    b=st.lists(st.integers(-9, 9), min_size=2, max_size=6).map(np.array),
    power=st.floats(-12, 12),
    shift=st.integers(-1000, 1000),
)
@settings(max_examples=60, deadline=None)
def test_nothing_depends_on_the_unit_nor_on_where_0_is(a, b, power, shift):
    moved = [10.0**power * (x + shift) for x in (a, b)]
    assert superiority(*moved) == superiority(a, b)
    found = permutation_test(*moved, resamples=99)
    assert found == permutation_test(a, b, resamples=99)
