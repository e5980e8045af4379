"""Fuzzing from the command line: ``python -m tests.fuzz --inputs 100000``.

    python -m tests.fuzz                        every target, 100,000 inputs altogether
    python -m tests.fuzz --target message --inputs 1000000 --seed 3
    python -m tests.fuzz --target message --replay fuzz-findings/message/...
    python -m tests.fuzz.guided message         led by coverage (needs Atheris)

What is found is kept in a folder, under the name of its error; the exit code is 1 then.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import warnings
from pathlib import Path

from tests.fuzz.engine import attempt, run_child, watched
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS


def main() -> int:
    """Runs the driver and returns its exit code."""
    options = _parser().parse_args()
    options.found = str(Path(options.found).resolve())
    warnings.simplefilter("error")
    logging.disable()
    names = options.target or list(TARGETS)
    if options.replay:
        return _replay(TARGETS[names[0]], Path(options.replay))
    if options.child:
        return _child(TARGETS[names[0]], options)
    return max(_run(TARGETS[name], options) for name in names)


def _run(target: Target, options: argparse.Namespace) -> int:
    """One target in a child process; prints its line of the table."""
    inputs = options.inputs
    if not options.target:
        inputs = max(1, inputs * target.share // sum(t.share for t in TARGETS.values()))
    folder = Path(options.found)
    own = folder / target.name
    own.mkdir(parents=True, exist_ok=True)
    arguments = ["--child", "--target", target.name, "--inputs", str(inputs)]
    arguments += ["--seconds", str(options.seconds), "--seed", str(options.seed)]
    before = set(own.iterdir())
    code = watched([*arguments, "--found", str(folder)], own, target.seconds)
    new = [path for path in set(own.iterdir()) - before if path.suffix != ".txt"]
    for path in sorted(new):
        print(f"FOUND {target.name}: {path}")
    return 1 if code or new else 0


def _child(target: Target, options: argparse.Namespace) -> int:
    tally = run_child(
        target, options.inputs, options.seconds, options.seed, Path(options.found)
    )
    rate = tally.inputs / max(tally.seconds, 1e-9)
    print(
        f"{target.name:<12} {tally.inputs:>10,} inputs {tally.seconds:>8.1f} s "
        f"{rate:>9,.0f}/s {tally.read:>9,} read {tally.refused:>10,} refused "
        f"{tally.excluded:>6,} excluded {tally.findings:>6,} findings",
        flush=True,
    )
    with (Path(options.found) / "tallies.jsonl").open("a") as file:
        line = {"target": target.name, "seed": options.seed, **tally._asdict()}
        file.write(json.dumps(line) + "\n")
    return 0


def _replay(target: Target, path: Path) -> int:
    with target.prepared():
        outcome = attempt(target, path.read_bytes())
    print("read" if outcome is None else f"{type(outcome).__name__}: {outcome}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description="Fuzz what reads outside data."
    )
    parser.add_argument(
        "--target",
        action="append",
        choices=list(TARGETS),
        help="one of them (repeat for several); default: all, by their shares",
    )
    parser.add_argument("--inputs", type=int, default=100_000, help="default 100000")
    parser.add_argument(
        "--seconds", type=float, default=1e9, help="of each target; default: no limit"
    )
    parser.add_argument("--seed", type=int, default=0, help="default 0")
    parser.add_argument("--found", default="fuzz-findings", help="folder for findings")
    parser.add_argument("--replay", metavar="FILE", help="one input, with its trace")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
