from __future__ import annotations

import numpy as np
import pytest

from commenv.errors import ResultsError, UnknownNameError
from commenv.study.comparison import compare
from commenv.study.significance import difference_test
from commenv.study.statistics import mean_interval
from commenv.study.unpaired import permutation_test, superiority, unpaired_interval

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


def rounding():
    """The same study; a and b end at .1 + .2 and .3."""
    data = study()
    return data.assign(evaluation=data["label"].map({"a": 0.1 + 0.2, "b": 0.3}))


@pytest.mark.parametrize("at", [None, 1, {"env_steps": 15}])
def test_rounding_is_neither_higher_nor_above(at):
    found = compare(rounding(), "a", "b", at)
    assert (found.estimate, found.low, found.high, found.p) == (0, 0, 0, 1)
    assert found.improvement == 0.5
    assert " of a is the same as of b (difference 0, 95 % interval 0 to 0" in str(found)


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_a_comparison_does_not_depend_on_the_unit(scale):
    data = study()
    one = compare(data, "b", "a")
    other = compare(data.assign(evaluation=data["evaluation"] * scale), "b", "a")
    assert (other.p, other.improvement) == (one.p, one.improvement)
    expected = [scale * number for number in (one.estimate, one.low, one.high)]
    assert [other.estimate, other.low, other.high] == pytest.approx(expected)


SEEDS = {"a": {"seed": 0, "gamma": 0.9}, "b": {"seed": 1, "gamma": 0.9}}


def test_trials_of_other_seeds_are_not_pairs():
    data = study()
    found = compare(data, "b", "a", settings=SEEDS)
    last = data[data["episode"] == 1].pivot(columns="label", index="trial")[
        "evaluation"
    ]
    b, a = last["b"].to_numpy(), last["a"].to_numpy()
    assert found.estimate == pytest.approx(b.mean() - a.mean())
    assert found.p == permutation_test(b, a)
    assert found.improvement == superiority(b, a)
    intervals = mean_interval(b), mean_interval(a)
    expected = unpaired_interval(b.mean(), intervals[0], a.mean(), intervals[1])
    assert (found.low, found.high) == pytest.approx(tuple(map(float, expected)))
    # The worlds differ far more than the labels: as pairs they would be told apart.
    assert found.p > 0.5 > 0.05 > compare(data, "b", "a").p
    assert "20 trials and 20, not paired: their seeds differ; all 400 pairs" in str(
        found
    )
    assert str(found).endswith("They also differ in seed (1 and 0)")
    assert "paired trials" not in str(found)


def test_independent_labels_may_have_other_trials():
    data = study()
    fewer = data[(data["label"] == "a") | (data["trial"] > 4)]
    found = compare(fewer, "a", "b", settings=SEEDS)
    assert (found.trials, found.trials_b) == (20, 15)
    with pytest.raises(ResultsError, match="1 trial has no interval"):
        compare(
            data[(data["label"] == "a") | (data["trial"] > 18)],
            "a",
            "b",
            settings=SEEDS,
        )


def test_trials_in_other_environments_are_not_pairs():
    data = study()
    data["environment"] = data["label"].map({"a": "X-v0", "b": "Y-v0"})
    found = compare(data, "a", "b")
    assert found.not_paired == "their environments differ"
    assert "They also differ in environment (X-v0 and Y-v0)" in str(found)


def test_discounted_returns_of_other_discounts_are_not_compared():
    settings = {"a": {"gamma": 0.9}, "b": {"gamma": 0.5}}
    with pytest.raises(ResultsError, match=r"gamma 0.9 and b with gamma 0.5"):
        compare(study(), "a", "b", settings=settings)
    found = compare(study(), "a", "b", y="size", settings=settings)
    assert found.not_paired is None
    assert str(found).endswith("They also differ in gamma (0.9 and 0.5)")


def reaching():
    """a arrives in round 2 of 10, b in round 4 of its first 12 trials, else never."""
    parts = [
        pd.DataFrame(
            {
                "label": label,
                "trial": trial,
                "episode": range(10),
                "env_steps": np.arange(1, 11) * 5.0,
                "evaluation": (np.arange(10) >= (arrives if trial < known else 99))
                * 1.0,
            }
        )
        for label, arrives, known in (("a", 2, 20), ("b", 4, 12))
        for trial in range(20)
    ]
    return pd.concat(parts, ignore_index=True)


def test_when_a_threshold_is_reached_never_is_not_the_end():
    found = compare(reaching(), "a", "b", reach=1.0)
    assert found.estimate == pytest.approx(2 - (12 * 4 + 8 * 9) / 20)
    assert found.never == (0, 8)
    assert found.improvement == 1.0
    assert str(found).startswith(
        "episode until evaluation is 1 (later than 9 and never count as that) of a is "
        "4 lower than of b"
    )
    assert "a is there before b in 100% of them" in str(found)
    assert str(found).endswith("Never: 0 of 20 trials of a, 8 of 20 of b")


def test_a_threshold_can_be_reached_within_a_budget():
    found = compare(reaching(), "b", "a", {"env_steps": 20}, reach=1.0)
    assert found.estimate == 20 - 15
    # Who comes too late for the budget still comes before who never does.
    assert found.improvement == 0.0
    same = compare(
        reaching().assign(label=lambda f: f["label"].replace("a", "c")),
        "b",
        "c",
        reach=1.0,
    )
    assert same.improvement == 0.0
    with pytest.raises(ResultsError, match=r"ended at episode 9 .* not reached"):
        compare(reaching(), "a", "b", 12, reach=1.0)


def test_times_of_other_seeds_are_not_pairs():
    found = compare(reaching(), "a", "b", reach=1.0, settings=SEEDS)
    assert (found.improvement, found.never) == (1.0, (0, 8))
    assert "not paired" in str(found)
    assert compare(reaching(), "b", "a", reach=1.0, settings=SEEDS).improvement == 0.0


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
