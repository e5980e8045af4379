"""Figures 4.1 and 4.7: closed forms against draws."""

import numpy as np
from commenv_baselines.thesis.exact import expected_sending, first_round
from scipy import stats


def test_sending_is_m_of_n_on_average():
    frame = expected_sending(seed=0, samples=100_000)
    np.testing.assert_array_equal(frame["exact"], np.arange(51) / 50)
    inner = frame.iloc[1:-1]
    # Adjacent m share their draws, so one in many is not far off alone.
    z = (inner["monte_carlo"] - inner["exact"]).abs() / inner["error"]
    assert z.max() < 4
    # The thesis reports a squared error of about 1e-6 for 100,000 samples.
    assert ((frame["monte_carlo"] - frame["exact"]) ** 2).mean() < 3e-6
    assert frame["monte_carlo"].iloc[[0, -1]].tolist() == [0.0, 1.0]


def test_the_first_round_is_binomial():
    frame = first_round(seed=0, samples=100_000)
    expected = stats.binom.sf(50 - frame["m"] - 1, 49, 0.5)
    np.testing.assert_allclose(frame["exact"], np.where(frame["m"] == 0, 0, expected))
    difference = (frame["monte_carlo"] - frame["exact"]).abs()
    assert (difference <= 4 * np.sqrt(0.25 / 100_000)).all()


def test_draws_depend_on_the_seed_alone():
    one, other = expected_sending(seed=1, samples=2_000), expected_sending(1, 2_000)
    np.testing.assert_array_equal(one["monte_carlo"], other["monte_carlo"])
    assert (expected_sending(2, 2_000)["monte_carlo"] != one["monte_carlo"]).any()
