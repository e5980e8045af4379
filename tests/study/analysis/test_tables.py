from __future__ import annotations

import numpy as np
import pytest

from commenv.errors import ResultsError
from commenv.study.analysis.intervals import mean_interval
from commenv.study.analysis.tables import render, summary

pd = pytest.importorskip("pandas")


UNUSUAL = (
    "refused",
    "refused_bytes",
    "lost",
    "expired",
    "invalid",
    "penalty",
    "downlink_refused",
    "downlink_lost",
    "downlink_penalty",
)


def rows(label, trial, episodes, **columns):
    """One trial, in which 20 bytes are sent in each episode unless told."""
    base = {
        "label": label,
        "environment": "SimpleGrid-v0",
        "algorithm": "dql",
        "scheme": "always",
        "num_agents": 5,
        "trial": trial,
        "episode": np.arange(episodes),
        "reward": -6.0,
        "evaluation": np.nan,
        "messages": 1.0,
        "size": 20.0,
        "header_size": 16.0,
        "downlink_size": 800.0,
        **dict.fromkeys(UNUSUAL, 0.0),
    }
    return pd.DataFrame(base | columns)


def study():
    """Label a: trials of 150 and 50 episodes; label b: 50 episodes, no evaluation."""
    evaluation = np.full(150, np.nan)
    evaluation[[0, 90]] = -9.0, -5.0
    reward = np.where(np.arange(150) < 50, -100.0, -4.0)
    long = rows("a", 0, 150, evaluation=evaluation, reward=reward, size=30.0)
    short = rows("a", 1, 50, evaluation=-6.0, messages=0.5)
    other = rows("b", 0, 50, algorithm="espc", size=123_456.0)
    # Out of order, as blocks of trials may be.
    return pd.concat([short, long[::-1], other], ignore_index=True)


def row(**changes):
    base = {
        "label": "dql",
        "environment": "SimpleGrid-v0",
        "algorithm": "dql",
        "scheme": "always",
        "agents": 5,
        "trials": 100,
        "episodes": 1000,
        "episodes_least": 1000,
        "reward_window": 100,
        "evaluation": -5.21703,
        "optimum": -5.21703,
        "gap": 0.0,
        "reward": -5.5913,
        "messages": 1.0,
        "bytes": 231.25,
        "header": 16.0,
        "downlink": 800.0,
        **dict.fromkeys(UNUSUAL, 0.0),
    }
    return base | changes


def test_the_summary_is_as_computed_by_hand():
    first, second = summary(study(), {"a": -5.0, "b": None})
    assert {k: first[k] for k in ("label", "environment", "algorithm", "scheme")} == {
        "label": "a",
        "environment": "SimpleGrid-v0",
        "algorithm": "dql",
        "scheme": "always",
    }
    assert (first["agents"], first["trials"]) == (5, 2)
    assert (first["episodes"], first["episodes_least"]) == (150, 50)
    # Last evaluations -5 and -6; the last 100 rewards are -4, the other trial's -6.
    assert first["evaluation"] == -5.5
    assert (first["optimum"], first["gap"]) == (-5.0, 0.5)
    assert (first["reward"], first["reward_window"]) == (-5.0, 100)
    assert first["messages"] == pytest.approx((150 * 1 + 50 * 0.5) / 200)
    assert first["bytes"] == pytest.approx((150 * 30 + 50 * 20) / 200)
    assert (first["header"], first["downlink"]) == (16.0, 800.0)
    assert second["algorithm"] == "espc"
    assert np.isnan(second["evaluation"])
    assert (second["optimum"], second["gap"]) == (None, None)
    assert (second["episodes"], second["reward_window"]) == (50, 50)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_a_gap_is_0_by_rounding_only_whatever_the_unit(scale):
    (exact, short) = (
        summary(rows("a", 0, 1, evaluation=value * scale), {"a": 0.3 * scale})
        for value in (0.1 + 0.2, 0.3 - 1e-6)
    )
    assert exact[0]["gap"] == 0
    assert short[0]["gap"] == pytest.approx(1e-6 * scale)


def test_what_agents_hold_stands_beside_what_is_evaluated_where_it_differs():
    held = np.full(50, np.nan)
    held[[10, 40]] = -8.0, -9.5
    one = rows("a", 0, 50, evaluation=-5.0, held_evaluation=held)
    other = rows("a", 1, 50, evaluation=-5.0, held_evaluation=-8.5)
    (found,) = summary(pd.concat([one, other]), {"a": -5.0})
    assert (found["held"], found["evaluation"], found["gap"]) == (-9.0, -5.0, 0.0)
    printed = render([found])
    assert printed.splitlines()[2].split()[:3] == ["label", "evaluation", "held"]
    assert printed.splitlines()[5].split()[:3] == ["a", "-5.0000", "-9.0000"]
    assert "policies that agents hold" in printed


@pytest.mark.parametrize("held", [np.nan, -5.21703, -5.21703 - 1e-12])
def test_what_agents_hold_is_not_shown_where_it_is_the_same(held):
    assert render([row(held=held)]) == render([row()])


def test_one_label_whose_agents_hold_something_else_is_enough():
    printed = render([row(label="a"), row(label="b", held=-np.inf)])
    assert [line.split()[2] for line in printed.splitlines()[5:7]] == ["-", "-inf"]


def test_labels_may_be_categories_and_optima_unknown():
    (only,) = summary(rows("a", 3, 2).astype({"label": "category"}))
    assert (only["label"], only["optimum"], only["trials"]) == ("a", None, 1)


def test_an_empty_frame_is_refused():
    with pytest.raises(ResultsError, match="no rows"):
        summary(study().iloc[:0])


def test_one_row_is_printed_exactly():
    lines = render([row()]).splitlines()
    assert lines[:5] == [
        "environment SimpleGrid-v0, algorithm dql, scheme always, 5 agents, "
        "100 trials, 1,000 episodes",
        "",
        "label  evaluation  optimum         gap    reward  messages   bytes  header"
        "  downlink",
        "             last    exact  to optimum  last 100   per ep.   B/ep.   B/ep."
        "     B/ep.",
        "-----  ----------  -------  ----------  --------  --------  ------  ------"
        "  --------",
    ]
    assert lines[5].split() == [
        "dql",
        "-5.2170",
        "-5.2170",
        "0",
        "-5.5913",
        "1.0000",
        "231.25",
        "16.000",
        "800.00",
    ]
    assert max(map(len, lines)) <= 100
    assert "last 100 episodes of each trial" in render([row()])


def test_what_rows_do_not_share_is_a_column_unless_the_label_says_it():
    table = [row(), row(label="es pc", algorithm="es", agents=30, trials=1)]
    lines = render(table).splitlines()
    assert lines[0] == "environment SimpleGrid-v0, scheme always, 1,000 episodes"
    assert lines[2].split()[:4] == ["label", "agents", "trials", "evaluation"]
    assert lines[6].split()[:4] == ["es", "pc", "30", "1"]
    other = render([row(), row(label="espc", algorithm="es")]).splitlines()
    assert other[2].split()[:2] == ["label", "algorithm"]


def test_a_wide_table_goes_on_below_and_loses_nothing():
    table = [row(label="l" * 60, bytes=123_456_789.25), row(label="short")]
    text = render(table, width=100)
    blocks = text.split("\n\n")[1:-1]
    assert len(blocks) == 3
    for block in blocks:
        assert max(map(len, block.splitlines())) <= 100
        assert block.splitlines()[3].startswith("l" * 60 + "  ")
        assert block.splitlines()[4].startswith("short  ")
    assert "123,456,789" in text
    names = [name for block in blocks for name in block.splitlines()[0].split()[1:]]
    assert names == [
        "evaluation",
        "optimum",
        "gap",
        "reward",
        "messages",
        "bytes",
        "header",
        "downlink",
    ]


def test_a_width_below_one_column_still_prints_every_number():
    assert "231.25" in render([row()], width=1)


@pytest.mark.parametrize(
    ("changes", "cell", "place"),
    [
        ({"gap": 0.0}, "0", 3),
        ({"gap": 4e-16}, "4.0e-16", 3),
        ({"gap": 3.2e-6}, "3.2e-06", 3),
        ({"gap": -0.25}, "-0.2500", 3),
        ({"gap": None, "optimum": None}, "-", 3),
        ({"evaluation": float("nan")}, "-", 1),
        ({"messages": 0.0}, "0.0000", 5),
        ({"bytes": 4321.5}, "4,321.5", 6),
    ],
)
def test_numbers_are_neither_cut_nor_rounded_to_a_lie(changes, cell, place):
    line = render([row(**changes)]).splitlines()[5]
    assert line.split()[place] == cell


def test_trials_of_different_length_show_their_range_and_window():
    text = render([row(episodes=630, episodes_least=32)])
    assert "32-630 episodes" in text
    assert "last 32-100" in text.splitlines()[3]


def test_one_of_a_kind_is_in_the_singular():
    assert "1 agent, 1 trial, " in render([row(agents=1, trials=1)])


@pytest.mark.parametrize("name", UNUSUAL)
def test_what_budgets_and_links_did_is_averaged_and_shown_where_it_is_not_zero(name):
    # 4 in one of four episodes, and in a trial of one episode alone: (4 + 0.5) / 5.
    some = np.array([0.0, 4.0, 0.0, 0.0])
    frame = pd.concat(
        [
            rows("a", 0, 4, **{name: some}),
            rows("a", 1, 1, **{name: 0.5}),
            rows("b", 0, 1),
        ]
    )
    table = summary(frame)
    assert table[0][name] == pytest.approx(0.9)
    assert all(table[0][other] == 0 for other in UNUSUAL if other != name)
    text = render(table)
    lines = text.split("\n\n")[-2].splitlines()
    heading = {"refused_bytes": "unsent"}.get(name, name.partition("_")[0])
    assert lines[0].split()[-1] == heading
    assert [line.split()[-1] for line in lines[3:]] == ["0.9000", "0.0000"]
    assert f"\n{heading}" in text.split("\n\n")[-1]
    shown = set(render(summary(rows("a", 0, 1))).split("\n\n")[1].split())
    assert shown.isdisjoint({"refused", "unsent", "lost", "expired", "penalty"})


def test_an_evaluation_has_the_interval_of_the_means_wherever_there_is_one():
    values = [-9.0, -6.5, -5.5, -7.0]
    frame = pd.concat(
        [
            *(rows("a", trial, 3, evaluation=x) for trial, x in enumerate(values)),
            rows("b", 0, 3, evaluation=-6.0),
            *(rows("c", trial, 3, evaluation=x) for trial, x in enumerate(values)),
        ]
    )
    bounds = (-10.0, -5.0)
    ranges = {"a": {"evaluation": bounds}, "b": {"evaluation": bounds}}
    table = summary(frame, ranges=ranges)
    low, high = map(float, mean_interval(np.array(values), bounds=bounds))
    assert (table[0]["evaluation_low"], table[0]["evaluation_high"]) == (low, high)
    assert low < -7.0 < high
    for row in table[1:]:  # one trial; four of which no range is known
        assert np.isnan([row["evaluation_low"], row["evaluation_high"]]).all()
    lines = render(table).splitlines()
    assert lines[2].split()[:4] == ["label", "trials", "evaluation", "interval"]
    assert f"-7.0000  {low:.4f} to {high:.4f}  " in lines[5]
    assert lines[6].split()[3] == lines[7].split()[3] == "-"
    assert "interval: of 95 %" in render(table)
    assert "interval" not in render(table[1:])


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_an_evaluation_that_is_missing_or_infinite_has_no_interval(value):
    frame = pd.concat(
        [rows("a", 0, 2, evaluation=-6.0), rows("a", 1, 2, evaluation=value)]
    )
    (row,) = summary(frame, ranges={"a": {"evaluation": (-10.0, -5.0)}})
    assert np.isnan(row["evaluation_low"])


def test_no_rows_no_table():
    assert render([]) == ""
