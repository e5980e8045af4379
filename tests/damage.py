"""Damages the files of studies at random; no number that is read may then be another.

    python -m tests.damage --flips 3000 --cuts 1000

Every kind of file is met: blocks, sizes, policies, traces, checksums, checkpoints and
the manifest. A flip is one bit; a cut takes the end of a file, or makes a run of its
bytes zero. Then everything that reads numbers is called. Each must give exactly what it
gives of the undamaged study, or fail with an error of ours; ``verify`` must see the
damage.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

import commenv
from commenv.errors import CommenvError
from commenv.study import verify
from commenv.study.execution.writer import Writer
from commenv.study.policies.loader import trained

KINDS = ("blocks", "sizes", "policies", "trace", "checksums", "manifest", "checkpoints")
TINY = {"num_agents": 2, "num_trials": 2, "num_episodes": 3, "block": 1}
ALGORITHMS = ["dql", "es"]


class Killed(BaseException):
    """Instead of a kill."""


class Found(NamedTuple):
    """What damage to a kind of file came to.

    Attributes:
        damaged: How many times a file was damaged.
        refused: After how many of them something that reads numbers failed.
        wrong: Other numbers that were read without an error, in words.
        unseen: Damage that ``verify`` did not find.
    """

    damaged: int
    refused: int
    wrong: list[str]
    unseen: list[str]


def run(out: Path, trace: bool) -> commenv.study.Results:
    """Runs the study, or goes on with it."""
    return commenv.run(
        "SimpleGrid-v0",
        ALGORITHMS,
        settings={"env.size": 3},
        out=out,
        trace=trace,
        checkpoint_episodes=1,
        progress=False,
        **TINY,
    )


def finished(out: Path) -> Path:
    """A finished study, with a trace."""
    run(out, trace=True)
    return out


def begun(out: Path) -> Path:
    """A study that was killed in its second block, with two states of that block."""
    hear, states = Writer.hear, []

    def hear_and_die(self: Writer, said: Any) -> None:
        hear(self, said)
        if not isinstance(said, int):
            states.append(said.name)
            if states.count("dql:1") == 2:
                raise Killed

    Writer.hear = hear_and_die  # type: ignore[method-assign]
    try:
        with contextlib.suppress(Killed):
            run(out, trace=False)
    finally:
        Writer.hear = hear  # type: ignore[method-assign]
    return out


def files_of(folder: Path, kind: str) -> list[Path]:
    """The files of a kind, in order."""
    if kind == "manifest":
        return [folder / "manifest.json"]
    return sorted(path for path in (folder / kind).rglob("*") if path.is_file())


def flipped(data: bytes, rng: np.random.Generator) -> bytes:
    """One bit is another."""
    changed = bytearray(data)
    changed[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def cut(data: bytes, rng: np.random.Generator) -> bytes:
    """The end is missing, or up to 512 bytes are zero, of which one was not."""
    position = int(rng.integers(len(data)))
    if rng.random() < 0.5:
        return data[:position]
    while not data[position]:
        position = int(rng.integers(len(data)))
    run = bytes(min(int(rng.integers(1, 513)), len(data) - position))
    return data[:position] + run + data[position + len(run) :]


def numbers(folder: Path) -> Any:
    """What ``show``, ``plot`` and ``show --link`` show."""
    results = commenv.load(folder)
    costs = results.cost("lora", per_trial=True)
    return results.optimum, _bits(results.frame), _bits(costs)


def _bits(frame: pd.DataFrame) -> list[bytes]:
    """Every number as it is, and every text."""
    return [
        repr(list(column)).encode()
        if column.dtype.kind not in "if"
        else column.tobytes()
        for column in (frame[name].to_numpy() for name in frame)
    ]


def policies(folder: Path) -> Any:
    """What ``load_policy`` gives and ``evaluate`` plays, of all trials."""
    with np.printoptions(threshold=sys.maxsize, floatmode="unique"):
        return [
            (one.arm.label, trial, _words(one.policy(trial).policy))
            for one in trained(folder)
            for trial in one.trials
        ]


def _words(policy: Any) -> str:
    return repr(policy if isinstance(policy, np.ndarray) else vars(policy))


def gone_on(folder: Path) -> Any:
    """What a study is that is gone on with."""
    with tempfile.TemporaryDirectory(dir=_IN_MEMORY) as root:
        copy = shutil.copytree(folder, Path(root, "copy"), symlinks=True)
        return _bits(run(copy, trace=False).frame)


READERS: dict[str, Callable[[Path], Any]] = {
    "load": numbers,
    "load_policy": policies,
}


class Target:
    """A study, and what all that reads its numbers gives while it is whole."""

    def __init__(
        self, folder: Path, kinds: tuple[str, ...], readers: dict[str, Any]
    ) -> None:
        self.folder, self.kinds, self._readers = folder, kinds, readers
        self._expected = {name: read(folder) for name, read in readers.items()}
        self._sound()

    def _sound(self) -> None:
        report = verify(self.folder, seed=0, progress=False)
        assert report.holds, str(report)

    def after(self) -> tuple[bool, list[str], bool]:
        """Reads a damaged study.

        Returns:
            Whether anything failed, what read other numbers, and whether ``verify``
            found the damage.
        """
        refused, wrong = False, []
        for name, read in self._readers.items():
            try:
                if read(self.folder) != self._expected[name]:
                    wrong.append(name)
            except CommenvError:
                refused = True
        try:
            seen = not verify(self.folder, seed=0, progress=False).holds
        except CommenvError:
            seen = True
        return refused, wrong, seen


_IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


@contextlib.contextmanager
def targets() -> Iterator[list[Target]]:
    """The studies to be damaged."""
    with tempfile.TemporaryDirectory(dir=_IN_MEMORY) as root:
        whole = finished(Path(root, "finished"))
        part = begun(Path(root, "begun"))
        yield [
            Target(whole, KINDS[:-1], READERS),
            Target(part, ("checkpoints",), {"run": gone_on}),
        ]


def damage(target: Target, kind: str, times: int, change: Any, seed: int) -> Found:
    """Damages files of a kind, one at a time, and puts each back."""
    rng = np.random.default_rng([seed, KINDS.index(kind), change is cut])
    files = files_of(target.folder, kind)
    found = Found(times, 0, [], [])
    for _ in range(times):
        path = files[rng.integers(len(files))]
        data = path.read_bytes()
        changed = change(data, rng)
        place = next(
            i for i in range(len(data)) if changed[i : i + 1] != data[i : i + 1]
        )
        words = f"{path.relative_to(target.folder)}, byte {place} of {len(data)}"
        path.write_bytes(changed)
        try:
            refused, wrong, seen = target.after()
        finally:
            path.write_bytes(data)
        found = found._replace(refused=found.refused + refused)
        found.wrong.extend(f"{words}: {name}" for name in wrong)
        found.unseen.extend([] if seen else [words])
    return found


def main() -> int:
    """Prints a table of what was damaged and what became of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--flips", type=int, default=3000, help="single bits")
    parser.add_argument("--cuts", type=int, default=1000, help="ends, and runs of 0")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.getLogger("commenv").setLevel(logging.CRITICAL)
    print("| file | damage | times | refused | other numbers | unseen by verify |")
    print("|---|---|---|---|---|---|", flush=True)
    well = True
    with targets() as studies:
        for name, change, times in (
            ("flip", flipped, options.flips),
            ("cut", cut, options.cuts),
        ):
            for target in studies:
                for kind in target.kinds:
                    each, more = divmod(times, len(KINDS))
                    share = each + (KINDS.index(kind) < more)
                    found = damage(target, kind, share, change, options.seed)
                    well = well and not (found.wrong or found.unseen)
                    print(
                        f"| {kind} | {name} | {share} | {found.refused} | "
                        f"{len(found.wrong)} | {len(found.unseen)} |",
                        flush=True,
                    )
                    for line in (*found.wrong[:5], *found.unseen[:5]):
                        print(f"  {line}", file=sys.stderr)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
