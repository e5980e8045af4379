"""Arms on the command line: channels, products, frontiers, shards."""

from __future__ import annotations

import re

import pytest

import commenv
from commenv.study.storage.store import Store
from tests.cli.command_line import FIRST, GRID, LAST, call, refused, run

pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

DAVIA = ("--env", "SimpleGrid-v0", "--algorithm", "davia", "--set", "env.size=4")


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ((), 640),
        (("--codec", "float16"), 160),
        (("--codec", "top_k,k=3"), 36),
        (("--codec", "feedback+uniform,bits=3"), 38),
        (("--codec", "random_k,4,unbiased=True"), 32),
        (("--loss", "0.3", "--burst", "to_bad=0.1,to_good=0.5"), 640),
        (("--delay", "ticks=1,spread=2,expiry=2", "--rate", "9000"), 640),
        (("--bit-errors", "1e-5", "--noise", "0.01", "--acknowledgements"), 640),
    ],
)
def test_the_uplink_is_described_by_options(capsys, options, size):
    code, said, err = run(capsys, *DAVIA, *options)
    assert (code, err) == (0, FIRST + LAST)
    row = next(line for line in said.splitlines() if line.startswith("davia"))
    assert float(row.split()[9].replace(",", "")) == size


def test_the_downlink_is_described_by_options(capsys, tmp_path):
    options = ("--downlink-codec", "delta+sparse,key_every=3", "--downlink-loss", "0.2")
    code, *_ = run(capsys, *DAVIA, *options, "--out", tmp_path / "results")
    assert code == 0
    manifest = (tmp_path / "results" / "manifest.json").read_text()
    assert '"key_every": 3' in manifest
    assert '"probability": 0.2' in manifest


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--codec", "topk"), "unknown codec 'topk'; did you mean 'top_k'"),
        (("--codec", "top_k,kk=2"), "unknown setting of codec top_k 'kk'"),
        (
            ("--codec", "top_k,k=many"),
            "k of codec top_k must be an int.*'many'",
        ),
        (("--codec", "around+top_k"), "unknown codec around another 'around'"),
        (("--codec", "delta+sparse"), "acknowledgements=True"),
        (("--codec", "delta+sparse,key_every=many"), "key_every 'many' of codec"),
        (("--codec", "nowhere:X"), "cannot import|cannot be imported"),
        (("--codec", f"{call.__module__}:call"), "is not a class derived from"),
        (("--loss", "1.3"), r"probability 1.3 of BernoulliLoss is outside \[0, 1\]"),
        (("--loss", "0.1", "--loss", "0.1"), "--loss 0.1 is given twice; give it once"),
        (("--loss", "ten"), "probability of --loss must be a number, got 'ten'"),
        (("--downlink-loss", "ten"), "probability of --downlink-loss must be a number"),
        (("--burst", "0.1"), "--burst needs to_good="),
        (("--delay", "ticks=1,ticks=2"), "ticks of --delay is given twice"),
        (("--medium", "broadcast"), "did you mean --downlink-medium"),
        (("--burst", "0.1,0.2"), "'0.2' has no name; write name=value"),
        (("--noise", "0.1", "--codec", "int8"), "additive noise needs payloads"),
    ],
)
def test_a_channel_that_cannot_be_is_refused(capsys, tmp_path, options, words):
    refused(run(capsys, *DAVIA, *options, "--out", tmp_path / "new"), 2, words)


def channels_of(out):
    (arm,) = Store(out).manifest().study.arms
    return arm.uplink, arm.downlink


def test_headers_and_the_medium_are_described_by_options(capsys, tmp_path):
    plain, counted, shared = (tmp_path / name for name in ("a", "b", "c"))
    sent = {}
    for out, options in (
        (plain, ()),
        (counted, ("--headers", "--downlink-headers")),
        (shared, ("--downlink-medium", "broadcast")),
    ):
        assert run(capsys, *DAVIA, *options, "--out", out)[0] == 0
        row = commenv.load(out).frame.iloc[0]
        sent[out] = row["size"], row["downlink_size"]
    # Every agent sends one gradient, and hears one message: 16 bytes of header each.
    assert sent[counted] == (sent[plain][0] + 16, sent[plain][1] + 16)
    assert sent[shared] == (sent[plain][0], sent[plain][1] / 2)  # two agents
    assert [one["headers"] for one in channels_of(counted)] == [True, True]
    assert [one["medium"] for one in channels_of(shared)] == ["unicast", "broadcast"]


def test_a_percentage_is_a_number(capsys, tmp_path):
    options = ("--loss", "5.7%", "--set", "alpha=12.5%", "--out", tmp_path / "new")
    assert run(capsys, *GRID, *options)[0] == 0
    assert channels_of(tmp_path / "new")[0]["link"]["probability"] == 0.057
    arm = Store(tmp_path / "new").manifest().study.arms[0]
    assert arm.algorithm["alpha"] == 0.125


@pytest.mark.parametrize("price", [0, 1, 10])
def test_what_a_budget_did_stands_in_the_table(capsys, price):
    budget = f"bytes=100,exceed=penalize,price={price}"
    _, paid, _ = run(capsys, *GRID, "--uplink-budget", budget)
    _, refused_all, _ = run(capsys, *GRID, "--uplink-budget", "bytes=10")
    assert ("penalty" in paid) == (price > 0)
    shown = refused_all.partition("evaluation:")[0].split()
    assert {"refused", "unsent"} <= set(shown)
    assert not {"lost", "expired", "invalid", "penalty"} & set(shown)


def test_the_same_study_in_another_order_goes_on(capsys, tmp_path):
    names = ("SimpleGrid-v0", "WindyGrid-v0"), ("dql", "ebcdql")
    out = tmp_path / "new"
    said = []
    for order in (1, -1):
        options = [word for name in names[0][::order] for word in ("--env", name)]
        options += [w for name in names[1][::order] for w in ("--algorithm", name)]
        code, table, err = run(capsys, *options, "--out", out)
        assert (code, err) == (0, "")
        said.append(table)
        for block in out.glob("blocks/02-*/*"):
            block.unlink()  # the second run has something to do
    assert said[0] == said[1]


def test_options_of_arms_are_repeated_for_a_product(capsys, tmp_path):
    out = tmp_path / "new"
    product = (
        *("--env", "SimpleGrid-v0", "--env", "WindyGrid-v0", "--algorithm", "davia"),
        *("--agents", "1", "--agents", "2", "--codec", "float16", "--codec", "int8"),
        *("--uplink-budget", "bytes=300", "--uplink-budget", "bytes=3000"),
        *("--set", "step_size=0.1", "--set", "step_size=0.2", "--loss", "0.1"),
        *("--trials", "1", "--episodes", "1", "--quiet", "--out", out),
    )
    assert call(capsys, "run", *product)[0] == 0
    arms = Store(out).manifest().study.arms
    assert len(arms) == 2**5
    told = [
        (
            arm.environment,
            arm.num_agents,
            arm.uplink["codec"]["class"],
            arm.uplink["budget"]["bytes"],
            arm.algorithm["step_size"],
        )
        for arm in arms
    ]
    assert len(set(told)) == 2**5
    assert all(arm.uplink["link"]["probability"] == 0.1 for arm in arms)
    code, printed, _ = call(capsys, "show", out)
    assert code == 0
    assert "davia, WindyGrid-v0, step_size=0.2, 2 agents, int8 3000 B per ep" in printed


def test_a_thousand_arms_are_run_if_they_are_meant(capsys):
    agents = [part for count in range(1, 1003) for part in ("--agents", str(count))]
    words = ("--env", "SimpleGrid-v0", "--algorithm", "dql", *agents, "--quiet")
    refused(call(capsys, "run", *words), 2, "1,002 arms, more than 1,000.*--yes")


def test_the_frontier_is_said_and_drawn(capsys, tmp_path):
    words = ("--uplink-budget", "messages=0", "--uplink-budget", "messages=1")
    assert run(capsys, *GRID, *words, "--out", tmp_path / "new")[0] == 0
    code, printed, _ = call(capsys, "frontier", tmp_path / "new", "--x", "messages")
    assert code == 0
    assert "* dql, 0 messages per episode" in re.sub(" +", " ", printed)
    assert (tmp_path / "new" / "frontier.png").exists()
    wrong = call(capsys, "frontier", tmp_path / "new", "--x", "mesages")
    refused(wrong, 2, "'mesages'; did you mean 'messages'")


def test_one_command_runs_says_and_draws_the_frontier(capsys, tmp_path):
    out = tmp_path / "new"
    words = (*GRID, "--uplink-budget", "messages=0", "--uplink-budget", "messages=1")
    code, printed, _ = run(capsys, *words, "--frontier", "--out", out)
    assert code == 0
    picture = out / "frontier.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert commenv.load(out).table() in printed
    picture.unlink()
    assert call(capsys, "frontier", out)[1] in printed
    assert picture.exists()
    refused(run(capsys, *words, "--frontier"), 2, "--frontier draws .* add --out DIR")


def test_shards_are_run_and_merged(capsys, tmp_path):
    words = ("run", *GRID, "--trials", "4", "--episodes", "3", "--quiet")
    for first, last in ((0, 1), (2, 3)):
        shard = ("--first-trial", first, "--last-trial", last)
        assert call(capsys, *words, *shard, "--out", tmp_path / f"{first}")[0] == 0
    parts = (tmp_path / "0", tmp_path / "2")
    code, printed, _ = call(capsys, "merge", tmp_path / "all", *parts)
    assert code == 0
    assert printed.startswith(f"4 trials in {tmp_path / 'all'}")
    again = call(capsys, "merge", tmp_path / "other", tmp_path / "0", tmp_path / "all")
    refused(again, 1, "is in .*0 and in .*all; shards do not overlap")


def test_worlds_by_agent_on_the_command_line(capsys):
    words = (*GRID[:4], "--agents", "2", "--env-kwargs")
    own = '[{"goal": [4, 4]}, {"goal": [4, 3]}]'
    code, said, _ = run(capsys, *words, own)
    assert code == 0
    steps = [-(1 - 0.9**n) / 0.1 for n in (7, 6)]  # the goal ends the next one, at 0
    assert f"{sum(steps) / 2:.4f}" in said
    for wrong in ("[1, 2]", '{"goal": [4, 4]}', "[{]"):
        told = "is not a JSON list of objects, one for each agent"
        refused(run(capsys, *words, wrong), 2, told)
    refused(run(capsys, *words, "[{}]"), 2, "of length 1, and num_agents is 2")


def test_show_says_what_an_unfinished_study_lacks(capsys, tmp_path):
    out = tmp_path / "new"
    agents = [word for n in range(1, 23) for word in ("--agents", n)]
    words = (*GRID, *agents, "--trials", "2", "--block", "1", "--out", out)
    assert run(capsys, *words)[0] == 0
    finished = call(capsys, "show", out)[1]
    assert "unfinished" not in finished
    blocks = sorted(out.glob("blocks/*/*"))
    blocks[0].unlink()
    code, said, err = call(capsys, "show", out)
    assert code == 0
    assert said.splitlines()[-2:] == [
        f"{out} is unfinished: 43 of 44 trials are there; run the study again to go on",
        "  dql, 1 agent: 1 of 2 trials",
    ]
    assert err.splitlines() == [
        f"{out} is unfinished: 1 of 2 trials of dql, 1 agent are there; run the study "
        "again to go on"
    ]
    for path in blocks[1:]:
        path.unlink()
    state = out / "checkpoints" / blocks[0].parent.name / "trials-00001-00001.newest"
    state.parent.mkdir(parents=True)
    state.touch()
    code, said, err = call(capsys, "show", out)
    assert (code, err) == (0, "")
    lines = said.splitlines()
    assert lines[:3] == [
        f"{out} is unfinished: 0 of 44 trials are there; run the study again to go on",
        "  dql, 1 agent: 0 of 2 trials, and the state of 1 more",
        "  dql, 2 agents: 0 of 2 trials",
    ]
    assert lines[-1] == "  and 2 more arms"
    assert len(lines) == 22
    with pytest.raises(commenv.errors.ResultsError, match="no finished block yet"):
        commenv.load(out)
    assert run(capsys, *words)[1].startswith(finished.partition("\n\nevaluation:")[0])


def test_worlds_by_agent_have_names_where_they_are_repeated(capsys, tmp_path):
    near, far = ('[{"goal": [0, 1]}, {"goal": [1, 0]}]', '[{}, {"goal": [4, 3]}]')
    words = (*GRID[:4], "--agents", "2", "--out", tmp_path / "new")
    pair = ("--env-kwargs", f"near: {near}", "--env-kwargs", f"far: {far}")
    assert run(capsys, *words, *pair)[0] == 0
    arms = Store(tmp_path / "new").manifest().study.arms
    assert [arm.label for arm in arms] == ["dql, near", "dql, far"]
    assert arms[1].env_kwargs == [{}, {"goal": [4, 3]}]
    outcome = run(capsys, *words, "--env-kwargs", near, "--env-kwargs", far)
    refused(outcome, 2, "--env-kwargs is repeated without names")
