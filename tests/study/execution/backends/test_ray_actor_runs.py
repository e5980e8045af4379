"""Whole runs with agents in Ray actors: a Ray of ours, and a cluster of two."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import commenv
from tests.cli.test_stops import SCRIPT, ended, failed, hidden, processes_of, wait_until
from tests.study.execution.backends.rays import around_ray, clear, cluster, end, raylets

pytest.importorskip("ray")
pytest.importorskip("pandas")
pytest.importorskip("pyarrow")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc"),
]

# Agents wait for a file from their seventh round on: so a block is surely stopped
# midway, with a state to go on from.
HELD = """
import os
import time
from pathlib import Path
from commenv_baselines.dql import DQL, QAgents

class Agents(QAgents):
    def begin(self, episode):
        super().begin(episode)
        if episode >= 6:
            Path(f"held-{os.getpid()}").touch()
        while episode >= 6 and not Path("go").exists():
            time.sleep(0.005)

class Held(DQL):
    def agents(self, problem):
        return Agents(problem, self)
"""
STUDY = ("--env", "SimpleGrid-v0", "--algorithm", "held:Held", "--set", "env.size=4")
SIZE = ("--agents", "4", "--trials", "2", "--episodes", "12", "--block", "2")
LINK = ("--loss", "0.2", "--delay", "1", "--downlink-codec", "delta+sparse,key_every=3")
KEPT = ("--checkpoint-episodes", "2", "--quiet")
ON_TWO = ("--backend", "ray", "--actors", "2")
LOST = "block dql:0-1 goes on from its last state"


class Folder:
    """A folder to run the study in, in processes of their own."""

    def __init__(self, path):
        self.path, self.out = path, path / "out"
        (path / "held.py").write_text(HELD)

    def start(self, *options):
        def prepare():
            for number in (signal.SIGINT, signal.SIGHUP):  # as in a shell's foreground
                signal.signal(number, signal.SIG_DFL)

        arguments = ["run", *STUDY, *SIZE, *LINK, *KEPT, "--out", str(self.out)]
        return subprocess.Popen(
            [sys.executable, "-c", SCRIPT, *arguments, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=prepare,
            cwd=self.path,
        )

    def midway(self, *options):
        """A run whose agents wait."""
        process = self.start(*options)
        wait_until(lambda: len(self.held()) == 2 or ended(process))
        assert process.poll() is None, process.communicate()
        return process

    def held(self):
        return [int(path.name[5:]) for path in self.path.glob("held-*")]

    def go(self):
        (self.path / "go").touch()

    def states(self):
        return list(self.out.glob("checkpoints/*/*"))


@pytest.fixture(autouse=True)
def _ray():
    with around_ray():
        yield


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = Folder(tmp_path_factory.mktemp("undisturbed"))
    folder.go()
    code, _, stderr = end(folder.start())
    assert code == 0, stderr
    return commenv.load(folder.out).frame


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_and_another_end_actors_and_their_ray_in_good_order(
    folder, undisturbed, name
):
    process = folder.midway(*ON_TWO)
    number = getattr(signal, name)
    for _ in range(2):  # as a terminal does: to every process of the group
        os.killpg(process.pid, number)
    said = "Ctrl-C" if name == "SIGINT" else name
    assert failed(end(process), f"stopped by {said}", folder.out, "repeat the same")
    assert len(folder.states()) == 2
    assert not hidden(folder.out)
    folder.go()
    again = end(folder.start())
    assert failed(again, "was kept with 2 actors, and this run has no actors; use as")
    assert len(folder.states()) == 2
    code, _, stderr = end(folder.start(*ON_TWO))
    assert code == 0, stderr
    assert not folder.states()
    assert commenv.load(folder.out).frame.equals(undisturbed)


def test_an_actor_that_is_killed_is_said_and_changes_nothing(folder, undisturbed):
    process = folder.midway(*ON_TWO)
    os.kill(folder.held()[0], signal.SIGKILL)
    folder.go()
    code, stdout, stderr = end(process)
    assert code == 0, stderr
    assert stdout.startswith("environment SimpleGrid-v0")
    assert "an actor was lost (" in stderr
    assert LOST in stderr
    assert commenv.load(folder.out).frame.equals(undisturbed)


def test_a_killed_run_ends_its_actors_and_is_gone_on_with(folder, undisturbed):
    process = folder.midway(*ON_TWO)
    actors = set(folder.held())
    process.kill()
    wait_until(lambda: not actors & processes_of(process.pid).keys(), 90)
    clear(process.pid)  # Ray's own processes take a minute to notice
    assert end(process)[0] == -signal.SIGKILL
    assert len(folder.states()) == 2
    folder.go()
    code, _, stderr = end(folder.start(*ON_TWO))
    assert code == 0, stderr
    assert not hidden(folder.out)
    assert commenv.load(folder.out).frame.equals(undisturbed)


def test_actors_on_a_node_that_is_killed_go_on_elsewhere(
    folder, undisturbed, monkeypatch
):
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    with cluster(folder.path) as (address, first, second):
        process = folder.midway(*ON_TWO, "--address", address)
        actors = set(folder.held())
        nodes = {node.pid for node in (first, second)}
        assert {os.getsid(pid) for pid in actors} == nodes
        os.kill(raylets(second)[0], signal.SIGKILL)
        folder.go()
        code, stdout, stderr = end(process)
        assert code == 0, stderr
        assert stdout.startswith("environment SimpleGrid-v0")
        assert "a node of the Ray cluster was lost: " in stderr
        assert "an actor was lost (" in stderr
        assert LOST in stderr
        assert first.poll() is None  # the cluster is not ours to stop
    assert not hidden(folder.out)
    assert commenv.load(folder.out).frame.equals(undisturbed)
