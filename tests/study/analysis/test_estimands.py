from __future__ import annotations

import numpy as np
import pytest

from commenv.errors import ResultsError, UnknownNameError
from commenv.study.analysis import estimands, paired_estimands

pd = pytest.importorskip("pandas")

NAN = np.nan


def study():
    """Two labels with trials 0 and 1 of four episodes, the rows in no order.

    Evaluated in every second episode; a takes 10 steps an episode, b 5.
    """
    evaluations = {
        ("a", 0): [1.0, NAN, 5.0, NAN],
        ("a", 1): [2.0, NAN, 4.0, NAN],
        ("b", 0): [0.0, NAN, 3.0, NAN],
        ("b", 1): [0.0, NAN, 0.0, NAN],
    }
    parts = [
        pd.DataFrame(
            {
                "label": label,
                "trial": trial,
                "episode": range(4),
                "env_steps": np.arange(1.0, 5.0) * (10 if label == "a" else 5),
                "evaluation": values,
                "frequency": [1.0, 1.0, 0.5, 0.0] if trial else [1.0, 0.0, 0.0, 0.25],
                "messages": 1.0 if label == "a" else 4.0 if trial else 2.0,
                "size": 20.0,
            }
        )
        for (label, trial), values in evaluations.items()
    ]
    return pd.concat(parts).sample(frac=1, random_state=0).reset_index(drop=True)


@pytest.mark.parametrize(
    ("estimand", "expected"),
    [
        (estimands.late("a", "frequency", 2), {0: 0.125, 1: 0.25}),
        (estimands.late("a", "evaluation", 2), {0: 5.0, 1: 4.0}),
        (estimands.late("a", "evaluation", 4), {0: 3.0, 1: 3.0}),
        (estimands.final("a"), {0: 5.0, 1: 4.0}),
        (estimands.final("a", "frequency"), {0: 0.25, 1: 0.0}),
        (estimands.gap("a", 5.0), {0: 0.0, 1: 1.0}),
        (estimands.at_optimum("a", 5.0 + 1e-10), {0: 1.0, 1: 0.0}),
        (estimands.at_optimum("a", 5.0 + 1e-8), {0: 0.0, 1: 0.0}),
        (estimands.total("b", "messages"), {0: 8.0, 1: 16.0}),
        (paired_estimands.messages_ratio("a", "b"), {0: 0.5, 1: 0.25}),
        # Steps -1, 0, .25 and 0, -.5, -.5.
        (
            estimands.smoothness("a", "frequency"),
            {0: np.std([-1, 0, 0.25]), 1: np.std([0, -0.5, -0.5])},
        ),
        # Measured in episodes 0 and 2: the first value holds over the whole length.
        (estimands.area("a"), {0: 1.0, 1: 2.0}),
        (estimands.area("a", "frequency"), {0: 1 / 3, 1: 2.5 / 3}),
        (estimands.area("a", "frequency", "env_steps"), {0: 1 / 3, 1: 2.5 / 3}),
        # From 5 to 45 steps: 1 or 2 until the second evaluation at 30, then 5 or 4.
        (
            estimands.area("a", x="env_steps", within=(10, 50)),
            {0: (20 * 1 + 20 * 5) / 40, 1: (20 * 2 + 20 * 4) / 40},
        ),
        # Both have values from step 10 (a's first) to step 20 (b's last): a is at 1 or
        # 2 throughout, b at 0 and from step 15 on at 3 or 0.
        (paired_estimands.area_at_equal("a", "b"), {0: 1 - 1.5, 1: 2.0}),
        (paired_estimands.area_at_equal("b", "a"), {0: 1.5 - 1, 1: -2.0}),
        (
            paired_estimands.difference(
                estimands.area("a", within=(0, 3)), estimands.area("b", within=(0, 3))
            ),
            {0: (2 * 1 + 5) / 3 - 1, 1: (2 * 2 + 4) / 3},
        ),
        (estimands.value_at("a", "env_steps", 29.0), {0: 1.0, 1: 2.0}),
        (estimands.value_at("a", "env_steps", 30.0), {0: 5.0, 1: 4.0}),
        (estimands.value_at("a", "uplink_bytes", 1e9), {0: 5.0, 1: 4.0}),
        (estimands.value_at("b", "messages", 12.0), {0: 3.0, 1: 0.0}),
        # b ends after 20 steps, when a has not yet come to its second evaluation.
        (paired_estimands.at_equal("a", "b"), {0: -2.0, 1: 2.0}),
        (paired_estimands.at_equal("b", "a"), {0: 2.0, 1: -2.0}),
        (paired_estimands.at_equal("a", "b", "episode"), {0: 2.0, 1: 4.0}),
        (
            paired_estimands.difference(estimands.final("a"), estimands.final("b")),
            {0: 2.0, 1: 4.0},
        ),
        (estimands.less(estimands.final("a"), 4.5), {0: 0.5, 1: -0.5}),
        (estimands.share(estimands.final("a"), above=4.0), {0: 1.0, 1: 0.0}),
        (estimands.share(estimands.final("a"), below=5.0), {0: 0.0, 1: 1.0}),
        (estimands.share(estimands.final("a"), above=3, below=6), {0: 1.0, 1: 1.0}),
    ],
    ids=lambda one: getattr(one, "name", ""),
)
def test_the_number_of_each_trial(estimand, expected):
    found = estimand(study())
    assert list(found) == [0, 1]
    assert found == pytest.approx(expected)


def test_areas_over_different_ranges_are_not_compared():
    a, b = (estimands.area(label, x="env_steps") for label in "ab")
    with pytest.raises(ResultsError, match=r"over 10 to 30 and .* over 5 to 15: means"):
        paired_estimands.difference(a, b)(study())
    with pytest.raises(ResultsError, match="use area_at_equal"):
        paired_estimands.ratio(b, a)(study())
    # On an axis on which both are as long they are.
    whole = [estimands.area(label, "frequency") for label in "ab"]
    assert paired_estimands.difference(*whole)(study()) == {0: 0.0, 1: 0.0}


def test_an_area_needs_a_range_in_which_there_are_values():
    early = estimands.area("a", x="env_steps", within=(5, 20))
    with pytest.raises(ResultsError, match="is nan in trial 0"):
        early(study())
    for within in [(5, 5), (6, 5), (-1, 5), (0, np.inf)]:
        with pytest.raises(ValueError, match="within is"):
            estimands.area("a", within=within)
    silent = study()
    silent.loc[silent["label"] == "b", "size"] = 0.0
    with pytest.raises(ResultsError, match=r"no uplink_bytes in common beyond 20"):
        paired_estimands.area_at_equal("a", "b", "uplink_bytes")(silent)


def with_rounding():
    """a ends at .1 + .2 and b at .3."""
    data = study()
    ends = {"a": 0.1 + 0.2, "b": 0.3}
    return data.assign(evaluation=data["label"].map(ends), frequency=0.5)


def test_rounding_is_not_a_difference():
    data = with_rounding()
    a, b = estimands.final("a"), estimands.final("b")
    nothing = {0: 0.0, 1: 0.0}
    for estimand in (
        paired_estimands.difference(a, b),
        paired_estimands.at_equal("a", "b"),
        paired_estimands.area_at_equal("a", "b"),
        estimands.less(a, 0.3),
        estimands.gap("a", 0.3),
        estimands.share(a, above=0.3),
        estimands.share(estimands.less(b, 0.1 + 0.2), below=0),
    ):
        assert estimand(data) == nothing, estimand.name
    noise = data.assign(frequency=0.3 + 4e-17 * np.arange(len(data)))
    assert estimands.correlation("a", "frequency", "env_steps")(noise) == nothing


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1e12])
def test_what_counts_does_not_depend_on_the_unit(scale):
    data = study()
    data["evaluation"] *= scale
    for optimum, expected in ((5.0 + 1e-9, 1.0), (5.0 + 1e-7, 0.0)):
        assert estimands.at_optimum("a", optimum * scale)(data)[0] == expected
    above = estimands.share(estimands.final("a"), above=4.9999 * scale)
    assert above(data) == {0: 1.0, 1: 0.0}


def test_only_shares_are_shares():
    assert estimands.at_optimum("a", 1.0).is_share
    assert estimands.share(estimands.final("a"), above=1.0).is_share
    assert not estimands.late("a", "frequency", 1).is_share


def test_names_say_what_is_measured():
    a, b = estimands.final("a"), estimands.final("b", "reward")
    assert (
        paired_estimands.difference(a, b).name
        == "last evaluation of a - last reward of b"
    )
    late = estimands.late("a", "frequency", 100)
    silent = estimands.share(late, below=0.05)
    assert silent.name == "frequency of a, last 100 episodes < 0.05"
    assert paired_estimands.messages_ratio("a", "b").name == "messages of a / of b"


@pytest.mark.parametrize(
    ("estimand", "message"),
    [
        (estimands.late("a", "frequency", 5), "4 episodes, not 5"),
        (estimands.late("a", "evaluation", 1), "is nan in trial 0"),
        (estimands.value_at("a", "env_steps", 9.0), "is nan in trial 0"),
        (
            paired_estimands.ratio(estimands.final("a"), estimands.final("b")),
            r"is nan in trial 1 \(1 of 2 trials\)",
        ),
    ],
)
def test_a_trial_without_a_number_is_an_error(estimand, message):
    with pytest.raises(ResultsError, match=message):
        estimand(study())


@pytest.mark.parametrize(
    "estimand",
    [
        paired_estimands.difference(estimands.final("a"), estimands.final("b")),
        paired_estimands.messages_ratio("a", "b"),
        paired_estimands.at_equal("a", "b"),
    ],
)
def test_labels_with_different_trials_are_refused(estimand):
    data = study()
    data = data[(data["label"] == "a") | (data["trial"] == 0)]
    with pytest.raises(ResultsError, match=r"2 trials .* 1; they differ in trial 1"):
        estimand(data)


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="label 'c'"):
        estimands.final("c")(study())
    with pytest.raises(UnknownNameError, match="did you mean 'evaluation'"):
        estimands.final("a", "evaluatoin")(study())
    with pytest.raises(UnknownNameError, match="did you mean 'env_steps'"):
        estimands.value_at("a", "env_step", 1.0)
    with pytest.raises(UnknownNameError, match="did you mean 'env_steps'"):
        paired_estimands.at_equal("a", "b", "env_step")(study())


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="window is 0"):
        estimands.late("a", "frequency", 0)
    with pytest.raises(ValueError, match="nothing to be counted"):
        estimands.share(estimands.final("a"))
    with pytest.raises(ValueError, match="above 2 and below 1"):
        estimands.share(estimands.final("a"), above=2, below=1)


def test_a_correlation_is_taken_within_each_trial():
    frame = pd.DataFrame(
        {
            "label": "a",
            "trial": [0, 0, 0, 1, 1, 1],
            "episode": [0, 1, 2, 0, 1, 2],
            "reward": [1.0, 2.0, 3.0, 1.0, 2.0, 3.0],
            "frequency": [0.1, 0.2, 0.3, 0.5, 0.5, 0.5],
        }
    )
    found = estimands.correlation("a", "frequency", "reward")(frame)
    assert found[0] == pytest.approx(1.0)
    assert found[1] == 0.0  # what does not change follows nothing
    opposite = frame.assign(frequency=-frame["frequency"])
    assert estimands.correlation("a", "frequency", "reward")(opposite)[
        0
    ] == pytest.approx(-1.0)
