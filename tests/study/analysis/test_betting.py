from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from commenv.study.analysis.betting import capital, lower_end


def test_two_bets_by_hand():
    # Before any trial the variance counts as 1/4.
    first = np.sqrt(2 * np.log(40) / (2 * 0.25))
    # Then the mean is (1/2 + .9) / 2 = .7, the variance (1/4 + .2^2) / 2 = .145.
    second = np.sqrt(2 * np.log(40) / (2 * 0.145))
    # Against .1 both are less than .75 / .1.
    expected = (1 + first * 0.8) * (1 + second * 0.4)
    assert (first, second) < (7.5, 7.5)
    assert capital(np.array([0.9, 0.5]), 0.1) == pytest.approx(expected)
    # Against .5 no more than .75 of the capital can be lost on a trial.
    assert capital(np.array([0.0, 0.5]), 0.5) == pytest.approx(0.25)


@pytest.mark.parametrize("trials", [1, 2, 5, 9])
@pytest.mark.parametrize("share", [0.03, 0.3, 0.5, 0.97])
def test_the_capital_does_not_grow_on_average_if_the_mean_is_as_said(trials, share):
    """All outcomes of trials that are 0 or 1, each with its chance."""
    outcomes = np.array(list(product([0.0, 1.0], repeat=trials))).T
    ones = outcomes.sum(axis=0)
    chances = share**ones * (1 - share) ** (trials - ones)
    assert (chances * capital(outcomes, share)).sum() == pytest.approx(1.0)
    # A lower mean than said makes it fall, one above makes it grow.
    assert (chances * capital(outcomes, share + 0.02)).sum() < 1
    assert (chances * capital(outcomes, share - 0.02)).sum() > 1


def test_three_values_with_unequal_chances():
    values, chances = np.array([0.0, 0.3, 1.0]), np.array([0.1, 0.7, 0.2])
    outcomes = np.array(list(product(range(3), repeat=5))).T
    weights = chances[outcomes].prod(axis=0)
    found = capital(values[outcomes], values @ chances)
    assert (weights * found).sum() == pytest.approx(1.0)
    assert weights[found >= 40].sum() <= 1 / 40


def test_the_end_is_where_the_capital_is_what_is_needed():
    values = np.random.default_rng(0).uniform(0.3, 0.9, (30, 50))
    low = lower_end(values, 40.0)
    np.testing.assert_allclose(capital(values, low), 40.0, rtol=1e-6)
    assert (low < values.mean(axis=0)).all()
    assert lower_end(values[:, 0], 40.0) == pytest.approx(low[0])


def test_trials_at_the_end_of_the_range_say_nothing_against_it():
    assert lower_end(np.zeros(10), 40.0) == 0
    assert capital(np.zeros(10), 0.0) == 1.0
    assert lower_end(np.array([0.1]), 40.0) == 0


def test_numbers_as_small_as_can_be_are_no_trouble():
    values = np.array([[1e-300, 1.0], [0.0, 1.0], [1e-16, 0.0]])
    assert np.isfinite(capital(values, 1e-300)).all()
    assert np.isfinite(lower_end(values, 40.0)).all()
