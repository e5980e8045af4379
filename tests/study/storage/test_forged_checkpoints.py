from __future__ import annotations

import copy
import hashlib
import tracemalloc

import numpy as np
import pytest

from commenv.errors import ResultsError
from commenv.study.storage.checkpoint import packed, unpacked
from commenv.study.storage.checkpoint_folder import CheckpointFolder

pytest.importorskip("pyarrow")
pytest.importorskip("safetensors")

from tests.study.storage.forged import (
    IN_SHARDS,
    STUDIES,
    Diverged,
    checkpoint_target,
    files,
    forged,
    go_on,
    inside,
)

MUTATIONS = 20
UP, DOWN = (("rounds", "env", one) for one in ("uplink", "downlink"))
CODER = (*UP, "_coder")
AWAITED = (*CODER, "awaited", 0)
TRANSIT = (*UP, "_transit")
BATCHES = (*TRANSIT, "under_way")
UNDER_WAY = (*BATCHES, 0)
FRAMES = (*UNDER_WAY, "frames")
WAITING = (*UP, "_queue", "waiting", 0)
VERSIONS = ("rounds", "env", "versions")


def with_change(name, at, change, position=3):
    """A real checkpoint in which one thing is another."""
    tree = unpacked(files(name)[position])
    parent = inside(tree["state"], at[:-1])
    parent[at[-1]] = change(parent[at[-1]]) if callable(change) else change
    return packed(tree)


def grown(one):
    return [*one, *copy.deepcopy(one[:1])]


def cut(one):
    return one[:-1]


def fewer(one):
    return one[:, :1]


def filled(value):
    return lambda one: np.full_like(one, value)


@pytest.mark.parametrize("name", [*STUDIES, *IN_SHARDS])
def test_whatever_a_checkpoint_holds_is_gone_on_with_or_refused_at_once(name):
    outcomes = set()
    for number in range(MUTATIONS):
        rng = np.random.default_rng([sum(name.encode()), number])
        tree = unpacked(files(name)[rng.integers(len(files(name)))])
        data = packed({**tree, "state": forged(tree["state"], rng)})
        try:
            go_on(name, data)
            outcomes.add("gone on with")
        except Diverged:
            outcomes.add("diverged")
        except ResultsError:
            outcomes.add("refused")
    assert "refused" in outcomes


REFUSED = {
    "a clock that is a text": ("plain", (*UP, "clock"), "3"),
    "a clock that is true": ("plain", (*UP, "clock"), True),
    "a clock that is late": ("plain", (*UP, "clock"), 3),
    "an episode before the first": ("plain", ("rounds", "env", "episode"), -1),
    "an episode of another channel": ("plain", (*UP, "episode"), 9),
    "an episode without end": ("plain", (*UP, "episode"), 2**62),
    "a link's episode ahead": ("plain", (*UP, "_episodes"), filled(5)),
    "a memory of another name": ("plain", ("rounds", "learner"), {"x": np.zeros(2)}),
    "a memory that is none": ("plain", ("rounds", "learner"), None),
    "a memory of another shape": (
        "plain",
        ("rounds", "learner", "q"),
        cut,
    ),
    "a memory of whole numbers": (
        "plain",
        ("rounds", "learner", "q"),
        lambda one: one.astype("<i8"),
    ),
    "a memory that is no number": (
        "plain",
        ("rounds", "learner", "q"),
        filled(np.nan),
    ),
    "more of a memory": (
        "plain",
        ("learned", "memory"),
        lambda one: {**one, "x": np.zeros(2)},
    ),
    "agents' memory": (
        "es",
        ("rounds", "agents", "theta"),
        fewer,
    ),
    "a codec's memory": ("feedback", (*CODER, "memory", "error"), fewer),
    "a receiver's memory": ("acknowledged", (*CODER, "receiver"), {}),
    "what a codec awaits": (
        "acknowledged",
        (*CODER, "awaited", 0, "pending"),
        {},
    ),
    "a link's state": ("chain", (*TRANSIT, "state"), {}),
    "numbers drawn before the first": (
        "chain",
        (*TRANSIT, "drawn", "parts", "0", "used"),
        filled(-1),
    ),
    "numbers drawn without end": (
        "chain",
        (*TRANSIT, "drawn", "parts", "0", "used"),
        filled(2**62),
    ),
    "parts of a link without end": (
        "chain",
        (*TRANSIT, "drawn", "parts"),
        lambda one: {**one, "9" * 9: one["0"]},
    ),
    "links out of range": ("chain", (*FRAMES, "links"), lambda one: one + 8),
    "a link twice": ("acknowledged", (*FRAMES, "links"), filled(1)),
    "data cut off": ("acknowledged", (*FRAMES, "data"), cut),
    "sizes that turn over": (
        "acknowledged",
        (*FRAMES, "sizes"),
        lambda one: one + 2**62,
    ),
    "headers of another sender": (
        "acknowledged",
        (*FRAMES, "headers"),
        lambda one: np.zeros_like(one),
    ),
    "ticks of another shape": (
        "acknowledged",
        (*UNDER_WAY, "due"),
        cut,
    ),
    "a batch that was not sent": (
        "acknowledged",
        (*TRANSIT, "under_way"),
        grown,
    ),
    "an unknown field": ("queue", WAITING, lambda one: {**one, "x": 1}),
    "an unknown payer": ("queue", (*WAITING, "payer"), -1),
    "payers for one payer": (
        "queue",
        (*WAITING, "payer"),
        lambda one: np.array([one]),
    ),
    "copies without end": ("queue", (*WAITING, "copies"), 2**62),
    "one who waits twice": ("queue", (*UP, "_queue", "waiting"), grown),
    "nobody who waits": ("queue", (*UP, "_queue", "waiting"), []),
    "versions out of range": ("plain", (*VERSIONS, "held"), filled(2)),
    "versions before the first": ("plain", (*VERSIONS, "held"), filled(-1)),
    "no versions": ("plain", VERSIONS, None),
    "versions of another form": (
        "plain",
        (*VERSIONS, "records"),
        lambda one: np.zeros(len(one), [("x", "<f8")]),
    ),
    "a form of gigabytes": (
        "feedback",
        (*UP, "_dtype"),
        np.dtype([("x", "u1", (2**31 - 9,))]),
    ),
    "sizes out of order": (
        "plain",
        (*UP, "ledger", "_sizes", "keys"),
        lambda one: one[::-1],
    ),
    "more sizes than messages": (
        "plain",
        (*UP, "ledger", "_sizes", "counts"),
        lambda one: one + 1,
    ),
    "a ledger that does not add up": (
        "plain",
        (*UP, "ledger", "_attempted"),
        lambda one: one + 1,
    ),
    "less than nothing spent": ("plain", (*UP, "_accounts", "_used"), filled(-1.0)),
    "columns of differing lengths": (
        "plain",
        ("series", "columns", "reward"),
        cut,
    ),
    "a column too few": (
        "plain",
        ("series", "columns"),
        lambda one: {name: one[name] for name in list(one)[1:]},
    ),
    "rounds without end": ("plain", ("series", "taken"), np.zeros((2**40, 0), bool)),
    "rounds that nobody played": ("plain", ("series", "taken"), filled(False)),
    "stopped trials that go on": ("plain", ("series", "pruned"), filled(True)),
    "nobody who goes on": ("plain", ("series", "running"), filled(False)),
    "sizes of no direction": (
        "plain",
        ("sent", "_rows"),
        [
            dict.fromkeys(
                ("trial", "direction", "payload", "receivers", "messages"),
                np.array([7]),
            )
        ],
    ),
    "too few shards": ("queue in shards", ("rounds", "shards"), cut),
    "a shard of another round": (
        "queue in shards",
        ("rounds", "shards", 0, "env", "episode"),
        0,
    ),
    "verdicts out of range": (
        "acknowledged in shards",
        ("rounds", "verdicts"),
        lambda one: [{"links": np.array([8]), "headers": one, "arrived": True}],
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_block_does_not_go_on_from(name):
    with pytest.raises(ResultsError, match="snapshot"):
        go_on(REFUSED[name][0], with_change(*REFUSED[name]))


def test_trials_that_have_all_been_stopped_have_sent_something():
    tree = unpacked(with_change("plain", ("series", "pruned"), filled(True)))
    tree["state"]["series"]["running"][:] = False
    with pytest.raises(ResultsError, match="ended trials without what they have sent"):
        go_on("plain", packed(tree))


def test_a_form_that_the_algorithm_does_not_send_is_refused_in_the_first_round():
    data = with_change("plain", (*UP, "_dtype"), np.dtype([("x", "<f8")]))
    with pytest.raises(ResultsError, match=r"snapshot of a channel of .*'x'"):
        go_on("plain", data)


def test_parts_of_a_link_cost_little_more_than_they_take_in_the_file():
    parts = (*TRANSIT, "drawn", "parts")
    data = with_change(
        "chain", parts, lambda one: {str(part): one["0"] for part in range(99)}
    )
    go_on("chain", files("chain")[2])
    tracemalloc.start()
    try:
        go_on("chain", data)
        assert tracemalloc.get_traced_memory()[1] < 2**25
    finally:
        tracemalloc.stop()


def test_an_array_that_stands_in_two_places_is_refused():
    data = packed({"x": np.arange(3), "y": np.arange(4)})
    body = data[48:].replace(b"\xa11", b"\xa10")  # the second name is the first
    assert body != data[48:]
    sealed = data[:16] + hashlib.sha256(body).digest() + body
    with pytest.raises(ResultsError, match="refers to"):
        unpacked(sealed)


def test_what_a_file_is_about_may_be_anything(tmp_path):
    (tmp_path / "manifest.json").touch()
    folder = CheckpointFolder(tmp_path)
    for about in (np.arange(3), {"x": np.arange(3)}, None, [1]):
        folder.write(0, "x", range(2), packed({"about": about, "state": {}}))
        assert folder.read(0, "x", range(2), {"x": "1"}) is None


def test_a_fuzzer_meets_expected_errors_alone():
    real = files("plain")[2]
    for data in (b"", b"commenv-state-1\n", real, real[:-1], packed({"state": 1})):
        checkpoint_target(data)
