import math

import numpy as np
import pytest

from commenv.channel import Left
from commenv.learning import SchemeDraws, Signal
from commenv.learning.schemes import Gain, TDError, TopUtility
from commenv.rng import Draws


def decide(scheme, signals, state=None, episode=0, num_episodes=10):
    shape = next(iter(signals.values())).counts.shape
    draws = SchemeDraws(Draws(0, range(shape[0]), shape[1]), episode, num_episodes)
    left = Left(np.full(shape, np.inf), np.full(shape, np.inf))
    start = scheme.start(shape) if state is None else state
    return scheme.select(signals, start, draws, left)


def one_by_one(errors, level, beta, rho, threshold, update_first):
    """Section 2 of Jarne Ornia and Mazo, for one agent and one step after the other."""
    sent = []
    for error in map(abs, errors):
        follows = (1 - beta) * level + beta * error
        sent.append(error >= max(rho * (follows if update_first else level), threshold))
        level = follows
    return sent, level


@pytest.mark.parametrize("order", ["test_first", "update_first"])
def test_td_errors_are_tested_one_after_the_other(order):
    random = np.random.default_rng(0)
    scheme = TDError(beta=0.3, rho=1.1, threshold=0.2, order=order)
    counts = np.array([[4, 0, 7], [1, 5, 2]])
    levels = np.zeros(6)
    state = None
    fired = 0
    for _ in range(5):
        errors = random.normal(size=counts.sum())
        signals = {"td_error": Signal("record", errors, counts)}
        mask, state = decide(scheme, signals, state)
        expected, stop = [], 0
        for agent, count in enumerate(counts.ravel()):
            start, stop = stop, stop + count
            sent, levels[agent] = one_by_one(
                errors[start:stop], levels[agent], 0.3, 1.1, 0.2, order[0] == "u"
            )
            expected += sent
        assert mask.tolist() == expected
        np.testing.assert_allclose(state["level"].ravel(), levels, rtol=1e-14)
        fired += mask.sum()
    assert 0 < fired < 5 * counts.sum()


def test_updating_before_the_test_never_fires_where_rho_beta_reaches_one():
    """L >= beta |delta| after the update, so rho L >= |delta| unless L was 0 there."""
    errors = np.abs(np.random.default_rng(1).normal(size=500)) + 0.1
    signals = {"td_error": Signal("record", errors, np.array([[500]]))}
    never = TDError(beta=0.5, rho=2.1, threshold=0.0, order="update_first")
    assert not decide(never, signals)[0].any()
    fires = TDError(beta=0.5, rho=2.1, threshold=0.0, order="test_first")
    assert decide(fires, signals)[0].any()


def test_an_error_that_is_no_number_stays_unsent_and_leaves_the_level():
    errors = Signal("record", np.array([1.0, np.nan, np.inf, 2.0]), np.array([[1, 3]]))
    scheme = TDError(beta=0.5, rho=1.0, threshold=0.1)
    mask, state = decide(scheme, {"td_error": errors})
    assert mask.tolist() == [True, False, True, False]
    assert state["level"].tolist() == [[0.5, np.inf]]


def test_the_gain_threshold_falls_to_lambda():
    scheme = Gain(least=0.01, rho=0.9)
    assert scheme.threshold(9, 10) == pytest.approx(-0.01)
    assert scheme.threshold(0, 10) == pytest.approx(-0.01 / 0.9**9)
    assert scheme.threshold(0, 10**6) == -math.exp(700)
    assert Gain(least=0.0).threshold(3, 10) == 0.0
    assert Gain(least=0.2, rho=1.0).threshold(0, 10) == pytest.approx(-0.2)


def test_only_a_predicted_fall_is_sent():
    gains = np.array([[-0.5, -0.011, -0.009, 0.3]])
    signals = {"gain": Signal("message", gains, np.ones((1, 4), dtype=int))}
    mask, _ = decide(Gain(least=0.01, rho=1.0), signals)
    assert mask.tolist() == [[True, True, False, False]]


def test_the_largest_utilities_are_sent_and_ties_go_by_number():
    utility = np.array([[3.0, 1.0, 3.0, 2.0], [0.0, 0.0, 0.0, 0.0]])
    signals = {"utility": Signal("message", utility, np.ones((2, 4), dtype=int))}
    mask, _ = decide(TopUtility(m=3), signals)
    assert mask.tolist() == [[True, False, True, True], [True, True, True, False]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TDError(beta=0.0), r"beta 0.0 is outside \(0, 1\]"),
        (lambda: TDError(beta=1.1), r"beta 1.1 is outside \(0, 1\]"),
        (lambda: TDError(rho=0.0), "rho 0.0 is not above 0"),
        (lambda: TDError(threshold=-1.0), "threshold -1.0 is negative"),
        (lambda: TDError(order="both"), "order 'both' is neither"),
        (lambda: Gain(rho=0.0), r"rho 0.0 is outside \(0, 1\]"),
        (lambda: Gain(rho=1.01), r"rho 1.01 is outside \(0, 1\]"),
        (lambda: Gain(least=-0.1), "least -0.1 is negative"),
        (lambda: TopUtility(m=-2), "m -2 is negative"),
        (lambda: TopUtility(m=5).start((1, 4)), "m 5 senders of 4 agents"),
    ],
)
def test_settings_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()
