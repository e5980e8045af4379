from __future__ import annotations

import logging
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from commenv_baselines.dql import DQL, QAgents

import commenv
from commenv.errors import ResultsError, UnknownNameError
from commenv.study.execution.backends import choose
from tests.study.execution.backends.rays import around_ray
from tests.study.test_callbacks import Log, in_order, study, tells_the_frame

ray = pytest.importorskip("ray")
pytest.importorskip("pandas")
pytest.importorskip("pyarrow")
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="kills processes"
)


@pytest.fixture(autouse=True, scope="module")
def _ray():
    """A Ray with two processors, that all of these tests share."""
    with around_ray():
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
            object_store_memory=100 * 2**20,
        )
        yield
        assert ray.is_initialized()  # they found it running
        ray.shutdown()


def run(job, jobs, report=lambda count: None, workers=2):
    names = {f"job {number}": arguments for number, arguments in enumerate(jobs)}
    with choose("ray", workers) as backend:
        return list(backend.run(job, names, report))


def wait_until(condition):
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.01)


def square(number, report):
    report(number)
    report(1)
    return number * number


def surroundings(report):
    limits = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return os.getpid(), [os.environ.get(name) for name in limits]


def fail_or_sleep(position, folder, report):
    """The first job fails once the others have begun; those would take for ever."""
    if position == 0:
        wait_until(lambda: list(folder.glob("pid-*")))
        raise UnknownNameError("thing", "x", ["y", "z"], "cure")
    (folder / f"pid-{os.getpid()}").touch()
    report(1)
    time.sleep(3600)


def die_before(attempts, folder, report):
    """Reports 5, and dies in the first attempts."""
    report(5)
    time.sleep(0.3)
    report(0)  # it is long enough ago that this is told at once
    earlier = len(list(folder.glob("attempt-*")))
    (folder / f"attempt-{earlier}").touch()
    if earlier < attempts:
        time.sleep(0.5)  # what was told arrives
        os.kill(os.getpid(), signal.SIGKILL)
    return earlier


def wait_for(path, report):
    """Ends when the file is there."""
    if path is not None:
        wait_until(path.exists)


def gone(folder):
    """Whether the processes that left their numbers have ended."""
    left = [int(path.name[4:]) for path in folder.glob("pid-*")]
    assert left
    return not any(Path(f"/proc/{pid}").exists() for pid in left)


def test_every_result_and_every_report_arrives():
    reports = []
    results = run(square, [(number,) for number in range(7)], reports.append)
    assert sorted(results) == [number**2 for number in range(7)]
    assert sum(reports) == sum(range(7)) + 7
    assert min(reports) >= 0


def test_workers_are_processes_whose_linear_algebra_keeps_to_one_thread():
    environment = dict(os.environ)
    (found,) = run(surroundings, [()])
    assert found[0] != os.getpid()
    assert found[1] == ["1", "1", "1"]
    assert dict(os.environ) == environment


def test_a_failure_is_raised_here_and_ends_the_others(tmp_path):
    jobs = [(position, tmp_path) for position in range(4)]
    with pytest.raises(UnknownNameError, match=r"unknown thing 'x'.*cure"):
        run(fail_or_sleep, jobs)
    wait_until(lambda: gone(tmp_path))


def test_an_interrupt_here_ends_the_tasks_and_leaves_a_ray_that_it_found(tmp_path):
    def interrupt(count):
        if list(tmp_path.glob("pid-*")):
            os.kill(os.getpid(), signal.SIGINT)

    handlers = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyboardInterrupt):
        run(fail_or_sleep, [(1, tmp_path), (2, tmp_path)], interrupt)
    wait_until(lambda: gone(tmp_path))
    assert ray.is_initialized()
    after = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    assert after == handlers


def test_a_killed_worker_is_said_and_its_job_run_again(tmp_path, caplog):
    reports = []
    with caplog.at_level(logging.WARNING, "commenv"):
        assert run(die_before, [(2, tmp_path)], reports.append) == [2]
    assert sum(reports) == 5  # nothing counts twice
    said = [one.getMessage() for one in caplog.records]
    assert len(said) == 2
    for number, text in enumerate(said, start=2):
        assert text.startswith("block job 0 was lost (WorkerCrashedError: The worker")
        assert text.endswith(f"is run again, attempt {number} of 4")


def test_a_job_that_is_lost_again_and_again_is_an_error_with_a_cure(tmp_path):
    with pytest.raises(ResultsError, match=r"job 0 was lost 4 times .* fewer workers"):
        run(die_before, [(9, tmp_path)])
    assert len(list(tmp_path.iterdir())) == 4


def test_a_straggler_is_named_once(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(
        "commenv.study.execution.backends.ray_watch._SECONDS_OF_PATIENCE", 0.3
    )
    said = tmp_path / "said"

    class Touch(logging.Handler):
        def emit(self, record):
            said.touch()

    handler = Touch()
    logging.getLogger("commenv").addHandler(handler)
    try:
        with caplog.at_level(logging.WARNING, "commenv"):
            run(wait_for, [(said,), (None,), (None,), (None,)])
    finally:
        logging.getLogger("commenv").removeHandler(handler)
    (text,) = [one.getMessage() for one in caplog.records]
    assert text.startswith("block job 0 runs for ")
    assert "half of the 3 that have finished took at most" in text


def test_another_address_than_that_of_the_ray_that_runs_is_refused():
    with (
        pytest.raises(ValueError, match=r"'a:1' is asked for.*ray.shutdown\(\)"),
        choose("ray", 1, "a:1"),
    ):
        pass
    there = ray.get_runtime_context().gcs_address
    for address in (there, "auto"):
        with choose("ray", None, address) as backend:
            assert backend.workers == 2


STUDIES = {
    "dql": ("WindyGrid-v0", DQL(alpha=0.9), {"env.size": 4}),
    "es": ("commenv/CartPole-v1", "es", {"hidden_sizes": (5,)}),
}


def kept(out):
    """What a study has kept, file by file."""
    paths = [path for path in out.rglob("*") if path.is_file()]
    return {str(path.relative_to(out)): path.read_bytes() for path in paths}


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_backends_give_the_same_files_bit_for_bit(name, tmp_path):
    environment, algorithm, settings = STUDIES[name]
    results, files = [], []
    for how in (
        {"backend": "local"},
        {"backend": "processes", "workers": 2},
        {"backend": "ray"},
        {"backend": "ray", "workers": 1},
    ):
        out = tmp_path / str(len(files))
        results.append(
            commenv.run(
                environment,
                algorithm,
                settings=settings,
                num_agents=3,
                num_trials=5,
                num_episodes=12,
                block=2,
                out=out,
                trace=True,
                progress=False,
                **how,
            )
        )
        files.append(kept(out))
    kinds = {path.partition("/")[0] for path in files[0]} - {"manifest.json"}
    assert kinds == {"blocks", "sizes", "policies", "checksums", "trace"}
    for one, found in zip(results[1:], files[1:], strict=True):
        assert one.frame.equals(results[0].frame)
        assert one.optimum == results[0].optimum
        assert found.keys() == files[0].keys()
        assert not [path for path in found if found[path] != files[0][path]]


def test_without_a_folder_blocks_come_back_in_their_order():
    how = {"num_agents": 2, "num_trials": 4, "num_episodes": 5, "progress": False}
    expected = commenv.run("SimpleGrid-v0", ["dql", "ebcdql"], **how)
    found = commenv.run("SimpleGrid-v0", ["dql", "ebcdql"], backend="ray", **how)
    assert found.frame.equals(expected.frame)
    link = {"per_trial": True}
    assert found.cost("lora", **link).equals(expected.cost("lora", **link))


@dataclass(frozen=True)
class Patient(DQL):
    """Its second trial waits until the first one's block has been written."""

    name: ClassVar[str] = "patient"
    folder: str = ""

    def agents(self, problem):
        if problem.draws.trials[0] == 1:
            wait_until(lambda: list(Path(self.folder).glob("blocks/*/trials-00000*")))
        return super().agents(problem)


@pytest.mark.parametrize("backend", ["processes", "ray"])
def test_a_block_is_written_when_it_ends_and_not_with_the_study(backend, tmp_path):
    results = commenv.run(
        "SimpleGrid-v0",
        Patient(folder=str(tmp_path)),
        num_agents=2,
        num_trials=2,
        num_episodes=3,
        block=1,
        out=tmp_path,
        backend=backend,
        workers=2,
        progress=False,
    )
    assert len(results.frame) == 6


@dataclass(frozen=True)
class Mortal(DQL):
    """The process that runs its third trial is killed, the first time."""

    name: ClassVar[str] = "mortal"
    folder: str = ""

    def learner(self, problem):
        path = Path(self.folder) / "died"
        if list(problem.draws.trials) == [2, 3] and not path.exists():
            path.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().learner(problem)


def test_a_worker_killed_in_the_middle_changes_no_number(tmp_path, caplog):
    def study(**how):
        return commenv.run(
            "SimpleGrid-v0",
            Mortal(folder=str(tmp_path)),
            num_agents=2,
            num_trials=6,
            num_episodes=6,
            block=2,
            progress=False,
            **how,
        ).frame

    with caplog.at_level(logging.WARNING, "commenv"):
        found = study(backend="ray")
    assert [one.getMessage() for one in caplog.records if "mortal" in one.getMessage()]
    assert (tmp_path / "died").exists()
    assert found.equals(study())


class FrailAgents(QAgents):
    """Their process is killed in its sixth round, once there is a state of it."""

    def __init__(self, problem, settings):
        super().__init__(problem, settings)
        self._folder, self._deaths = Path(settings.folder), settings.deaths

    def begin(self, episode):
        super().begin(episode)
        with (self._folder / "rounds").open("a") as file:
            file.write(f"{episode}\n")
        if episode == 5 and len(list(self._folder.glob("died-*"))) < self._deaths:
            wait_until(lambda: list(self._folder.glob("out/checkpoints/*/*.newest")))
            (self._folder / f"died-{os.getpid()}").touch()
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Frail(DQL):
    name: ClassVar[str] = "mortal"
    folder: str = ""
    deaths: int = 0

    def agents(self, problem):
        return FrailAgents(problem, self)


def test_a_block_that_was_lost_goes_on_from_its_last_state(tmp_path):
    def study(name, deaths=0, **how):
        folder = tmp_path / name
        folder.mkdir()
        return commenv.run(
            "SimpleGrid-v0",
            Frail(folder=str(folder), deaths=deaths),
            num_agents=2,
            num_trials=2,
            num_episodes=8,
            checkpoint_episodes=4,
            progress=False,
            block=2,
            **how,
        ).frame

    expected = study("undisturbed")
    found = study("killed", 1, backend="ray", out=tmp_path / "killed" / "out")
    assert found.equals(expected)
    rounds = (tmp_path / "killed" / "rounds").read_text().split()
    assert rounds == [*"012345", *"4567"]


def test_trials_in_tasks_are_told_here():
    log = Log()
    results = study(callbacks=[log], backend="ray", block=2)
    assert tells_the_frame(log, results)
    assert all(
        in_order(log, trial, label) for label in ("dql", "ebcdql") for trial in range(4)
    )
    assert log.said[-2:] == [("end", 2 * 4 * 9), ("close", os.getpid())]


def test_a_trial_in_a_task_cannot_be_stopped():
    stop = {("dql", 0, 3): commenv.StopTrial()}
    with pytest.raises(ValueError, match=r"stops trial 0 of 'dql'.*in another process"):
        study(callbacks=[Log(round=stop)], backend="ray", block=2)


class DoomedAgents(QAgents):
    """Their process is killed in its sixth round, once its fourth has been told."""

    def __init__(self, problem, settings):
        super().__init__(problem, settings)
        self._folder = Path(settings.folder)

    def begin(self, episode):
        super().begin(episode)
        if episode == 4 and not (self._folder / "died").exists():
            time.sleep(0.3)  # so that the rounds before it are told
        if episode == 5 and not (self._folder / "died").exists():
            wait_until((self._folder / "heard").exists)
            (self._folder / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Doomed(DQL):
    name: ClassVar[str] = "dql"
    folder: str = ""

    def agents(self, problem):
        return DoomedAgents(problem, self)


def test_rounds_that_are_played_again_are_told_once(tmp_path):
    class Touching(Log):
        def on_round(self, measured):
            super().on_round(measured)
            if measured.round == 3:
                (tmp_path / "heard").touch()

    log = Touching()
    doomed = Doomed(folder=str(tmp_path))
    results = study(algorithms=doomed, callbacks=[log], backend="ray", block=4)
    assert (tmp_path / "died").exists()
    assert tells_the_frame(log, results)
    assert all(in_order(log, trial) for trial in range(4))
