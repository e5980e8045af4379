"""Kills studies at random moments again and again; their results must not tell.

    python -m tests.kills --kills 50

Each study runs through the command line, is killed with all of its processes, and is
begun again with the same command, until it has been killed often enough. Then it may
finish, and every file that it keeps must be that of a run that nobody disturbed. On Ray
some kills meet the driver alone, or a single worker.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

import commenv
from tests.cli.test_stops import SCRIPT, ended, processes_of, wait_until
from tests.study.execution.backends.rays import around_ray, clear

STUDIES = {
    "tabular": (
        *("--env", "SimpleGrid-v0", "--algorithm", "dql", "--algorithm", "ebcdql"),
        *("--agents", "3", "--trials", "4", "--episodes", "400", "--set", "env.size=5"),
        *("--delay", "ticks=1,spread=2", "--downlink-codec", "feedback+qsgd"),
        *("--checkpoint-episodes", "10"),
    ),
    "cart pole": (
        *("--env", "commenv/CartPole-v1", "--algorithm", "es", "--agents", "4"),
        *("--trials", "4", "--episodes", "160", "--evaluate-every", "8"),
        *("--loss", "0.1", "--downlink-codec", "feedback+top_k,k=20"),
        *("--checkpoint-episodes", "4"),
    ),
    "ant": (
        *("--env", "commenv/Ant-v5", "--algorithm", "es", "--agents", "3"),
        *("--trials", "4", "--episodes", "80", "--max-episode-steps", "60"),
        *("--evaluate-every", "8", "--evaluation-episodes", "2"),
        *("--delay", "1", "--set", "hidden_sizes=[8]", "--checkpoint-episodes", "3"),
    ),
}
BACKENDS = {
    "local": (),
    "processes": ("--backend", "processes", "--workers", "2"),
    "ray": ("--backend", "ray", "--workers", "2"),
    "ray, 2 actors": ("--backend", "ray", "--actors", "2"),
}
BLOCK = ("--block", "2", "--quiet")
ON_RAY = ("ray", "ray, 2 actors")
MOMENTS = ("starting", "between", "writing")
ODDS = (0.15, 0.6, 0.25)
WHOM = ("all", "driver", "worker")


class Outcome(NamedTuple):
    """What became of a study that was killed.

    Attributes:
        kills: Of all of its processes, of the driver, and of a worker.
        resumed: How many runs began with the state of an unfinished block.
        same: Whether every file is that of a run that nobody disturbed.
        sound: Whether it verifies, and nothing half done is left.
    """

    kills: dict[str, int]
    resumed: int
    same: bool
    sound: bool


class Folder:
    """A results folder, and the command that fills it."""

    def __init__(self, path: Path, *options: str) -> None:
        self.out, self._options = path / "out", options
        path.mkdir(exist_ok=True)

    def start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SCRIPT, "run", *self._options, *BLOCK]
        return subprocess.Popen(
            [*command, "--out", str(self.out)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            cwd=self.out.parent,
        )

    def finish(self) -> None:
        finished(self.start())

    def states(self) -> set[tuple[str, int]]:
        """What is there of blocks, each time that it is written anew."""
        found = set()
        for kind in ("checkpoints", "blocks"):
            for path in self.out.glob(f"{kind}/*/trials-*"):
                with contextlib.suppress(FileNotFoundError):
                    found.add((str(path), path.stat().st_ino))
        return found

    def begun(self) -> bool:
        """Whether an unfinished block has a state."""
        blocks = {path.stem for path in self.out.glob("blocks/*/*.parquet")}
        return any(
            path.stem not in blocks for path in self.out.glob("checkpoints/*/trials-*")
        )

    def half_done(self) -> list[Path]:
        """Files that are being written."""
        return list(self.out.glob("*/*/.*"))

    def kept(self) -> dict[str, bytes]:
        paths = [path for path in self.out.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.out)): path.read_bytes() for path in paths}


def finished(process: subprocess.Popen[str]) -> None:
    """Waits for a run, which must end well."""
    _, stderr = process.communicate()
    if process.returncode:
        raise AssertionError(f"it ended with {process.returncode}: {stderr}")


def await_moment(
    process: subprocess.Popen[str], folder: Folder, rng: np.random.Generator
) -> None:
    """Waits for a random moment of a run: early, any, or while a file is written."""
    kind = rng.choice(MOMENTS, p=ODDS)
    if kind == "starting":
        time.sleep(rng.uniform(0, 3))
        return
    states, left, last = folder.states(), int(rng.integers(1, 4)), time.monotonic()
    gap = 0.1
    while not ended(process) and left:
        time.sleep(0.001)
        if (now := folder.states()) - states:
            states, left = now, left - 1
            gap, last = time.monotonic() - last, time.monotonic()
    if kind == "between":
        time.sleep(rng.uniform(0, min(gap, 1.0)))
        return
    while not ended(process) and not folder.half_done():
        pass


def kill(process: subprocess.Popen[str], whom: str) -> bool:
    """Kills some of a run's processes; False where there was none left."""
    if ended(process):
        return False
    if whom == "worker":
        workers = [
            pid
            for pid, line in processes_of(process.pid).items()
            if line.startswith((b"ray::perform", b"ray::_Actor"))
        ]
        if workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(workers[0], signal.SIGKILL)
        return bool(workers)
    if whom == "driver":
        process.kill()
        process.wait()
        # Ray's own processes may take a minute to notice; its workers may not.
        wait_until(lambda: not working(process), 60)
    clear(process.pid)
    process.communicate()
    return process.returncode == -signal.SIGKILL


def working(process: subprocess.Popen[str]) -> list[bytes]:
    """The workers of a run that have something to do."""
    lines = processes_of(process.pid).values()
    return [line for line in lines if line.startswith((b"ray::perform", b"ray::_A"))]


def disturbed(
    folder: Folder, kills: int, seed: int, whom: tuple[str, ...] = ("all",)
) -> tuple[dict[str, int], int]:
    """Kills a study so often, and lets it finish.

    Returns:
        The kills by whom they met, and how many runs began with a state.
    """
    rng = np.random.default_rng(seed)
    met, resumed = dict.fromkeys(whom, 0), 0
    while True:
        resumed += folder.begun()
        process = folder.start()
        while sum(met.values()) < kills and not ended(process):
            await_moment(process, folder, rng)
            target = str(rng.choice(whom))
            if kill(process, target):
                met[target] += 1
        if process.returncode == -signal.SIGKILL:
            continue
        finished(process)
        return met, resumed


def outcome(
    path: Path, study: str, backend: str, expected: Folder, kills: int, seed: int
) -> Outcome:
    """Kills a study on a backend, and compares it with a run undisturbed."""
    folder = Folder(path, *STUDIES[study], *BACKENDS[backend])
    whom = WHOM if backend in ON_RAY else WHOM[:1]
    met, resumed = disturbed(folder, kills, seed, whom)
    return Outcome(met, resumed, same(folder, expected), sound(folder))


def same(folder: Folder, expected: Folder) -> bool:
    """Whether two folders keep the same, to the last bit."""
    one, other = (commenv.load(each.out) for each in (folder, expected))
    sizes = one.cost("lora", per_trial=True).equals(other.cost("lora", per_trial=True))
    return one.frame.equals(other.frame) and sizes and folder.kept() == expected.kept()


def sound(folder: Folder) -> bool:
    """Whether a study verifies, and nothing half done is left in its folder."""
    hidden = [path for path in folder.out.rglob("*") if path.name.startswith(".")]
    states = list(folder.out.glob("checkpoints/*/*"))
    command = ["verify", str(folder.out), "--quiet", "--seed", "0"]
    verified = subprocess.run(
        [sys.executable, "-c", SCRIPT, *command], capture_output=True, check=False
    )
    return not hidden and not states and verified.returncode == 0


def main() -> int:
    """Prints a table of what was killed and what became of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50, help="in all (default 50)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--study", action="append", choices=STUDIES)
    parser.add_argument("--backend", action="append", choices=BACKENDS)
    options = parser.parse_args()
    studies, backends = options.study or STUDIES, options.backend or BACKENDS
    each, more = divmod(options.kills, len(studies) * len(backends))
    print("| study | backend | kills (all, driver, worker) | resumed | identical |")
    print("|---|---|---|---|---|", flush=True)
    position, well = 0, True
    with tempfile.TemporaryDirectory() as root, around_ray():
        for study in studies:
            expected = Folder(Path(root, study), *STUDIES[study])
            expected.finish()
            for backend in backends:
                path = Path(root, f"{study}, {backend}")
                kills = each + (position < more)
                found = outcome(
                    path, study, backend, expected, kills, options.seed + position
                )
                numbers = [found.kills.get(one, 0) for one in WHOM]
                fine = found.same and found.sound
                well, position = well and fine, position + 1
                print(
                    f"| {study} | {backend} | {sum(numbers)} "
                    f"({', '.join(map(str, numbers))}) | {found.resumed} | "
                    f"{'yes' if fine else 'NO'} |",
                    flush=True,
                )
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
