from __future__ import annotations

import logging

import numpy as np
import pytest

import commenv
from commenv import BernoulliLoss, Budget, Channel
from commenv.study.execution.progress import Progress
from commenv.study.storage.trace import expected_size
from tests.study.studies import built

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

AGENTS, GAMMA = 3, 0.9
KEY = ["trial", "episode"]
CHANNELS = {
    "perfect": Channel(),
    "lossy": Channel(link=BernoulliLoss(0.3)),
    "refuse": Channel(budget=Budget(messages=2, scope="team")),
    "truncate": Channel(budget=Budget(bytes=500, exceed="truncate")),
    "queue": Channel(budget=Budget(messages=1, scope="team", exceed="queue")),
}


def run(out, **changes):
    settings = {
        "num_agents": AGENTS,
        "num_trials": 4,
        "num_episodes": 8,
        "gamma": GAMMA,
        "settings": {"env.size": 4},
        "trace": True,
        "progress": False,
    }
    return commenv.run("SimpleGrid-v0", "dql", out=out, **(settings | changes))


def read(out, name):
    """All rows of one kind, in an order that does not depend on blocks."""
    files = sorted(out.glob(f"trace/00-dql/trials-*/{name}-*.parquet"))
    frame = pd.concat([pd.read_parquet(path) for path in files], ignore_index=True)
    return frame.sort_values(
        ["trial", "episode", "agent"], kind="stable", ignore_index=True
    )


def totals(frame, name):
    """A column of the study's frame, as whole numbers summed over agents."""
    return (frame.set_index(KEY)[name] * AGENTS).round().astype(int)


def counted(rows, like):
    return rows.groupby(KEY).size().reindex(like.index, fill_value=0)


def check_steps(steps, frame):
    lengths = totals(frame, "episode_length")
    assert (counted(steps, lengths) == lengths).all()
    per_agent = steps.groupby([*KEY, "agent"])
    assert (per_agent["step"].first() == 0).all()
    assert (per_agent["step"].last() == per_agent.size() - 1).all()
    ended = steps["terminated"] | steps["truncated"]
    assert (ended.groupby([steps[name] for name in [*KEY, "agent"]]).sum() == 1).all()
    assert ended.groupby([steps[name] for name in [*KEY, "agent"]]).last().all()
    discounted = steps["reward"] * GAMMA ** steps["step"]
    returns = discounted.groupby([steps[name] for name in KEY]).sum() / AGENTS
    np.testing.assert_allclose(returns, frame.set_index(KEY)["reward"], rtol=1e-12)
    assert steps["observation"].between(0, 15).all()
    assert steps["action"].between(0, 4).all()


@pytest.mark.parametrize("name", CHANNELS)
@pytest.mark.parametrize("block", [1, 3])
def test_the_trace_adds_up_to_the_frame(tmp_path, name, block):
    frame = run(tmp_path, uplink=CHANNELS[name], block=block).frame
    steps, messages = read(tmp_path, "steps"), read(tmp_path, "messages")
    check_steps(steps, frame)
    down = messages[messages["direction"] == "downlink"]
    assert (down["fate"] == "delivered").all()
    assert (down["payload"] == 8 * 16 * 5).all()
    assert (counted(down, totals(frame, "size")) == AGENTS).all()
    up = messages[messages["direction"] == "uplink"]
    assert (up["header"] == 16).all()
    agents = up.groupby("trial")["agent"].unique()
    assert all(set(found) == set(range(AGENTS)) for found in agents)

    by_fate = dict(iter(up.groupby("fate")))
    empty = up.iloc[:0]
    refused = totals(frame, "refused")
    assert (counted(by_fate.get("refused", empty), refused) == refused).all()
    lost = totals(frame, "lost")
    assert (counted(by_fate.get("lost", empty), lost) == lost).all()

    # Every agent offers one message in each episode: 20 bytes for each of its steps.
    first = up.drop_duplicates([*KEY, "agent", "sequence"])
    offered = steps.groupby([*KEY, "agent"]).size() * 20
    payload = first.set_index([*KEY, "agent"])["payload"]
    if name == "truncate":
        assert (payload == np.minimum(offered, 500)).all()
    else:
        assert (payload == offered).all()
    # A queued message counts in the round in which it leaves.
    left = up[up["fate"].isin(["delivered", "lost"])]
    sent = left.assign(episode=left["clock"] - 1).groupby(KEY)["payload"].sum()
    size = totals(frame, "size")
    assert (sent.reindex(size.index, fill_value=0) == size).all()

    assert up["truncated"].any() == (name == "truncate")
    expired = totals(frame, "expired")
    gone = by_fate.get("expired", empty)
    gone = gone.assign(episode=gone["clock"] - 1)
    assert (counted(gone, expired) == expired).all()
    if name == "perfect":
        assert set(by_fate) == {"delivered"}
    if name == "queue":  # one goes out, two wait; the oldest goes first next time
        assert set(by_fate) == {"delivered", "in_flight", "expired"}
        later = up[up.duplicated([*KEY, "agent", "sequence"])]
        assert set(later["fate"]) == {"delivered", "expired"}
    else:
        assert len(first) == len(up)


@pytest.mark.parametrize("stop", [None, {"env_steps": 500}])
def test_the_trace_does_not_depend_on_blocks_or_workers(tmp_path, stop):
    frames, found = [], []
    for number, how in enumerate(
        ({"block": 1}, {"block": 4}, {"block": 3, "workers": 2})
    ):
        out = tmp_path / str(number)
        frames.append(run(out, stop=stop, uplink=CHANNELS["lossy"], **how).frame)
        found.append([read(out, name) for name in ("steps", "messages")])
        check_steps(found[-1][0], frames[-1])
    lengths = frames[0].groupby("trial").size()
    assert (lengths.nunique() > 1) is (stop is not None)
    for others in found[1:]:
        for one, other in zip(found[0], others, strict=True):
            pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_its_size_is_said_before_it_is_written(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "commenv"):
        run(tmp_path)
    (line,) = [text for text in caplog.messages if "trace" in text]
    # 4 trials x 3 agents x 8 episodes, of at most 200 steps and one message each way
    assert f"{tmp_path / 'trace'}: at most 19,200 steps and about 192 mess" in line
    assert "GB before compression" in line
    study = built("SimpleGrid-v0", "dql", num_agents=1000, num_trials=1000)
    assert "at most 200,000,000,000 steps" in expected_size(study)
    assert "8.1e+03 GB" in expected_size(study)


def test_without_being_asked_nothing_is_traced(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "commenv"):
        run(tmp_path, trace=False)
    assert not (tmp_path / "trace").exists()
    assert not caplog.messages


def test_a_trace_needs_a_folder():
    with pytest.raises(ValueError, match="a trace needs a folder to go to; give out="):
        run(None)


def test_an_interrupt_leaves_whole_traces_and_going_on_completes_them(
    tmp_path, monkeypatch
):
    played = []

    def interrupt(self, count, note):
        played.append(count)
        if len(played) == 20:  # of 8 rounds in each of 4 blocks
            raise KeyboardInterrupt

    whole, parted = tmp_path / "whole", tmp_path / "parted"
    frame = run(whole, block=1).frame
    with monkeypatch.context() as patch:
        patch.setattr(Progress, "advance", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(parted, block=1)
    names = [path.name for path in (parted / "trace" / "00-dql").iterdir()]
    assert sorted(names) == ["trials-00000-00000", "trials-00001-00001"]

    # As a kill between the two renames, and one in the middle of a block, leave it:
    blocks = parted / "blocks" / "00-dql"
    (blocks / "trials-00001-00001.parquet").unlink()
    (parted / "trace" / "00-dql" / ".draft.x").mkdir()
    again = run(parted, block=3).frame
    pd.testing.assert_frame_equal(again, frame, check_exact=True)
    for name in ("steps", "messages"):
        pd.testing.assert_frame_equal(read(parted, name), read(whole, name))
    names = [path.name for path in (parted / "trace" / "00-dql").iterdir()]
    assert sorted(names) == ["trials-00000-00000", "trials-00001-00003"]
