from __future__ import annotations

import json
import logging
import struct

import pytest

import commenv
from commenv.study.storage.frame import COLUMNS
from commenv.trackers import WandB

pytest.importorskip("pandas")
pytest.importorskip("pyarrow")
wandb = pytest.importorskip("wandb")

MEASURED = [column.name for column in COLUMNS if column.dtype == "float64"]
SIZE = {"num_agents": 2, "num_trials": 2, "num_episodes": 7, "progress": False}
BLOCK = 32768


@pytest.fixture(autouse=True)
def _offline(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    for name in ("CONFIG", "CACHE", "DATA"):
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(tmp_path / name))
    yield
    wandb.teardown()


def records(path):
    """What an offline run holds: a log in the form of LevelDB's, of W&B's messages."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, content = path.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if BLOCK - at % BLOCK < 7:  # no record begins there
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        content += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or its last part
            yield Record.FromString(content)
            content = b""


def read(path):
    """The run's message, its history by column and step, and its summary."""
    run, history, summary = None, {}, {}
    for record in records(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = run or record.run
        elif kind == "history":
            items = {
                "/".join(one.nested_key) or one.key: json.loads(one.value_json)
                for one in record.history.item
            }
            step = items.pop("_step")
            for name, value in items.items():
                history.setdefault(name, {})[step] = value
        elif kind == "summary":
            for one in record.summary.update:
                name = "/".join(one.nested_key) or one.key
                summary[name] = json.loads(one.value_json)
    return run, history, summary


def test_what_it_holds_is_the_frame(tmp_path):
    results = commenv.run(
        "SimpleGrid-v0",
        settings={"alpha": 0.5},
        evaluate_every=3,
        callbacks=[WandB("grids", tags=["a test"])],
        **SIZE,
    )
    paths = list(tmp_path.glob("wandb/offline-run-*/*.wandb"))
    assert len(paths) == 2
    trials = set()
    for path in paths:
        run, history, summary = read(path)
        config = {one.key: json.loads(one.value_json) for one in run.config.update}
        trials.add(config["trial"])
        rows = results.frame[results.frame["trial"] == config["trial"]]
        for name in MEASURED:
            expected = rows.set_index("episode")[name].dropna().to_dict()
            assert history.get(name, {}) == expected, name
        assert (run.project, run.run_group) == ("grids", "dql")
        assert run.display_name == f"dql, trial {config['trial']}"
        assert list(run.tags) == ["a test"]
        assert config["algorithm"]["alpha"] == 0.5
        assert summary["pruned"] is False
    assert trials == {0, 1}


def test_a_server_that_does_not_answer_is_said_once(monkeypatch, caplog):
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    settings = wandb.Settings(silent=True, console="off", init_timeout=1)
    with caplog.at_level(logging.WARNING, "commenv"):
        results = commenv.run(
            "SimpleGrid-v0", callbacks=[WandB("grids", settings=settings)], **SIZE
        )
    assert len(results.frame) == 14
    (record,) = [one for one in caplog.records if one.name == "commenv"]
    assert "W&B hears no more of this study" in record.getMessage()
    assert "WANDB_MODE=offline" in record.getMessage()
