from __future__ import annotations

import importlib
import json
import os
import random
import time
import warnings
from pathlib import Path

import pytest

pytest.importorskip("resource")  # what bounds a process is not on every system
pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

from tests.fuzz.engine import Hang, attempt, bounded, fuzz, store
from tests.fuzz.guard import EVIL, Misdeed, judged, nothing_else
from tests.fuzz.mutation import changed, changed_json
from tests.fuzz.planted import FAULTS
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

INPUTS = {"message": 3000, "payload": 5000, "manifest": 2000, "seal": 1000}
FEW = {"settings": 60, "command": 40, "folder": 12}
FEW |= {"block": 60, "sizes": 60}


def findings(target, inputs, seed):
    return [
        (data[:200], error)
        for data, error, tally in fuzz(target, inputs, 60.0, seed, None)
        if not tally.seconds
    ]


@pytest.mark.parametrize("name", TARGETS)
def test_every_seed_is_read_or_refused_as_documented(name):
    target = TARGETS[name]
    with target.prepared():
        outcomes = [attempt(target, seed) for seed in target.corpus()]
    assert None in outcomes  # at least one is valid


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_changed_inputs_are_read_or_refused_as_documented(name, monkeypatch):
    inputs = INPUTS.get(name, FEW.get(name, 500))
    with TARGETS[name].prepared(), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert findings(TARGETS[name], inputs, seed=7) == []


def of(run, **more):
    return Target("toy", run, lambda: [b"seed"], (ValueError,), **more)


def test_what_is_not_documented_is_found():
    def run(data):
        if data != b"seed":
            raise KeyError("no seed")

    [(_, error), *_] = findings(of(run), 50, seed=0)
    assert type(error) is KeyError


def test_an_error_without_words_or_with_too_many_is_found():
    for text in ("", "x" * 5000):

        def run(data, text=text):
            raise ValueError(text)

        [(_, error)] = findings(of(run), 1, seed=0)
        assert "characters" in str(error)


def test_an_input_that_takes_too_long_is_found():
    def run(data):
        stop = time.monotonic() + 20
        while time.monotonic() < stop:
            pass

    [(_, error)] = findings(of(run, seconds=0.5), 1, seed=0)
    assert type(error) is Hang


def test_memory_is_bounded_in_a_process_of_its_own():
    child = os.fork()
    if child == 0:
        bounded(2**28)
        try:
            bytearray(2**30)
        except MemoryError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_the_same_seed_gives_the_same_inputs():
    for change in (changed, changed_json):
        one, other = (
            [change(random.Random(3), [b'{"a": [1, 2]}', b"[]"]) for _ in range(20)]
            for _ in range(2)
        )
        assert one == other


def test_a_finding_is_stored_with_its_trace(tmp_path):
    try:
        raise KeyError("x")
    except KeyError as error:
        path = store(tmp_path, b"bytes", error)
    assert path.read_bytes() == b"bytes"
    assert "KeyError" in path.with_name(path.name + ".txt").read_text()


@pytest.mark.parametrize(
    "deed",
    [
        lambda data: __import__(EVIL),
        lambda data: os.system("true"),
        lambda data: Path("elsewhere").write_bytes(data),
        lambda data: os.mkdir("elsewhere"),
    ],
)
def test_misdeeds_are_caught(tmp_path, deed, monkeypatch):
    inside = tmp_path / "inside"
    inside.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(inside))
    with nothing_else(inside), pytest.raises(Misdeed):
        judged(deed, b"")


def test_what_stays_in_the_folder_is_no_misdeed(tmp_path):
    with nothing_else(tmp_path):
        judged((tmp_path / "file").write_bytes, b"bytes")
        judged(json.loads, b"{}")


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_replaces_what_a_reader_calls(name):
    module, _, attribute = FAULTS[name].where.partition(":")
    assert callable(getattr(importlib.import_module(module), attribute))
    assert FAULTS[name].target in TARGETS
