"""The driver's side: starts workers, gives them turns and takes the ratios."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


class CannotRunError(Exception):
    """A contestant that cannot take part; the message says why."""


@dataclass(frozen=True)
class Contestant:
    """One process of a work.

    Args:
        name: As the table shows it.
        module: The file beside this one that holds it.
        make: The function there that makes it; it returns ``run(calls) -> steps``.
        calls: How often to call in one turn.
        home: The peer whose virtual environment it runs in; None for our own.
        settings: Arguments of ``make``.
        cores: How many it may use.
    """

    name: str
    module: str
    make: str
    calls: int
    home: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    cores: int = 1

    @property
    def python(self) -> str:
        """The interpreter of its environment.

        Raises:
            CannotRunError: The environment is not there, or not complete.
        """
        if self.home is None:
            return sys.executable
        venv = ROOT / f".venv-peer-{self.home}"
        if (refused := venv / "refused.txt").exists():
            raise CannotRunError(f"not installable: {_reason(refused.read_text())}")
        if not (venv / ".stamp").exists():
            raise CannotRunError("not installed: run `make bench-peers`")
        return str(venv / "bin" / "python")


class Worker:
    """A running contestant.

    Attributes:
        versions: Package -> version of what it measures.
        scores: What it reached in each of its turns, if it tells.

    Raises:
        CannotRunError: It does not start.
    """

    def __init__(self, contestant: Contestant, core: int) -> None:
        self.contestant = contestant
        python, cores = contestant.python, _cores(core, contestant.cores)
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with it
        settings = json.dumps(contestant.settings)
        script = [python, str(HERE / "worker.py"), cores]
        self._process = subprocess.Popen(
            [*script, contestant.module, contestant.make, settings],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "JAX_PLATFORMS": "cpu"},
        )
        self.versions: dict[str, str] = self._answer()["versions"]
        self.scores: list[float] = []

    def turn(self) -> dict[str, float]:
        """Steps a second in one turn, by the clock and by processor time."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"calls": self.contestant.calls}) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        if answer["score"] is not None:
            self.scores.append(answer["score"])
        return {kind: answer["steps"] / answer[kind] for kind in ("clock", "processor")}

    def close(self) -> None:
        """Ends the process, which stops when there is nothing more to read."""
        if self._errors.closed:
            return  # it has ended by itself
        self._process.communicate()
        self._errors.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        if line := self._process.stdout.readline():
            return json.loads(line)
        self._process.communicate()
        self._errors.seek(0)
        reason = _reason(self._errors.read())
        self._errors.close()
        raise CannotRunError(f"{self.contestant.name} does not run: {reason}")


def compete(
    ours: Contestant, rivals: list[Contestant], rounds: int, core: int
) -> tuple[dict[str, dict[str, float] | str], dict[str, dict[str, str]]]:
    """Lets all take turns, round after round, after one that warms up.

    Returns:
        For each rival the medians of our speed over its own, round by round, by the
        clock and by processor time, and both mean scores where there are any, or the
        reason why it cannot run; and the versions in each environment.
    """
    results: dict[str, dict[str, float] | str] = {}
    versions: dict[str, dict[str, str]] = {}
    workers = [Worker(ours, core)]
    try:
        for rival in rivals:
            try:
                worker = Worker(rival, core)
                worker.turn()
                workers.append(worker)
            except CannotRunError as error:
                results[rival.name] = str(error)
        workers[0].turn()
        for worker in workers:
            home = worker.contestant.home or "ours"
            versions.setdefault(home, {}).update(worker.versions)
        turns = [[worker.turn() for worker in workers] for _ in range(rounds)]
    finally:
        for worker in workers:
            worker.close()
    for place, worker in enumerate(workers[1:], start=1):
        results[worker.contestant.name] = {
            kind: statistics.median(turn[0][kind] / turn[place][kind] for turn in turns)
            for kind in ("clock", "processor")
        }
        if worker.scores and workers[0].scores:
            results[worker.contestant.name] |= {
                "score": statistics.mean(workers[0].scores),
                "its score": statistics.mean(worker.scores),
            }
    return results, versions


def _cores(first: int, count: int) -> str:
    """So many cores, this one among them, as the worker takes them.

    Raises:
        CannotRunError: The machine lends fewer.
    """
    others = sorted(os.sched_getaffinity(0) - {first})
    if count > 1 + len(others):
        raise CannotRunError(f"needs {count} cores, but has {1 + len(others)}")
    return ",".join(map(str, [first, *others[: count - 1]]))


def _reason(text: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "rror" in line]
    return (errors or lines or ["no reason given"])[-1]
