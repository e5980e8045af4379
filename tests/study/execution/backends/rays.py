"""Ray as tests use it: in a temporary folder, with a token of this process' own."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.cli.test_stops import processes_of, wait_until

COMMAND = Path(sys.executable).with_name("ray")
QUICK_TO_NOTICE = {
    "health_check_initial_delay_ms": 500,
    "health_check_period_ms": 300,
    "health_check_failure_threshold": 2,
    "health_check_timeout_ms": 1000,
}
JOINED = """
import sys
import time
import ray

ray.init(address=sys.argv[1], log_to_driver=False, configure_logging=False)
while sum(node["Alive"] for node in ray.nodes()) < 2:
    time.sleep(0.01)
"""

# Ray keeps a token for as long as a process lives; without one it writes to the home.
TOKEN = secrets.token_hex(32)


@contextlib.contextmanager
def surroundings():
    """Environment variables for Ray; its sockets need a short path."""
    folder = tempfile.mkdtemp(prefix="r", dir="/tmp")
    try:
        yield {
            "RAY_TMPDIR": folder,
            "RAY_AUTH_TOKEN": TOKEN,
            "RAY_USAGE_STATS_ENABLED": "0",
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def around_ray():
    """The same in this process."""
    before = dict(os.environ)
    with surroundings() as variables:
        os.environ.pop("RAY_ADDRESS", None)
        os.environ.update(variables)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


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


@contextlib.contextmanager
def cluster(path):
    """A cluster of two nodes: its address, and the processes that started them."""
    port = free()
    address = f"127.0.0.1:{port}"
    quick = f"--system-config={json.dumps(QUICK_TO_NOTICE)}"
    head = ("--head", f"--port={port}", "--include-dashboard=false", quick)
    with node(path, *head) as first:
        wait_until(lambda: heard(port) and raylets(first))
        with node(path, f"--address={address}") as second:
            wait_until(lambda: raylets(second))
            # In a process of its own, since Ray never forgets how it had to identify.
            subprocess.run([sys.executable, "-c", JOINED, address], check=True)
            yield address, first, second
