from __future__ import annotations

import json

import numpy as np
import pytest

import commenv
from commenv.study.storage.frame import COLUMNS
from commenv.trackers import TensorBoard

pytest.importorskip("pandas")
pytest.importorskip("pyarrow")
accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator"
)

MEASURED = [column.name for column in COLUMNS if column.dtype == "float64"]


def read(folder):
    """The scalars of a run by step, and its text."""
    found = accumulator.EventAccumulator(str(folder), {"scalars": 0, "tensors": 0})
    found.Reload()
    tags = found.Tags()
    scalars = {
        tag: {one.step: one.value for one in found.Scalars(tag)}
        for tag in tags["scalars"]
    }
    (text,) = found.Tensors("config")
    return scalars, json.loads(text.tensor_proto.string_val[0])


def test_what_it_holds_is_the_frame_in_float32(tmp_path):
    results = commenv.run(
        "SimpleGrid-v0",
        ["dql", "ebcdql"],
        num_agents=2,
        num_trials=2,
        num_episodes=7,
        evaluate_every=3,
        callbacks=[TensorBoard(tmp_path)],
        progress=False,
    )
    folders = {"dql": "00-dql", "ebcdql": "01-ebcdql"}
    assert {path.name for path in tmp_path.iterdir()} == set(folders.values())
    for (label, trial), rows in results.frame.groupby(["label", "trial"]):
        scalars, config = read(tmp_path / folders[label] / f"trial-{trial:05d}")
        for name in MEASURED:
            column = rows.set_index("episode")[name].dropna()
            assert scalars.get(name, {}) == column.astype(np.float32).to_dict()
        total = rows.set_index("episode")["size"].cumsum().astype(np.float32)
        assert scalars["total/uplink_bytes"] == pytest.approx(total.to_dict())
        assert config["label"] == label
        assert config["trial"] == trial
        assert config["algorithm"]["class"].endswith(label.upper())


def test_it_is_read_while_the_study_runs(tmp_path):
    found = []

    class Reader(commenv.Callback):
        def on_round(self, measured):
            if (measured.trial, measured.round) == (1, 0):
                found.append(read(tmp_path / "00-dql" / "trial-00000")[0])

    size = {"num_agents": 2, "num_trials": 2, "num_episodes": 5, "block": 1}
    listeners = [TensorBoard(tmp_path), Reader()]
    results = commenv.run(
        "SimpleGrid-v0", "dql", callbacks=listeners, progress=False, **size
    )
    first = results.frame[results.frame["trial"] == 0].set_index("episode")
    expected = first["reward"].astype(np.float32).to_dict()
    assert [one["reward"] for one in found] == [expected]


def test_a_folder_that_cannot_be_written_to_is_said_once(tmp_path, caplog):
    (tmp_path / "file").touch()
    results = commenv.run(
        "SimpleGrid-v0",
        num_agents=2,
        num_trials=2,
        num_episodes=3,
        callbacks=[TensorBoard(tmp_path / "file")],
        progress=False,
    )
    assert len(results.frame) == 6
    (record,) = caplog.records
    assert "TensorBoard hears no more of this study" in record.getMessage()
    assert "choose another" in record.getMessage()
