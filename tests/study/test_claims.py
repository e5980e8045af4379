from __future__ import annotations

import csv
import dataclasses

import numpy as np
import pytest

from commenv.errors import ResultsError
from commenv.study.claims import Claim, Verdict, corrected, judge, write_csv
from commenv.study.estimands import Estimand, at_optimum, difference, final, less
from commenv.study.significance import difference_test, equivalence, mean_test

pd = pytest.importorskip("pandas")
pytest.importorskip("scipy")

TRIALS = (10, 20, 100)
FIGURES = 1_000
# Mean 0. Paired trials differ by the difference of two such draws.
POPULATIONS = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "exponential": lambda rng, shape: rng.exponential(size=shape) - 1,
    "student t": lambda rng, shape: rng.standard_t(3, size=shape),
}


def frame(**labels):
    """A frame of one episode; the evaluations of each label's trials are given."""
    parts = [
        {"label": label, "trial": trial, "episode": 0, "evaluation": float(value)}
        for label, values in labels.items()
        for trial, value in enumerate(values)
    ]
    return pd.DataFrame(parts)


def normal(mean, trials=20, seed=0):
    return mean + np.random.default_rng(seed).normal(size=trials)


def claim(estimand=None, direction="greater", margin=0.0, trials=20, **others):
    words = {"figure": "3.4", "text": "a learns"} | others
    return Claim(
        estimand=estimand or final("a"),
        direction=direction,
        margin=margin,
        trials=trials,
        **words,
    )


def outcomes(claims, data):
    return [verdict.verdict for verdict in judge(claims, data, resamples=999)]


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
    data = frame(a=normal(mean))
    [verdict] = judge([claim(direction=direction, margin=margin)], data)
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
        "verdict",
    ]


@pytest.mark.parametrize("trials", [1, 2, 9])
def test_fewer_than_ten_trials_decide_nothing(trials):
    data = frame(a=normal(100.0, trials))
    [verdict] = judge([claim(trials=trials)], data)
    assert verdict.verdict == "undecided"
    assert verdict.trials == trials
    assert verdict.estimate == pytest.approx(data["evaluation"].mean())
    assert verdict.low <= verdict.estimate <= verdict.high


def test_one_trial_has_an_interval_without_ends():
    [verdict] = judge([claim(trials=1)], frame(a=[5.0]))
    assert (verdict.low, verdict.high, verdict.p) == (-np.inf, np.inf, 1.0)


def test_ten_trials_can_decide():
    assert outcomes([claim(trials=10)], frame(a=normal(3.0, 10))) == ["supported"]


def test_an_unfinished_study_decides_nothing_and_later_trials_are_not_looked_at():
    values = np.concatenate([normal(3.0, 20), np.full(80, -100.0)])
    assert outcomes([claim(trials=21)], frame(a=values[:20])) == ["undecided"]
    [verdict] = judge([claim(trials=20)], frame(a=values))
    assert (verdict.verdict, verdict.trials) == ("supported", 20)


def test_labels_are_compared_trial_by_trial():
    # The worlds differ by far more than the labels do.
    worlds = 50 * normal(0.0, 20)
    data = frame(a=worlds + normal(2.0, 20, seed=1), b=worlds)
    [verdict] = judge([claim(difference(final("a"), final("b")))], data)
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


def test_equal_trials_make_a_point_that_is_judged_by_its_side():
    data = frame(a=np.full(20, 0.5))
    judged = judge(
        [
            claim(margin=0.4),
            claim(margin=0.5),
            claim(direction="less", margin=0.5),
            claim(direction="less", margin=0.4),
            claim(less(final("a"), 0.5), "equal", 0.01),
        ],
        data,
    )
    assert [verdict.verdict for verdict in judged] == [
        "supported",
        "undecided",
        "undecided",
        "contradicted",
        "supported",
    ]
    assert judged[0].low == judged[0].high == judged[0].estimate == 0.5


def test_a_figures_claims_are_corrected_together_and_those_of_others_apart():
    data = frame(a=normal(0.65, 20))
    [alone] = judge([claim()], data)
    others = [claim(text=f"claim {i}", margin=0.6) for i in range(4)]
    in_figure = judge([claim(), *others], data)[0]
    elsewhere = [dataclasses.replace(one, figure="3.5") for one in others]
    assert in_figure.p == pytest.approx(min(1.0, 5 * alone.p))
    assert judge([claim(), *elsewhere], data)[0] == alone
    assert (alone.verdict, in_figure.verdict) == ("supported", "undecided")
    assert (in_figure.estimate, in_figure.low) == (alone.estimate, alone.low)


def test_correction_by_hand():
    p = [[0.001, 1.0], [0.02, 0.98], [0.9, 0.004]]
    # Claims: .001 x 3, .02 x 2, .9; reverses: .004 x 3, then 1; all of it twice.
    expected = [[0.006, 1.0], [0.08, 1.0], [1.0, 0.024]]
    np.testing.assert_allclose(corrected(p), expected)


def test_verdicts_come_in_the_order_of_claims_and_a_seed_fixes_them():
    data = frame(a=normal(0.5, 20))
    claims = [claim(figure=figure, text=figure) for figure in ("4.2", "3.4", "4.2 ")]
    first = judge(claims, data, seed=1)
    assert [verdict.figure for verdict in first] == ["4.2", "3.4", "4.2 "]
    assert judge(claims[::-1], data, seed=1) == first[::-1]
    assert judge(claims, data, seed=2) != first


def test_the_table_has_one_line_for_each_verdict(tmp_path):
    data = frame(a=np.full(20, 0.5))
    verdicts = judge([claim(text="a, b", margin=0.25)], data)
    write_csv(verdicts, tmp_path / "claims.csv")
    lines = (tmp_path / "claims.csv").read_text().splitlines()
    assert lines[0] == "figure,claim,estimand,margin,estimate,low,high,p,trials,verdict"
    [cells] = list(csv.reader(lines[1:]))
    assert cells[:7] == ["3.4", "a, b", "last evaluation of a", "0.25"] + ["0.5"] * 3
    assert float(cells[7]) == pytest.approx(verdicts[0].p)
    assert cells[8:] == ["20", "supported"]
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


# False verdicts, counted by simulation. Rates may exceed alpha by three standard
# errors of what is counted in so many figures.


def most(rate=0.05, count=FIGURES):
    return rate + 3 * np.sqrt(rate * (1 - rate) / count)


def labels_beside_one(population, trials, count, effects=0.0):
    """Differences of labels to one common label: (trials, claims x figures)."""
    rng = np.random.default_rng([trials, list(POPULATIONS).index(population), count])
    draw = POPULATIONS[population]
    others = draw(rng, (trials, count, FIGURES)) + np.reshape(effects, (-1, 1))
    return (others - draw(rng, (trials, 1, FIGURES))).reshape(trials, -1)


def decided(favour, against, count):
    """Which claims are supported and contradicted: two tables (claims, figures)."""
    p = np.hstack([favour.reshape(count, -1), against.reshape(count, -1)])
    return np.hsplit(corrected(p) <= 0.05, 2)


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("trials", TRIALS)
@pytest.mark.parametrize("population", POPULATIONS)
def test_figures_without_effects_seldom_have_a_false_verdict(population, trials, count):
    values = labels_beside_one(population, trials, count)
    above = mean_test(values, resamples=999)
    below = mean_test(values, side="less", resamples=999)
    supported, contradicted = decided(above, below, count)
    assert supported.any(axis=0).mean() <= most(0.025)
    assert contradicted.any(axis=0).mean() <= most(0.025)
    assert (supported | contradicted).any(axis=0).mean() <= most()


@pytest.mark.parametrize("trials", TRIALS)
def test_true_claims_beside_it_do_not_make_a_false_verdict_more_likely(trials):
    effects = np.array([0.0, 0.0, 0.0, 3.0, -3.0])
    values = labels_beside_one("exponential", trials, 5, effects)
    above = mean_test(values, resamples=999)
    below = mean_test(values, side="less", resamples=999)
    supported, contradicted = decided(above, below, 5)
    false = supported[[0, 1, 2, 4]].any(axis=0) | contradicted[:4].any(axis=0)
    assert false.mean() <= most()
    if trials >= 20:
        assert supported[3].mean() > 0.9
        assert contradicted[4].mean() > 0.9


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("trials", TRIALS)
def test_claims_about_one_skewed_label_are_seldom_judged_falsely(trials, count):
    rng = np.random.default_rng([trials, count])
    values = rng.exponential(size=(trials, count * FIGURES))
    favour = mean_test(values, 1.0, "less", resamples=1999)
    against = mean_test(values, 1.0, "greater", resamples=1999)
    supported, contradicted = decided(favour, against, count)
    assert supported.any(axis=0).mean() <= most()
    assert contradicted.any(axis=0).mean() <= most()


@pytest.mark.parametrize("trials", TRIALS)
def test_false_verdicts_of_equality_are_seldom(trials):
    rng = np.random.default_rng(trials)
    values = rng.normal(size=(trials, 5 * FIGURES)) * 0.2 + 0.5
    favour = equivalence(values, 0.5, resamples=999)
    against = difference_test(values, 0.5, resamples=999)
    supported, contradicted = decided(favour, against, 5)
    assert supported.any(axis=0).mean() <= most()
    assert contradicted.any(axis=0).mean() <= most()


@pytest.mark.parametrize("trials", [10, 20])
def test_judging_whole_studies_seldom_gives_a_false_verdict(trials):
    """The same through the front door, with fewer studies."""
    rng = np.random.default_rng(trials)
    own = Estimand("x", lambda data: dict(enumerate(data)))
    claims = [claim(own, trials=trials), claim(own, "less", trials=trials, text="b")]
    studies = [rng.standard_t(5, size=trials) for _ in range(150)]
    wrong = [any(o != "undecided" for o in outcomes(claims, x)) for x in studies]
    assert np.mean(wrong) <= most(0.05, 150)
    large = [outcomes(claims, x + 3) for x in studies[:20]]
    assert large.count(["supported", "contradicted"]) >= 18
