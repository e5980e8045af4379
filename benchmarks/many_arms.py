"""What a study of many arms costs beside the same arms one by one.

Distributed Q-learning on Simple Grid with many values of alpha: once as one study of
all arms, once as a study of each arm, with folders of their own and blocks of the same
size. They take turns; the ratio is of processor time, and should be at most 1.05.
Beside it, in seconds of processor time, what it takes to load the study of all arms, to
print its table and to draw it, which should be at most 3 each.

    python benchmarks/many_arms.py [--arms 200] [--trials 20] [--episodes 20]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import commenv
from commenv.study.analysis.intervals import student_interval

MOST = 1.05
MOST_SECONDS = 3.0


def processor_seconds(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def run(alphas: list[float], folder: Path, trials: int, episodes: int) -> None:
    commenv.run(
        "SimpleGrid-v0",
        "dql",
        settings=[{"alpha": alpha} for alpha in alphas],
        num_agents=2,
        num_trials=trials,
        num_episodes=episodes,
        block=trials,
        out=folder,
        progress=False,
    )


def turn(number: int, alphas: list[float], folder: Path, *size: int) -> float:
    """The cost of one study of all arms over that of a study of each."""

    def together() -> None:
        run(alphas, folder / "all", *size)

    def apart() -> None:
        for place, alpha in enumerate(alphas):
            run([alpha], folder / str(place), *size)

    order = (together, apart) if number % 2 else (apart, together)
    cost = {work: processor_seconds(work) for work in order}
    return cost[together] / cost[apart]


def reading(folder: Path) -> dict[str, float]:
    """Seconds of processor time that each reader takes."""
    results = commenv.load(folder)
    return {
        "load": processor_seconds(lambda: commenv.load(folder)),
        "show": processor_seconds(lambda: commenv.load(folder).table()),
        "plot": processor_seconds(lambda: results.plot(path=folder / "curves.png")),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arms", type=int, default=200)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--turns", type=int, default=5)
    chosen = parser.parse_args()
    alphas = np.linspace(0.1, 1, chosen.arms).round(6).tolist()
    ratios: list[float] = []
    for number in range(chosen.turns + 1):
        with tempfile.TemporaryDirectory() as name:
            size = (chosen.trials, chosen.episodes)
            if number == 0:  # to warm up
                turn(number, alphas[:2], Path(name), *size)
                continue
            ratios.append(turn(number, alphas, Path(name), *size))
            seconds = reading(Path(name) / "all")
    low, high = np.exp(student_interval(np.log(ratios)))
    ratio = float(np.exp(np.mean(np.log(ratios))))
    print(
        f"{chosen.arms} arms of {chosen.trials} trials and {chosen.episodes} episodes, "
        f"one study beside {chosen.arms}: {ratio:.3f} times the processor time, 95 % "
        f"interval [{low:.3f}, {high:.3f}] of {chosen.turns} turns (at most {MOST})\n"
        + ", ".join(f"{name} {one:.2f} s" for name, one in seconds.items())
        + f" of processor time (at most {MOST_SECONDS:g} s each)"
    )
    if ratio > MOST or max(seconds.values()) > MOST_SECONDS:
        sys.exit("missed")


if __name__ == "__main__":
    main()
