from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

import commenv
from commenv import BernoulliLoss, Budget, Channel
from commenv.channel import QSGD, Chain, Delay, Delta, ErrorFeedback, Float16, Identity
from commenv.cli import main
from commenv.errors import ResultsError, UnknownNameError
from commenv.study import verify
from commenv.study.checks import TOLERANCE
from commenv.study.checksums import digest_of, packed_seal, read_seal
from commenv.study.described import study_of
from commenv.study.software import software, unlike
from commenv.study.spec import Study, cells
from commenv.study.store import Store

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

HOW = {"num_agents": 2, "num_trials": 4, "num_episodes": 5, "progress": False}
QUIET = {"progress": False}
KINDS = ("blocks", "sizes", "policies")


@pytest.fixture(scope="module")
def grids(tmp_path_factory):
    """A tabular study of two labels in two blocks each."""
    out = tmp_path_factory.mktemp("verify") / "grids"
    algorithms = ["dql", "ebcdql"]
    commenv.run("SimpleGrid-v0", algorithms, block=3, out=out, **HOW)
    return out


@pytest.fixture(scope="module")
def poles(tmp_path_factory):
    out = tmp_path_factory.mktemp("verify") / "poles"
    commenv.run("commenv/CartPole-v1", "es", block=2, out=out, **HOW)
    return out


@pytest.fixture
def copy(grids, tmp_path):
    return shutil.copytree(grids, tmp_path / "copy")


@pytest.fixture
def pole(poles, tmp_path):
    return shutil.copytree(poles, tmp_path / "pole")


def files(directory, kind):
    return sorted((directory / kind).glob("*/trials-*"))


def flip(path, position=0.5):
    data = bytearray(path.read_bytes())
    data[int(len(data) * position)] ^= 1
    path.write_bytes(bytes(data))


def problems(found):
    return [line for check in found.checks for line in check.problems]


def reseal(directory, kind="blocks", block=0, **changed):
    """Makes a block's checksums those of the files as they are."""
    path = files(directory, "checksums")[block]
    seal = read_seal(path)
    seal.files[kind] = digest_of(files(directory, kind)[block])
    path.write_bytes(packed_seal(seal.files, seal.software | changed))


def change(directory, kind, column, add, **sealed):
    """Changes the first number of a column, and the checksum with it."""
    path = files(directory, kind)[0]
    table = pd.read_parquet(path)
    table.loc[0, column] += add
    table.to_parquet(path)
    reseal(directory, kind, **sealed)


@pytest.mark.parametrize("directory", ["grids", "poles"])
def test_an_untouched_study_holds(directory, request):
    found = verify(request.getfixturevalue(directory), every=True, **QUIET)
    assert found.holds
    assert str(found).count("columns equal bit for bit, on the same type") == (
        4 if directory == "grids" else 2
    )
    assert str(found).splitlines()[-1].endswith(" holds")


def test_a_study_with_channels_stops_and_sizes_holds(tmp_path):
    uplink = Channel(
        codec=Float16(),
        link=Chain(BernoulliLoss(0.3), Delay(ticks=1, spread=2, expiry=2)),
        budget=Budget(bytes=5000, per="lifetime", exceed="queue"),
    )
    found = commenv.run(
        "SimpleGrid-v0",
        ["dql", "es"],
        ["periodic", "random"],
        settings={"env.size": [3, 4], "dql.alpha": 0.5},
        uplink=uplink,
        downlink=Channel(codec=Delta(QSGD(3), key_every=3), medium="broadcast"),
        stop={"env_steps": 60},
        out=tmp_path / "out",
        **HOW,
    ).verify(every=True, **QUIET)
    assert found.holds, str(found)


def test_a_trace_is_named_as_unchecked(tmp_path):
    out = tmp_path / "out"
    found = commenv.run("SimpleGrid-v0", out=out, trace=True, **HOW).verify(**QUIET)
    assert found.holds
    assert "the trace has no checksums and is not checked" in str(found)


@pytest.mark.parametrize("kind", [*KINDS, "checksums"])
@pytest.mark.parametrize("position", [0.0, 0.3, 0.5, 0.9])
def test_a_flipped_byte_is_found_and_the_file_named(pole, kind, position):
    path = files(pole, kind)[1]
    flip(path, position)
    found = verify(pole, block="es:0", **QUIET)
    assert not found.holds
    named = [line for line in problems(found) if str(path) in line]
    assert named
    assert any("delete" in line for line in named)


def test_a_changed_manifest_is_found(copy):
    path = copy / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["optima"]["dql"] -= 1.0
    path.write_text(json.dumps(manifest))
    lines = problems(verify(copy, block="dql:0", **QUIET))
    assert sum(f"{path} is not as it was when" in line for line in lines) == 4
    assert any("'optimum' is not what this version computes" in line for line in lines)


def test_the_cure_of_a_damaged_file_cures(copy):
    flip(files(copy, "sizes")[0])
    assert not verify(copy, **QUIET).holds
    files(copy, "blocks")[0].unlink()
    commenv.run("SimpleGrid-v0", ["dql", "ebcdql"], block=1, out=copy, **HOW)
    found = verify(copy, every=True, **QUIET)
    assert found.holds, str(found)
    assert "6 blocks of 8 trials" in str(found)


def test_a_resumed_study_holds(copy, monkeypatch):
    for path in files(copy, "blocks")[1:3]:
        path.unlink()
    unfinished = verify(copy, every=True, **QUIET)
    assert unfinished.holds
    assert "dql is unfinished: 3 of 4 trials are there" in str(unfinished)
    commenv.run("SimpleGrid-v0", ["dql", "ebcdql"], workers=2, out=copy, **HOW)
    found = verify(copy, every=True, **QUIET)
    assert found.holds, str(found)
    assert "unfinished" not in str(found)


@pytest.mark.parametrize("kept", [(), ("sizes", "policies")])
def test_a_study_of_an_earlier_version_holds_and_says_what_it_lacks(copy, kept):
    for kind in {"checksums", "sizes", "policies"} - set(kept):
        shutil.rmtree(copy / kind)
    path = copy / "manifest.json"
    manifest = json.loads(path.read_text())
    for name in ("machine", "simd", "blas", "libc"):
        del manifest["software"][name]
    path.write_text(json.dumps(manifest))
    found = verify(copy, every=True, **QUIET)
    assert found.holds, str(found)
    assert "no checksums of dql:0-2, dql:3, ebcdql:0-2, ebcdql:3 (stored by" in str(
        found
    )
    assert ("stored without the sizes" in str(found)) == (not kept)
    assert "not recorded: machine, simd, blas, libc" in str(found)


def test_a_block_without_checksums_does_not_hide_damage_in_another(copy):
    files(copy, "checksums")[0].unlink()
    flip(files(copy, "policies")[3])
    found = verify(copy, block="dql:0", **QUIET)
    assert "no checksums of dql:0-2 (stored" in str(found)
    (line,) = problems(found)
    assert str(files(copy, "policies")[3]) in line


@pytest.mark.parametrize(
    ("kind", "moment"), [("checksums", 0), ("blocks", 1), ("sizes", 0)]
)
def test_a_study_killed_between_two_files_goes_on_and_holds(
    tmp_path, monkeypatch, kind, moment
):
    out, written = tmp_path / "out", Store._write

    def die(self, path, data):
        if path.parts[-3] == kind and path.stem.startswith(f"trials-0000{moment}"):
            raise KeyboardInterrupt
        return written(self, path, data)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "_write", die)
        with pytest.raises(KeyboardInterrupt):
            commenv.run("SimpleGrid-v0", block=1, out=out, **HOW)
    if moment:
        assert verify(out, every=True, **QUIET).holds
    else:
        with pytest.raises(ResultsError, match="no finished block yet"):
            verify(out, **QUIET)
    commenv.run("SimpleGrid-v0", block=2, out=out, **HOW)
    found = verify(out, every=True, **QUIET)
    assert found.holds, str(found)


@pytest.mark.parametrize(
    ("kind", "column", "add", "words"),
    [
        ("blocks", "messages", 1.0, "messages sums to"),
        ("blocks", "messages", 0.25, "messages times the agents is no whole number"),
        ("blocks", "size", np.inf, "size times the agents is no whole number"),
        ("blocks", "total_size", 16.0, "total_size sums to"),
        ("blocks", "total_size", 1.0, "total_size is not the sum of payload, headers"),
        ("blocks", "env_steps", 1.0, "env_steps is not the sum of episode_length"),
        ("blocks", "episode", 7, "its episodes are not 0, 1, 2"),
        ("blocks", "trial", 9, "its trials are not 0 to 2"),
        ("blocks", "frequency", 3.0, "must lie in 0 to 1"),
        ("sizes", "messages", 1, "by the sizes"),
        ("sizes", "payload", 8, "by the sizes"),
        ("sizes", "header", 1, "a header is not of 16 bytes"),
        ("sizes", "trial", 7, "its trials are not 0 to 2"),
    ],
)
def test_a_changed_count_with_its_checksum_is_found_by_the_sums(
    copy, kind, column, add, words
):
    change(copy, kind, column, add)
    found = verify(copy, block="ebcdql:0", **QUIET)
    (sums,) = (check for check in found.checks if check.name == "ledger sums")
    assert any(word in line for line in sums.problems for word in words.split("|")), (
        sums.problems
    )
    assert problems(found) == list(sums.problems)


@pytest.mark.parametrize("column", ["reward", "evaluation", "lost"])
def test_another_changed_number_with_its_checksum_is_found_by_running_it_again(
    copy, column
):
    change(copy, "blocks", column, 1e-9)
    assert verify(copy, block="dql:3", **QUIET).holds
    found = verify(copy, block="dql:0-2", **QUIET)
    (line,) = problems(found)
    assert f"'{column}' is not what this version computes; delete" in line
    assert f"1 of 39 columns differ, most in '{column}', by " in str(found)


def test_changed_policies_and_receivers_are_found_by_running_it_again(copy):
    from safetensors.numpy import load, save

    path = files(copy, "policies")[0]
    memory = load(path.read_bytes())
    memory["q"][0, 0, 0] += 0.5
    memory["more"] = np.zeros(3)
    path.write_bytes(save(memory))
    reseal(copy, "policies")
    change(copy, "sizes", "receivers", 1)
    found = verify(copy, block="dql:0", **QUIET)
    assert "3 of 39 columns differ, most in 'policies: more', by inf" in str(found)


def test_another_type_of_machine_must_agree_exactly_where_all_is_tables(copy, pole):
    for directory, label in ((copy, "dql"), (pole, "es")):
        change(directory, "blocks", "reward", 1e-9, cpu="Other 9000")
        found = verify(directory, block=f"{label}:0", **QUIET)
        assert "cpu: Other 9000 there" in str(found)
        assert found.holds == (label == "es")
    assert f"they may differ by {TOLERANCE:g}" in str(found)
    change(pole, "blocks", "reward", 1e-3, cpu="Other 9000")
    (line,) = problems(verify(pole, block="es:0", **QUIET))
    assert "beyond the tolerance" in line
    assert "verify it on Other 9000" in line


@pytest.mark.slow
def test_numbers_of_other_instructions_are_told_apart_and_hold(tmp_path):
    config = np.show_config(mode="dicts")["SIMD Extensions"]
    if not config.get("found"):
        pytest.skip("this processor has none that NumPy could do without")
    environment = os.environ | {"NPY_DISABLE_CPU_FEATURES": " ".join(config["found"])}
    code = "import sys; from commenv.cli import main; sys.exit(main(sys.argv[1:]))"
    for env, algorithm in (("SimpleGrid-v0", "dql"), ("commenv/CartPole-v1", "es")):
        out = tmp_path / algorithm
        command = ["run", "--env", env, "--algorithm", algorithm, "--trials", "2"]
        subprocess.run(
            [sys.executable, "-c", code, *command, "--episodes", "20", "--out", out],
            env=environment,
            check=True,
            capture_output=True,
        )
        found = verify(out, every=True, **QUIET)
        assert found.holds, str(found)
        assert "on another or an unknown type of machine (simd: " in str(found)


def test_the_block_is_drawn_from_the_seed_that_is_said(grids):
    said = str(verify(grids, seed=7, **QUIET))
    assert "run again (drawn with seed 7): " in said
    assert str(verify(grids, seed=7, **QUIET)) == said
    drawn = {str(verify(grids, seed=one, **QUIET).checks[-1].text) for one in range(9)}
    assert len(drawn) > 1
    assert "run again (drawn with seed " in str(verify(grids, **QUIET))


def test_bad_arguments_are_refused_by_name(grids, tmp_path):
    with pytest.raises(UnknownNameError, match=r"unknown block 'dql:9'.*'dql:3'"):
        verify(grids, block="dql:9", **QUIET)
    with pytest.raises(ValueError, match="exclude each other"):
        verify(grids, block="dql:0", every=True, **QUIET)
    with pytest.raises(ValueError, match="seed -1 is negative"):
        verify(grids, seed=-1, **QUIET)
    with pytest.raises(ResultsError, match="is no results folder"):
        verify(tmp_path, **QUIET)


def test_results_know_their_folder(grids, copy):
    assert commenv.load(grids).verify(block="dql:3", **QUIET).holds
    with pytest.raises(ResultsError, match="kept in 2 folders"):
        commenv.load(grids, copy).verify()
    kept_nowhere = commenv.run("SimpleGrid-v0", **HOW)
    with pytest.raises(ResultsError, match="kept in 0 folders"):
        kept_nowhere.verify()


class Plain(Identity):
    """A codec that nobody has registered."""


def test_unregistered_names_are_imported_only_when_allowed(tmp_path):
    out = tmp_path / "out"
    name = f"{Plain.__module__}:Plain"
    commenv.run("SimpleGrid-v0", uplink=Channel(codec=Plain()), out=out, **HOW)
    (line,) = problems(verify(out, **QUIET))
    assert f"allow it: --allow {name}" in line
    found = verify(out, allow=[name], **QUIET)
    assert found.holds, str(found)


def test_settings_that_are_no_longer_known_are_a_problem_and_no_crash(copy):
    path = copy / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["study"]["cells"][0]["algorithm"]["speed"] = 3
    path.write_text(json.dumps(manifest))
    found = verify(copy, **QUIET)
    assert any("cannot be used here" in line for line in problems(found))
    del manifest["study"]["cells"][0]["algorithm"]["speed"]
    manifest["study"]["uplink"]["colour"] = "red"
    path.write_text(json.dumps(manifest))
    assert any("uplink.colour: 'red' there" in one for one in problems(verify(copy)))


@pytest.mark.parametrize(
    "channel",
    [
        Channel(),
        Channel(codec=ErrorFeedback(Float16()), acknowledgements=True),
        Channel(link=Chain(BernoulliLoss(0.1), Delay(spread=1)), headers=True),
    ],
)
def test_a_study_is_made_again_from_its_manifest(tmp_path, channel):
    study = Study(
        cells("SimpleGrid-v0", ["dql", "es"], ["always", "periodic"]),
        num_trials=1,
        num_episodes=1,
        seed=2**40,
        uplink=channel,
        downlink=Channel(codec=Delta(QSGD(), key_every=3), budget=Budget(messages=9)),
        stop={"messages": 3},
    )
    store = Store(tmp_path / "out")
    store.begin(study, {cell.label: None for cell in study.cells})
    assert study_of(store) == study


def test_equal_software_is_of_the_same_type():
    here = software()
    assert unlike(here) == []
    assert unlike(here | {"blas": "other 1"}) == [
        f"blas: other 1 there, {here['blas']} here"
    ]
    assert unlike(here | {"pyarrow": "0"}) == []
    assert unlike({"cpu": "other"})[0].startswith("cpu: other there, ")
    assert "not recorded: machine, simd, blas, libc, numpy" in unlike({"cpu": "x"})[1]


def call(capsys, *arguments):
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as end:
        code = end.code
    return code, *capsys.readouterr()


def test_the_command_prints_a_verdict_and_returns_it(capsys, copy):
    code, out, err = call(capsys, "verify", copy, "--block", "dql:3")
    assert code == 0
    assert out.splitlines()[-1] == f"verdict: {copy} holds"
    assert "100 % · 5 of 5 trial-episodes" in err
    code, out, err = call(capsys, "verify", copy, "--all", "--quiet")
    assert (code, err) == (0, "")
    flip(files(copy, "policies")[0])
    code, out, err = call(capsys, "verify", copy, "--seed", "3", "--quiet")
    assert (code, err) == (1, "")
    assert f"WRONG {files(copy, 'policies')[0]} is not as it was written" in out
    assert out.splitlines()[-1].startswith(f"verdict: {copy} does not hold (")
    assert call(capsys, "verify", copy, "--block", "dqn:3")[0] == 2
    assert call(capsys, "verify", copy / "nowhere")[0] == 1
    assert call(capsys, "verify", copy, "--all", "--seed", "1")[0] == 2
