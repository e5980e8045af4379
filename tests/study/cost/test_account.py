from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from commenv.study.analysis.intervals import LEAST_UNBOUNDED, mean_interval
from commenv.study.cost import Cost, LinkProfile, account, render, summary

pd = pytest.importorskip("pandas")

QUANTITIES = [
    "messages",
    "bytes",
    "seconds",
    "sender_joules",
    "receiver_joules",
    "joules",
]


@dataclass(frozen=True)
class Plain(LinkProfile):
    """A second a byte up, two down; 3 W to send, 1 W to receive."""

    name: ClassVar[str] = "plain"
    source: ClassVar[str] = "made up"
    leaves_out: ClassVar[str] = "everything else"

    def cost(self, sizes, direction):
        seconds = sizes * (1.0 if direction == "uplink" else 2.0)
        return Cost(seconds, 3 * seconds, seconds)


SIZES = pd.DataFrame(
    [
        ("b", 0, "uplink", 4, 16, 1, 10),
        ("b", 0, "uplink", 84, 16, 1, 1),
        ("b", 0, "downlink", 34, 16, 5, 2),
        ("b", 0, "acknowledgement", 0, 16, 1, 3),
        ("b", 2, "uplink", 4, 16, 1, 5),
        ("a", 0, "downlink", 4, 16, 1, 1),
    ],
    columns=[
        "label",
        "trial",
        "direction",
        "payload",
        "header",
        "receivers",
        "messages",
    ],
)
TRIALS = pd.DataFrame({"label": ["b", "b", "a"], "trial": [0, 2, 0]})


def test_every_message_costs_what_its_size_costs():
    costs = account(SIZES, TRIALS, Plain())
    assert list(costs.columns) == ["label", "trial", "direction", *QUANTITIES]
    first = costs[(costs["label"] == "b") & (costs["trial"] == 0)]
    assert first["direction"].tolist() == [
        "uplink",
        "downlink",
        "acknowledgement",
        "total",
    ]
    assert first[QUANTITIES].to_numpy().tolist() == [
        [11, 300, 300, 900, 300, 1200],
        [2, 100, 200, 600, 1000, 1600],  # heard by five
        [3, 48, 96, 288, 96, 384],  # they go down
        [16, 448, 596, 1788, 1396, 3184],
    ]


def test_trials_that_sent_nothing_count_and_keep_their_place():
    trials = pd.DataFrame({"label": ["a", "b", "b"], "trial": [0, 1, 2]})
    costs = account(SIZES, trials, Plain())
    assert costs["label"].tolist() == ["a"] * 4 + ["b"] * 8
    assert costs["trial"].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    silent = costs[costs["trial"] == 1]
    assert not silent[QUANTITIES].to_numpy().any()
    nothing = account(SIZES.iloc[:0], trials, Plain())
    assert len(nothing) == 12
    assert not nothing[QUANTITIES].to_numpy().any()


def test_a_summary_of_few_trials_has_means_and_no_intervals():
    rows = summary(account(SIZES, TRIALS, Plain()))
    assert rows["label"].tolist() == ["b"] * 4 + ["a"] * 4
    up = rows.iloc[0]
    assert (up["trials"], up["messages"], up["bytes"]) == (2, 8, 200)
    assert up["seconds"] == 200
    assert np.isnan([up["seconds_low"], up["joules_high"]]).all()
    alone = rows.iloc[5]
    assert (alone["trials"], alone["seconds"]) == (1, 40)
    assert np.isnan([alone["seconds_low"], alone["joules_high"]]).all()


def many():
    """So many trials that their means have intervals; all send one message down."""
    trials = np.arange(LEAST_UNBOUNDED)
    sent = np.random.default_rng(0).integers(1, 9, LEAST_UNBOUNDED)
    up = {"payload": 4, "header": 16, "receivers": 1, "messages": sent}
    down = up | {"messages": 1}
    key = {"label": "a", "trial": trials}
    sizes = pd.concat(
        [
            pd.DataFrame(key | {"direction": "uplink"} | up),
            pd.DataFrame(key | {"direction": "downlink"} | down),
        ],
        ignore_index=True,
    )
    return sent, account(sizes, pd.DataFrame(key), Plain())


def test_many_trials_have_the_intervals_of_means_where_they_differ():
    sent, costs = many()
    rows = summary(costs)
    interval = mean_interval(20.0 * sent)
    assert rows.iloc[0]["seconds_low"] == pytest.approx(float(interval.low))
    assert rows.iloc[0]["seconds_high"] == pytest.approx(float(interval.high))
    assert rows.iloc[1]["seconds"] == 40
    assert np.isnan(rows.iloc[1]["seconds_low"])
    text = render(rows, Plain())
    assert "in brackets their 95 % interval where trials differ" in text
    assert text.count("[") == 4  # seconds and joules of the uplink and of all


def test_a_table_shows_each_label_once_and_what_it_rests_on():
    text = render(summary(account(SIZES, TRIALS, Plain())), Plain())
    lines = text.splitlines()
    assert lines[0].split() == ["label", "messages", "bytes", "seconds", "joules"]
    assert lines[2].startswith("b      uplink                  8    200  ")
    assert lines[3].startswith("       downlink                1     50  ")
    assert lines[6].split() == ["a", "uplink", "0", "0", "0", "0"]
    assert lines[7].split() == ["downlink", "1", "20", "40", "160"]
    assert "link plain: made up." in lines
    assert "not included: everything else." in lines
    assert "Means over trials (no interval: it takes 300 trials)." in text


def test_a_single_trial_has_no_interval():
    text = render(summary(account(SIZES, TRIALS[2:], Plain())), Plain())
    assert "[" not in text
    assert "no interval: it takes 300 trials" in text
