from __future__ import annotations

import numpy as np
import pytest

from commenv.errors import ResultsError
from commenv.study.analysis.arrivals import (
    arrivals,
    common_end,
    reaches,
    sooner,
    time_to,
    times,
)
from commenv.study.analysis.claims import Claim, judge
from commenv.study.analysis.paired_estimands import difference

pd = pytest.importorskip("pandas")
pytest.importorskip("scipy")

NEVER = None


def study(**labels):
    """Trials of ten rounds of 8 bytes that reach 1 in the round given, or never.

    A pair of numbers is such a round and how many rounds the trial has.
    """
    parts = []
    for label, rounds in labels.items():
        for trial, when in enumerate(rounds):
            when, length = when if isinstance(when, tuple) else (when, 10)
            episode = np.arange(length)
            reached = episode >= (np.inf if when is NEVER else when)
            columns = {"episode": episode, "evaluation": reached.astype(float)}
            parts.append(
                pd.DataFrame(columns | {"label": label, "trial": trial, "size": 8.0})
            )
    return pd.concat(parts, ignore_index=True)


def test_a_trial_arrives_where_it_first_reaches_the_threshold():
    frame = study(a=[3, 0, NEVER])
    inf = np.inf
    assert arrivals(frame, "a", 1.0) == {0: (3, 9), 1: (0, 9), 2: (inf, 9)}
    by_bytes = arrivals(frame, "a", 1.0, x="uplink_bytes")
    assert by_bytes == {0: (32, 80), 1: (8, 80), 2: (inf, 80)}
    # A value that rounding keeps below the threshold has reached it.
    nearly = frame.assign(evaluation=frame["evaluation"] * 0.3)
    assert arrivals(nearly, "a", 0.1 + 0.2) == arrivals(frame, "a", 1.0)


def test_times_are_cut_at_a_common_end():
    estimand = time_to("a", 1.0, within=6)
    assert estimand(study(a=[3, 8, NEVER])) == {0: 3.0, 1: 6.0, 2: 6.0}
    assert estimand.name == "episode until a has evaluation 1, at most 6"
    for within in (-1, np.inf, np.nan):
        with pytest.raises(ValueError, match="within is"):
            time_to("a", 1.0, within=within)


def test_a_trial_that_ended_too_early_is_not_counted_as_its_own_end():
    frame = study(a=[3, (NEVER, 5)])  # the second stopped after round 4
    with pytest.raises(ResultsError, match=r"trial 1 of 'a' ended at episode 4 .*=4"):
        time_to("a", 1.0, within=9)(frame)
    assert time_to("a", 1.0, within=4)(frame) == {0: 3.0, 1: 4.0}
    assert common_end(frame, ["a"], 1.0) == 4.0
    assert common_end(study(a=[3, 8]), ["a"], 1.0) == 8.0
    # One that arrived and then stopped has a time.
    assert time_to("a", 1.0, within=9)(study(a=[(2, 4)])) == {0: 2.0}


def test_who_stops_early_does_not_win():
    # b gives up after two rounds in every trial; a arrives in round 5.
    frame = study(a=[5] * 10, b=[(NEVER, 2)] * 10)
    assert set(sooner("a", "b", 1.0)(frame).values()) == {1.0}
    with pytest.raises(ResultsError, match="ask who comes sooner"):
        time_to("b", 1.0, within=9)(frame)


def test_never_is_the_last_and_as_late_as_never():
    frame = study(a=[3, NEVER, NEVER, 4, 5], b=[4, 2, NEVER, NEVER, 5])
    assert list(sooner("a", "b", 1.0)(frame).values()) == [1, -1, 0, 1, 0]
    assert list(sooner("b", "a", 1.0)(frame).values()) == [-1, 1, 0, -1, 0]
    with pytest.raises(ResultsError, match="trials are compared pair by pair"):
        sooner("a", "b", 1.0)(study(a=[1, 2], b=[1]))


def test_the_share_that_arrives():
    frame = study(a=[3, 8, NEVER])
    assert list(reaches("a", 1.0)(frame).values()) == [1, 1, 0]
    assert list(reaches("a", 1.0, within=7)(frame).values()) == [1, 0, 0]
    assert reaches("a", 1.0).is_share
    assert reaches("a", 1.0, within=7).name == "a has evaluation 1 within episode 7"


def test_a_verdict_says_how_many_never_arrived():
    frame = study(a=[2] * 100, b=([4] * 7 + [NEVER] * 3) * 10)
    claims = [
        Claim(figure="x", text=text, estimand=estimand, direction=direction, trials=100)
        for text, estimand, direction in (
            (
                "a is faster",
                difference(time_to("a", 1.0, within=9), time_to("b", 1.0, within=9)),
                "less",
            ),
            ("a comes first", sooner("a", "b", 1.0), "greater"),
        )
    ]
    cut, first = judge(claims, frame)
    assert cut.estimate == pytest.approx(2 - (7 * 4 + 3 * 9) / 10)
    assert cut.estimand.endswith(
        "(not within 9: 0 of 100 trials of a; not within 9: 30 of 100 trials of b)"
    )
    assert first.estimand.endswith(
        "(never: 0 of 100 trials of a, 30 of 100 trials of b)"
    )
    assert {cut.verdict, first.verdict} == {"supported"}


def test_the_table_by_hand():
    table = times(study(a=[1, 3, 8, NEVER], b=[NEVER, NEVER, NEVER, 2]), 1.0)
    a, b = table.to_dict("records")
    assert (a["label"], a["trials"], a["never"], a["never_share"]) == ("a", 4, 1, 0.25)
    assert (a["median"], a["mean"], a["within"]) == (3.0, (1 + 3 + 8 + 9) / 4, 9.0)
    assert a["low"] < a["mean"] < a["high"]
    assert (b["median"], b["never_share"]) == (np.inf, 0.75)
    (early,) = times(study(a=[1, 3, 8, NEVER]), 1.0, within=5).to_dict("records")
    assert (early["never"], early["mean"]) == (2, (1 + 3 + 5 + 5) / 4)
    (alone,) = times(study(a=[1]), 1.0).to_dict("records")
    assert np.isnan([alone["low"], alone["high"]]).all()
