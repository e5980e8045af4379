from __future__ import annotations

import numpy as np
import pytest

from commenv import Budget, Channel
from commenv.channel import BernoulliLoss, Delay, Sparse
from commenv.errors import ResultsError
from commenv.study.execution.block import run_block
from commenv.study.storage.sizes import SIZE_COLUMNS, check_sizes
from tests.study.studies import built

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

AGENTS = 3
SIZE_4 = {"env.size": 4}


def run(algorithm="dql", trials=range(4), **changes):
    """The frame of a block and its histogram."""
    settings = {"num_agents": AGENTS, "num_trials": 4, "num_episodes": 12} | changes
    study, sizes = built("SimpleGrid-v0", algorithm, None, SIZE_4, **settings), []
    table = run_block(study, study.arms[0], list(trials), count=sizes.append)
    return table.to_pandas(), sizes[0].to_pandas()


def totals(frame):
    """What a table says of each trial, all agents together, as whole numbers."""
    names = [
        "messages",
        "size",
        "header_size",
        "downlink_size",
        "downlink_header_size",
        "total_size",
    ]
    sums = frame[names].mul(frame["num_agents"], axis=0).round().astype(int)
    return sums.groupby(frame["trial"]).sum()


def check_conserved(frame, sizes):
    check_sizes(sizes)
    expected = totals(frame)
    for trial, row in expected.iterrows():
        own = sizes[sizes["trial"] == trial]
        count = own["messages"]
        up, down, back = (
            own["direction"] == name
            for name in ("uplink", "downlink", "acknowledgement")
        )
        payload, header = count * own["payload"], count * own["header"]
        assert count[up].sum() == row["messages"]
        assert payload[up].sum() == row["size"]
        assert header[up].sum() == row["header_size"]
        assert payload[down].sum() == row["downlink_size"]
        assert header[down].sum() == row["downlink_header_size"]
        assert payload.sum() + header.sum() == row["total_size"]
        assert payload[back].sum() == 0
    keys = sizes.groupby(["trial", "direction", "payload"]).size()
    assert (keys == 1).all()
    assert (sizes["messages"] > 0).all()


CHANNELS = {
    "plain": {},
    "lossy": {"uplink": Channel(link=BernoulliLoss(0.5)), "downlink": Channel(
        link=BernoulliLoss(0.3)
    )},
    "acknowledged": {
        "uplink": Channel(link=BernoulliLoss(0.5), acknowledgements=True)
    },
    "refused": {"uplink": Channel(budget=Budget(bytes=300))},
    "cut": {"uplink": Channel(budget=Budget(bytes=300, exceed="truncate"))},
    "queued": {"uplink": Channel(budget=Budget(bytes=900, exceed="queue"))},
    "team": {"uplink": Channel(budget=Budget(messages=1, scope="team"))},
    "delayed": {"uplink": Channel(link=Delay(ticks=1, spread=3, expiry=2))},
    "broadcast": {"downlink": Channel(medium="broadcast")},
    "compressed": {"downlink": Channel(codec=Sparse())},
}  # fmt: skip


@pytest.mark.parametrize("stop", [None, {"env_steps": 600}, {"uplink_bytes": 6000}])
@pytest.mark.parametrize("channel", CHANNELS)
def test_the_histogram_adds_up_to_the_table_exactly(channel, stop):
    frame, sizes = run(stop=stop, **CHANNELS[channel])
    if stop and channel in ("plain", "lossy", "acknowledged"):
        assert frame.groupby("trial").size().nunique() > 1  # some stop before others
    check_conserved(frame, sizes)


@pytest.mark.parametrize("algorithm", ["es", "espc", "ebcdql"])
def test_it_adds_up_with_what_agents_are_told_beforehand(algorithm):
    check_conserved(*run(algorithm, num_episodes=6))


def test_a_trials_histogram_does_not_depend_on_the_others_of_its_block():
    _, whole = run(stop={"env_steps": 600})
    for trials in ([2], [0, 1], [1, 2, 3]):
        _, part = run(trials=trials, stop={"env_steps": 600})
        expected = whole[whole["trial"].isin(trials)].reset_index(drop=True)
        pd.testing.assert_frame_equal(part, expected)


def test_the_table_is_the_same_whether_or_not_sizes_are_asked_for():
    study = built("SimpleGrid-v0", "dql", num_trials=2, num_episodes=3)
    sizes = []
    asked = run_block(study, study.arms[0], [0, 1], count=sizes.append)
    other = run_block(study, study.arms[0], [0, 1])
    pd.testing.assert_frame_equal(
        asked.to_pandas(), other.to_pandas(), check_exact=True
    )


def test_rows_say_who_hears_them():
    _, sizes = run(num_episodes=2, downlink=Channel(medium="broadcast"))
    assert list(sizes.columns) == list(SIZE_COLUMNS)
    assert (sizes["label"] == "dql").all()
    assert (sizes["header"] == 16).all()
    down = sizes[sizes["direction"] == "downlink"]
    assert down[["receivers", "messages"]].to_numpy().tolist() == [[AGENTS, 2]] * 4
    assert (sizes.loc[sizes["direction"] == "uplink", "receivers"] == 1).all()


def test_a_trial_that_sends_nothing_has_no_rows():
    sizes, never = [], Channel(budget=Budget(messages=0))
    how = {"num_agents": 2, "num_trials": 1, "num_episodes": 2}
    for channels in ({}, {"uplink": never, "downlink": never}):
        one = built("SimpleGrid-v0", "dql", "never", SIZE_4, **how, **channels)
        run_block(one, one.arms[0], [0], count=sizes.append)
    assert set(sizes[0]["direction"].to_pylist()) == {"downlink"}
    assert sizes[1].num_rows == 0
    check_sizes(sizes[1].to_pandas())


GOOD = pd.DataFrame(
    {
        "label": ["dql"],
        "trial": [0],
        "direction": ["uplink"],
        "payload": [8],
        "header": [16],
        "receivers": [1],
        "messages": [2],
    }
)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (GOOD.drop(columns="header"), "lacks the column 'header'"),
        (GOOD.assign(payload=8.5), "'payload' holds float64"),
        (GOOD.assign(payload=-8), "'payload' is negative"),
        (GOOD.assign(messages=np.nan), "'messages' holds float64"),
        (GOOD.assign(label=3), "'label' holds int64"),
        (GOOD.assign(direction="sideways"), "'sideways' is none of uplink, downlink"),
    ],
)
def test_other_frames_are_no_histograms(frame, words):
    check_sizes(GOOD)
    with pytest.raises(ResultsError, match=words):
        check_sizes(frame)
