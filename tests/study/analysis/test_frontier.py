"""The arms that no other beats."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import commenv
from commenv import Budget, Channel
from commenv.errors import UnknownNameError
from commenv.study.analysis.frontier import frontier, render
from commenv.study.analysis.intervals import mean_interval

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

POINTS = st.lists(st.tuples(st.integers(0, 5), st.integers(-3, 3)), max_size=8)


def frame_of(points, environment="A", trials=2):
    """Arms whose trials all spend and have the same."""
    rows = [
        {
            "label": f"arm {number}",
            "environment": environment,
            "trial": trial,
            "episode": 0,
            "size": float(x),
            "evaluation": float(y),
            "num_agents": 1,
            "codec": "identity",
        }
        for number, (x, y) in enumerate(points)
        for trial in range(trials)
    ]
    return pd.DataFrame(rows)


@given(points=POINTS.filter(bool))
@settings(max_examples=60, deadline=None)
def test_it_is_the_pareto_set_by_brute_force(points):
    table = frontier(frame_of(points), every=True).set_index("label")
    for number, (x, y) in enumerate(points):
        beaten = any(
            one <= x and other >= y and (one, other) != (x, y) for one, other in points
        )
        assert pd.notna(table.loc[f"arm {number}", "beaten_by"]) == beaten
    alone = frontier(frame_of(points))
    assert set(alone["label"]) == set(table.index[table["beaten_by"].isna()])
    assert alone["x"].is_monotonic_increasing
    for one, other in itertools.pairwise(alone[["x", "y"]].to_numpy().tolist()):
        assert one == other or (one[0] < other[0] and one[1] < other[1])


def test_a_study_of_budgets():
    sizes = (20, 100, 1000)
    results = commenv.run(
        ["SimpleGrid-v0", "WindyGrid-v0"],
        "dql",
        num_trials=4,
        num_episodes=60,
        settings={"env.size": 3},
        uplink={
            f"{size} B": Channel(budget=Budget(bytes=size, exceed="truncate"))
            for size in sizes
        },
        progress=False,
    )
    table = results.frontier(every=True)
    assert set(table["label"]) == set(results.optimum)
    assert set(table["environment"]) == {"SimpleGrid-v0", "WindyGrid-v0"}
    for row in table.itertuples():
        rows = results.frame[results.frame["label"] == row.label]
        spent = rows.groupby("trial")["size"].sum()
        last = rows.groupby("trial")["evaluation"].last()
        assert row.x == pytest.approx(spent.mean(), rel=1e-12)
        assert row.y == pytest.approx(last.mean(), rel=1e-12)
        expected = mean_interval(last, bounds=results.ranges[row.label]["evaluation"])
        assert (row.y_low, row.y_high) == tuple(map(float, expected))
        assert np.isnan(row.x_low)  # bytes have no known range, and trials are few
        if pd.notna(row.beaten_by):
            assert row.beaten_by.split(", ")[1] == row.environment
    assert table["x"].is_monotonic_increasing
    alone = results.frontier()
    assert set(alone["environment"]) == {"SimpleGrid-v0", "WindyGrid-v0"}
    assert 2 <= len(alone) < len(table)


def test_unknown_axes_are_named():
    frame = frame_of([(1, 1)])
    with pytest.raises(UnknownNameError, match=r"'uplink_byte'.*'uplink_bytes'"):
        frontier(frame, "uplink_byte")
    with pytest.raises(UnknownNameError, match=r"'evaluatoin'.*'evaluation'"):
        frontier(frame, y="evaluatoin")


def test_a_figure_has_a_panel_for_each_environment_and_one_style_for_each_arm(tmp_path):
    budgets = {"tight": Channel(budget=Budget(messages=0)), "free": Channel()}
    results = commenv.run(
        ["SimpleGrid-v0", "WindyGrid-v0"],
        "dql",
        num_trials=2,
        num_episodes=4,
        uplink=budgets,
        progress=False,
    )
    figure = results.plot_frontier(title="what", path=tmp_path / "frontier.png")
    assert (tmp_path / "frontier.png").read_bytes().startswith(b"\x89PNG")
    assert [ax.get_title(loc="left") for ax in figure.axes] == [
        "SimpleGrid-v0",
        "WindyGrid-v0",
    ]
    (legend,) = figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["dql, free", "dql, tight"]
    for ax in figure.axes:
        table = results.frontier(every=True)
        own = table[table["environment"] == ax.get_title(loc="left")]
        drawn = {
            (float(x), float(y))
            for container in ax.containers
            for x, y in container[0].get_xydata()
        }
        assert drawn == set(zip(own["x"], own["y"], strict=True))


def test_the_table_stars_the_frontier():
    table = frontier(frame_of([(1, 1), (2, 2), (3, 0)]), every=True)
    lines = render(table, "uplink_bytes", "evaluation").splitlines()
    assert [line.startswith("*") for line in lines[1:4]] == [True, True, False]
    assert "3.0000" in lines[3]
    assert "0.0000" in lines[3]
