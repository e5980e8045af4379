"""The same targets led by coverage: ``python -m tests.fuzz.guided message``.

It needs Atheris (``make fuzz`` has it in an environment of its own). What reaches new
code of this package is changed further; findings are stored as by the plain driver.
"""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["commenv", "commenv_baselines"]):
    from tests.fuzz.engine import attempt, store
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Runs libFuzzer on one target; it ends the process by itself."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.guided")
    parser.add_argument("target", choices=list(TARGETS))
    parser.add_argument("--runs", type=int, default=100_000, help="default 100000")
    parser.add_argument("--seed", type=int, default=1, help="default 1")
    parser.add_argument("--found", default="fuzz-findings", help="folder for findings")
    options = parser.parse_args()
    warnings.simplefilter("error")
    logging.disable()
    target = TARGETS[options.target]
    own = Path(options.found).resolve() / target.name
    corpus = own / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    with target.prepared():
        for position, seed in enumerate(target.corpus()):
            (corpus / f"seed-{position:03d}").write_bytes(seed)

        def test_one(data: bytes) -> None:
            try:
                attempt(target, data)
            except BaseException as error:
                print(f"FOUND {target.name}: {store(own, data, error)}")
                raise

        arguments = [f"-runs={options.runs}", f"-seed={options.seed}", "-max_len=65536"]
        arguments += [f"-timeout={int(target.seconds)}", "-rss_limit_mb=4096"]
        arguments += [f"-artifact_prefix={own}/", "-print_final_stats=1", str(corpus)]
        atheris.Setup([sys.argv[0], *arguments], test_one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
