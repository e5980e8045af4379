from __future__ import annotations

import hashlib
import json
import struct

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commenv.errors import ResultsError
from commenv.study.execution.checkpoints import Checkpoints, Schedule
from commenv.study.storage.checkpoint import packed, unpacked
from tests.study.blocks import (
    ALGORITHMS,
    CHANNELS,
    CODECS,
    EPISODES,
    kept,
    measured,
    state,
    study,
)
from tests.study.studies import built

pa = pytest.importorskip("pyarrow")
pytest.importorskip("safetensors")


def goes_on_from_every_round(study):
    """Whether a block ends alike, whichever round it was stopped after."""
    expected = repr(measured(study))  # NaN stands for rounds without evaluation
    result, files = kept(study, Schedule(episodes=1))
    assert repr(result) == expected
    assert len(files) == EPISODES - 1
    for position, data in enumerate(files, 1):
        reports = []
        again = measured(study, resume=state(data), report=reports.append)
        assert repr(again) == expected, f"after {position} rounds"
        assert reports[0] == 2 * position
        assert sum(reports) == 2 * EPISODES
    return True


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_goes_on_from_every_round(name):
    assert goes_on_from_every_round(study(name))


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("name", ["dql", "davia"])
def test_what_is_under_way_goes_on(name, channels):
    assert goes_on_from_every_round(study(name, CHANNELS[channels]))


@pytest.mark.parametrize("channels", CODECS)
def test_what_codecs_remember_goes_on(channels):
    assert goes_on_from_every_round(study("davia", CODECS[channels]))


def test_a_trial_that_has_stopped_stays_as_it_was():
    one = study("now and then", stop={"messages": 2}, evaluate_every=2)
    result, files = kept(one, Schedule(episodes=1))
    lengths = np.bincount(result[0]["trial"])
    assert lengths.min() < lengths.max() < EPISODES
    for data in files:
        assert repr(measured(one, resume=state(data))) == repr(result)


def test_a_checkpoint_of_a_resumed_block_is_one_like_any_other():
    one = study("dql", CHANNELS["chain"])
    expected, files = kept(one, Schedule(episodes=1))
    _, later = kept(one, Schedule(episodes=1), resume=state(files[2]))
    assert len(later) == len(files) - 3
    for data in later:
        assert repr(measured(one, resume=state(data))) == repr(expected)


def test_agents_that_remember_more_than_they_show_are_not_kept():
    pytest.importorskip("stable_baselines3")
    one = built(
        "CartPole-v1",
        ["fed-ppo"],
        None,
        {"n_steps": 8, "local_steps": 8, "batch_size": 8},
        20,
        num_agents=2,
        num_trials=1,
        num_episodes=2,
        evaluation_episodes=1,
    )
    assert kept(one, Schedule(episodes=1), trials=[0])[1] == []


def test_a_snapshot_of_other_settings_is_refused():
    _, files = kept(study("dql"), Schedule(episodes=1))
    with pytest.raises(ResultsError, match="snapshot"):
        measured(study("dql", num_agents=3), resume=state(files[0]))
    with pytest.raises(ResultsError, match="snapshot"):
        measured(study("dql"), trials=(0, 1, 2), resume=state(files[0]))


def test_the_schedule_goes_by_episodes_or_by_the_clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    by_episodes = Checkpoints(Schedule(episodes=3), [].append)
    assert [by_episodes.due(episode) for episode in range(6)] == [0, 0, 1, 0, 0, 1]
    by_clock = Checkpoints(Schedule(minutes=2), [].append)
    assert not by_clock.due(0)
    now[0] = 121.0
    assert by_clock.due(1)
    by_clock.keep({})
    assert not by_clock.due(2)
    assert not Checkpoints(Schedule(minutes=float("inf")), [].append).due(1)


@pytest.mark.parametrize("wrong", [{"episodes": 0}, {"minutes": 0}, {"minutes": -1}])
def test_impossible_schedules_are_refused(wrong):
    with pytest.raises(ValueError, match="a checkpoint after each"):
        Schedule(**wrong)


RECORD = np.dtype([("a", "<u4"), ("b", [("c", "<f8", (2, 3)), ("d", "<i2")])])
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(width=64)
)
ARRAYS = st.sampled_from(
    [
        np.arange(6.0).reshape(2, 3),
        np.arange(6).reshape(2, 3).T,
        np.array(3.5),
        np.zeros((0, 4), np.bool_),
        np.array([1, 2], np.uint32),
        np.ones((2, 2), RECORD),
        np.zeros(0, RECORD),
    ]
)
TREES = st.recursive(
    SCALARS | ARRAYS | st.text(max_size=5) | st.just(RECORD),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=12,
)


def alike(one, other):
    if isinstance(one, np.ndarray):
        same = one.dtype == other.dtype and one.shape == other.shape
        return same and one.tobytes() == other.tobytes() and other.flags.writeable
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(
            alike(one[name], other[name]) for name in one
        )
    if isinstance(one, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return type(one) is type(other) and (one == other or one != one)


@given(st.dictionaries(st.text(max_size=5), TREES, max_size=4))
def test_a_tree_comes_back_as_it_was(tree):
    assert alike(tree, unpacked(packed(tree)))


@pytest.mark.parametrize("leaf", [object(), np.array([object()]), 1j])
def test_other_leaves_are_refused(leaf):
    with pytest.raises(TypeError):
        packed({"x": leaf})


def test_every_flipped_bit_and_every_cut_is_noticed():
    data = packed({"x": np.arange(3), "y": "text"})
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << position % 8
        with pytest.raises(ResultsError):
            unpacked(bytes(damaged))
        with pytest.raises(ResultsError):
            unpacked(data[:position])


def sealed(body):
    """A file of anything at all behind a checksum that is right."""
    return b"commenv-state-1\n" + hashlib.sha256(body).digest() + body


def test_an_array_that_stands_in_two_places_is_refused():
    data = packed({"x": np.arange(3), "y": np.arange(4)})
    body = data[48:].replace(b"\xa11", b"\xa10")  # the second name is the first
    assert body != data[48:]
    with pytest.raises(ResultsError, match="refers to"):
        unpacked(sealed(body))


def safetensors(tree, shape=None, extra=b""):
    header = {
        "tree": {
            "dtype": "U8",
            "shape": shape or [len(tree)],
            "data_offsets": [0, len(tree)],
        }
    }
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + tree + extra


def reference(*parts):
    content = msgspec.msgpack.encode(list(parts))
    return msgspec.msgpack.encode({"x": msgspec.msgpack.Ext(1, content)})


MALFORMED = {
    "empty": b"",
    "no length": b"\0" * 7,
    "endless header": struct.pack("<Q", 2**62) + b"{}",
    "no tree": struct.pack("<Q", 2) + b"{}",
    "too little data": safetensors(b"\x80", shape=[2**40]),
    "no map": safetensors(b"\xc0"),
    "cut": safetensors(b"\x81"),
    "deep": safetensors(b"\x91" * 100_000 + b"\xc0"),
    "unknown name": safetensors(reference("7", None)),
    "no reference": safetensors(reference(3)),
    "objects": safetensors(reference("tree", ["O", [1]])),
    "nothing": safetensors(reference("tree", ["V0", [1]])),
    "huge field": safetensors(reference("tree", [[["a", "<f8", [2**40]]], [1]])),
    "negative field": safetensors(reference("tree", [[["a", "<f8", [-1]]], [1]])),
    "no field": safetensors(reference("tree", [[["a", "<f8"]], [1]])),
    "deep fields": safetensors(reference("tree", [[["a", [["b", []]], []]], [1]])),
    "huge shape": safetensors(reference("tree", ["|u1", [2**62, 2**62]])),
    "text": safetensors(reference("tree", ["import os", [1]])),
    "unknown kind": safetensors(
        msgspec.msgpack.encode({"x": msgspec.msgpack.Ext(9, b"x")})
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_file_is_an_error_of_ours(name):
    with pytest.raises(ResultsError):
        unpacked(sealed(MALFORMED[name]))
