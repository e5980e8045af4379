from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from commenv.errors import ResultsError, UnknownNameError
from commenv.study.analysis.axes import (
    X_AXES,
    check_y,
    in_bytes,
    is_amount,
    progress_along,
    values_of,
    x_label,
    y_axes,
    y_label,
)
from commenv.study.storage.frame import COLUMNS, KEY

pd = pytest.importorskip("pandas")


def trial_rows(label, trial, **columns):
    """One trial; episodes are counted, what is not given is 0."""
    length = len(next(iter(columns.values())))
    base = {
        "label": label,
        "trial": trial,
        "episode": np.arange(length),
        **dict.fromkeys(
            ["env_steps", "reward", "evaluation", "frequency", "messages"], 0.0
        ),
        **dict.fromkeys(["size", "total_size"], 0.0),
    }
    return pd.DataFrame(base | columns)


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        ("episode", [0, 1, 2, 0, 1]),
        ("env_steps", [7, 9, 12, 4, 8]),
        ("messages", [1, 1.5, 1.5, 0, 1]),
        ("uplink_bytes", [20, 30, 30, 0, 40]),
        ("total_bytes", [937, 1780, 2596, 816, 1689]),
    ],
)
def test_cost_adds_up_within_each_trial(x, expected):
    first = trial_rows(
        "a",
        0,
        env_steps=[7.0, 9, 12],
        messages=[1.0, 0.5, 0],
        size=[20.0, 10, 0],
        total_size=[937.0, 843, 816],
    )
    second = trial_rows(
        "a",
        1,
        env_steps=[4.0, 8],
        messages=[0.0, 1],
        size=[0.0, 40],
        total_size=[816.0, 873],
    )
    assert_array_equal(progress_along(pd.concat([first, second]), x), expected)


def whole_frame():
    """Every column of a study's frame, the amounts 1 and 2."""
    return pd.DataFrame(
        {one.name: ["x", "x"] if one.dtype == "str" else [1.0, 2.0] for one in COLUMNS}
    ).assign(trial=0, episode=[0, 1])


def test_every_column_of_numbers_can_be_a_y_axis():
    numbers = {one.name for one in COLUMNS if one.dtype != "str"} - set(KEY)
    frame = whole_frame()
    assert set(y_axes(frame)) == numbers | {"cumulative_reward"}
    for name in numbers:
        assert_array_equal(values_of(frame, name), [1, 2])
    assert_array_equal(values_of(frame, "cumulative_reward"), [1, 3])
    # A column of one's own counts too; one of words does not.
    assert "accuracy" in y_axes(frame.assign(accuracy=[0.5, 0.7]))
    with pytest.raises(UnknownNameError, match=r"y axis 'scheme'; known: .*expired, "):
        check_y(frame, ["reward", "scheme"])


@pytest.mark.parametrize("x", ["refused", "lost", "header_size", "downlink_penalty"])
def test_any_amount_adds_up_along_an_x_axis(x):
    assert_array_equal(progress_along(whole_frame(), x), [1, 3])


@pytest.mark.parametrize("amount", [[1.0, -1.0], [1.0, np.nan]])
def test_what_does_not_only_grow_is_not_an_x_axis(amount):
    frame = whole_frame().assign(lost=amount)
    with pytest.raises(ResultsError, match="'lost' is negative or missing"):
        progress_along(frame, "lost")


def test_returns_and_shares_are_not_x_axes():
    for name in ("reward", "evaluation", "episode_return", "frequency", "trial"):
        with pytest.raises(UnknownNameError, match=f"x axis '{name}'"):
            progress_along(whole_frame(), name)


def one_line(label):
    return " ".join(label.split())


def test_labels_come_from_the_definitions_of_the_columns():
    assert y_label("episode_return") == "undiscounted return\n(behaviour policy)"
    assert one_line(y_label("refused_bytes")) == (
        "uplink payload that a budget refused per agent and episode (bytes)"
    )
    assert one_line(x_label("refused_bytes")) == (
        "uplink payload that a budget refused per agent, so far (bytes)"
    )
    assert one_line(y_label("lost")) == (
        "uplink messages that the link lost per agent and episode"
    )
    assert y_label("my_own") == "my own"
    for name in [*X_AXES, *y_axes(whole_frame())]:
        label = x_label(name) if name in X_AXES else y_label(name)
        assert max(map(len, label.splitlines())) <= 45
        assert in_bytes(name) == ("bytes" in label), name


def test_amounts_are_what_adds_up():
    assert all(map(is_amount, ("size", "messages", "refused", "header_size")))
    assert not any(map(is_amount, ("reward", "evaluation", "frequency", "env_steps")))
