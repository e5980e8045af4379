from __future__ import annotations

import contextlib
import ctypes
import errno
import itertools
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import commenv
from commenv.cli import commands, main
from commenv.cli.stops import Stopped, stops_heard

pytest.importorskip("pandas")
pytest.importorskip("pyarrow")
resource = pytest.importorskip("resource")
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="looks into /proc"
)

# Trials from the third one on wait for a file: so a study is surely stopped midway.
HELD = """
import time
from pathlib import Path
from commenv_baselines.dql import DQL

class Held(DQL):
    def agents(self, problem):
        while max(problem.draws.trials) >= 2 and not Path("go").exists():
            time.sleep(0.005)
        return super().agents(problem)
"""
STUDY = ("--env", "SimpleGrid-v0", "--algorithm", "held:Held", "--set", "env.size=4")
SIZE = ("--agents", "2", "--trials", "5", "--episodes", "8", "--block", "1", "--quiet")
SCRIPT = "import sys; from commenv.cli import main; sys.exit(main())"
FREE_TRIALS = 2


class Folder:
    """A folder to run the study in, in processes of their own."""

    def __init__(self, path):
        self.path, self.out = path, path / "out"
        (path / "held.py").write_text(HELD)

    def start(self, workers=1, *options, before=lambda: None):
        def prepare():
            for number in (signal.SIGINT, signal.SIGHUP):  # as in a shell's foreground
                signal.signal(number, signal.SIG_DFL)
            before()

        arguments = ["run", *STUDY, *SIZE, "--out", str(self.out), *options]
        return subprocess.Popen(
            [sys.executable, "-c", SCRIPT, *arguments, "--workers", str(workers)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=prepare,
            cwd=self.path,
        )

    def midway(self, workers=1, *options, before=lambda: None):
        """A run whose other trials wait."""
        process = self.start(workers, *options, before=before)
        wait_until(lambda: len(self.blocks()) == FREE_TRIALS or ended(process))
        assert process.poll() is None, process.communicate()
        return process

    def blocks(self):
        return sorted(path.name for path in self.out.glob("blocks/*/trials-*"))

    def go(self):
        (self.path / "go").touch()

    def ends_like(self, frame, workers=1):
        """Whether the study, gone on with, gives what it gives undisturbed."""
        self.go()
        outcome = end(self.start(workers))
        assert outcome[0] == 0, outcome
        assert not hidden(self.out)
        return commenv.load(self.out).frame.equals(frame)


def ended(process):
    return process.poll() is not None


def wait_until(condition, seconds=60.0):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.005)


def end(process):
    """Exit code, standard output and standard error; no process is left."""
    stdout, stderr = process.communicate(timeout=60)
    wait_until(lambda: not processes_of(process.pid), 10)
    return process.returncode, stdout, stderr


def failed(outcome, *words):
    """Whether it ended with code 1 and one line that says why."""
    code, stdout, stderr = outcome
    assert (code, stdout, stderr.count("\n")) == (1, "", 1), outcome
    assert stderr.startswith("commenv: ")
    for word in words:
        assert str(word) in stderr
    return True


def hidden(folder):
    return [path for path in folder.rglob("*") if path.name.startswith(".")]


def processes_of(session):
    """The living processes of a session, and their command lines."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, of = (
                (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            )
            if int(of) == session and state != "Z":
                found[int(entry.name)] = (entry / "cmdline").read_bytes()
        except OSError:
            continue  # it has just ended
    return found


def workers_of(session):
    return [pid for pid, line in processes_of(session).items() if b"spawn_main" in line]


def heed_modes():
    """Drops root's privilege to write where the mode forbids it."""
    if os.geteuid() == 0:
        ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = Folder(tmp_path_factory.mktemp("undisturbed"))
    folder.go()
    assert end(folder.start())[0] == 0
    assert not hidden(folder.out)
    return commenv.load(folder.out).frame


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signals_once_and_again_end_a_run_in_good_order(
    folder, undisturbed, workers, name
):
    process = folder.midway(workers)
    number = getattr(signal, name)
    while processes_of(process.pid):  # as a terminal does: to every process
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
            os.killpg(process.pid, number)
        time.sleep(0.1)
    said = "Ctrl-C" if name == "SIGINT" else name
    assert failed(end(process), f"stopped by {said}", folder.out, "repeat the same")
    assert len(folder.blocks()) == FREE_TRIALS
    assert not hidden(folder.out)
    assert folder.ends_like(undisturbed, workers)


@pytest.mark.slow
def test_one_sigterm_to_the_parent_alone_ends_workers_that_do_not_answer(
    folder, undisturbed
):
    process = folder.midway(2)
    process.terminate()
    assert failed(end(process), "stopped by SIGTERM", folder.out)
    assert folder.ends_like(undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_disk_that_fills_up_during_a_run_costs_only_what_was_being_written(
    folder, undisturbed, workers
):
    process = folder.midway(workers)
    for pid in processes_of(process.pid):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (100, 100))
    folder.go()
    assert failed(end(process), f"cannot use {folder.out} (", "free some space")
    assert len(folder.blocks()) == FREE_TRIALS
    assert not hidden(folder.out)
    assert folder.ends_like(undisturbed)


@pytest.mark.slow
def test_a_disk_that_fills_up_with_the_trace_leaves_whole_traces(folder, undisturbed):
    process = folder.midway(1, "--trace")
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (100, 100))
    folder.go()
    code, stdout, stderr = end(process)
    announced, _, rest = stderr.partition("\n")
    assert announced.startswith("the trace in ")
    assert failed((code, stdout, rest), f"cannot use {folder.out} (", "free some space")
    assert not hidden(folder.out)
    traces = [path.name + ".parquet" for path in folder.out.glob("trace/*/*")]
    assert sorted(traces) == folder.blocks()
    assert end(folder.start(1, "--trace"))[0] == 0
    assert commenv.load(folder.out).frame.equals(undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_folder_that_becomes_read_only_during_a_run(folder, undisturbed, workers):
    process = folder.midway(workers, before=heed_modes)
    folders = [folder.out, *(path for path in folder.out.rglob("*") if path.is_dir())]
    for path in folders:
        path.chmod(0o555)
    folder.go()
    outcome = end(process)
    again = end(folder.start(workers, before=heed_modes))
    for path in folders:
        path.chmod(0o755)
    assert failed(outcome, f"cannot use {folder.out} (Permission", "make it writable")
    assert failed(again, f"cannot use {folder.out} (Permission", "make it writable")
    assert len(folder.blocks()) == FREE_TRIALS
    assert folder.ends_like(undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_folder_moved_away_during_a_run_can_be_put_back(folder, undisturbed, workers):
    process = folder.midway(workers)
    away = folder.out.rename(folder.path / "away")
    folder.go()
    assert failed(end(process), f"{folder.out} was removed, moved or replaced")
    assert not folder.out.exists()
    away.rename(folder.out)
    assert folder.ends_like(undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--trace",)])
def test_a_folder_deleted_during_a_run_does_not_come_back_in_part(
    folder, undisturbed, options
):
    process = folder.midway(1, *options)
    while folder.out.exists():  # the run may be making something in it
        shutil.rmtree(folder.out, ignore_errors=True)
    folder.go()
    code, _, stderr = end(process)
    assert code == 1
    assert failed(
        (code, "", stderr.splitlines()[-1] + "\n"), "removed, moved or replaced"
    )
    assert not folder.out.exists()
    assert folder.ends_like(undisturbed)


@pytest.mark.slow
def test_a_worker_that_is_killed_ends_the_run_and_the_other_worker(folder, undisturbed):
    process = folder.midway(2)
    os.kill(workers_of(process.pid)[0], signal.SIGKILL)
    assert failed(end(process), "a worker process has died", "run the study again")
    assert not hidden(folder.out)
    assert folder.ends_like(undisturbed, 2)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_run_into_the_folder_is_refused_and_the_first_goes_on(
    folder, undisturbed, workers
):
    process = folder.midway(workers)
    assert failed(end(folder.start(workers)), f"another run is writing to {folder.out}")
    folder.go()
    assert end(process)[0] == 0
    assert commenv.load(folder.out).frame.equals(undisturbed)


@pytest.mark.slow
def test_the_lock_of_a_killed_run_holds_nobody_up(folder, undisturbed):
    process = folder.midway()
    process.kill()
    end(process)
    assert (folder.out / ".lock").exists()
    assert folder.ends_like(undisturbed)


def test_a_full_disk_names_the_picture_and_the_cure(capsys, tmp_path, monkeypatch):
    def refuse(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    study = tmp_path / "study"
    size = ("--agents", "2", "--trials", "2", "--episodes", "2", "--quiet")
    grid = ("--env", "SimpleGrid-v0", "--algorithm", "dql", "--set", "env.size=4")
    assert main(["run", *grid, *size, "--out", str(study)]) == 0
    capsys.readouterr()
    monkeypatch.setattr("commenv.study.storage.files.os.fsync", refuse)
    picture = tmp_path / "curves.png"
    outcome = main(["plot", str(study), "--out", str(picture)]), *capsys.readouterr()
    words = (f"cannot use {picture} (No space left on device)", "free some space")
    assert failed(outcome, *words)
    assert not hidden(tmp_path)
    assert not picture.exists()


def test_a_command_that_is_stopped_in_this_process_leaves_the_handlers_as_they_were(
    capsys, monkeypatch
):
    def stop(options):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

    monkeypatch.setitem(commands.COMMANDS, "list", stop)
    names = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in names]
    assert failed((main(["list"]), *capsys.readouterr()), "stopped by SIGTERM")
    assert [signal.getsignal(number) for number in names] == before


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        with stops_heard(for_good=False):
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_right_after_another_does_not_disturb_the_cleaning_up():
    cleaned = []

    def stopped_twice():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
            cleaned.append(True)

    with pytest.raises(Stopped) as stop, stops_heard(for_good=False):
        stopped_twice()
    assert stop.value.cause == "SIGTERM"
    assert cleaned == [True]


def test_the_system_clock_going_backwards_changes_nothing(
    capsys, tmp_path, monkeypatch
):
    def run(out):
        size = ("--agents", "2", "--trials", "2", "--episodes", "3")
        grid = ("--env", "SimpleGrid-v0", "--algorithm", "dql", "--set", "env.size=4")
        assert main(["run", *grid, *size, "--out", str(out)]) == 0
        assert "-" not in capsys.readouterr().err.replace("trial-episodes", "")
        return commenv.load(out).frame

    expected = run(tmp_path / "forwards")
    times = itertools.count(2e9, -3600.0)
    monkeypatch.setattr(time, "time", lambda: next(times))
    assert run(tmp_path / "backwards").equals(expected)


def test_outside_the_main_thread_a_command_runs_without_handlers(capsys):
    codes = []
    thread = threading.Thread(target=lambda: codes.append(main(["list", "dql"])))
    thread.start()
    thread.join()
    assert codes == [0]
