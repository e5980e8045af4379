from __future__ import annotations

import dataclasses
import json
import os
import signal

import pytest

import commenv
from commenv.study import verify
from commenv.study.execution.listeners import Listeners
from commenv.study.storage.checksums import packed_seal, read_seal
from commenv.study.storage.frame import COLUMNS
from tests.study.test_runner import same_bits

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")
pytest.importorskip("safetensors")

MEASURED = [column.name for column in COLUMNS if column.dtype == "float64"]
SIZE = {"num_agents": 3, "num_trials": 4, "num_episodes": 9, "evaluate_every": 4}


def study(**how):
    settings = {"settings": {"env.size": 4}, "max_episode_steps": 20}
    how = {"algorithms": ["dql", "ebcdql"], **SIZE, **settings, **how}
    return commenv.run("SimpleGrid-v0", progress=False, **how)


class Log(commenv.Callback):
    """Writes down what it is told, and raises what it is asked to raise."""

    def __init__(self, **raises):
        self.said, self.measured, self.raises = [], {}, raises

    def on_start(self, study):
        self.said.append(("start", len(study.arms)))

    def on_round(self, measured):
        self._note("round", measured)

    def on_evaluation(self, measured):
        self._note("evaluation", measured)

    def on_trial_end(self, measured):
        self._note("pruned" if measured.pruned else "end", measured)

    def on_end(self, results):
        self.said.append(("end", len(results.frame)))

    def close(self):
        self.said.append(("close", os.getpid()))

    def _note(self, what, measured):
        key = (measured.arm.label, measured.trial, measured.round)
        self.said.append((what, *key))
        self.measured[key] = measured
        if (error := self.raises.get(what, {}).get(key)) is not None:
            raise error

    def of(self, *what):
        return [one for one in self.said if one[0] in what]

    def rows(self):
        """What was told of rounds, as the frame has it."""
        return [
            {"label": label, "trial": trial, "episode": episode, **measured.values}
            for (label, trial, episode), measured in sorted(self.measured.items())
        ]


def tells_the_frame(log, results):
    """Whether everything that was told is what the frame holds, to the bit."""
    columns = ["label", "trial", "episode", *MEASURED]
    key = ["label", "trial", "episode"]
    expected = results.frame[columns].sort_values(key)
    same_bits(pd.DataFrame(log.rows(), columns=columns), expected)
    assert all(
        ("evaluation" in one.values) == ((one.round + 1) % 4 == 0 or one.round == 8)
        for one in log.measured.values()
    )
    return True


def in_order(log, trial, label="dql"):
    """What was told of a trial: rounds in order, each event where it belongs."""
    found = [one for one in log.said if one[1:3] == (label, trial)]
    expected = []
    for episode in range(SIZE["num_episodes"]):
        last = episode == SIZE["num_episodes"] - 1
        names = ["round", *["evaluation"] * (last or (episode + 1) % 4 == 0)]
        names += ["end"] * last
        expected += [(name, label, trial, episode) for name in names]
    return found == expected


@pytest.mark.parametrize("block", [1, 3])
def test_everything_is_told_once_in_order_and_to_the_bit(block, tmp_path):
    log = Log()
    results = study(callbacks=[log], block=block, out=tmp_path)
    assert tells_the_frame(log, results)
    assert all(
        in_order(log, trial, label) for label in ("dql", "ebcdql") for trial in range(4)
    )
    assert log.said[0] == ("start", 2)
    assert log.said[-2:] == [("end", 2 * 4 * 9), ("close", os.getpid())]
    last = [one for one in log.measured.values() if one.round == 8]
    for one in last:
        rows = results.frame.query("label == @one.arm.label and trial == @one.trial")
        assert one.totals["messages"] == pytest.approx(rows["messages"].sum())
        assert one.totals["uplink_bytes"] == pytest.approx(rows["size"].sum())
        assert one.totals["total_bytes"] == pytest.approx(rows["total_size"].sum())
        assert one.totals["env_steps"] == rows["env_steps"].iloc[-1]
        assert one.arm.num_agents == 3


def test_trials_in_other_processes_are_told_here():
    log = Log()
    results = study(callbacks=[log], workers=2, block=2)
    assert tells_the_frame(log, results)
    assert all(in_order(log, trial) for trial in range(4))
    assert log.said[-2:] == [("end", 2 * 4 * 9), ("close", os.getpid())]


def test_only_what_is_overridden_is_reported(monkeypatch):
    told, hear = [], Listeners.hear

    def note(self, arm, played):
        told.append(played.episode)
        hear(self, arm, played)

    monkeypatch.setattr(Listeners, "hear", note)

    class Ends(commenv.Callback):
        def on_trial_end(self, measured):
            pass

    class Evaluations(commenv.Callback):
        def on_evaluation(self, measured):
            pass

    for callbacks, expected in (
        ([], []),
        ([commenv.Callback()], []),
        ([Ends()], [8]),
        ([Evaluations()], [3, 7, 8]),
        ([Evaluations(), Log()], list(range(9))),
    ):
        told.clear()
        study(algorithms="dql", callbacks=callbacks)
        assert told == expected


def prune(*keys, what="round"):
    return Log(**{what: dict.fromkeys(keys, commenv.StopTrial())})


@pytest.mark.parametrize("what", ["round", "evaluation"])
def test_a_pruned_trial_is_the_beginning_of_the_whole_one(what, tmp_path):
    whole = study(out=tmp_path / "whole").frame
    log = prune(("dql", 1, 3), ("dql", 2, 7), ("ebcdql", 0, 3), what=what)
    results = study(callbacks=[log], out=tmp_path / "pruned", block=3)
    assert results.pruned == {"dql": [1, 2], "ebcdql": [0]}
    ends = {("dql", 1): 3, ("dql", 2): 7, ("ebcdql", 0): 3}
    last = [
        ends.get(key, 8) for key in zip(whole["label"], whole["trial"], strict=True)
    ]
    same_bits(results.frame, whole[whole["episode"] <= last])
    assert log.of("pruned") == [
        ("pruned", "dql", 1, 3),
        ("pruned", "dql", 2, 7),
        ("pruned", "ebcdql", 0, 3),
    ]
    assert "dql: callbacks stopped 2 of 4 trials" in results.table()


def test_a_trial_that_is_pruned_between_evaluations_is_evaluated(tmp_path):
    whole = study(evaluate_every=1).frame
    log = prune(("dql", 1, 5))
    results = study(callbacks=[log], out=tmp_path)
    (row,) = results.frame.query("label == 'dql' and trial == 1 and episode == 5").index
    expected = whole.query("label == 'dql' and trial == 1 and episode == 5")
    same_bits(results.frame.loc[[row]], expected)
    found = [one for one in log.said if one[1:] == ("dql", 1, 5)]
    assert [one[0] for one in found] == ["round", "evaluation", "pruned"]
    told = log.measured["dql", 1, 5].values["evaluation"]
    assert told == expected["evaluation"].iloc[0]


def test_its_policy_and_sizes_are_those_of_that_round(tmp_path):
    short = study(algorithms="dql", num_episodes=6, out=tmp_path / "short")
    log = prune(*(("dql", trial, 5) for trial in range(4)))
    pruned = study(algorithms="dql", callbacks=[log], out=tmp_path / "pruned")
    pd.testing.assert_frame_equal(pruned.sizes(), short.sizes())
    for trial in range(4):
        policies = [
            commenv.load_policy(tmp_path / name, "dql", trial).policy
            for name in ("short", "pruned")
        ]
        assert policies[0].tobytes() == policies[1].tobytes()


def test_in_the_last_round_and_behind_a_limit_nothing_is_pruned():
    log = prune(("dql", 0, 8))
    results = study(callbacks=[log])
    assert results.pruned == {}
    assert ("end", "dql", 0, 8) in log.said
    log = prune(("dql", 0, 2))
    results = study(callbacks=[log], stop={"messages": 3})
    assert results.pruned == {}
    assert ("end", "dql", 0, 2) in log.said


def test_a_pruned_study_verifies_and_is_finished(tmp_path):
    log = prune(("dql", 1, 5), ("dql", 3, 0))
    results = study(callbacks=[log], out=tmp_path, block=2)
    found = verify(tmp_path, every=True, progress=False)
    assert found.holds, str(found)
    second = Log()
    again = study(callbacks=[second], out=tmp_path)
    assert again.pruned == results.pruned == commenv.load(tmp_path).pruned
    same_bits(again.frame, results.frame)
    assert [one[0] for one in second.said] == ["start", "end", "close"]


@pytest.mark.parametrize(
    ("pruned", "words"),
    [
        ([], "trial 1: 6 episodes, not 9"),
        ([0, 1], "trial 0: stopped by a callback, and has all its episodes"),
        ([1, 7], "trial 7, stopped by a callback, is not in it"),
    ],
)
def test_a_forged_seal_does_not_verify(pruned, words, tmp_path):
    study(algorithms="dql", callbacks=[prune(("dql", 1, 5))], out=tmp_path, block=2)
    path = tmp_path / "checksums" / "00-dql" / "trials-00000-00001.json"
    seal = read_seal(path)
    assert seal.pruned == [1]
    path.write_bytes(packed_seal(seal.files, seal.software, pruned, seal.rounds))
    found = verify(tmp_path, progress=False)
    assert found.verdict == "does not hold"
    assert words in str(found)


def test_a_seal_that_lacks_a_pruned_trial_is_found_by_running_it_again(tmp_path):
    stop = {"messages": 100}  # so that any number of rounds may be right
    log = prune(("dql", 1, 5))
    study(algorithms="dql", callbacks=[log], out=tmp_path, block=2, stop=stop)
    path = tmp_path / "checksums" / "00-dql" / "trials-00000-00001.json"
    seal = read_seal(path)
    path.write_bytes(packed_seal(seal.files, seal.software, [], seal.rounds))
    found = verify(tmp_path, block="dql:0-1", progress=False)
    assert found.verdict == "does not hold"


def test_merged_and_added_they_say_what_was_pruned(tmp_path):
    one = study(callbacks=[prune(("dql", 1, 5))], last_trial=1, out=tmp_path / "a")
    other = study(callbacks=[prune(("dql", 2, 3))], first_trial=2, out=tmp_path / "b")
    merged = commenv.merge(tmp_path / "c", [tmp_path / "a", tmp_path / "b"])
    assert merged.pruned == (one + other).pruned == {"dql": [1, 2]}
    assert verify(tmp_path / "c", every=True, progress=False).holds
    both = commenv.load(tmp_path / "a", tmp_path / "c")
    assert both.pruned == {
        f"dql, {tmp_path / 'a'}": [1],
        f"dql, {tmp_path / 'c'}": [1, 2],
    }


def test_the_trace_of_a_pruned_trial_ends_with_it(tmp_path):
    log = prune(("dql", 1, 5))
    study(algorithms="dql", callbacks=[log], out=tmp_path, trace=True)
    for kind in ("steps", "messages"):
        paths = tmp_path.glob(f"trace/*/*/{kind}-*.parquet")
        rows = pd.concat([pd.read_parquet(path) for path in paths])
        last = rows.groupby("trial")["episode"].max()
        assert last.to_dict() == {0: 8, 1: 5, 2: 8, 3: 8}
    assert verify(tmp_path, every=True, progress=False).holds


def test_a_failure_with_a_trace_goes_on_from_the_blocks_that_were_finished(tmp_path):
    expected = study(algorithms="dql").frame
    how = {"algorithms": "dql", "out": tmp_path, "trace": True, "block": 2}
    with pytest.raises(Enough):
        study(callbacks=[failing("round", "dql", 2, 4)], **how)
    assert not list(tmp_path.glob("checkpoints/*/*"))
    log = Log()
    same_bits(study(callbacks=[log], **how).frame, expected)
    assert [one[2:] for one in log.of("round")] == [
        (trial, episode) for episode in range(9) for trial in (2, 3)
    ]


def test_a_trial_elsewhere_cannot_be_stopped():
    log = prune(("dql", 1, 3))
    with pytest.raises(ValueError, match=r"Log stops trial 1 of 'dql'.*'local'"):
        study(callbacks=[log], workers=2, block=1)
    assert log.said[-1] == ("close", os.getpid())
    alone = study(algorithms="dql", callbacks=[log], workers=2, block=4)  # runs here
    assert alone.pruned == {"dql": [1]}


class Enough(Exception):
    """What a callback of the tests raises."""


def failing(what, *key):
    return Log(**{what: {key: Enough()}})


@pytest.mark.parametrize(
    ("what", "key"),
    [
        ("round", ("dql", 1, 0)),
        ("evaluation", ("dql", 3, 7)),
        ("round", ("ebcdql", 0, 5)),
        ("end", ("dql", 0, 8)),  # the state after the last round
        ("end", ("ebcdql", 3, 8)),
    ],
)
def test_what_a_callback_raises_ends_the_study_which_goes_on_from_there(
    what, key, tmp_path
):
    expected = study(out=tmp_path / "whole")
    log, out = failing(what, *key), tmp_path / "out"
    with pytest.raises(Enough):
        study(callbacks=[log], out=out, block=4, checkpoint_minutes=float("inf"))
    assert log.said[-1] == ("close", os.getpid())
    assert len(list(out.glob("checkpoints/*/*.newest"))) == 1
    second = Log()
    results = study(callbacks=[second], out=out, block=4)
    same_bits(results.frame, expected.frame)
    pd.testing.assert_frame_equal(results.sizes(), expected.sizes())
    rounds = {one[3] for one in second.of("round") if one[1] == key[0]}
    assert rounds == set(range(key[2] + 1, 9))
    assert not list(out.glob("checkpoints/*/*"))


def test_what_was_pruned_before_a_failure_stays_pruned(tmp_path):
    stops = prune(("dql", 0, 3))
    fails = failing("round", "dql", 2, 3)
    with pytest.raises(Enough):
        study(callbacks=[stops, fails], out=tmp_path, block=4)
    results = study(callbacks=[Log()], out=tmp_path, block=4)
    assert results.pruned == {"dql": [0]}
    whole = study().frame
    kept = (whole["label"] != "dql") | (whole["trial"] > 0) | (whole["episode"] < 4)
    same_bits(results.frame, whole[kept])
    assert verify(tmp_path, every=True, progress=False).holds


@pytest.mark.parametrize("error", [Enough, KeyboardInterrupt])
def test_a_resumed_study_is_told_from_where_it_goes_on(error, tmp_path):
    fails = Log(round={("dql", 0, 6): error()})
    with pytest.raises(error):
        study(callbacks=[fails], out=tmp_path, block=4)
    second = Log()
    study(callbacks=[second], out=tmp_path, block=4)
    rounds = [one[3] for one in second.of("round") if one[1] == "dql"]
    assert rounds == [7] * 4 + [8] * 4


class Interrupting(Log):
    """Asks its own process to end, as Ctrl-C does."""

    def on_round(self, measured):
        super().on_round(measured)
        if (measured.arm.label, measured.trial, measured.round) == ("dql", 0, 6):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(
    ("log", "error"),
    [(failing("round", "dql", 0, 6), Enough), (Interrupting(), KeyboardInterrupt)],
)
def test_workers_that_are_stopped_keep_their_states(log, error, tmp_path):
    expected = study(num_episodes=400).frame
    with pytest.raises(error):
        study(
            callbacks=[log],
            num_episodes=400,
            out=tmp_path,
            workers=2,
            block=4,
            checkpoint_minutes=float("inf"),
        )
    assert list(tmp_path.glob("checkpoints/*/*.newest"))
    second = Log()
    results = study(callbacks=[second], num_episodes=400, out=tmp_path, workers=2)
    same_bits(results.frame, expected)
    first = min(one[3] for one in second.of("round") if one[1] == "dql")
    assert first > 6


@pytest.mark.parametrize(
    ("callbacks", "words"),
    [
        ([print], "callbacks has <built-in function print>.*commenv.Callback"),
        ([Log], "callbacks has <class .*Log'>, which is not a callback; give objects"),
        (Log(), r"callbacks is <.*Log object.*in a list"),
        (None, "callbacks is None"),
    ],
)
def test_what_is_no_callback_is_refused_before_anything_runs(
    callbacks, words, tmp_path
):
    with pytest.raises(TypeError, match=words):
        study(callbacks=callbacks, out=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_all_are_closed_even_if_one_fails_to():
    class Stuck(Log):
        def close(self):
            raise Enough

    first, last = Log(), Log()
    with pytest.raises(Enough):
        study(algorithms="dql", callbacks=[first, Stuck(), last])
    for log in (first, last):
        assert log.said[-1] == ("close", os.getpid())


def test_a_handler_of_an_object_of_its_own_is_heard():
    rounds, plain = [], commenv.Callback()
    plain.on_round = rounds.append
    study(algorithms="dql", callbacks=[plain])
    assert len(rounds) == 4 * 9
    with pytest.raises(dataclasses.FrozenInstanceError):
        rounds[0].trial = 3
    assert json.dumps(rounds[0].values)


def test_what_stopped_trials_leave_out_is_done_with(capsys):
    class Early(commenv.Callback):
        def on_round(self, measured):
            if measured.trial == 1:
                raise commenv.StopTrial

    commenv.run("SimpleGrid-v0", "dql", **SIZE, callbacks=[Early()])
    assert capsys.readouterr().err.splitlines()[-1].startswith("  100 % · 36 of 36 ")
