from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import ClassVar

import gymnasium as gym
import numpy as np
import pytest
from commenv_baselines.dql import DQL, QLearner

import commenv
from commenv import BernoulliLoss, Budget, Channel
from commenv.channel import QSGD, Chain, Delay, Delta, ErrorFeedback, Float16, Identity
from commenv.cli import main
from commenv.errors import ResultsError, UnknownNameError
from commenv.study import verify
from commenv.study.storage.provenance import software, unlike
from commenv.study.storage.reconstruction import study_of
from commenv.study.storage.store import Store
from commenv.study.verification.checks import TOLERANCE
from commenv.study.verification.rerun import _distance
from tests.cli.command_line import call
from tests.study.storage.seals import reseal, reseal_manifest
from tests.study.studies import built

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


def change(directory, kind, column, add, **sealed):
    """Changes the first number of a column, and the checksum with it."""
    path = files(directory, kind)[0]
    table = pd.read_parquet(path)
    table.loc[0, column] += add
    table.to_parquet(path)
    reseal(directory, **sealed)


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


def test_a_trace_is_checked_too(tmp_path):
    out = tmp_path / "out"
    found = commenv.run("SimpleGrid-v0", out=out, trace=True, **HOW).verify(**QUIET)
    assert found.holds
    path, *_, other = sorted(out.glob("trace/*/*/*.parquet"))
    flip(path)
    (line,) = problems(verify(out, **QUIET))
    assert line.startswith(f"{path} is not as it was written")
    flip(path)
    other.unlink()
    (line,) = problems(verify(out, **QUIET))
    assert line.startswith(f"{other} cannot be read (No such file or directory)")


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


@pytest.mark.parametrize("name", ["optimum", "ranges"])
def test_a_changed_manifest_is_found(copy, name):
    path = copy / "manifest.json"
    manifest = json.loads(path.read_text())
    if name == "optimum":
        manifest["optima"]["dql"] -= 1.0
    else:
        manifest["ranges"]["dql"]["evaluation"][0] += 1.0
    path.write_text(json.dumps(manifest))
    with pytest.raises(ResultsError, match=r"manifest.json is damaged .*was changed"):
        verify(copy, **QUIET)
    reseal_manifest(copy)
    assert problems(verify(copy, block="dql:0", **QUIET)) == [
        f"{path} is not as it was when {block} was written; restore it, or run the "
        "study into a new folder"
        for block in files(copy, "blocks")
    ]
    reseal(copy)
    (line,) = problems(verify(copy, block="dql:0", **QUIET))
    assert f"'{name}' is not what this version computes" in line


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


def test_what_a_study_was_stored_without_is_not_compared(copy):
    for kind in ("sizes", "policies"):
        shutil.rmtree(copy / kind)
    reseal(copy)
    found = verify(copy, every=True, **QUIET)
    assert found.holds, str(found)
    assert "stored without the sizes" in str(found)


def test_a_block_without_checksums_does_not_hide_damage_in_another(copy):
    (missing, *_) = files(copy, "checksums")
    missing.unlink()
    flip(files(copy, "policies")[3])
    found = verify(copy, block="dql:0", **QUIET)
    lacking, changed = problems(found)
    assert f"has no checksums: {missing} is missing" in lacking
    assert str(files(copy, "policies")[3]) in changed
    assert "dql:0-2: not run again, since its files were changed" in str(found)


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
    assert f"1 of 41 columns differ, most in '{column}', by " in str(found)


def test_changed_policies_and_receivers_are_found_by_running_it_again(copy):
    from safetensors.numpy import load, save

    path = files(copy, "policies")[0]
    memory = load(path.read_bytes())
    memory["q"][0, 0, 0] += 0.5
    memory["more"] = np.zeros(3)
    path.write_bytes(save(memory))
    reseal(copy)
    change(copy, "sizes", "receivers", 1)
    found = verify(copy, block="dql:0", **QUIET)
    assert "3 of 42 columns differ, most in 'policies: more', by inf" in str(found)


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
    with pytest.raises(ResultsError, match="is not a results folder"):
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
    found = verify(out, **QUIET)
    assert not found.holds
    assert found.verdict == "not decided"
    assert f"allow it: --allow {name}" in str(found)
    assert "WRONG" not in str(found)
    assert str(found).endswith("is not decided: all that could be checked holds")
    found = verify(out, allow=[name], **QUIET)
    assert found.holds, str(found)
    # What can be seen without running it again is still found.
    flip(files(out, "policies")[0])
    assert verify(out, **QUIET).verdict == "does not hold"


class Noisy(gym.Env):
    """Two steps with random rewards, from a generator that may not heed the seed."""

    observation_space = gym.spaces.Discrete(2)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, heeds=True):
        self.heeds = heeds

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed if self.heeds else secrets.randbits(64))
        self.left = 2
        return 0, {}

    def step(self, action):
        self.left -= 1
        return self.left % 2, self.np_random.normal(), self.left == 0, False, {}


@pytest.fixture
def noisy():
    gym.register("Noisy-v0", Noisy)
    yield "Noisy-v0"
    del gym.registry["Noisy-v0"]


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_what_rests_on_the_environments_own_randomness_is_said(tmp_path, noisy, grids):
    out = tmp_path / "out"
    commenv.run(noisy, out=out, **HOW)
    found = verify(out, **QUIET)
    assert found.holds, str(found)
    words = "that equal seeds give equal episodes rests on the environment"
    assert words in str(found)
    assert words not in str(verify(grids, **QUIET))
    # A number that was changed is wrong all the same.
    change(out, "blocks", "reward", 1e-3)
    assert verify(out, every=True, **QUIET).verdict == "does not hold"


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_an_environment_that_does_not_heed_its_seed_decides_nothing(tmp_path, noisy):
    out = tmp_path / "out"
    commenv.run(noisy, settings={"env.heeds": False}, out=out, **HOW)
    found = verify(out, **QUIET)
    assert found.verdict == "not decided"
    assert "run again twice, it gave different numbers each time" in str(found)
    assert "WRONG" not in str(found)


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_a_study_of_what_is_not_registered_here_is_not_decided(tmp_path, noisy):
    out = tmp_path / "out"
    commenv.run(noisy, out=out, **HOW)
    spec = gym.registry.pop(noisy)
    try:
        found = verify(out, **QUIET)
    finally:
        gym.registry[noisy] = spec
    assert found.verdict == "not decided"
    assert "unknown environment 'Noisy-v0'" in str(found)
    assert "install or import what registers it" in str(found)


def test_a_study_of_a_module_that_is_not_here_is_not_decided(copy):
    path = copy / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["study"]["arms"][0]["scheme"]["class"] = "no_such_module:Scheme"
    path.write_text(json.dumps(manifest))
    reseal_manifest(copy)
    found = verify(copy, allow=["no_such_module:Scheme"], **QUIET)
    (again,) = (check for check in found.checks if check.undecided)
    assert "cannot import 'no_such_module'" in again.undecided[0]
    # The manifest is not as it was, which is another matter.
    assert found.verdict == "does not hold"


def test_the_command_line_tells_wrong_from_not_decided(copy, tmp_path, capsys):
    out = tmp_path / "out"
    commenv.run("SimpleGrid-v0", uplink=Channel(codec=Plain()), out=out, **HOW)
    assert main(["verify", "--quiet", str(out)]) == 3
    name = f"{Plain.__module__}:Plain"
    assert main(["verify", "--quiet", "--allow", name, str(out)]) == 0
    flip(files(copy, "policies")[0])
    assert main(["verify", "--quiet", "--block", "ebcdql:0", str(copy)]) == 1
    assert "does not hold (1 problem)" in capsys.readouterr().out


@pytest.mark.parametrize("scale", [1e-10, 1.0, 1e10])
def test_how_far_numbers_are_from_the_stored_ones_has_no_unit(scale):
    now = scale * np.array([1.0, 2.0, 3.0, 0.0])
    stored = now + scale * np.array([0.0, 0.0, 1e-4, 0.0])
    assert _distance(stored, now) == pytest.approx(1e-4 / 3)
    stored = now + scale * np.array([0.0, 0.0, 0.0, 1e-4])
    assert _distance(stored, now) == pytest.approx(1e-4 / 1.5)  # the typical size
    assert _distance(now, now) == 0.0
    assert _distance(np.array([1e-10]), np.zeros(1)) == np.inf


class CentredOverAllTrials(QLearner):
    """What an average over the batch's first axis does by mistake."""

    def update(self, messages):
        super().update(messages)
        self.memory["q"] = self.memory["q"] - 1e-9 * self.memory["q"].mean()


@dataclass(frozen=True)
class Centred(DQL):
    """Q-learning whose baseline is the mean of every row of the batch."""

    name: ClassVar[str] = "centred"

    def learner(self, problem):
        return CentredOverAllTrials(problem, self)


@pytest.mark.parametrize("block", [1, 2, 4])
def test_numbers_that_depend_on_the_block_do_not_hold(tmp_path, block):
    commenv.run("SimpleGrid-v0", Centred(), block=block, out=tmp_path / "out", **HOW)
    allow = [f"{Centred.__module__}:Centred"]
    found = verify(tmp_path / "out", allow=allow, **QUIET)
    assert not found.holds
    (line,) = problems(found)
    assert "its numbers depend on which trials share a block; " in line
    assert "check_algorithm tells what is wrong with 'centred'" in line


def test_settings_that_are_no_longer_known_are_a_problem_and_no_crash(copy):
    path = copy / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["study"]["arms"][0]["algorithm"]["speed"] = 3
    path.write_text(json.dumps(manifest))
    reseal(copy)
    found = verify(copy, **QUIET)
    assert any("cannot be used here" in line for line in problems(found))
    del manifest["study"]["arms"][0]["algorithm"]["speed"]
    manifest["study"]["arms"][0]["uplink"]["colour"] = "red"
    path.write_text(json.dumps(manifest))
    reseal(copy)
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
    study = built(
        "SimpleGrid-v0",
        ["dql", "es"],
        ["always", "periodic"],
        num_trials=1,
        num_episodes=1,
        seed=2**40,
        uplink=channel,
        downlink=Channel(codec=Delta(QSGD(), key_every=3), budget=Budget(messages=9)),
        stop={"messages": 3},
    )
    store = Store(tmp_path / "out")
    store.begin(study, {arm.label: None for arm in study.arms})
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
