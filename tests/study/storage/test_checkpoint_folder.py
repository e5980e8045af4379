from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
import pytest
from commenv_baselines.dql import DQL, QLearner

import commenv
from commenv.errors import ResultsError
from commenv.learning.plugins import reference_of
from commenv.study import verify
from commenv.study.storage.checkpoint import packed, unpacked
from commenv.study.storage.checkpoint_folder import CheckpointFolder

pytest.importorskip("pyarrow")
pytest.importorskip("safetensors")

EPISODES = 9


class Stop(Exception):
    """What ends a run in the tests."""


class Halting(QLearner):
    """Stops in a round, and counts those that it has played."""

    halt: int | None = None
    updates = 0

    def update(self, messages):
        if Halting.updates == Halting.halt:
            raise Stop
        Halting.updates += 1
        super().update(messages)


@dataclasses.dataclass(frozen=True)
class HaltingDQL(DQL):
    def learner(self, problem):
        return Halting(problem, self)


@pytest.fixture(autouse=True)
def begin_anew():
    Halting.halt, Halting.updates = None, 0


def run(out, **how):
    return commenv.run(
        "SimpleGrid-v0",
        HaltingDQL(),
        num_agents=2,
        num_trials=3,
        num_episodes=EPISODES,
        out=out,
        progress=False,
        **{"block": 3, "checkpoint_episodes": 2, **how},
    )


def halted(out, after, **how):
    """A study that was stopped after so many rounds."""
    Halting.halt, Halting.updates = after, 0
    with pytest.raises(Stop):
        run(out, **how)
    Halting.halt, Halting.updates = None, 0


def files(out):
    return sorted(path.name for path in out.glob("checkpoints/*/*"))


@pytest.fixture
def undisturbed(tmp_path: Path):
    return run(tmp_path / "undisturbed").frame


def test_a_stopped_block_goes_on_from_its_last_checkpoint(tmp_path: Path, undisturbed):
    out = tmp_path / "out"
    halted(out, after=7)
    assert files(out) == ["trials-00000-00002.before", "trials-00000-00002.newest"]
    assert run(out).frame.equals(undisturbed)
    assert Halting.updates == EPISODES - 6
    assert files(out) == []


def test_a_block_is_gone_on_with_as_it_was_begun(tmp_path: Path, undisturbed):
    out = tmp_path / "out"
    halted(out, after=7)
    assert run(out, block=1).frame.equals(undisturbed)
    assert Halting.updates == EPISODES - 6


def damage(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("damaged", [1, 2])
def test_the_one_before_a_damaged_checkpoint_is_used(
    tmp_path: Path, undisturbed, damaged, caplog
):
    out = tmp_path / "out"
    halted(out, after=7)
    newest, before = (
        next(out.glob(f"checkpoints/*/*.{name}")) for name in ("newest", "before")
    )
    for path in (newest, before)[:damaged]:
        damage(path)
    with caplog.at_level(logging.WARNING, "commenv"):
        assert run(out).frame.equals(undisturbed)
    assert Halting.updates == EPISODES - (4 if damaged == 1 else 0)
    assert caplog.text.count("its checksum is another") == damaged
    assert str(newest) in caplog.text


def test_a_checkpoint_that_vanished_halfway_leaves_the_one_before(
    tmp_path: Path, undisturbed
):
    out = tmp_path / "out"
    halted(out, after=7)
    next(out.glob("checkpoints/*/*.newest")).unlink()
    assert run(out).frame.equals(undisturbed)
    assert Halting.updates == EPISODES - 4


@pytest.mark.parametrize("name", ["commenv", "manifest", "block"])
def test_a_checkpoint_of_something_else_is_not_used(
    tmp_path: Path, undisturbed, name, caplog
):
    out = tmp_path / "out"
    halted(out, after=3)
    (path,) = out.glob("checkpoints/*/*")
    tree = unpacked(path.read_bytes())
    tree["about"][name] = "another"
    path.write_bytes(packed(tree))
    with caplog.at_level(logging.WARNING, "commenv"):
        assert run(out).frame.equals(undisturbed)
    assert Halting.updates == EPISODES
    assert "of another version of commenv, or of another study" in caplog.text


def test_what_a_file_is_about_may_be_anything(tmp_path: Path):
    (tmp_path / "manifest.json").touch()
    folder = CheckpointFolder(tmp_path)
    for about in (np.arange(3), {"x": np.arange(3)}, None, [1]):
        folder.write(0, "x", range(2), packed({"about": about, "state": {}}))
        assert folder.read(0, "x", range(2), {"x": "1"}) is None


def test_a_checkpoint_that_lacks_a_component_is_an_error(tmp_path: Path):
    out = tmp_path / "out"
    halted(out, after=3)
    (path,) = out.glob("checkpoints/*/*")
    tree = unpacked(path.read_bytes())
    del tree["state"]["rounds"]["learner"]
    path.write_bytes(packed(tree))
    with pytest.raises(ResultsError, match="learner"):
        run(out)


def test_no_checkpoint_is_kept_where_none_is_asked_for(tmp_path: Path):
    out = tmp_path / "out"
    never = {"checkpoint_episodes": None, "checkpoint_minutes": float("inf")}
    halted(out, after=7, **never)
    assert files(out) == []


def test_what_a_killed_run_left_is_tidied_up(tmp_path: Path, undisturbed):
    out = tmp_path / "out"
    halted(out, after=7)
    folder = next(out.glob("checkpoints/*"))
    (folder / ".trials-00000-00002.newest.x7").touch()
    stray = folder / "trials-00000-00002.newest"
    data = stray.read_bytes()
    assert run(out).frame.equals(undisturbed)
    stray.write_bytes(data)  # as if the run had been killed before it removed it
    run(out)
    assert files(out) == []


@pytest.mark.parametrize(
    "wrong", [{"checkpoint_episodes": 0}, {"checkpoint_minutes": -1.0}]
)
def test_impossible_schedules_are_refused_before_anything_is_written(tmp_path, wrong):
    with pytest.raises(ValueError, match="a checkpoint after each"):
        run(tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()


def checked(out):
    """What a verification says about checkpoints, and the problems."""
    found = verify(out, allow=[reference_of(HaltingDQL())], progress=False)
    checks = {check.name: check for check in found.checks}
    return checks.get("checkpoints"), found.holds


def test_a_verification_checks_the_states_of_unfinished_blocks(tmp_path: Path):
    out = tmp_path / "out"
    halted(out, after=7)
    found, holds = checked(out)  # no block is finished
    assert holds
    assert found.text == "2 states of 1 unfinished block"
    assert not found.notes
    damage(newest := next(out.glob("checkpoints/*/*.newest")))
    found, holds = checked(out)
    assert not holds
    (line,) = found.problems
    assert line.startswith(f"{newest} is damaged (its checksum is another); delete it")
    run(out)
    assert checked(out) == (None, True)


def test_a_verification_of_a_half_finished_study_holds(tmp_path: Path):
    out = tmp_path / "out"
    halted(out, after=EPISODES + 7, block=2)
    found, holds = checked(out)
    assert holds
    assert found.text == "2 states of 1 unfinished block"


def test_a_verification_notes_states_that_will_not_be_used(tmp_path: Path):
    out = tmp_path / "out"
    halted(out, after=3)
    (path,) = out.glob("checkpoints/*/*")
    tree = unpacked(path.read_bytes())
    tree["about"]["commenv"] = "another"
    path.write_bytes(packed(tree))
    found, holds = checked(out)
    assert holds
    assert found.text == "1 state of 1 unfinished block"
    assert found.notes[0].startswith(f"{path} is of another version")


def test_a_state_of_other_actors_is_refused_with_the_cure(tmp_path: Path):
    out = tmp_path / "out"
    halted(out, after=3)
    (path,) = out.glob("checkpoints/*/*")
    tree = unpacked(path.read_bytes())
    tree["about"]["actors"] = 2
    path.write_bytes(packed(tree))
    with pytest.raises(ResultsError, match=r"2 actors, and this run has no .* as many"):
        run(out)
    assert path.exists()
