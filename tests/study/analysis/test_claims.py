from __future__ import annotations

import csv
import dataclasses

import numpy as np
import pytest

from commenv.errors import ResultsError
from commenv.study.analysis.claims import Claim, Verdict, corrected, judge, write_csv
from commenv.study.analysis.estimands import (
    area,
    at_optimum,
    correlation,
    final,
    gap,
    late,
    less,
    smoothness,
    total,
    value_at,
)
from commenv.study.analysis.intervals import LEAST_UNBOUNDED
from commenv.study.analysis.paired_estimands import at_equal, difference, ratio
from commenv.study.analysis.significance import mean_test

pd = pytest.importorskip("pandas")
pytest.importorskip("scipy")

KNOWN = {label: {"evaluation": (-8.0, 8.0)} for label in "ab"}


def frame(**labels):
    """A frame of one episode; the evaluations of each label's trials are given."""
    parts = [
        {"label": label, "trial": trial, "episode": 0, "evaluation": float(value)}
        for label, values in labels.items()
        for trial, value in enumerate(values)
    ]
    return pd.DataFrame(parts)


def spread(mean, trials=100, seed=0):
    return mean + np.random.default_rng(seed).uniform(-1, 1, trials)


def claim(estimand=None, direction="greater", margin=0.0, trials=100, **others):
    words = {"figure": "3.4", "text": "a learns"} | others
    return Claim(
        estimand=estimand or final("a"),
        direction=direction,
        margin=margin,
        trials=trials,
        **words,
    )


def outcomes(claims, data, ranges=KNOWN):
    return [verdict.verdict for verdict in judge(claims, data, ranges=ranges)]


@pytest.mark.parametrize(
    ("mean", "direction", "margin", "outcome"),
    [
        (2.0, "greater", 0.0, "supported"),
        (2.0, "greater", 2.0, "undecided"),
        (2.0, "greater", 4.0, "contradicted"),
        (2.0, "less", 4.0, "supported"),
        (2.0, "less", 2.0, "undecided"),
        (2.0, "less", 0.0, "contradicted"),
        (-2.0, "greater", -4.0, "supported"),
        (0.0, "equal", 2.0, "supported"),
        (0.0, "equal", 0.3, "undecided"),
        (2.0, "equal", 0.5, "contradicted"),
        (-2.0, "equal", 0.5, "contradicted"),
    ],
)
def test_a_claim_is_supported_contradicted_or_undecided(
    mean, direction, margin, outcome
):
    data = frame(a=spread(mean))
    [verdict] = judge([claim(direction=direction, margin=margin)], data, ranges=KNOWN)
    assert verdict.verdict == outcome
    assert (verdict.p <= 0.05) == (outcome != "undecided")
    assert verdict.low < verdict.estimate < verdict.high
    assert verdict.estimate == pytest.approx(data["evaluation"].mean())


def test_a_verdict_has_the_promised_fields_in_order():
    assert [field.name for field in dataclasses.fields(Verdict)] == [
        "figure",
        "claim",
        "estimand",
        "margin",
        "estimate",
        "low",
        "high",
        "p",
        "trials",
        "needed",
        "verdict",
    ]


@pytest.mark.parametrize("trials", [2, 9])
def test_fewer_than_ten_trials_decide_nothing(trials):
    data = frame(a=np.full(trials, 8.0))
    [verdict] = judge([claim(trials=trials, margin=-7.9)], data, ranges=KNOWN)
    assert (verdict.verdict, verdict.needed) == ("undecided", 10)
    assert verdict.too_few
    assert verdict.trials == trials
    assert verdict.low < verdict.estimate == verdict.high == 8


def test_ten_trials_can_decide():
    own = [claim(trials=10, margin=-2.0)]
    assert outcomes(own, frame(a=spread(5.0, 10))) == ["supported"]


@pytest.mark.parametrize("trials", [1, 20, LEAST_UNBOUNDED - 1])
def test_a_mean_of_unknown_range_has_no_verdict_below_300_trials(trials):
    [verdict] = judge([claim(trials=trials)], frame(a=spread(100.0, trials)))
    assert (verdict.verdict, verdict.needed) == ("undecided", LEAST_UNBOUNDED)
    assert verdict.too_few
    assert np.isnan([verdict.low, verdict.high]).all()
    assert verdict.p == 1.0


def test_a_mean_of_unknown_range_is_judged_from_300_trials_on():
    data = frame(a=spread(0.3, LEAST_UNBOUNDED))
    claims = [
        claim(trials=LEAST_UNBOUNDED),
        claim(direction="less", trials=LEAST_UNBOUNDED, text="the reverse"),
        claim(trials=LEAST_UNBOUNDED, margin=data["evaluation"].mean(), text="at it"),
    ]
    judged = judge(claims, data, resamples=999)
    assert [verdict.verdict for verdict in judged] == [
        "supported",
        "contradicted",
        "undecided",
    ]
    assert not judged[0].too_few
    assert 0 < judged[0].low < judged[0].estimate < judged[0].high


def test_ranges_go_from_columns_to_what_is_made_of_them():
    ranges = {
        "a": {"evaluation": (-10.0, -5.0), "reward": (-10.0, 0.0)},
        "b": {"evaluation": (-8.0, 2.0)},
    }
    bounds = {
        final("a"): (-10, -5),
        final("c"): None,
        late("a", "reward", 3): (-10, 0),
        late("c", "frequency", 3): (0, 1),
        area("b"): (-8, 2),
        value_at("b", "messages", 3.0): (-8, 2),
        gap("a", -5.0): (0, 5),
        less(final("a"), -5.0): (-5, 0),
        difference(final("a"), final("b")): (-12, 3),
        difference(final("a"), final("c")): None,
        at_equal("b", "a"): (-3, 12),
        smoothness("b"): (0, 10),
        correlation("a", "frequency", "reward"): (-1, 1),
        total("a", "messages"): None,
        ratio(final("a"), final("b")): None,
    }
    for estimand, expected in bounds.items():
        assert estimand.bounds(ranges) == expected, estimand.name


def test_an_unfinished_study_decides_nothing_and_later_trials_are_not_looked_at():
    values = np.concatenate([spread(3.0), np.full(80, -7.0)])
    assert outcomes([claim(trials=101)], frame(a=values[:100])) == ["undecided"]
    [verdict] = judge([claim(trials=100)], frame(a=values), ranges=KNOWN)
    assert (verdict.verdict, verdict.trials) == ("supported", 100)


def test_labels_are_compared_trial_by_trial():
    # The worlds differ by far more than the labels do.
    worlds = 5 * spread(0.0)
    data = frame(a=worlds + spread(2.0, seed=1), b=worlds)
    own = claim(difference(final("a"), final("b")))
    [verdict] = judge([own], data, ranges=KNOWN)
    assert verdict.verdict == "supported"
    assert verdict.high - verdict.low < 3


def test_labels_with_different_trials_are_refused():
    data = frame(a=np.zeros(20), b=np.zeros(19))
    with pytest.raises(ResultsError, match=r"20 trials .* 19; they differ in trial 19"):
        judge([claim(difference(final("a"), final("b")))], data)


def test_a_trial_without_a_number_is_refused():
    with pytest.raises(ResultsError, match="last evaluation of a is nan in trial 3"):
        judge([claim()], frame(a=[1.0] * 3 + [np.nan] + [1.0] * 16))


def test_all_trials_at_the_optimum():
    data = frame(a=np.full(100, -5.21703), b=[-5.21703] * 80 + [-9.0] * 20)
    claims = [
        claim(at_optimum(label, -5.21703), "greater", 0.95, 100, text=f"{label} learns")
        for label in "ab"
    ]
    good, bad = judge(claims, data)
    assert (good.verdict, good.estimate, good.high) == ("supported", 1.0, 1.0)
    assert good.low == pytest.approx(0.025**0.01)
    assert good.p == pytest.approx(2 * 2 * 0.95**100)
    assert bad.verdict == "contradicted"
    assert bad.estimate == 0.8


def test_a_high_share_is_undecided_where_too_few_trials_speak_of_it():
    best = claim(at_optimum("a", 1.0), "greater", 0.95, 20)
    assert outcomes([best], frame(a=np.ones(20))) == ["undecided"]


def test_equal_trials_are_judged_by_their_side_and_by_what_others_may_be():
    judged = judge(
        [
            claim(margin=-0.5),
            claim(margin=0.4),  # 2 % of trials at -8 would be enough
            claim(margin=0.5),
            claim(direction="less", margin=0.5),
            claim(direction="less", margin=-0.5),
            claim(less(final("a"), 0.5), "equal", 1.0),
        ],
        frame(a=np.full(100, 0.5)),
        ranges=KNOWN,
    )
    assert [verdict.verdict for verdict in judged] == [
        "supported",
        "undecided",
        "undecided",
        "undecided",
        "contradicted",
        "supported",
    ]
    assert judged[0].low < judged[0].estimate == 0.5 < judged[0].high


def test_a_figures_claims_are_corrected_together_and_those_of_others_apart():
    data = frame(a=spread(0.45))
    [alone] = judge([claim()], data, ranges=KNOWN)
    others = [claim(text=f"claim {i}", margin=0.7) for i in range(4)]
    in_figure = judge([claim(), *others], data, ranges=KNOWN)[0]
    elsewhere = [dataclasses.replace(one, figure="3.5") for one in others]
    assert in_figure.p == pytest.approx(min(1.0, 5 * alone.p))
    assert judge([claim(), *elsewhere], data, ranges=KNOWN)[0] == alone
    assert (alone.verdict, in_figure.verdict) == ("supported", "undecided")
    assert (in_figure.estimate, in_figure.low) == (alone.estimate, alone.low)


def test_correction_by_hand():
    p = [[0.001, 1.0], [0.02, 0.98], [0.9, 0.004]]
    # Claims: .001 x 3, .02 x 2, .9; reverses: .004 x 3, then 1; all of it twice.
    expected = [[0.006, 1.0], [0.08, 1.0], [1.0, 0.024]]
    np.testing.assert_allclose(corrected(p), expected)


def test_verdicts_come_in_the_order_of_claims_and_a_seed_fixes_them():
    data = frame(a=spread(0.1, LEAST_UNBOUNDED))
    claims = [
        claim(figure=figure, text=figure, trials=LEAST_UNBOUNDED)
        for figure in ("4.2", "3.4", "4.2 ")
    ]
    first = judge(claims, data, seed=1)
    assert [verdict.figure for verdict in first] == ["4.2", "3.4", "4.2 "]
    assert judge(claims[::-1], data, seed=1) == first[::-1]
    assert judge(claims, data, seed=2) != first


def test_the_table_has_one_line_for_each_verdict(tmp_path):
    data = frame(a=np.full(100, 8.0))
    verdicts = judge([claim(text="a, b", margin=0.25)], data, ranges=KNOWN)
    write_csv(verdicts, tmp_path / "claims.csv")
    lines = (tmp_path / "claims.csv").read_text().splitlines()
    assert (
        lines[0]
        == "figure,claim,estimand,margin,estimate,low,high,p,trials,needed,verdict"
    )
    [cells] = list(csv.reader(lines[1:]))
    assert cells[:5] == ["3.4", "a, b", "last evaluation of a", "0.25", "8"]
    assert [float(cell) for cell in cells[5:8]] == pytest.approx(
        [verdicts[0].low, 8.0, verdicts[0].p]
    )
    assert cells[8:] == ["100", "100", "supported"]
    assert [file.name for file in tmp_path.iterdir()] == ["claims.csv"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"direction": "more"}, "direction is 'more'"),
        ({"trials": 0}, "trials is 0"),
        ({"margin": np.nan}, "margin nan"),
        ({"direction": "equal"}, "needs one above 0"),
        ({"estimand": at_optimum("a", 1.0), "margin": 95.0}, "is a share"),
        (
            {"estimand": at_optimum("a", 1.0), "direction": "equal", "margin": 0.1},
            "is a share",
        ),
    ],
)
def test_claims_that_cannot_be_judged_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        claim(**wrong)


# False verdicts are counted by simulation in test_statistics; here through the front
# door, with fewer studies.


@pytest.mark.parametrize("trials", [10, 20, 100])
def test_rare_failures_of_one_label_seldom_make_a_false_verdict(trials):
    """10 % of a's trials fail, and its mean is b's: with 10 trials, 35 % show none."""
    rng = np.random.default_rng(trials)
    ranges = {label: {"evaluation": (0.0, 1.0)} for label in "ab"}
    own = difference(final("a"), final("b"))
    claims = [claim(own, trials=trials), claim(own, "less", trials=trials, text="less")]
    wrong = 0
    for _ in range(40):
        a = np.where(rng.random(trials) < 0.1, 0.0, 0.8)
        data = frame(a=a, b=rng.uniform(0.62, 0.82, trials))
        wrong += outcomes(claims, data, ranges) != ["undecided"] * 2
        assert outcomes(claims, data, {}) == ["undecided"] * 2
    assert wrong <= 4  # of .05 x 40 = 2, 3 % of the time


def test_true_claims_beside_it_do_not_make_a_false_verdict_more_likely():
    rng = np.random.default_rng(0)
    figures = 400
    effects = np.reshape([0.0, 0.0, 0.0, 0.3, -0.3], (-1, 1))
    values = effects + rng.beta(0.3, 3, (100, 5, figures)) - 1 / 11
    flat = np.clip(values, -1, 1).reshape(100, -1)
    p = [mean_test(flat, 0.0, side, bounds=(-1, 1)) for side in ("greater", "less")]
    both = np.hstack([one.reshape(5, figures) for one in p])
    supported, contradicted = np.hsplit(corrected(both) <= 0.05, 2)
    false = supported[[0, 1, 2, 4]].any(axis=0) | contradicted[:4].any(axis=0)
    assert false.mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / figures)
    assert supported[3].mean() > 0.9
    assert contradicted[4].mean() > 0.9
