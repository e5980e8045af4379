"""ESPC's scheme against the sheet's Monte Carlo, its closed form, and exact m of n."""

import sys
import types

import numpy as np
import pytest
from scipy import stats

from commenv.channel import Left
from commenv.learning import SchemeDraws, Signal
from commenv.learning.schemes import ProbabilisticUtility
from commenv.rng import Draws

AGENTS = 50


def full_windows(scheme, utilities):
    """Probabilities of the newest of each row, the others being its past."""
    past = utilities[..., :-1]
    split = np.random.default_rng(5).random(utilities.shape[:-1])
    return scheme.probability(utilities[..., -1], past, split)


def gaussian(k, trials=8000):
    return np.random.default_rng(0).normal(size=(trials, AGENTS, k + 1))


@pytest.mark.parametrize(
    ("k", "expected"),
    [
        (3, {5: 5.71, 15: 18.76, 25: 25.0, 45: 44.28}),
        (5, {5: 5.87, 15: 16.64, 25: 25.0, 45: 44.14}),
        (10, {5: 5.40, 15: 15.67, 25: 25.0, 45: 44.61}),
        (30, {5: 5.12, 15: 15.21, 25: 25.0, 45: 44.89}),
    ],
)
def test_literal_sends_what_the_monte_carlo_oracle_says(k, expected):
    utilities = gaussian(k)
    for m, messages in expected.items():
        send = full_windows(ProbabilisticUtility(m=m, k=k), utilities)
        assert AGENTS * send.mean() == pytest.approx(messages, rel=0.01)


@pytest.mark.parametrize("k", [2, 3, 5, 10, 30])
@pytest.mark.parametrize("m", [1, 5, 25, 45])
def test_calibrated_sends_m_of_gaussian_utilities_for_every_window(k, m):
    send = full_windows(ProbabilisticUtility(m=m, k=k, mode="calibrated"), gaussian(k))
    error = AGENTS * send.std() / np.sqrt(send.size)
    assert abs(AGENTS * send.mean() - m) < 4 * error


@pytest.mark.parametrize("k", [2, 5, 30])
@pytest.mark.parametrize("m", [1, 5, 25, 45])
def test_ranks_send_m_of_any_exchangeable_utilities(k, m):
    utilities = np.round(np.exp(2 * gaussian(k)), 1)  # skewed, heavy-tailed, with ties
    send = full_windows(ProbabilisticUtility(m=m, k=k, mode="centered"), utilities)
    error = AGENTS * send.std() / np.sqrt(send.size)
    assert abs(AGENTS * send.mean() - m) < 4 * error


@pytest.mark.parametrize("m", [1, 10, 25, 49])
def test_the_first_literal_round_has_a_closed_form(m):
    past = np.full((1, AGENTS, 5), np.nan)
    utility = np.random.default_rng(0).normal(size=(1, AGENTS))
    send = ProbabilisticUtility(m=m).probability(utility, past, utility)
    expected = stats.binom.sf(AGENTS - m - 1, AGENTS - 1, 0.5)
    np.testing.assert_allclose(send, expected, rtol=1e-12)


def test_the_literal_window_holds_the_own_sample():
    """u = 3 after 1 and 2: mean 2, population variance 2/3."""
    past = np.array([[[np.nan, 1.0, 2.0]] * 4])
    send = ProbabilisticUtility(m=2, k=3).probability(
        np.full((1, 4), 3.0), past, np.zeros((1, 4))
    )
    p = stats.norm.cdf(1.0 / np.sqrt(2 / 3))
    np.testing.assert_allclose(send, stats.binom.sf(1, 3, p), rtol=1e-12)


def test_the_calibrated_window_leaves_the_own_sample_out():
    """u = 3 after 1 and 2: mean 1.5, s = sqrt(1/2), one degree of freedom."""
    past = np.array([[[np.nan, 1.0, 2.0]] * 4])
    send = ProbabilisticUtility(m=2, k=3, mode="calibrated").probability(
        np.full((1, 4), 3.0), past, np.zeros((1, 4))
    )
    p = stats.t.cdf(1.5 / np.sqrt(0.5 * 1.5), 1)
    np.testing.assert_allclose(send, stats.binom.sf(1, 3, p), rtol=1e-12)


@pytest.mark.parametrize("mode", ["calibrated", "centered"])
def test_with_a_short_past_each_sends_with_probability_m_of_n(mode):
    scheme = ProbabilisticUtility(m=10, k=5, mode=mode)
    past = np.full((1, AGENTS, 5), np.nan)
    past[..., -1] = 1.0
    utility = np.arange(AGENTS, dtype=float)[None]
    assert (scheme.probability(utility, past, utility) == 0.2).all()


@pytest.mark.parametrize("mode", ["literal", "calibrated", "centered"])
def test_nobody_or_everybody(mode):
    for m, sent in ((0, 0.0), (AGENTS, 1.0)):
        scheme = ProbabilisticUtility(m=m, mode=mode)
        assert (full_windows(scheme, gaussian(5, 10)) == sent).all()


def decisions(scheme, offset, rounds=30):
    shape = (2, 10)
    random = np.random.default_rng(1)
    state, masks = scheme.start(shape), []
    left = Left(np.full(shape, np.inf), np.full(shape, np.inf))
    for episode in range(rounds):
        returns = np.round(random.normal(size=shape), 3) + offset
        norm = 5 + random.random(shape)
        signals = {
            "return": Signal("message", returns, np.ones(shape, dtype=int)),
            "noise_norm": Signal("message", norm, np.ones(shape, dtype=int)),
        }
        draws = SchemeDraws(Draws(0, range(2), 10), episode, rounds)
        mask, state = scheme.select(signals, state, draws, left)
        masks.append(mask)
    return np.array(masks)


def test_an_offset_changes_no_decision_of_the_centred_scheme():
    centred = ProbabilisticUtility(m=4, k=5, mode="centered")
    # A power of two keeps the sums exact, so that not even rounding differs.
    np.testing.assert_array_equal(
        decisions(centred, 0.0)[3:], decisions(centred, 64.0)[3:]
    )
    literal = ProbabilisticUtility(m=4, k=5)
    assert (decisions(literal, 0.0) != decisions(literal, 64.0)).any()


def test_the_utility_can_be_another_function(monkeypatch):
    module = types.ModuleType("own_utilities")
    module.noise_alone = lambda returns, noise_norm: noise_norm
    monkeypatch.setitem(sys.modules, "own_utilities", module)
    scheme = ProbabilisticUtility(m=4, k=5, utility="own_utilities:noise_alone")
    np.testing.assert_array_equal(decisions(scheme, 0.0), decisions(scheme, 9.0))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ProbabilisticUtility(m=-1), "m -1 is negative"),
        (lambda: ProbabilisticUtility(m=11).start((1, 10)), "m 11 senders of 10"),
        (lambda: ProbabilisticUtility(k=0), "k 0 is below 1"),
        (lambda: ProbabilisticUtility(k=2.5), "k 2.5 is no whole number"),
        (lambda: ProbabilisticUtility(k=1, mode="calibrated"), "k 1 is below 2"),
        (lambda: ProbabilisticUtility(mode="exact"), "mode 'exact' is none of"),
        (lambda: ProbabilisticUtility(utility="gain"), "unknown utility 'gain'"),
        (lambda: ProbabilisticUtility(utility="nowhere:f"), "cannot be imported"),
    ],
)
def test_settings_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_equal_utilities_have_no_spread_whatever_rounding_says():
    scheme = ProbabilisticUtility(m=25, k=3)
    past = np.full((1, 50, 3), 0.1)  # whose mean is not 0.1 in floating point
    probability = scheme.probability(np.full((1, 50), 0.1), past, np.zeros((1, 50)))
    np.testing.assert_allclose(probability, 0.5, atol=1e-12)
