from __future__ import annotations

import importlib
import logging
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import gymnasium as gym
import pytest

import commenv
from commenv.cli import main
from commenv.study.cost import PROFILES, LoRa
from commenv.study.storage.store import Store
from tests.cli.command_line import FIRST, GRID, LAST, SMALL, call, refused, run
from tests.study.storage.seals import reseal

pytest.importorskip("pandas")
pytest.importorskip("pyarrow")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished study; copy it before changing anything."""
    out = tmp_path_factory.mktemp("cli") / "study"
    assert main(["run", *SMALL, *GRID, "--block", "2", "--out", str(out)]) == 0
    return out


@pytest.fixture
def study(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "study")


def test_list_shows_what_can_be_run(capsys):
    code, out, err = call(capsys, "list")
    assert (code, err) == (0, "")
    for line in ("commenv/SimpleGrid-v0", "commenv/WindyGrid-v0", "module:Class"):
        assert line in out
    assert re.search(r"^  dql +\w", out, re.MULTILINE)
    assert re.search(r"^  always +Everybody sends everything", out, re.MULTILINE)


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"]])
def test_help_and_version_are_no_errors(capsys, arguments):
    code, out, err = call(capsys, *arguments)
    assert (code, err) == (0, "")
    if arguments == ["--version"]:
        assert out.strip() == commenv.__version__


def test_run_prints_a_table_and_says_where_the_results_are(capsys, tmp_path):
    code, out, err = run(capsys, *GRID, "--out", tmp_path / "new")
    assert (code, err) == (0, "")
    assert "2 agents, 4 trials, 3 episodes" in out
    assert f"results: {tmp_path / 'new'} " in out
    frame = commenv.load(tmp_path / "new").frame
    assert len(frame) == 12
    assert out.startswith(commenv.load(tmp_path / "new").table())


def test_every_option_arrives(capsys, tmp_path):
    code, _, _ = run(
        capsys,
        *("--env", "WindyGrid-v0", "--env", "SimpleGrid-v0", "--algorithm", "dql"),
        *("--scheme", "always", "--gamma", "0.5", "--seed", "3"),
        *("--max-episode-steps", "20", "--evaluate-every", "2"),
        *("--evaluation-episodes", "4", "--set", "env.size=[3,4]"),
        *("--set", "dql.alpha=0.25", "--stop", "uplink_bytes=1e6"),
        *("--stop", "messages=50", "--uplink-budget", "messages=1,bytes=300"),
        *("--downlink-budget", "messages=9,per=lifetime,scope=team"),
        *("--workers", "1", "--block", "3", "--out", tmp_path / "new"),
    )
    assert code == 0
    found = Store(tmp_path / "new").manifest().study
    arm = found.arms[1]
    assert [one.environment for one in found.arms] == [
        "WindyGrid-v0",
        "SimpleGrid-v0",
    ]
    assert (arm.time_limit, arm.env_kwargs) == (20, {"size": [3, 4]})
    assert arm.algorithm["alpha"] == 0.25
    assert arm.num_agents == 2
    assert (found.num_trials, found.num_episodes) == (4, 3)
    assert (found.gamma, found.seed) == (0.5, 3)
    assert (found.evaluate_every, found.evaluation_episodes) == (2, 4)
    assert found.stop == {"uplink_bytes": 1e6, "messages": 50}
    uplink, downlink = arm.uplink["budget"], arm.downlink["budget"]
    assert (uplink["messages"], uplink["bytes"], uplink["per"]) == (1, 300, "episode")
    assert (downlink["messages"], downlink["per"], downlink["scope"]) == (
        9,
        "lifetime",
        "team",
    )


def test_show_and_plot(capsys, study):
    code, out, err = call(capsys, "show", study)
    assert (code, err) == (0, "")
    assert out == commenv.load(study).table() + "\n"
    pytest.importorskip("matplotlib")
    code, out, err = call(capsys, "plot", study)
    assert (code, out, err) == (0, f"picture: {study / 'curves.png'}\n", "")
    assert (study / "curves.png").read_bytes().startswith(b"\x89PNG")
    wanted = study.parent / "a.svg"
    arguments = ("--x", "uplink_bytes", "--y", "evaluation", "--y", "reward")
    code, out, _ = call(capsys, "plot", study, *arguments, "--out", wanted)
    assert (code, out) == (0, f"picture: {wanted}\n")
    assert call(capsys, "show", study)[0] == 0  # the picture does no harm


def test_links_say_what_messages_cost_below_the_table(capsys, study):
    results = commenv.load(study)
    table = study.parent / "mine.csv"
    table.write_text("# my bench\nbytes,seconds,joules\n16,1,2\n9999,2,3\n")
    links = ("lora,spreading_factor=9,crc=False", "wifi", str(table))
    options = [word for link in links for word in ("--link", link)]
    code, out, err = call(capsys, "show", study, *options)
    assert (code, err) == (0, "")
    profiles = (LoRa(spreading_factor=9, crc=False), "wifi", str(table))
    expected = [results.table(), *(results.cost_table(one) for one in profiles)]
    assert out == "\n\n".join(expected) + "\n"
    assert "link mine.csv: my bench." in out


def test_the_help_of_show_lists_the_links(capsys):
    _, out, _ = call(capsys, "show", "--help")
    assert all(f"{name} (" in out for name in PROFILES)
    assert "FILE.csv" in out


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ("lroa", "unknown link 'lroa'; did you mean 'lora'"),
        ("lroa,spreading_factor=9", "did you mean 'lora'"),
        ("lora,spreading=9", "unknown setting of link lora 'spreading'.*'spreading_f"),
        ("lora,spreading_factor=13", "is 13; give a whole number from 7 to 12"),
        ("lora,spreading_factor=high", "spreading_factor of link lora must be an int"),
        ("missing.csv", "'missing.csv' is no file"),
    ],
)
def test_a_link_that_cannot_be_is_refused(capsys, study, link, words):
    refused(call(capsys, "show", study, "--link", link), 2, words)


def test_a_study_of_before_has_no_costs_and_says_how_to_get_them(capsys, study):
    shutil.rmtree(study / "sizes")
    reseal(study)
    assert call(capsys, "show", study)[0] == 0
    outcome = call(capsys, "show", study, "--link", "lora")
    refused(outcome, 1, "without the sizes of its messages", "run the study again")
    table = study.parent / "small.csv"
    table.write_text("bytes,seconds,joules\n16,1,2\n")
    for block in study.glob("blocks/*/*"):
        block.unlink()
    run(capsys, *GRID, "--out", study)
    outcome = call(capsys, "show", study, "--link", table)
    refused(outcome, 1, "small.csv knows messages of 16 to 16 bytes", "add a row")


def test_several_studies_are_shown_together(capsys, study, finished):
    code, out, _ = call(capsys, "show", study, finished)
    assert code == 0
    assert f"dql, {study}" in out
    assert f"dql, {finished}" in out


def test_a_second_run_goes_on_whatever_the_block_and_the_workers(capsys, study):
    before = commenv.load(study).table()
    (study / "blocks" / "00-dql" / "trials-00002-00003.parquet").unlink()
    for how in (("--block", "1"), ("--workers", "2"), ()):
        code, out, err = run(capsys, *GRID, "--out", study, *how)
        assert (code, err) == (0, "")
        assert out.startswith(before)


def test_progress_goes_to_standard_error(capsys):
    code, out, err = call(capsys, "run", *SMALL[:-1], *GRID)
    assert code == 0
    assert re.search(r"100 % · 12 of 12 trial-episodes.* in \d+ s\n", err)
    assert (err.startswith(FIRST), err.endswith(LAST)) == (True, True)
    assert "trial-episodes" not in out


def test_the_log_is_shown_and_only_while_it_runs(capsys):
    logger = logging.getLogger("commenv")
    before = (list(logger.handlers), logger.level)
    for _ in range(2):
        code, _, err = run(capsys, "--env", "CliffWalking-v1", "--algorithm", "dql")
        assert code == 0
        assert err == (
            "CliffWalking-v1 sets no time limit: its episodes are cut after 200 steps\n"
            + FIRST
            + LAST
        )
    assert (list(logger.handlers), logger.level) == before


def test_a_line_of_the_log_is_shown_once(capsys):
    class Hidden(gym.Env):
        """Two arms without tables."""

        observation_space = action_space = gym.spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return 0, {}

        def step(self, action):
            return int(action), 0.0, bool(action), False, {}

    gym.register("Hidden-v0", Hidden, max_episode_steps=9)
    try:
        arguments = ("--env", "Hidden-v0", "--algorithm", "dql", "--block", "1")
        code, _, err = run(capsys, *arguments)
    finally:
        del gym.registry["Hidden-v0"]
    assert code == 0
    assert re.fullmatch(
        FIRST + r"Hidden-v0 is stepped one instance at a time: .*\n" + LAST, err
    )


def test_a_trace_says_its_size_first(capsys, tmp_path):
    code, _, err = run(capsys, *GRID, "--trace", "--out", tmp_path / "new")
    assert code == 0
    assert re.search(
        r"new/trace: at most 4,800 steps and about 48 messages, .* GB", err
    )
    assert list((tmp_path / "new" / "trace").rglob("steps-*.parquet"))


OWN = """
from dataclasses import dataclass
from commenv.learning import Always
from commenv_baselines.dql import DQL

@dataclass(frozen=True)
class Mine(DQL):
    name = "mine"
    pace: int = 1

@dataclass(frozen=True)
class Curious(Always):
    name = "curious"
    requires = ("surprise",)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module of one's own in the current folder."""
    name = f"own_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield name
    sys.modules.pop(name, None)


@pytest.mark.parametrize("how", [(), ("--workers", "2", "--block", "1")])
def test_classes_in_the_current_folder_are_found(capsys, own, how):
    grid = ("--env", "SimpleGrid-v0", "--algorithm", f"{own}:Mine")
    code, _, err = run(capsys, *grid, "--set", "pace=2", "--out", "new", *how)
    assert (code, err) == (0, "")
    assert list(commenv.load("new").frame["algorithm"].unique()) == ["mine"]


def test_a_scheme_without_its_signals_is_refused(capsys, own):
    outcome = run(capsys, *GRID, "--scheme", f"{own}:Curious", "--out", "new")
    refused(outcome, 2, "scheme 'curious' reads surprise, which 'dql' does not offer")
    assert not Path("new").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--env", "SimpleGird-v0"), "unknown environment 'SimpleGird-v0'.*SimpleGrid"),
        (("--env", "nowhere:Grid-v0"), "unknown module 'nowhere'"),
        (("--env", "CartPole-v1"), "dql keeps a table.*discrete.*Box"),
        (("--algorithm", "dlq"), "unknown algorithm 'dlq'; did you mean 'dql'"),
        (("--algorithm", "nowhere:DQL"), "cannot import 'nowhere'"),
        (("--scheme", "alwyas"), "unknown scheme 'alwyas'; did you mean 'always'"),
        (("--set", "alpah=0.5"), "unknown setting 'alpah'; did you mean 'alpha'"),
        (("--set", "dql.alpah=0.5"), "unknown setting of dql 'alpah'.*'alpha'"),
        (("--set", "env.sise=4"), "no argument 'sise'.*size"),
        (("--set", "env.start=tiny"), "start 'tiny' is no pair"),
        (("--set", "env.size=4"), "--set env.size=4 is given twice"),
        (("--set", "alpha=fast"), "alpha of dql must be a number or None, got 'fast'"),
        (("--set", "alpha=2"), "alpha 2.* outside"),
        (("--set", "alpha"), "--set 'alpha' has no value; write --set name=value"),
        (("--set", "=3"), "--set '=3' has no value"),
        (("--agents", "0"), "num_agents is 0; at least 1"),
        (("--trials", "0"), "num_trials is 0; at least 1"),
        (("--episodes", "-3"), "num_episodes is -3; at least 1"),
        (("--workers", "0"), "workers is 0; at least 1"),
        (("--backend", "slurm"), "unknown backend 'slurm'; known: local, processes"),
        (("--backend", "local", "--workers", "2"), "and workers is 2; leave workers"),
        (("--address", "a:1"), "address 'a:1' is that of a Ray cluster; add the"),
        (("--block", "0"), "block is 0; at least 1"),
        (("--evaluate-every", "0"), "evaluate_every is 0"),
        (("--evaluation-episodes", "0"), "evaluation_episodes is 0"),
        (("--max-episode-steps", "0"), "max_episode_steps 0 is too small"),
        (("--agents", "2.5"), "argument --agents: invalid int value: '2.5'"),
        (("--gamma", "1.1"), r"gamma 1.1 is outside \[0, 1\]"),
        (("--gamma", "-0.1"), "gamma -0.1 is outside"),
        (("--gamma", "nan"), "gamma nan is outside"),
        (("--seed", "-1"), "seed -1 is negative"),
        (("--uplink-budget", "messages=-1"), "budget messages -1 is negative"),
        (("--downlink-budget", "bytes=-5"), "budget bytes -5 is negative"),
        (("--uplink-budget", "mesages=1"), "unknown budget setting.*'messages'"),
        (("--uplink-budget", "messages=many"), "messages 'many' is not a number"),
        (("--uplink-budget", "messages=1e999"), "messages"),
        (("--uplink-budget", "messages"), "'messages' has no value"),
        (("--uplink-budget", "per=day"), "unknown budget per 'day'"),
        (("--stop", "uplink_byte=5"), "unknown stop quantity.*'uplink_bytes'"),
        (("--stop", "messages"), "--stop 'messages' has no number"),
        (("--stop", "messages=0"), "messages=0.* above 0"),
        (("--stop", "messages=nan"), "messages=nan"),
        (("--trace",), ""),
        (("--algorithm", "dql"), "--algorithm dql is given twice; give it once"),
        (("--wrokers", "2"), "unknown option --wrokers; did you mean --workers"),
        (("--agent", "3"), "unknown option --agent; did you mean --agents"),
    ],
)
def test_a_mistake_in_the_usage_is_refused_and_nothing_written(
    capsys, tmp_path, arguments, words
):
    given = list(GRID)
    if arguments[0] in ("--env", "--algorithm") and arguments[1] != "dql":
        place = given.index(arguments[0])
        given[place : place + 2] = []
    if arguments == ("--env", "CartPole-v1"):
        given = ["--algorithm", "dql"]
    out = [] if arguments == ("--trace",) else ["--out", tmp_path / "new"]
    refused(run(capsys, *given, *arguments, *out), 2, words)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [(), ("rum",), ("run",), ("show",), ("plot",)])
def test_a_missing_or_unknown_command_or_argument_is_refused(capsys, arguments):
    refused(call(capsys, *arguments), 2, "--help")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--x", "episodes"), "unknown x axis 'episodes'; did you mean 'episode'"),
        (("--y", "siez"), "unknown y axis 'siez'; did you mean 'size'"),
        (("--out", "curves.pgn"), "unknown figure format 'pgn'; did you mean 'png'"),
        (("--out", "curves"), "ending such as .png"),
    ],
)
def test_a_wrong_axis_or_picture_is_refused(
    capsys, study, arguments, words, monkeypatch
):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(study.parent)
    refused(call(capsys, "plot", study, *arguments), 2, words)
    assert not list(study.parent.rglob("curves*"))


def truncate(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def damage_nothing(study):
    shutil.rmtree(study)


def damage_manifest(study):
    truncate(study / "manifest.json")


def damage_block(study):
    truncate(next(study.glob("blocks/*/*.parquet")))


def damage_by_others(study):
    (study / "manifest.json").rename(study / "thesis.json")


def damage_folder(study):
    shutil.rmtree(study)
    study.write_text("a file")


@pytest.mark.parametrize(
    ("damage", "words", "run_words"),
    [
        (damage_nothing, "is not a results folder", None),
        (
            damage_manifest,
            "manifest.json is damaged or not ours",
            "damaged or not ours",
        ),
        (damage_block, r"parquet is damaged .*delete ", "parquet is damaged"),
        (damage_by_others, "is not a results folder", "holds other files"),
        (damage_folder, "cannot use", r"cannot use .*choose a folder"),
    ],
)
def test_a_folder_that_is_not_a_whole_study_of_ours_is_a_failure(
    capsys, study, damage, words, run_words
):
    damage(study)
    before = sorted(study.parent.rglob("*"))
    for command in ("show", "plot"):
        refused(call(capsys, command, study), 1, words)
    if run_words:
        refused(run(capsys, *GRID, "--out", study), 1, run_words)
    assert sorted(study.parent.rglob("*")) == before


def test_other_settings_in_the_folder_are_a_failure(capsys, study):
    arguments = ("--gamma", "0.5", "--trials", "9", "--out", study)
    outcome = run(capsys, *GRID, *arguments)
    refused(outcome, 1, "gamma: 0.9 there, 0.5 .*num_trials: 4 there, 9 asked for")


def test_a_folder_that_cannot_be_written_to_is_a_failure(
    capsys, study, tmp_path, monkeypatch
):
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        refused(run(capsys, *GRID, "--out", out), 1, "cannot use", "may write to")
        outcome = call(capsys, "plot", study, "--out", out / "curves.png")
        refused(outcome, 1, "file")

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied", "folder")

    monkeypatch.setattr("commenv.study.storage.files.os.replace", refuse)
    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    for out in (study, tmp_path / "new"):
        refused(run(capsys, *GRID, "--out", out), 1, "cannot use .*Permission denied")
    refused(call(capsys, "plot", study), 1, "Permission denied")


def test_what_does_not_fit_into_memory_is_a_failure(capsys, monkeypatch):
    def refuse(*args, **kwargs):
        raise MemoryError("Unable to allocate 745. GiB")

    module = importlib.import_module("commenv.study.runner")
    monkeypatch.setattr(module, "execute", refuse)
    refused(run(capsys, *GRID), 1, "Unable to allocate 745. GiB")


def test_a_budget_that_raises_is_a_failure(capsys, tmp_path):
    budget = "messages=1,per=lifetime,exceed=raise"
    how = ("--uplink-budget", budget, "--out", tmp_path / "new")
    refused(run(capsys, *GRID, *how), 1, "exceeds the budget")


def test_a_missing_package_of_the_environment_is_a_failure(capsys):
    def lacking(**kwargs):
        raise gym.error.DependencyNotInstalled("run `pip install box`")

    gym.register("Lacking-v0", lacking)
    try:
        outcome = run(capsys, "--env", "Lacking-v0", "--algorithm", "dql")
        refused(outcome, 1, "Lacking-v0 lacks a package.*pip install box")
    finally:
        del gym.registry["Lacking-v0"]


@pytest.mark.parametrize("module", ["pandas", "pyarrow"])
def test_a_missing_extra_is_a_failure_that_names_it(
    capsys, study, tmp_path, monkeypatch, module
):
    monkeypatch.setitem(sys.modules, module, None)
    extra = r"\[study\]"
    refused(run(capsys, *GRID, "--out", tmp_path / "new"), 1, extra)
    assert not (tmp_path / "new").exists()
    refused(call(capsys, "show", study), 1, extra)
    assert call(capsys, "list")[0] == 0


def test_a_traceback_is_shown_on_request(study):
    damage_manifest(study)
    with pytest.raises(commenv.errors.ResultsError):
        main(["show", str(study), "--traceback"])


# From here on in processes of their own.

SCRIPT = "import sys; from commenv.cli import main; sys.exit(main())"
COMMAND = [sys.executable, "-c", SCRIPT]


def in_process(*arguments, code="pass", cwd=None):
    command = [sys.executable, "-c", f"import sys; {code}; {SCRIPT}"]
    command += map(str, arguments)
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)
    return done.returncode, done.stdout, done.stderr


def test_exit_codes_of_the_process(study, tmp_path):
    assert in_process("show", study)[0] == 0
    refused(in_process("run", *GRID, "--gamma", "7"), 2, "gamma 7.0 is outside")
    refused(in_process("rum"), 2, "invalid choice")
    damage_block(study)
    refused(in_process("show", study), 1, "is damaged")


def test_without_the_extra_the_process_lists_and_refuses_to_run(tmp_path):
    hidden = "sys.modules.update(dict.fromkeys(('pandas', 'pyarrow', 'matplotlib')))"
    code, out, err = in_process("list", code=hidden)
    assert (code, err) == (0, "")
    assert "dql" in out
    outcome = in_process(
        "run", *SMALL, *GRID, "--out", "new", code=hidden, cwd=tmp_path
    )
    refused(outcome, 1, r'needs the extra .study.*pip install .*\[study\]"`')
    assert not list(tmp_path.iterdir())


def test_a_reader_that_leaves_early_is_no_traceback():
    command = f"{shlex.join(COMMAND)} list | true"
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""


def heed_interrupts():
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs do not


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="sends signals")
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("moment", ["start", "middle"])
def test_an_interrupt_keeps_whole_blocks_and_says_how_to_go_on(
    capsys, tmp_path, workers, moment
):
    out = tmp_path / "new"
    size = ("--agents", "3", "--trials", "60", "--episodes", "60", "--quiet")
    arguments = ["run", *GRID, *size, "--block", "1", "--out", str(out)]
    arguments += ["--workers", str(workers)]
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=heed_interrupts,
    )
    least = 0 if moment == "start" else 3
    end = time.monotonic() + 60
    while not (out / "manifest.json").exists() or least > len(
        list(out.glob("blocks/*/trials-*"))
    ):
        assert time.monotonic() < end
        time.sleep(0.005)
    if moment == "start":
        time.sleep(0.15)  # the workers are starting up
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert stdout == ""
    assert stderr == (
        "commenv: stopped by Ctrl-C; the blocks that were finished are in "
        f"{out}: repeat the same command to go on\n"
    )
    blocks = list(out.glob("blocks/*/*"))
    assert least <= len(blocks) < 60
    assert all(path.name.startswith("trials-") for path in blocks)
    code, _, err = call(capsys, *arguments)
    assert (code, err) == (0, "")
    alone = commenv.run(
        "SimpleGrid-v0",
        settings={"env.size": 4},
        num_agents=3,
        num_trials=60,
        num_episodes=60,
        progress=False,
    )
    assert commenv.load(out).frame.equals(alone.frame)


def test_a_name_is_explained_with_its_settings(capsys):
    code, said, _ = call(capsys, "list", "td_error", "es", "commenv_baselines.dql:DQL")
    assert code == 0
    for words in (
        "beta = 0.05",
        "reads the signals td_error",
        "shaping = centered_rank",
    ):
        assert words in said
    assert "offers the signals return, noise_norm, utility" in said
    assert "its scheme is always" in said
    refused(call(capsys, "list", "ess"), 2, "unknown name 'ess'; did you mean 'es'")


@pytest.mark.parametrize(
    ("value", "said"),
    [("False", "False"), ("no", "'no'; give True or False")],
)
def test_python_words_are_values_and_others_are_no_switch(capsys, value, said):
    lake = ("--env", "commenv/FrozenLake-v0", "--algorithm", "dql")
    outcome = run(capsys, *lake, "--set", f"env.is_slippery={value}")
    if value == "no":
        refused(outcome, 2, said)
    else:
        assert "0.4783" in outcome[1]  # the optimum without ice


def test_a_list_needs_no_brackets(capsys):
    sizes = ("--set", "hidden_sizes=4,3", "--set", "env.size=(3,4)")
    code, said, _ = run(capsys, "--env", "SimpleGrid-v0", "--algorithm", "es", *sizes)
    assert code == 0
    assert f"{8 * ((12 + 1) * 4 + (4 + 1) * 3 + (3 + 1) * 5) + 8 / 3:.2f}" in said


def test_figures_are_reproduced_and_reported(capsys, tmp_path):
    out, page = tmp_path / "figures", tmp_path / "page.md"
    code, said, _ = call(capsys, "reproduce", "4.7", "--out", out)
    assert (code, said.splitlines()[0]) == (0, "figure 4.7")
    images = ("--images", tmp_path / "elsewhere" / "images")
    assert call(capsys, "report", out, "--out", page, *images)[0] == 0
    there = "![The thesis' panels](elsewhere/images/4.7-figure.png)"
    assert there in page.read_text()
    assert call(capsys, "report", out)[:2] == (0, f"page: {out / 'REPRODUCTION.md'}\n")
    assert (out / "images" / "4.7-figure.png").exists()


def test_a_wrong_figure_is_refused_before_the_first_is_run(capsys, tmp_path):
    how = ("--out", tmp_path / "figures")
    refused(call(capsys, "reproduce", "4.7", "4.51", *how), 2, "'4.5' or '4.1'")
    refused(call(capsys, "reproduce", "4.7", "--scale", "big", *how), 2, "paper, quick")
    mistaken = ("--backend", "local", "--workers", "2")
    refused(call(capsys, "reproduce", "4.7", *mistaken, *how), 2, "workers is 2; leave")
    assert not (tmp_path / "figures").exists()


def test_the_process_runs_as_a_module():
    command = [sys.executable, "-m", "commenv", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == commenv.__version__
