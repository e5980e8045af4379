"""What is made of results: comparisons, frontiers, costs, verdicts, statistics."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from tests.golden import library
from tests.golden.case import Case, Log, Numbers
from tests.golden.library import SIMPLE, channel, lossy
from tests.golden.studies import scratch

NEEDS = ("pandas", "pyarrow", "safetensors", "scipy")
A, B = "dql", "ebcdql"
TABLE = "bytes,seconds,joules\n16,0.01,0.002\n116,0.06,0.012\n20000,0.16,0.112\n"


@cache
def results() -> Any:
    """Two labels of 12 trials, over a link that loses messages."""
    return library.run_study(
        SIMPLE,
        [A, B],
        trials=12,
        rounds=30,
        settings={"env.size": 4},
        uplink=channel(link=lossy(0.2), acknowledgements=True),
    )


@cache
def others() -> Any:
    """The same of another seed, whose trials are no pairs."""
    return library.run_study(
        SIMPLE,
        {"other": A},
        trials=10,
        rounds=30,
        seed=1,
        settings={"env.size": 4},
        uplink=channel(link=lossy(0.2)),
    )


def comparisons() -> Numbers:
    log = Log()
    for name, how in {
        "last": {},
        "round 10": {"at": {"rounds": 10}},
        "up bytes": {"at": {"up bytes": 2000.0}},
        "reach": {"reach": -8.0},
        "reach in steps": {"reach": -8.0, "at": {"steps": 300.0}},
        "senders": {"y": library.COLUMNS["senders"]},
        "bounds": {"y": library.COLUMNS["return"], "bounds": (-30.0, 0.0)},
    }.items():
        library.log_comparison(log, name, results(), A, B, **how)
    return log.numbers()


def unpaired() -> Numbers:
    log = Log()
    both = results() + others()
    library.log_comparison(log, "last", both, A, "other")
    library.log_comparison(log, "reach", both, A, "other", reach=-8.0)
    return {**log.numbers(), **library.frontier_numbers(both, "messages")}


def costs(profile: str) -> Numbers:
    with scratch() as folder:
        path = Path(folder, "mine.csv")
        path.write_text(TABLE)
        profiles = library.link_profiles(path)
        return library.cost_numbers(results(), profiles[profile])


def played() -> Numbers:
    with scratch() as folder:
        library.run_study(
            SIMPLE, [A, "es"], settings={"env.size": 4, "hidden_sizes": [4]}, out=folder
        )
        return library.played_again(folder, 3)


def _case(name: str, run: Any, *needs: str) -> Case:
    return Case(f"results/{name}", run, exact=False, needs=(*NEEDS, *needs))


CASES = [
    _case("study", lambda: library.result_numbers(results())),
    _case("comparisons", comparisons),
    _case("unpaired", unpaired),
    *(
        _case(f"frontier/{axis}", lambda x=axis: library.frontier_numbers(results(), x))
        for axis in library.SPENT
    ),
    *(
        _case(
            f"times/{axis}", lambda x=axis: library.arrival_numbers(results(), -9.0, x)
        )
        for axis in library.SPENT
    ),
    *(
        _case(f"cost/{profile}", lambda p=profile: costs(p))
        for profile in library.link_profiles("")
    ),
    _case("verdicts", lambda: library.verdict_numbers(results(), A, B)),
    _case("statistics", library.statistics_numbers),
    _case("played", played),
]
