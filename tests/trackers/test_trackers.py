"""What every tracker has: settings, failures, and the command line."""

from __future__ import annotations

import logging
import sys

import pytest

import commenv
from commenv.cli import main
from commenv.trackers import TRACKERS, MLflow, TensorBoard, Tracker, WandB

pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

SIZE = {"num_agents": 2, "num_trials": 3, "num_episodes": 6, "evaluate_every": 3}
ALPHA = {"settings": {"alpha": 0.5}}


def study(**how):
    return commenv.run(
        "SimpleGrid-v0", "dql", progress=False, **{**SIZE, **ALPHA, **how}
    )


class Recorder(Tracker):
    """Keeps what it is told; fails at what it is asked to fail at."""

    title, extra, cure = "Recorder", "recorder", "mend it"

    def __init__(self, every=1, fails=None, error=None):
        super().__init__(every)
        self.open, self.most, self.ended, self.logged = set(), 0, {}, []
        self._fails, self._error = fails, error or ConnectionError("nobody answers")

    def begin(self, label, trial, config):
        self._fail("begin")
        assert config["algorithm"]["alpha"] == 0.5
        assert (config["label"], config["trial"], config["seed"]) == (label, trial, 0)
        self.open.add(trial)
        self.most = max(self.most, len(self.open))
        return trial

    def log(self, run, step, values):
        self._fail("log")
        assert run in self.open
        self.logged.append((run, step, dict(values)))

    def finish(self, run, pruned):
        self._fail("finish")
        self.open.remove(run)
        self.ended[run] = pruned

    def _fail(self, what):
        if what == self._fails:
            raise self._error

    def steps(self, name):
        return [
            step for run, step, values in self.logged if run == 0 and name in values
        ]


@pytest.mark.parametrize(
    ("every", "rounds"), [(1, [0, 1, 2, 3, 4, 5]), (2, [0, 2, 4, 5]), (9, [0, 5])]
)
def test_rounds_are_written_now_and_then_and_evaluations_always(every, rounds):
    tracker = Recorder(every)
    study(callbacks=[tracker])
    assert tracker.steps("reward") == tracker.steps("total/messages") == rounds
    assert tracker.steps("evaluation") == [2, 5]
    assert tracker.steps("held_evaluation") == []
    assert tracker.ended == {0: False, 1: False, 2: False}


def test_runs_are_open_only_while_their_trials_run():
    tracker = Recorder()
    study(callbacks=[tracker], num_trials=12, block=2, num_episodes=2)
    assert tracker.most == 2
    assert not tracker.open


class Stop(commenv.Callback):
    """Stops a trial, or the study."""

    def __init__(self, error):
        self._error = error

    def on_round(self, measured):
        if (measured.trial, measured.round) == (1, 3):
            raise self._error


def test_a_pruned_trial_is_said_and_a_failed_study_leaves_nothing_open():
    tracker = Recorder()
    study(callbacks=[Stop(commenv.StopTrial()), tracker])
    assert tracker.ended == {0: False, 1: True, 2: False}
    tracker = Recorder()
    with pytest.raises(LookupError):
        study(callbacks=[tracker, Stop(LookupError())])
    assert tracker.ended == {0: None, 1: None, 2: None}


@pytest.mark.parametrize("fails", ["begin", "log", "finish"])
def test_a_tracker_that_fails_is_said_once_and_stops_nothing(fails, caplog):
    expected = study().frame
    tracker = Recorder(fails=fails)
    with caplog.at_level(logging.WARNING, "commenv"):
        assert study(callbacks=[tracker]).frame.equals(expected)
    (record,) = caplog.records
    assert record.getMessage() == (
        "Recorder hears no more of this study, which goes on: ConnectionError: nobody "
        "answers; mend it"
    )
    with caplog.at_level(logging.WARNING, "commenv"):
        study(callbacks=[tracker])
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("module", "make", "extra"),
    [
        ("tensorboard.compat.proto.summary_pb2", TensorBoard, "tensorboard"),
        ("wandb", WandB, "wandb"),
        ("mlflow.entities", MLflow, "mlflow"),
    ],
)
def test_without_the_extra_it_is_named_once_and_the_study_goes_on(
    module, make, extra, tmp_path, monkeypatch, caplog
):
    monkeypatch.setitem(sys.modules, module, None)
    with caplog.at_level(logging.WARNING, "commenv"):
        results = study(callbacks=[make(str(tmp_path / "x"))])
    assert len(results.frame) == 3 * 6
    (record,) = caplog.records
    assert f"[{extra}]" in record.getMessage()
    assert "pip install" in record.getMessage()


@pytest.mark.parametrize("every", [0, -1, 1.5])
def test_impossible_numbers_of_rounds_are_refused(every):
    with pytest.raises(ValueError, match="every"):
        Recorder(every)


def test_the_command_line_names_trackers(tmp_path, capsys):
    pytest.importorskip("tensorboard")
    study = ["run", "--env", "SimpleGrid-v0", "--algorithm", "dql", "--quiet"]
    study += ["--agents", "2", "--trials", "2", "--episodes", "3"]
    assert main([*study, "--track", f"tensorboard={tmp_path}"]) == 0
    assert len(list(tmp_path.glob("00-dql/trial-*/events.*"))) == 2
    assert main([*study, "--track", "tensorbord=x"]) == 2
    assert "did you mean 'tensorboard'" in capsys.readouterr().err
    assert main([*study, "--track", "wandb"]) == 2
    assert "write --track wandb=PROJECT" in capsys.readouterr().err


def test_every_tracker_of_the_command_line_takes_one_word(tmp_path):
    for make in TRACKERS.values():
        assert isinstance(make("x"), Tracker)
