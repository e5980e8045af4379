"""How soon each finder meets faults that are planted: ``python -m tests.fuzz.planted``.

Ten readers get a fault each, such as a check that is left out. The engine of this
package, Hypothesis, and Atheris where ``make .venv-fuzz/.stamp`` has installed it, look
for each of them for the same time. The table says after how many seconds it was found.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

_ATHERIS = Path(".venv-fuzz/bin/python")
_FOUND = "planted fault found after"
_MOST_BYTES = 2**28
_SET_UP = 60.0


class Fault(NamedTuple):
    """What is planted.

    Attributes:
        target: Whose reader has it.
        where: ``module:attribute``, which is replaced.
        made: Makes the replacement of what stood there.
    """

    target: str
    where: str
    made: Callable[[Any], Any]


def _allocating(original: Any) -> Any:
    def decode(code: int, data: Any) -> Any:
        from commenv.channel import payload

        array = payload.msgspec.msgpack.decode(data, type=payload._Array)
        if math.prod(array.shape) > _MOST_BYTES:  # as np.empty(shape) would say
            raise MemoryError
        return original(code, data)

    return decode


def _asserting_the_code(original: Any) -> Any:
    def decode(code: int, data: Any) -> Any:
        from commenv.channel import payload

        assert code == payload._ARRAY
        return original(code, data)

    return decode


def _without_a_check(original: Any) -> Any:
    return lambda *arguments: None


def _counting_records(original: Any) -> Any:
    return lambda incoming, size: incoming.sizes // size


def _looking_up_ranges(original: Any) -> Any:
    def manifest_of(path: Any, data: bytes) -> Any:
        manifest = original(path, data)
        for label in manifest.optima:
            manifest.ranges[label]
        return manifest

    return manifest_of


def _asserting_digests(original: Any) -> Any:
    def packed(seal: Any) -> bytes:
        assert all(len(one.sha256) == 64 for one in seal.files.values())
        return original(seal)

    return packed


def _popping_any_name(original: Any) -> Any:
    def array(arrays: Any, reference: Any) -> Any:
        if isinstance(reference, list) and reference and isinstance(reference[0], str):
            arrays[reference[0]]
        return original(arrays, reference)

    return array


def _without_a_limit(original: Any) -> Any:
    def value_of(text: str) -> Any:
        if text.startswith(("[", "{")):
            json.loads(text)
        return original(text)

    return value_of


def _looking_up_arrays(original: Any) -> Any:
    def check(path: Any, memory: Any, count: int, like: Any) -> None:
        for name in memory:
            like[name]
        original(path, memory, count, like)

    return check


def _looking_up_directions(original: Any) -> Any:
    def check_sizes(frame: Any) -> None:
        places = {"uplink": 0, "downlink": 1, "acknowledgement": 2}
        for direction in frame["direction"] if "direction" in frame.columns else ():
            if isinstance(direction, str):
                places[direction]
        original(frame)

    return check_sizes


_CHANNEL, _STORAGE = "commenv.channel", "commenv.study.storage"
FAULTS = {
    "unbounded allocation": Fault(
        "payload", f"{_CHANNEL}.payload:_decode_array", _allocating
    ),
    "assertion on a kind": Fault(
        "payload", f"{_CHANNEL}.payload:_decode_array", _asserting_the_code
    ),
    "unchecked positions": Fault(
        "message", f"{_CHANNEL}.codecs.selected:_check_positions", _without_a_check
    ),
    "unchecked length": Fault(
        "message", f"{_CHANNEL}.codecs.records:whole_records", _counting_records
    ),
    "label without ranges": Fault(
        "manifest", f"{_STORAGE}.manifest:_manifest_of", _looking_up_ranges
    ),
    "assertion on a digest": Fault(
        "seal", f"{_STORAGE}.checksums:_packed", _asserting_digests
    ),
    "unknown array": Fault("state", f"{_STORAGE}.checkpoint:_array", _popping_any_name),
    "deep nesting": Fault("value", "tests.fuzz.words:value_of", _without_a_limit),
    "unknown weights": Fault(
        "policies", f"{_STORAGE}.weights:_check", _looking_up_arrays
    ),
    "unknown direction": Fault(
        "sizes", f"{_STORAGE}.stored_block:check_sizes", _looking_up_directions
    ),
}


class _Over(BaseException):
    """The time is over."""


def _by_engine(target: Any, seed: int, seconds: float) -> bool:
    from tests.fuzz.engine import fuzz

    findings = fuzz(target, 10**9, seconds, seed, None)
    return any(not tally.seconds for _, _, tally in findings)


def _by_hypothesis(target: Any, number: int, seconds: float) -> bool:
    from hypothesis import HealthCheck, Phase, given, seed, settings

    from tests.fuzz.engine import attempt
    from tests.fuzz.strategies import inputs_of

    began = time.monotonic()

    @seed(number)
    @settings(
        max_examples=10**7,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs_of(target))
    def search(data: bytes) -> None:
        if time.monotonic() - began > seconds:
            raise _Over
        attempt(target, data)

    try:
        search()
    except _Over:
        return False
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return True
    return False


def _by_atheris(target: Any, seed: int, seconds: float) -> bool:
    import atheris

    from tests.fuzz.engine import attempt

    began = time.monotonic()

    def search(data: bytes) -> None:
        try:
            attempt(target, data)
        except BaseException:
            print(f"{_FOUND} {time.monotonic() - began:.2f}", flush=True)
            raise

    with tempfile.TemporaryDirectory() as corpus:
        for position, one in enumerate(target.corpus()):
            (Path(corpus) / f"seed-{position:03d}").write_bytes(one)
        arguments = [f"-seed={seed + 1}", f"-max_total_time={math.ceil(seconds)}"]
        arguments += ["-max_len=65536", f"-artifact_prefix={corpus}/", corpus]
        atheris.Setup([sys.argv[0], *arguments], search)
        atheris.Fuzz()  # ends the process
    return False


FINDERS = {"engine": _by_engine, "hypothesis": _by_hypothesis, "atheris": _by_atheris}


def _search(finder: str, name: str, seed: int, seconds: float) -> None:
    """Looks for one fault in this process; says if it was found, and when."""
    fault = FAULTS[name]
    if finder == "atheris":
        import atheris

        with atheris.instrument_imports(include=["commenv", "commenv_baselines"]):
            from tests.fuzz.targets import TARGETS
    else:
        from tests.fuzz.targets import TARGETS
    warnings.simplefilter("error")
    logging.disable()
    target = TARGETS[fault.target]
    module, _, attribute = fault.where.partition(":")
    original = getattr(sys.modules[module], attribute)
    with (
        target.prepared(),
        patch.object(sys.modules[module], attribute, fault.made(original)),
    ):
        began = time.monotonic()
        if FINDERS[finder](target, seed, seconds):
            print(f"{_FOUND} {time.monotonic() - began:.2f}", flush=True)


def _seconds(job: tuple[str, str, int, float]) -> str:
    """After how many seconds a finder in a process of its own found a fault."""
    finder, name, seed, seconds = job
    python = str(_ATHERIS) if finder == "atheris" else sys.executable
    words = [python, "-m", "tests.fuzz.planted", "--search", finder, name]
    words += ["--seeds", str(seed), "--seconds", str(seconds)]
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds + _SET_UP,
        )
    except subprocess.TimeoutExpired:
        return "-"
    if "Traceback" in done.stderr and finder != "atheris":
        return "failed: " + done.stderr.strip().splitlines()[-1][:60]
    found = [line for line in done.stdout.splitlines() if line.startswith(_FOUND)]
    return found[0].rpartition(" ")[2] if found else "-"


def main() -> None:
    """Prints the table: a row for each fault, a column for each finder and seed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.planted")
    parser.add_argument("--seconds", type=float, default=20.0, help="default 20")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--jobs", type=int, default=1, help="at a time; default 1")
    parser.add_argument("--search", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.search:
        _search(*options.search, options.seeds[0], options.seconds)
        return
    finders = [one for one in FINDERS if one != "atheris" or _ATHERIS.exists()]
    columns = [(finder, seed) for finder in finders for seed in options.seeds]
    print(" " * 24 + "".join(f"{finder + ' ' + str(n):>14}" for finder, n in columns))
    counts = [0] * len(columns)
    with ThreadPoolExecutor(options.jobs) as pool:
        for name in FAULTS:
            jobs = [(finder, name, n, options.seconds) for finder, n in columns]
            row = list(pool.map(_seconds, jobs))
            counts = [n + one[0].isdigit() for n, one in zip(counts, row, strict=True)]
            print(f"{name:<24}" + "".join(f"{one:>14}" for one in row), flush=True)
    print(f"{'found':<24}" + "".join(f"{count:>14}" for count in counts))


if __name__ == "__main__":
    main()
