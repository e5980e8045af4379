from __future__ import annotations

import logging

import numpy as np
import pytest

import commenv
from commenv.study.storage.frame import COLUMNS
from commenv.trackers import MLflow

pytest.importorskip("pandas")
pytest.importorskip("pyarrow")
pytest.importorskip("sqlalchemy")

MEASURED = [column.name for column in COLUMNS if column.dtype == "float64"]
SIZE = {"num_agents": 2, "num_trials": 2, "num_episodes": 60, "progress": False}


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    pytest.importorskip("mlflow")


class Prune(commenv.Callback):
    def on_round(self, measured):
        if (measured.trial, measured.round) == (1, 50):
            raise commenv.StopTrial


def test_what_it_holds_is_the_frame(tmp_path):
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{tmp_path / 'runs.db'}"
    results = commenv.run(
        "SimpleGrid-v0",
        settings={"alpha": 0.5},
        evaluate_every=3,
        callbacks=[MLflow(uri, "grids"), Prune()],
        **SIZE,
    )
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("grids")
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 2
    for run in runs:
        trial = int(run.data.params["trial"])
        rows = results.frame[results.frame["trial"] == trial].set_index("episode")
        for name in MEASURED:
            history = client.get_metric_history(run.info.run_id, name)
            expected = rows[name].dropna().to_dict()
            assert {one.step: one.value for one in history} == expected, name
        assert run.info.run_name == f"dql, trial {trial}"
        assert run.info.status == "FINISHED"
        assert run.data.tags["pruned"] == ("true" if trial == 1 else "false")
        assert run.data.params["algorithm.alpha"] == "0.5"
        assert run.data.params["num_agents"] == "2"
    assert np.isfinite(results.frame["reward"]).all()


def test_a_server_that_does_not_answer_is_said_once(caplog):
    with caplog.at_level(logging.WARNING, "commenv"):
        results = commenv.run(
            "SimpleGrid-v0", callbacks=[MLflow("http://127.0.0.1:9")], **SIZE
        )
    assert len(results.frame) == 120
    (record,) = [one for one in caplog.records if one.name == "commenv"]
    assert "MLflow hears no more of this study" in record.getMessage()
    assert "sqlite:///runs.db" in record.getMessage()
