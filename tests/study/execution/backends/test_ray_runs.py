"""Whole runs on Ray, in processes of their own: a Ray of ours, and a cluster of two."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

import commenv
from tests.cli.test_stops import Folder, failed, hidden, processes_of, wait_until
from tests.study.execution.backends.rays import around_ray, clear, cluster, end, raylets

ray = pytest.importorskip("ray")
pytest.importorskip("pandas")
pytest.importorskip("pyarrow")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc"),
]

SECONDS_TO_NOTICE = 5
ON_RAY = ("--backend", "ray")


@pytest.fixture(autouse=True)
def _ray():
    with around_ray():
        yield


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = Folder(tmp_path_factory.mktemp("undisturbed"))
    folder.go()
    assert end(folder.start())[0] == 0
    return commenv.load(folder.out).frame


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def performing(session):
    """The processes of a session that run blocks."""
    found = processes_of(session).items()
    return [pid for pid, line in found if line.startswith(b"ray::perform")]


def test_a_ray_of_our_own_is_stopped_and_leaves_this_process_as_it_was():
    how = {"num_agents": 2, "num_trials": 2, "num_episodes": 4, "progress": False}
    names = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers = [signal.getsignal(number) for number in names]
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    found = commenv.run("SimpleGrid-v0", backend="ray", workers=1, **how)
    assert not ray.is_initialized()
    assert [signal.getsignal(number) for number in names] == handlers
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask
    assert found.frame.equals(commenv.run("SimpleGrid-v0", **how).frame)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_and_another_end_a_run_and_its_ray_in_good_order(
    folder, undisturbed, name
):
    process = folder.midway(2, *ON_RAY)
    number = getattr(signal, name)
    # A terminal signals every process of the group; who asks one to end, that one.
    send = os.kill if name == "SIGTERM" else os.killpg
    for _ in range(2):
        send(process.pid, number)
    outcome = end(process)
    said = "Ctrl-C" if name == "SIGINT" else name
    assert failed(outcome, f"stopped by {said}", folder.out, "repeat the same")
    assert len(folder.blocks()) == 2
    assert not hidden(folder.out)
    folder.go()
    assert end(folder.start())[0] == 0
    assert commenv.load(folder.out).frame.equals(undisturbed)


def test_a_killed_run_ends_its_blocks_and_is_gone_on_with_on_ray(folder, undisturbed):
    process = folder.midway(2, *ON_RAY)
    process.kill()
    wait_until(lambda: not performing(process.pid) and not raylets(process))
    clear(process.pid)  # Ray's agents take a minute to notice
    assert end(process)[0] == -signal.SIGKILL
    folder.go()
    assert end(folder.start(2, *ON_RAY))[0] == 0
    assert not hidden(folder.out)
    assert commenv.load(folder.out).frame.equals(undisturbed)


def test_a_worker_that_is_killed_is_said_and_changes_nothing(folder, undisturbed):
    process = folder.midway(2, *ON_RAY)
    wait_until(lambda: performing(process.pid))
    os.kill(performing(process.pid)[0], signal.SIGKILL)
    folder.go()
    code, stdout, stderr = end(process)
    assert code == 0, stderr
    assert stdout.startswith("environment SimpleGrid-v0")
    assert "was lost (WorkerCrashedError: " in stderr
    assert "is run again, attempt 2 of 4" in stderr
    assert commenv.load(folder.out).frame.equals(undisturbed)


def test_a_node_that_is_killed_is_said_and_changes_nothing(
    folder, undisturbed, monkeypatch
):
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    with cluster(folder.path) as (address, first, second):
        process = folder.midway(2, *ON_RAY, "--address", address)
        wait_until(lambda: performing(first.pid) and performing(second.pid))
        os.kill(raylets(second)[0], signal.SIGKILL)
        time.sleep(SECONDS_TO_NOTICE)  # else the rest may be done before Ray knows
        folder.go()
        code, stdout, stderr = end(process)
        assert code == 0, stderr
        assert stdout.startswith("environment SimpleGrid-v0")
        assert "a node of the Ray cluster was lost: " in stderr
        assert "was lost (NodeDiedError: " in stderr
        assert "is run again, attempt 2 of 4" in stderr
        assert first.poll() is None  # the cluster is not ours to stop
    assert not hidden(folder.out)
    assert commenv.load(folder.out).frame.equals(undisturbed)
