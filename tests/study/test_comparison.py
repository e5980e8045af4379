from __future__ import annotations

import numpy as np
import pytest

from commenv.errors import ResultsError, UnknownNameError
from commenv.study.comparison import compare
from commenv.study.significance import difference_test
from commenv.study.statistics import mean_interval

pd = pytest.importorskip("pandas")
pytest.importorskip("scipy")

WORLDS = np.random.default_rng(0).normal(size=20) * 10
NOISE = np.random.default_rng(1).normal(size=20)


def study():
    """Two episodes; b ends 1 higher than a and sends half as many bytes."""
    parts = [
        pd.DataFrame(
            {
                "label": label,
                "trial": trial,
                "episode": [0, 1],
                "env_steps": [10.0, 20.0],
                "evaluation": [WORLDS[trial], WORLDS[trial] + last],
                "reward": 0.0,
                "size": size,
            }
        )
        for label, size in (("a", 20.0), ("b", 10.0))
        for trial, last in enumerate(np.zeros(20) if label == "a" else 1 + NOISE)
    ]
    return pd.concat(parts, ignore_index=True)


def test_the_last_values_are_compared_trial_by_trial():
    found = compare(study(), "b", "a", seed=5)
    differences = 1 + NOISE
    assert found.estimate == pytest.approx(differences.mean())
    expected = mean_interval(differences, seed=5)
    assert (found.low, found.high) == pytest.approx(tuple(map(float, expected)))
    assert found.p == pytest.approx(
        float(difference_test(differences, seed=5)), abs=1e-3
    )
    assert found.p < 0.05
    assert found.improvement == (differences > 0).mean()
    assert found.trials == 20


def test_the_other_way_round_everything_is_mirrored():
    one, other = compare(study(), "a", "b"), compare(study(), "b", "a")
    assert one.estimate == pytest.approx(-other.estimate)
    assert one.improvement == pytest.approx(1 - other.improvement)
    assert (one.low < 0, one.high < 0) == (True, True)


@pytest.mark.parametrize(
    ("at", "estimate"),
    [
        (None, (1 + NOISE).mean()),
        (1, (1 + NOISE).mean()),
        (0, 0.0),
        ({"episode": 0}, 0.0),
        ({"env_steps": 19}, 0.0),
        ({"env_steps": 20}, (1 + NOISE).mean()),
        # b has come to its second episode at 20 bytes, a only to its first.
        ({"uplink_bytes": 20}, (1 + NOISE).mean()),
        # Past the end the last value holds.
        ({"uplink_bytes": 1e6}, (1 + NOISE).mean()),
    ],
)
def test_the_place_can_be_an_episode_or_a_cost(at, estimate):
    assert compare(study(), "b", "a", at).estimate == pytest.approx(estimate)


def test_labels_that_never_differ():
    found = compare(study(), "a", "b", y="reward")
    assert (found.estimate, found.low, found.high, found.p) == (0, 0, 0, 1)
    assert found.improvement == 0.5


def test_it_reads_as_a_sentence():
    found = compare(study(), "a", "b", {"uplink_bytes": 1e6})
    assert str(found) == (
        "evaluation at uplink_bytes 1e+06 (held from 40, where the trials end) of a is "
        f"{-found.estimate:.4g} lower than of b (difference {found.estimate:.4g}, "
        f"95 % interval {found.low:.4g} to {found.high:.4g}, p = {found.p:.2g} by sign "
        "flips and bootstrap, 20 paired trials); a is above b in "
        f"{found.improvement:.0%} of them, ties counting half"
    )
    assert "held" not in str(compare(study(), "a", "b", {"uplink_bytes": 40}))


@pytest.mark.parametrize("at", [-1, float("nan"), "last", {"uplink_bytes": "many"}])
def test_a_place_is_a_number(at):
    with pytest.raises(ValueError, match="is no place; give a number of 0 or more"):
        compare(study(), "a", "b", at)
    assert str(compare(study(), "b", "a")).startswith("last evaluation of b is ")
    assert " higher than of a" in str(compare(study(), "b", "a"))


def test_wrong_questions_are_refused():
    data = study()
    with pytest.raises(UnknownNameError, match="label 'c'"):
        compare(data, "a", "c")
    with pytest.raises(UnknownNameError, match="did you mean 'uplink_bytes'"):
        compare(data, "a", "b", {"uplink_byte": 1})
    with pytest.raises(ValueError, match="name one axis"):
        compare(data, "a", "b", {"uplink_bytes": 1, "env_steps": 1})
    with pytest.raises(ResultsError, match="is nan in trial 0"):
        compare(data, "a", "b", {"env_steps": 9})
    with pytest.raises(ResultsError, match="1 trial has no interval"):
        compare(data[data["trial"] == 0], "a", "b")
    with pytest.raises(ResultsError, match=r"20 trials .* 19"):
        compare(data[(data["label"] == "a") | (data["trial"] > 0)], "a", "b")
