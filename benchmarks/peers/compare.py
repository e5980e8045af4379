"""The table of peers: our speed over theirs, each in a process of its own.

Every contestant of a work is one process in its own virtual environment. All are pinned
to one core, unless the work says otherwise, and take turns there; a ratio is that of
two neighbouring turns, and the median over the rounds is shown. Where there are more
cores, the clock alone counts. `make bench-peers` makes the environments first.

    python benchmarks/peers/compare.py [WORK ...] [--rounds R] [--core C]
"""

from __future__ import annotations

import argparse
import os
import platform
from pathlib import Path

from turns import CannotRunError, compete
from works import Work, all_works


def rows(work: Work, results: dict[str, dict[str, float] | str]) -> list[str]:
    """One row of the table for each rival."""
    lines = []
    for rival in work.rivals:
        found = results[rival.name]
        goal = work.goals.get(rival.name)
        wanted = f"{goal:.2g}" if goal else ""
        if isinstance(found, str):
            cells = [found, "", wanted, ""]
        else:
            alone = work.ours.cores == 1
            counted = found["processor" if alone else "clock"]
            met = "" if goal is None else "yes" if counted >= goal else "no"
            processor = digits(counted) if alone else ""
            cells = [processor, digits(found["clock"]), wanted, met]
        peer = rival.name
        if "score" in found and not isinstance(found, str):
            peer += f" (return {found['its score']:.0f}, ours {found['score']:.0f})"
        lines.append(f"| {' | '.join([work.title, peer, *cells])} |")
    return lines


def digits(ratio: float) -> str:
    """Two decimals of small ratios, none of large ones."""
    return f"{ratio:,.0f}" if ratio >= 20 else f"{ratio:.2f}"


def processor_name() -> str:
    """The name of the processor, as far as the system tells."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def main() -> None:
    known = all_works()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("works", nargs="*", metavar="WORK", help=", ".join(known))
    parser.add_argument("--rounds", type=int, help="after the one that warms up")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)))
    chosen = parser.parse_args()
    if unknown := set(chosen.works) - set(known):
        parser.error(f"unknown {sorted(unknown)}; choose from {sorted(known)}")
    versions: dict[str, dict[str, str]] = {}
    print("| Work | Peer | Ours / peer | by the clock | at least | met |")
    print("|---|---|---|---|---|---|")
    for name in chosen.works or known:
        work = known[name]
        rounds = chosen.rounds or work.rounds
        try:
            results, seen = compete(work.ours, work.rivals, rounds, chosen.core)
        except CannotRunError as error:  # ours cannot
            results = {rival.name: str(error) for rival in work.rivals}
            seen = {}
        for home, packages in seen.items():
            versions.setdefault(home, {}).update(packages)
        print("\n".join(rows(work, results)), flush=True)
    print(f"\n{processor_name()}, Python {platform.python_version()}.")
    for home, packages in versions.items():
        told = ", ".join(f"{package} {number}" for package, number in packages.items())
        print(f"- {home}: {told}")


if __name__ == "__main__":
    main()
