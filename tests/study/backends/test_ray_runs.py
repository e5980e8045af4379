"""Whole runs on Ray, in processes of their own: a Ray of ours, and a cluster of two."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import commenv
from tests.study.backends.rays import around_ray
from tests.test_cli_stops import Folder, failed, hidden, processes_of, wait_until

ray = pytest.importorskip("ray")
pytest.importorskip("pandas")
pytest.importorskip("pyarrow")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc"),
]

ON_RAY = ("--backend", "ray")
COMMAND = Path(sys.executable).with_name("ray")
QUICK_TO_NOTICE = {
    "health_check_initial_delay_ms": 500,
    "health_check_period_ms": 300,
    "health_check_failure_threshold": 2,
    "health_check_timeout_ms": 1000,
}


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


def end(process):
    """Exit code, standard output and standard error; no process is left."""
    stdout, stderr = process.communicate(timeout=120)
    wait_until(lambda: not processes_of(process.pid), 90)
    return process.returncode, stdout, stderr


def clear(session):
    """Kills all processes of a session."""
    while left := processes_of(session):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


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
    for _ in range(2):  # as a terminal does: to every process of the group
        os.killpg(process.pid, number)
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


@contextlib.contextmanager
def node(path, *options):
    """A node of a cluster, in a session of its own."""
    ports = ("--min-worker-port=0", "--max-worker-port=0")
    process = subprocess.Popen(
        [
            *(COMMAND, "start", "--block", "--num-cpus=1", *ports),
            *("--dashboard-agent-listen-port=0", f"--ray-client-server-port={free()}"),
            *("--object-store-memory=100000000", *options),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=path,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        clear(process.pid)
        process.wait()


def free():
    """A port that nobody listens to."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def heard(port):
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def raylets(process):
    found = processes_of(process.pid).items()
    return [pid for pid, line in found if b"/raylet/raylet" in line.split(b"\0")[0]]


def test_a_node_that_is_killed_is_said_and_changes_nothing(
    folder, undisturbed, monkeypatch
):
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    port = free()
    address = f"127.0.0.1:{port}"
    quick = f"--system-config={json.dumps(QUICK_TO_NOTICE)}"
    head = ("--head", f"--port={port}", "--include-dashboard=false", quick)
    with node(folder.path, *head) as first:
        wait_until(lambda: heard(port) and raylets(first))
        with node(folder.path, f"--address={address}") as second:
            wait_until(lambda: raylets(second))
            process = folder.midway(2, *ON_RAY, "--address", address)
            wait_until(lambda: performing(first.pid) and performing(second.pid))
            os.kill(raylets(second)[0], signal.SIGKILL)
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
