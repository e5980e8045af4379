"""Panels side by side, and pictures of many arms."""

from __future__ import annotations

import pytest

import commenv
from commenv import Budget, Channel
from commenv.channel import Float16, TopK
from commenv.errors import ResultsError, UnknownNameError
from commenv.study.analysis.facets import FACETS, Facet, facets_of, grouped

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")
pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def results():
    """24 arms in two environments."""
    return commenv.run(
        ["SimpleGrid-v0", "WindyGrid-v0"],
        ["davia"],
        num_agents=[1, 2],
        num_trials=2,
        num_episodes=2,
        settings=[{"step_size": 0.1}, {"step_size": 0.2}],
        uplink=[
            Channel(codec=Float16(), budget=Budget(bytes=60)),
            Channel(codec=TopK(3), budget=Budget(bytes=600)),
            Channel(codec=TopK(5), budget=Budget(bytes=600)),
        ],
        progress=False,
    )


def titles(figure):
    return [ax.get_title(loc="left") for ax in figure.axes]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("environment", ["SimpleGrid-v0", "WindyGrid-v0"]),
        ("num_agents", ["1 agent", "2 agents"]),
        ("settings", ["step_size=0.1", "step_size=0.2"]),
        (
            "uplink",
            ["Float16, bytes=60", "TopK, bytes=600, k=3", "TopK, bytes=600, k=5"],
        ),
        ("algorithm", ["davia"]),
        ("downlink", ["default"]),
        ("none", [""]),
    ],
)
def test_arms_of_one_value_stand_in_one_panel_and_have_the_names_of_the_next(
    results, field, expected
):
    facets = facets_of(results.frame, field, results.settings)
    assert [one.title for one in facets] == expected
    assert sorted(x for one in facets for x in one.names) == sorted(results.optimum)
    for facet in facets:
        # A product: each panel has all names, each once.
        assert list(facet.names.values()) == list(facets[0].names.values())
    figure = results.plot(y="evaluation", facet=field)
    assert legend(figure)[: len(facets[0].names)] == list(facets[0].names.values())
    for ax, facet in zip(figure.axes, facets, strict=True):
        drawn = [line for line in ax.lines if not line.get_label().startswith("_")]
        assert [line.get_label() for line in drawn] == list(facet.names)
        colours = [line.get_color() for line in drawn]
        assert colours == [
            line.get_color()
            for line in figure.axes[0].lines
            if not line.get_label().startswith("_")
        ]


def test_environments_have_columns_of_their_own_unless_told_otherwise(results):
    figure = results.plot(y=["evaluation", "size"])
    assert titles(figure) == [
        "SimpleGrid-v0: evaluation",
        "WindyGrid-v0: evaluation",
        "SimpleGrid-v0: size",
        "WindyGrid-v0: size",
    ]
    one, other = figure.axes[:2]
    assert one.get_ylim() != other.get_ylim()
    assert titles(results.plot(y="size", facet="none")) == ["Size"]


def test_panels_of_one_environment_share_their_returns_axis():
    results = commenv.run(
        "SimpleGrid-v0",
        "dql",
        num_agents=[1, 5],
        num_trials=1,
        num_episodes=30,
        progress=False,
    )
    assert len(results.plot(y="reward").axes) == 1
    one, other = results.plot(y="reward", facet="num_agents").axes
    assert one.get_ylim() == other.get_ylim()


def test_a_name_that_would_hide_a_difference_stays_whole():
    # In each panel another algorithm: to leave it out would give both one colour.
    facets = grouped(
        {"dql, x=1": "A", "dql, x=2": "A", "es, x=1": "B", "es, x=2": "B"},
        {"dql, x=1": 1, "dql, x=2": 2, "es, x=1": 3, "es, x=2": 4},
    )
    assert facets == [
        Facet("A", {one: one for one in ("dql, x=1", "dql, x=2")}),
        Facet("B", {one: one for one in ("es, x=1", "es, x=2")}),
    ]


def test_what_a_user_calls_an_environment_is_left_out_of_the_legend():
    results = commenv.run(
        {"calm": "SimpleGrid-v0", "storm": "WindyGrid-v0"},
        ["dql", "ebcdql"],
        num_trials=1,
        num_episodes=1,
        progress=False,
    )
    assert legend(results.plot(y="size")) == ["dql", "ebcdql"]


def test_an_unknown_facet_names_those_that_there_are(results):
    with pytest.raises(UnknownNameError, match=r"facet 'agents'.*'num_agents'") as seen:
        results.plot(facet="agents")
    assert all(field in str(seen.value) for field in FACETS)


def many(count):
    rows = [
        {"label": f"arm {n}", "environment": "A", "trial": t, "episode": e}
        | {"reward": float(n), "frequency": 1.0, "size": 1.0, "num_agents": n + 1}
        for n in range(count)
        for t in range(2)
        for e in range(3)
    ]
    return pd.DataFrame(rows)


def test_of_many_curves_the_best_have_colours_and_the_others_are_counted():
    from commenv.study.analysis.figures import plot

    figure = plot(many(24), y=["reward", "size"])
    assert len(legend(figure)) == 24
    assert "Mean and 10th" in figure.texts[-1].get_text()
    figure = plot(many(40), y=["reward", "size"])
    assert legend(figure) == [*(f"arm {n}" for n in range(28, 40)), "28 others (means)"]
    for ax in figure.axes:
        assert len(ax.lines) == 12
        (grey,) = ax.collections  # no bands
        assert len(grey.get_segments()) == 28
    assert "the 12 that end highest in reward" in figure.texts[-1].get_text()


def test_more_panels_than_fit_are_refused():
    with pytest.raises(ResultsError, match="num_agents has 13 values, more than"):
        facets_of(many(13), "num_agents")
    assert len(facets_of(many(12), "num_agents")) == 12


def test_a_facet_of_which_nothing_is_known_is_refused():
    with pytest.raises(ResultsError, match="nothing is known of the uplink of 'arm 0'"):
        facets_of(many(2), "uplink")


def test_a_frontier_of_many_arms_names_those_that_are_on_it():
    from commenv.study.analysis.frontier import frontier
    from commenv.study.analysis.frontier_figure import plot_frontier

    frame = many(40).assign(evaluation=lambda f: -abs(f["num_agents"] - 3.0))
    frame["size"] = frame["num_agents"].astype(float)
    table = frontier(frame, every=True)
    figure = plot_frontier(table, "uplink_bytes", "evaluation")
    best = sorted(table.loc[table["beaten_by"].isna(), "label"])
    assert best == ["arm 0", "arm 1", "arm 2"]
    assert legend(figure) == [*best, "37 others"]
