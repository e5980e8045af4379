from __future__ import annotations

import os
import signal
import socket
import sys
import threading

import pytest

import commenv
from commenv.errors import MissingExtraError, UnknownNameError
from commenv.study.execution.backends import choose, ray_session
from commenv.study.execution.backends.local import Local
from commenv.study.execution.backends.processes import Processes

pytest.importorskip("pandas")
pytest.importorskip("pyarrow")


@pytest.mark.parametrize(
    ("arguments", "kind", "workers"),
    [
        ((), Local, 1),
        ((None, 1), Local, 1),
        ((None, 3), Processes, 3),
        (("local",), Local, 1),
        (("local", 1), Local, 1),
        (("processes", 2), Processes, 2),
        (("processes", 1), Processes, 1),
    ],
)
def test_one_worker_is_this_process_and_more_are_processes(arguments, kind, workers):
    backend = choose(*arguments)
    assert type(backend) is kind
    assert backend.workers == workers
    assert backend.shares_disk


def test_a_backend_without_a_number_takes_every_processor(monkeypatch):
    monkeypatch.setattr("commenv.study.execution.backends.cpus_here", lambda: 3)
    assert choose("processes").workers == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("local", 4), r"'local' runs in this process alone, and workers is 4; .*'pro"),
        ((None, 2, "a:1"), r"address 'a:1' is that of a Ray cluster; add .* 'ray'"),
        (("processes", 2, "auto"), r"address 'auto' is that of a Ray cluster"),
        (("processes", 0), r"workers is 0; at least 1 is needed"),
    ],
)
def test_contradictions_are_refused_with_a_cure(arguments, words):
    with pytest.raises(ValueError, match=words):
        choose(*arguments)


def test_an_unknown_backend_names_the_known_ones():
    with pytest.raises(UnknownNameError, match=r"'slurm'; known: local, processes, ra"):
        commenv.run("SimpleGrid-v0", backend="slurm")
    with pytest.raises(UnknownNameError, match="did you mean 'processes'"):
        choose("process")


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r'pip install .*\[ray\]"`'):
        commenv.run("SimpleGrid-v0", backend="ray")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("", "address '' is none of a Ray cluster; give HOST:PORT"),
        ("local", "address 'local' is none"),
        ("ray://a:10001", "is for Ray's clients"),
    ],
)
def test_an_address_that_is_none_of_a_cluster_is_refused(address, words):
    pytest.importorskip("ray")
    with pytest.raises(ValueError, match=words):
        choose("ray", None, address)


def test_a_cluster_that_does_not_answer_is_no_long_wait(tmp_path):
    pytest.importorskip("ray")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        for bad in (address, "nowhere"):
            with pytest.raises(ConnectionError, match=rf"{bad}.*`ray start --head`"):
                commenv.run(
                    "SimpleGrid-v0",
                    num_trials=1,
                    num_episodes=1,
                    backend="ray",
                    address=bad,
                    progress=False,
                )


def test_a_trace_is_refused_where_machines_share_no_disk(tmp_path):
    pytest.importorskip("ray")
    with pytest.raises(ValueError, match=r"do not share this one's disk; leave trace"):
        commenv.run(
            "SimpleGrid-v0",
            out=tmp_path / "new",
            trace=True,
            backend="ray",
            address="a:1",
        )
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"actors": 2}, "add the backend 'ray', or leave actors out"),
        ({"actors": 2, "backend": "local"}, "add the backend 'ray'"),
        ({"actors": 2, "backend": "processes"}, "add the backend 'ray'"),
        ({"actors": 0, "backend": "ray"}, "actors .*0"),
        ({"actors": 2, "backend": "ray", "workers": 1}, "leave one of the two out"),
        ({"actors": 3, "backend": "ray"}, "3 actors for 2 agents; use at most one"),
        ({"actors": 2, "backend": "ray", "trace": True}, "leave trace out"),
        ({"actors": 2, "backend": "ray", "address": "local"}, "give HOST:PORT"),
    ],
)
def test_actors_that_contradict_something_are_refused_at_once(how, words, tmp_path):
    pytest.importorskip("ray")
    out = tmp_path / "out"
    with pytest.raises(ValueError, match=words):
        commenv.run("SimpleGrid-v0", num_agents=2, out=out, progress=False, **how)
    assert not out.exists()


def test_a_cluster_that_says_nothing_is_named_and_given_up(monkeypatch, caplog):
    pytest.importorskip("ray")
    monkeypatch.setattr(ray_session, "_SECONDS_TO_ANSWER", 0.1)
    monkeypatch.setattr(ray_session, "_MOST_SECONDS_TO_ANSWER", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with (
            pytest.raises(ConnectionError, match=r"did not answer within 0 s.*--head"),
            ray_session.connected(address, 1),
        ):
            pass
    (record,) = caplog.records
    assert f"{address} took the connection and does not answer" in record.getMessage()


def test_signals_are_heard_while_a_cluster_says_nothing(monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setattr(ray_session, "_MOST_SECONDS_TO_ANSWER", 120.0)

    class HeardError(Exception):
        pass

    def hear(number, frame):
        raise HeardError

    before = signal.signal(signal.SIGTERM, hear)
    try:
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            killer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM))
            killer.start()
            address = f"127.0.0.1:{silent.getsockname()[1]}"
            with pytest.raises(HeardError), ray_session.connected(address, 1):
                pass
    finally:
        signal.signal(signal.SIGTERM, before)
