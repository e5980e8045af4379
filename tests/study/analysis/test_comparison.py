from __future__ import annotations

import numpy as np
import pytest

from commenv.errors import ResultsError, UnknownNameError
from commenv.study.analysis.comparison import compare
from commenv.study.analysis.intervals import LEAST_UNBOUNDED, mean_interval
from commenv.study.analysis.significance import difference_test
from commenv.study.analysis.unpaired import (
    permutation_test,
    superiority,
    unpaired_interval,
)

pd = pytest.importorskip("pandas")
pytest.importorskip("scipy")

WORLDS = np.random.default_rng(0).normal(size=20) * 10
NOISE = np.random.default_rng(1).normal(size=20)
RANGES = {label: {"evaluation": (-30.0, 30.0), "reward": (0.0, 5.0)} for label in "ab"}


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
    found = compare(study(), "b", "a", ranges=RANGES)
    differences = 1 + NOISE
    assert found.estimate == pytest.approx(differences.mean())
    assert found.bounds == (-60, 60)
    expected = mean_interval(differences, bounds=(-60, 60))
    assert (found.low, found.high) == pytest.approx(tuple(map(float, expected)))
    assert found.p == pytest.approx(
        float(difference_test(differences, bounds=(-60, 60)))
    )
    assert found.improvement == (differences > 0).mean()
    assert found.trials == 20
    assert found.spread == pytest.approx(tuple(np.percentile(differences, [10, 90])))


def test_without_a_range_twenty_trials_have_no_interval_and_no_p():
    found = compare(study(), "b", "a")
    assert np.isnan([found.low, found.high, found.p]).all()
    assert found.estimate == pytest.approx((1 + NOISE).mean())
    assert found.bounds is None


def test_a_range_that_you_know_can_be_given():
    found = compare(study(), "b", "a", bounds=(-30, 30))
    assert found == compare(study(), "b", "a", ranges=RANGES)
    with pytest.raises(ValueError, match=r"outside the range -0\.1 to 0\.1"):
        compare(study(), "b", "a", bounds=(0, 0.1))


def test_from_300_trials_on_no_range_is_needed():
    rng = np.random.default_rng(0)
    parts = [
        pd.DataFrame(
            {
                "label": label,
                "trial": np.arange(LEAST_UNBOUNDED),
                "episode": 0,
                "evaluation": rng.normal(mean, 1, LEAST_UNBOUNDED),
            }
        )
        for label, mean in (("a", 0.0), ("b", 0.5))
    ]
    found = compare(pd.concat(parts, ignore_index=True), "b", "a")
    assert 0 < found.low < found.estimate < found.high
    assert found.p < 0.05
    assert "by Student's test and bootstrap, 300 paired trials" in str(found)


def test_the_other_way_round_everything_is_mirrored():
    one = compare(study(), "a", "b", bounds=(-20, 20))
    other = compare(study(), "b", "a", bounds=(-20, 20))
    assert one.estimate == pytest.approx(-other.estimate)
    assert one.improvement == pytest.approx(1 - other.improvement)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    assert one.p == pytest.approx(other.p)


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


def test_labels_that_never_differ_may_differ_in_trials_that_were_not_run():
    found = compare(study(), "a", "b", y="reward", ranges=RANGES)
    assert (found.estimate, found.p) == (0, 1)
    assert found.low == pytest.approx(-found.high)
    assert found.low < -0.5
    assert found.improvement == 0.5
    exact = compare(study(), "a", "b", y="reward", bounds=(0, 0))
    assert (exact.low, exact.high) == (0, 0)
    assert "(difference 0, exactly: it can have no other value, 20 paired" in str(exact)


def rounding():
    """The same study; a and b end at .1 + .2 and .3."""
    data = study()
    return data.assign(evaluation=data["label"].map({"a": 0.1 + 0.2, "b": 0.3}))


@pytest.mark.parametrize("at", [None, 1, {"env_steps": 15}])
def test_rounding_is_neither_higher_nor_above(at):
    found = compare(rounding(), "a", "b", at)
    assert (found.estimate, found.improvement) == (0, 0.5)
    assert " of a is the same as of b (difference 0, " in str(found)


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_a_comparison_does_not_depend_on_the_unit(scale):
    data = study()
    one = compare(data, "b", "a", bounds=(-99, 99))
    data["evaluation"] *= scale
    other = compare(data, "b", "a", bounds=(-99 * scale, 99 * scale))
    assert other.p == pytest.approx(one.p)
    assert other.improvement == one.improvement
    expected = [scale * number for number in (one.estimate, one.low, one.high)]
    assert [other.estimate, other.low, other.high] == pytest.approx(expected)


SEEDS = {"a": {"seed": 0, "gamma": 0.9}, "b": {"seed": 1, "gamma": 0.9}}


def test_trials_of_other_seeds_are_not_pairs():
    data = study()
    found = compare(data, "b", "a", settings=SEEDS, bounds=(-99, 99))
    last = data[data["episode"] == 1].pivot(columns="label", index="trial")[
        "evaluation"
    ]
    b, a = last["b"].to_numpy(), last["a"].to_numpy()
    assert found.estimate == pytest.approx(b.mean() - a.mean())
    assert found.p == permutation_test(b, a)
    assert found.improvement == superiority(b, a)
    intervals = [mean_interval(values, bounds=(-99, 99)) for values in (b, a)]
    assert found.bounds == (-198, 198)
    expected = unpaired_interval(b.mean(), intervals[0], a.mean(), intervals[1])
    assert (found.low, found.high) == pytest.approx(tuple(map(float, expected)))
    # The worlds differ far more than the labels: as pairs they would be told apart.
    assert found.p > 0.5 > float(difference_test(b - a, bounds=(-9, 9)))
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
    found = compare(study(), "a", "b", {"uplink_bytes": 1e6}, ranges=RANGES)
    start = (
        "evaluation at uplink_bytes 1e+06 (held from 40, where the trials end) of a is "
        f"{-found.estimate:.4g} lower than of b (difference {found.estimate:.4g}, "
    )
    end = (
        ", 20 paired trials); a is above b in "
        f"{found.improvement:.0%} of them, ties counting half"
    )
    assert str(found) == (
        f"{start}95 % interval {found.low:.4g} to {found.high:.4g}, "
        f"p = {found.p:.2g} by the known range -60 to 60{end}"
    )
    unknown = compare(study(), "a", "b", {"uplink_bytes": 1e6})
    least, most = unknown.spread
    assert str(unknown) == (
        f"{start}10th to 90th percentile {least:.4g} to {most:.4g}, no interval: as "
        f"the range is not known, it takes 300 trials{end}"
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
