from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from commenv.errors import MissingExtraError, ResultsError, UnknownNameError
from commenv.study.analysis import figures
from commenv.study.analysis.figures import plot, save

pd = pytest.importorskip("pandas")
matplotlib = pytest.importorskip("matplotlib")


def rows(label, trial, **columns):
    """One trial of three episodes in which 10 bytes are sent, unless told."""
    base = {
        "label": label,
        "trial": trial,
        "episode": [0, 1, 2],
        "env_steps": [100.0, 200, 300],
        "reward": [-12.0, -8, -6],
        "evaluation": [-11.0, -7, -5],
        "frequency": 1.0,
        "messages": 1.0,
        "size": 10.0,
        "total_size": 842.0,
    }
    return pd.DataFrame(base | columns)


@pytest.fixture
def study():
    """Two labels of two trials; the second trial of `dql` sends less."""
    return pd.concat(
        [
            rows("dql", 0),
            rows("dql", 1, reward=[-10.0, -6, -5], size=[10.0, 5, 5]),
            rows("silent", 0, frequency=[1.0, 0, 0], size=[10.0, 0, 0]),
            rows("silent", 1, frequency=[0.5, 0, 0], size=[10.0, 0, 0]),
        ]
    )


def lines(ax):
    return {str(line.get_label()): line for line in ax.lines}


def legend_texts(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def texts(figure):
    return [text.get_text() for text in figure.texts]


def test_by_default_the_three_panels_against_the_episode(study):
    figure = plot(study)
    assert [ax.get_title(loc="left") for ax in figure.axes] == [
        "Reward",
        "Frequency",
        "Size",
    ]
    assert [ax.get_xlabel() for ax in figure.axes] == ["episode"] * 3
    assert [ax.get_ylabel() for ax in figure.axes] == [
        "discounted return\n(behaviour policy)",
        "agents that sent (share)",
        "uplink payload per agent\nand episode (bytes)",
    ]


def test_lines_are_the_means(study):
    reward, frequency, size = map(lines, plot(study).axes)
    assert_array_equal(reward["dql"].get_xdata(), [0, 1, 2])
    assert_array_equal(reward["dql"].get_ydata(), [-11, -7, -5.5])
    assert_array_equal(reward["silent"].get_ydata(), [-12, -8, -6])
    assert_array_equal(frequency["silent"].get_ydata(), [0.75, 0, 0])
    assert_array_equal(size["dql"].get_ydata(), [10, 7.5, 7.5])


def test_bands_are_the_percentiles(study):
    ax = plot(study, y="reward").axes[0]
    (outline,) = ax.collections[0].get_paths()
    corners = {tuple(np.round(point, 6)) for point in outline.vertices}
    # Two trials: a tenth of the way in from either.
    low = {(0.0, -11.8), (1.0, -7.8), (2.0, -5.9)}
    high = {(0.0, -10.2), (1.0, -6.2), (2.0, -5.1)}
    assert corners == low | high


def test_one_trial_has_no_band(study):
    figure = plot(study[study["trial"] == 0])
    assert [len(ax.collections) for ax in figure.axes] == [0, 0, 0]
    assert texts(figure) == ["One trial for each curve."]


def test_one_legend_names_each_label_once(study):
    figure = plot(study, title="A title")
    assert legend_texts(figure) == ["dql", "silent"]
    assert all(ax.get_legend() is None for ax in figure.axes)
    assert texts(figure) == ["A title", "Mean and 10th to 90th percentile of 2 trials."]


def test_curves_differ_in_colour_and_in_marker():
    frame = pd.concat([rows(f"number {i}", 0) for i in range(8)])
    drawn = plot(frame, y="reward").axes[0].lines
    assert len(drawn) == 8
    assert len({line.get_color() for line in drawn}) == 8
    assert len({line.get_marker() for line in drawn}) == 8


def test_curves_that_coincide_have_their_markers_apart():
    frame = pd.concat(
        [
            rows(name, 0, episode=np.arange(3) * 100, reward=1.0).merge(
                pd.DataFrame({"episode": np.arange(300)}), how="right"
            )
            for name in ("a", "b")
        ]
    ).ffill()
    first, second = plot(frame, y="reward").axes[0].lines
    assert len(first.get_markevery()) == len(second.get_markevery()) == 7
    assert not set(first.get_markevery()) & set(second.get_markevery())


def test_a_shared_optimum_is_one_line_in_the_panels_of_returns(study):
    optimum = {"dql": -5.217031, "silent": -5.217031}
    figure = plot(study, optimum=optimum, y=["evaluation", "reward", "size"])
    for ax in figure.axes[:2]:
        (line,) = [one for one in ax.lines if one.get_label() == "_optimum"]
        assert_array_equal(line.get_ydata(), [-5.217031, -5.217031])
        (text,) = [one.get_text() for one in ax.texts]
        assert text == "exact optimum \N{MINUS SIGN}5.217"
        assert ax.get_ylim()[0] < -5.217031 < ax.get_ylim()[1]
    assert "_optimum" not in lines(figure.axes[2])
    assert not figure.axes[2].texts


def test_different_optima_are_named(study):
    ax = plot(study, optimum={"dql": 1.0, "silent": 0.5}, y="evaluation").axes[0]
    assert {text.get_text() for text in ax.texts} == {
        "exact optimum of dql 1",
        "exact optimum of silent 0.5",
    }
    colours = {line.get_color() for line in ax.lines if line.get_linestyle() == "--"}
    assert colours == {lines(ax)["dql"].get_color(), lines(ax)["silent"].get_color()}


def test_a_long_label_neither_squeezes_a_panel_nor_leaves_the_figure(study):
    long = (
        "espc m=25 k=5 hidden=64,64 learning_rate=0.005 l2=0.05 noise=0.02 gamma=0.99"
    )
    frame = study.assign(label=study["label"].replace("silent", long))
    figure = plot(frame, optimum={"dql": -5.0, long: -6.0}, y="evaluation")
    figure.canvas.draw()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1
    assert figure.axes[0].get_position().width > 0.7


def test_an_unknown_optimum_draws_nothing(study):
    ax = plot(study, optimum={"dql": None}, y="reward").axes[0]
    assert set(lines(ax)) == {"dql", "silent"}
    assert not ax.texts


def test_held_ends_are_dashed_marked_and_explained(study):
    figure = plot(study, x="uplink_bytes", y="evaluation")
    drawn = lines(figure.axes[0])
    # Trial 1 of dql ends at 20 bytes, trial 0 at 30; silent is at 10 from the start.
    own, held = drawn["dql"], drawn["_dql (held)"]
    assert (own.get_xdata()[0], own.get_xdata()[-1]) == (10, 20)
    assert (held.get_xdata()[0], held.get_xdata()[-1]) == (20, 30)
    assert_allclose(held.get_ydata()[[0, -1]], [(-7 - 5) / 2, -5])
    assert own.get_linestyle() == "-"
    assert held.get_linestyle() == "--"
    assert (held.get_marker(), held.get_markevery()) == ("o", [0])
    assert_array_equal(drawn["silent"].get_xdata(), [10])
    assert_array_equal(drawn["_silent (held)"].get_xdata(), [10, 30])
    assert legend_texts(figure) == ["dql", "silent", "last value held"]
    assert texts(figure)[-1].endswith("Dashed: at least one trial has ended.")


def test_nothing_is_said_to_be_held_where_nothing_is(study):
    figure = plot(study, x="messages")
    assert legend_texts(figure) == ["dql", "silent"]
    assert "Dashed" not in texts(figure)[-1]


@pytest.mark.parametrize(
    ("x", "text"),
    [
        ("episode", "episode"),
        ("env_steps", "environment steps per agent"),
        ("messages", "messages per agent"),
        ("uplink_bytes", "uplink payload per agent (bytes)"),
        ("total_bytes", "all bytes per agent\n(payload and headers, both directions)"),
    ],
)
def test_the_x_axis_has_its_unit(study, x, text):
    assert plot(study, x=x, y="reward").axes[0].get_xlabel() == text


def test_a_column_of_amounts_is_drawn_from_0_with_its_unit(study):
    frame = study.assign(
        refused_bytes=[3e3, 4e3, 5e3] * 4, episode_return=[-9, -7, -6] * 4
    )
    amounts, returns = plot(frame, y=["refused_bytes", "episode_return"]).axes
    assert amounts.get_title(loc="left") == "Refused bytes"
    assert amounts.get_ylabel().startswith("uplink payload that a budget")
    assert amounts.yaxis.get_major_formatter()(4000.0) == "4 kB"
    assert -1000 < amounts.get_ylim()[0] <= 0
    assert_array_equal(lines(returns)["dql"].get_ydata(), [-9, -7, -6])
    (reward,) = plot(frame, x="refused_bytes", y="reward").axes
    assert_array_equal(lines(reward)["dql"].get_xdata()[[0, -1]], [3e3, 12e3])


def test_bytes_and_counts_are_written_readably(study):
    figure = plot(study.assign(size=4e3, env_steps=[1e6, 2e6, 3e6] * 4), x="env_steps")
    reward, _, size = figure.axes
    assert size.yaxis.get_major_formatter()(4000.0) == "4 kB"
    assert reward.xaxis.get_major_formatter()(2.5e6) == "2.5M"
    episodes = plot(study).axes[0].xaxis.get_major_formatter()
    assert episodes(1000.0) == "1,000"


def test_what_never_sends_can_be_drawn(study, tmp_path):
    quiet = study.assign(size=0.0, frequency=0.0, messages=0.0)
    figure = plot(quiet, x="uplink_bytes")
    save(figure, tmp_path / "quiet.png")
    assert figure.axes[2].get_ylim() == (-0.03, 1.0)


@pytest.mark.parametrize(
    ("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_a_figure_is_saved_whole_and_the_same_each_time(study, tmp_path, suffix, start):
    first = save(plot(study), tmp_path / "new" / f"one.{suffix}")
    second = save(plot(study), str(tmp_path / "new" / f"two.{suffix.upper()}"))
    assert first.read_bytes().startswith(start)
    assert first.read_bytes() == second.read_bytes()
    assert sorted(os.listdir(tmp_path / "new")) == [first.name, second.name]


def test_a_failed_save_leaves_the_old_file(study, tmp_path, monkeypatch):
    target = tmp_path / "figure.png"
    target.write_bytes(b"old")

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(figures.os, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        save(plot(study), target)
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["figure.png"]


@pytest.mark.parametrize("name", ["figure.jpg", "figure"])
def test_an_unknown_format_is_refused(study, tmp_path, name):
    with pytest.raises(UnknownNameError, match=r"figure format.*png.*ending such as"):
        save(plot(study), tmp_path / name)
    assert not os.listdir(tmp_path)


def test_wrong_axes_are_refused(study):
    with pytest.raises(UnknownNameError, match="x axis 'byte'"):
        plot(study, x="byte")
    with pytest.raises(UnknownNameError, match=r"y axis 'sise'.*'size'"):
        plot(study, y=["reward", "sise"])
    with pytest.raises(ValueError, match="y is empty"):
        plot(study, y=[])
    with pytest.raises(ResultsError, match="no rows"):
        plot(study.iloc[:0])


def test_a_notebook_gets_a_picture(study):
    assert plot(study)._repr_png_().startswith(b"\x89PNG")


def test_no_global_state_is_touched(study, tmp_path):
    before = dict(matplotlib.rcParams)
    save(plot(study), tmp_path / "figure.svg")
    assert dict(matplotlib.rcParams) == before


def test_neither_pyplot_nor_any_extra_is_imported_too_early():
    code = (
        "import sys, commenv.study.analysis.figures, commenv.study.analysis.tables\n"
        "import commenv.study.storage.frame, commenv.study.execution.progress\n"
        "early = {'matplotlib', 'pandas', 'scipy', 'rich'} & set(sys.modules)\n"
        "assert not early, early\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_pyplot_is_never_imported(study):
    code = (
        "import sys, pickle\n"
        "from commenv.study.analysis.figures import plot\n"
        "plot(pickle.load(sys.stdin.buffer), x='uplink_bytes')._repr_png_()\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    data = __import__("pickle").dumps(study)
    subprocess.run([sys.executable, "-c", code], input=data, check=True)


def test_without_matplotlib_the_extra_is_named(study, monkeypatch):
    for name in [one for one in sys.modules if one.startswith("matplotlib")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"\[study\]"):
        plot(study)
