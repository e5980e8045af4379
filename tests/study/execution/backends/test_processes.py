from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from commenv.errors import ResultsError, UnknownNameError
from commenv.study.execution.backends.backend import Kept
from commenv.study.execution.backends.processes import in_workers


def square(number, report):
    report(number)
    return number * number


def surroundings(report):
    limits = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    held = signal.getsignal(signal.SIGINT) is signal.SIG_IGN or signal.SIGINT in blocked
    return os.getpid(), [os.environ.get(name) for name in limits], held


def fail_or_go_on(position, folder, report):
    """The first job fails; the others report until they are told to stop."""
    if position == 0:
        while not (folder / "started").exists():
            time.sleep(0.01)
        raise UnknownNameError("thing", "x", ["y", "z"], "cure")
    for _ in range(1000):
        try:
            report(1)
        except InterruptedError:
            (folder / "stopped").touch()
            raise
        (folder / "started").touch()
        time.sleep(0.02)


def leave_a_state(name, folder, report):
    """Reports until it is told to stop, and then its state."""
    try:
        while True:
            report(1)
            (folder / name).touch()
            time.sleep(0.01)
    except InterruptedError:
        report(Kept(name, b"early"))
        report(Kept(name, b"late"))
        raise


def report_much(number, report):
    for _ in range(number):
        report(bytearray(10_000))


def die(report):
    os.kill(os.getpid(), signal.SIGKILL)


def run(job, arguments, workers=2, report=lambda count: None):
    return list(in_workers(job, arguments, workers, report))


def test_every_result_and_every_report_arrives():
    reports = []
    arguments = [(number,) for number in range(7)]
    results = run(square, arguments, report=reports.append)
    assert sorted(results) == [number**2 for number in range(7)]
    assert sorted(reports) == list(range(7))


def test_workers_are_processes_with_one_thread_that_ignore_interrupts():
    environment = dict(os.environ)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    (found,) = run(surroundings, [()])
    assert found[0] != os.getpid()
    assert found[1:] == (["1", "1", "1"], True)
    assert dict(os.environ) == environment
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask


def test_a_failure_is_raised_here_and_stops_the_others(tmp_path: Path):
    arguments = [(position, tmp_path) for position in range(4)]
    with pytest.raises(UnknownNameError, match=r"unknown thing 'x'.*cure"):
        run(fail_or_go_on, arguments)
    assert (tmp_path / "stopped").exists()


def test_an_interrupt_here_stops_the_workers(tmp_path: Path):
    def interrupt(count):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(fail_or_go_on, [(1, tmp_path), (2, tmp_path)], report=interrupt)
    assert (tmp_path / "stopped").exists()


def test_every_report_arrives_before_the_end_however_many_there_are():
    reports = []
    run(report_much, [(300,), (0,), (200,)], report=reports.append)
    assert len(reports) == 500


def test_workers_that_are_told_to_stop_leave_their_newest_states(tmp_path: Path):
    states = []

    def report(said):
        if isinstance(said, Kept):
            states.append(said)
        elif len(list(tmp_path.iterdir())) == 2:
            raise KeyboardInterrupt

    jobs = [("one", tmp_path), ("other", tmp_path)]
    with pytest.raises(KeyboardInterrupt):
        run(leave_a_state, jobs, report=report)
    assert sorted(states) == [Kept("one", b"late"), Kept("other", b"late")]


def test_a_worker_that_dies_is_an_error_with_a_cure():
    with pytest.raises(ResultsError, match=r"a worker process has died.*run .* again"):
        run(die, [(), ()])


class Ring(Exception):
    """What the handler of the next test raises."""


@pytest.fixture
def alarm():
    """Rings at the first signal that asks this process to end."""
    rung = []

    def ring(number, frame):
        rung.append(number)
        if len(rung) == 1:
            raise Ring

    before = signal.signal(signal.SIGTERM, ring)
    yield
    assert signal.signal(signal.SIGTERM, before) is ring


def test_signals_one_upon_the_other_do_not_disturb_the_dismissal(tmp_path: Path, alarm):
    over = threading.Event()

    def pester():
        while not over.is_set():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.0005)

    thread = threading.Thread(target=pester)
    try:
        with pytest.raises(Ring):
            run(fail_or_go_on, [(1, tmp_path), (2, tmp_path)], report=begin(thread))
    finally:
        over.set()
        thread.join()


def begin(thread):
    """Starts the thread at the first report."""

    def report(count):
        if thread.ident is None:
            thread.start()

    return report


def test_a_handler_that_lets_the_run_go_on_is_called(tmp_path: Path):
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        results = run(
            square,
            [(1,), (2,)],
            report=lambda count: os.kill(os.getpid(), signal.SIGTERM),
        )
    finally:
        signal.signal(signal.SIGTERM, before)
    assert sorted(results) == [1, 4]
    assert heard == [signal.SIGTERM] * 2
