"""What a study will need, before it is run."""

from __future__ import annotations

import pytest

from commenv.cli import main
from commenv.study import Estimate, estimate
from commenv.study.execution import estimates
from commenv.study.runner import execute
from commenv.study.storage.schema import StudySettings
from tests.cli.command_line import call, refused
from tests.study.studies import built

pytest.importorskip("pandas")
pytest.importorskip("pyarrow")


def bytes_in(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "study",
    [
        built("SimpleGrid-v0", "dql", num_agents=3, num_trials=20, num_episodes=200),
        built(
            ["SimpleGrid-v0", "WindyGrid-v0"],
            ["dql", "ebcdql"],
            num_agents=[1, 4],
            num_trials=6,
            num_episodes=60,
        ),
        built("CartPole-v1", "es", num_agents=2, num_trials=3, num_episodes=8),
        built(
            "SimpleGrid-v0",
            "dql",
            num_trials=5,
            num_episodes=1000,
            stop={"env_steps": 900},
        ),
    ],
)
def test_the_room_is_that_of_a_real_run_within_a_factor_of_3(tmp_path, study):
    found = estimate(study, seconds=1.0)
    execute(study, out=tmp_path / "out", progress=False)
    assert bytes_in(tmp_path / "out") / 3 < found.bytes < bytes_in(tmp_path / "out") * 3
    assert found.seconds > 0
    assert found.arms == len(study.arms)


def test_more_trials_and_arms_take_longer_and_workers_share_them(monkeypatch):
    probe = estimates._Probe(1.0, 10.0, 3.0, 20.0, 100.0, 1000.0, 50.0)
    monkeypatch.setattr(estimates, "_probe", lambda *arguments: probe)
    manifest = estimates.packed_manifest
    size = {"num_trials": 40, "num_episodes": 50}

    def found(alphas=1, **how):
        settings = [{"alpha": (n + 1) / alphas} for n in range(alphas)]
        study = built("SimpleGrid-v0", "dql", None, settings, **size)
        room = len(manifest(StudySettings.of(study), {}, {}, {}))
        one = estimate(study, **how)
        return one.seconds, one.bytes - room

    # Blocks of 20: a set-up each, and rounds as dear as those of a whole block.
    assert found() == (2 * (1 + 30), 2 * 1000 + 40 * (100 + 50 * 20))
    assert found(3)[0] == 3 * (1 + 30)  # blocks of 40
    assert found(workers=2, block=20)[0] == 31
    assert found(workers=9, block=20)[0] == 31  # no less than a block
    # Of two trials, a round costs what was measured.
    assert found(block=2)[0] == pytest.approx(20 * (1 + 10))


def test_of_many_arms_some_are_tried_those_that_differ_first(monkeypatch):
    tried = []

    def noted(study, arm, largest, seconds):
        tried.append(arm.label)
        return estimates._Probe(0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)

    monkeypatch.setattr(estimates, "_probe", noted)
    settings = [{"alpha": (n + 1) / 50} for n in range(50)]
    study = built(["SimpleGrid-v0", "WindyGrid-v0"], "dql", None, settings)
    found = estimate(study)
    assert (found.probed, found.arms) == (8, 100)
    assert len(set(tried)) == 8
    assert {label.split(", ")[1] for label in tried[:2]} == {
        "SimpleGrid-v0",
        "WindyGrid-v0",
    }


def test_no_more_arms_are_tried_once_the_time_is_over(monkeypatch):
    study = built("SimpleGrid-v0", "dql", num_agents=[1, 2, 3], num_episodes=4)
    assert estimate(study, seconds=0.0).probed == 1


SMALL = ("--env", "SimpleGrid-v0", "--algorithm", "dql", "--trials", "4")


def test_a_dry_run_lists_the_arms_and_writes_nothing(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = []

    def fixed(study, **how):
        given.append(how)
        return Estimate(75.0, 2.5e6, 3, len(study.arms))

    monkeypatch.setattr("commenv.cli.dry_run.estimate", fixed)
    words = (*SMALL, "--agents", "2", "--agents", "30", "--out", "new")
    code, said, err = call(
        capsys, "run", *words, "--workers", "3", "--block", "2", "--dry-run"
    )
    assert (code, err) == (0, "")
    assert said.splitlines() == [
        "dql, 2 agents   SimpleGrid-v0  2 agents",
        "dql, 30 agents  SimpleGrid-v0  30 agents",
        "",
        "2 arms of 4 trials and 1,000 rounds",
        "time: about 1 min 15 s with 3 workers",
        "room: about 2.5 MB on the disk, where results are kept",
        "This is an estimate for the whole study, from a few rounds of 3 of its arms; "
        "nothing was written.",
    ]
    assert given == [{"workers": 3, "block": 2}]
    many = [word for n in range(1, 43) for word in ("--agents", str(n))]
    said = call(capsys, "run", *SMALL, *many, "--dry-run")[1]
    assert "and 2 more arms" in said
    assert not list(tmp_path.iterdir())


def test_a_dry_run_finds_what_cannot_be_run(capsys):
    wrong = ("--env", "CartPole-v1", "--algorithm", "dql", "--dry-run")
    refused(call(capsys, "run", *wrong), 2, "dql keeps a table")
    backend = (*SMALL, "--backend", "local", "--workers", "2", "--dry-run")
    refused(call(capsys, "run", *backend), 2, "workers is 2; leave workers")


def test_a_dry_run_really_tries(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["run", *SMALL, "--episodes", "3", "--dry-run"]) == 0
    assert "from a few rounds of 1 of its arms" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
