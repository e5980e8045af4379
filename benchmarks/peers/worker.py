"""A process that takes its turns: one contestant, pinned to its cores.

The driver starts it with the Python of the contestant's own environment. It answers on
its output with one JSON object a line: first the versions of what it measures, then,
for each number of calls that it reads, the environment steps that they took and their
seconds, by the clock and of processor time, and what was reached in the last one, where
``run`` has an attribute ``score``.

    python worker.py CORE[,CORE...] MODULE CONTESTANT SETTINGS
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any


def main(cores: str, module: str, contestant: str, settings: str) -> None:
    # Before anything is imported that counts the cores to make as many threads.
    os.sched_setaffinity(0, map(int, cores.split(",")))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer

    def answer(**fields: Any) -> None:
        print(json.dumps(fields), file=answers, flush=True)

    peer = importlib.import_module(module)
    run = getattr(peer, contestant)(**json.loads(settings))
    answer(versions={package: version(package) for package in peer.PACKAGES})
    own_clock = getattr(peer, "OWN_CLOCK", False)
    for line in sys.stdin:
        calls = json.loads(line)["calls"]
        steps, clock, processor = run(calls) if own_clock else timed(run, calls)
        score = getattr(run, "score", None)
        answer(steps=steps, clock=clock, processor=processor, score=score)


def timed(run: Callable[[int], int], calls: int) -> tuple[int, float, float]:
    clock, processor = time.perf_counter(), time.process_time()
    steps = run(calls)
    return steps, time.perf_counter() - clock, time.process_time() - processor


if __name__ == "__main__":
    main(*sys.argv[1:])
