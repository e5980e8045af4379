"""The command line as a whole, in process, with small studies."""

from __future__ import annotations

import contextlib
import io
import random
import sys
from collections.abc import Sequence
from pathlib import Path

from commenv.cli import main
from tests.fuzz.files import pristine, restored, study_folder
from tests.fuzz.mutation import changed
from tests.fuzz.target import MEBIBYTE, Excluded, Target
from tests.fuzz.words import check_harmless, text_of

__all__ = ["TARGETS", "call"]

_MOST = 10
_NUMBERS = (
    *("--agents", "--trials", "--episodes", "--evaluation-episodes", "--workers"),
    *("--max-episode-steps", "--evaluate-every", "--block", "--trial"),
)
_HANDLED = 10_000_000
"""What is larger is refused, so it may be tried."""


class Wrong(BaseException):
    """The command line did what a user must not see."""


def read_command(data: bytes) -> None:
    """Arguments, one a line."""
    words = [text_of(one) for one in data.split(b"\n")]
    _check_small(words)
    folder = Path.cwd()
    try:
        call(words)
    finally:
        for path in folder.iterdir():
            if path.name != "study" and not path.name.startswith("evil"):
                _remove(path)
        if _is_changed(folder / "study"):
            restored(folder / "study")


def call(words: Sequence[str]) -> int:
    """Runs the command line; returns its exit code.

    Raises:
        Wrong: It showed a trace, failed without a word, or failed for lack of memory.
    """
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        path = list(sys.path)
        try:
            code = main(list(words))
        except SystemExit as end:  # argparse's way
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        finally:
            sys.path[:] = path
    err.flush()
    said = err.buffer.getvalue().decode("utf-8", "replace")  # type: ignore[attr-defined]
    if code not in (0, 1, 2) or "Traceback" in said or "Unable to allocate" in said:
        raise Wrong(f"{code}: {said}")
    verdict = len(words) > 0 and words[0].startswith("verify")
    if code and not verdict and len(said.strip()) < 12:
        raise Wrong(f"{code} without a word: {said!r}")
    return code


def _remove(path: Path) -> None:
    import shutil

    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _is_changed(folder: Path) -> bool:
    def listed(root: Path) -> list[tuple[str, int]]:
        files = sorted(root.rglob("*"))
        return [(str(one.relative_to(root)), one.stat().st_size) for one in files]

    return not folder.is_dir() or listed(folder) != listed(pristine())


def _check_small(words: Sequence[str]) -> None:
    """Excludes what a user may well ask for, and a test has no time or place for."""
    check_harmless(",".join(words))
    for word in words:
        if ".." in word or "/" in word.lstrip("=")[:1] or "=/" in word or "~" in word:
            raise Excluded("a path elsewhere")
        if "--traceback".startswith(word.partition("=")[0]) and word.startswith("--t"):
            raise Excluded("a trace that is asked for")
    if words[:1] == ["reproduce"]:
        raise Excluded("figures take minutes; those that are refused have tests")
    if {"--env", "--algorithm"} <= set(words) and "--episodes" not in words:
        raise Excluded("1000 episodes, which are the default")
    for word in words:
        for part in word.replace("=", ",").split(","):
            _check_number(part)


def _check_number(text: str) -> None:
    with contextlib.suppress(ValueError):
        if _MOST < float(text) <= _HANDLED:
            raise Excluded("a long run, or a large world")


_RUN = (
    "run\n--env\nSimpleGrid-v0\n--algorithm\ndql\n--agents\n2\n--trials\n2\n--episodes\n3\n"
    "--evaluation-episodes\n2\n--quiet"
)
_SMALL = _RUN.replace("\n--quiet", "")
_SEEDS = (
    *(
        "list",
        "list\ndql\nalways",
        "--help",
        "show\nstudy",
        "show\nstudy\n--link\nlora",
    ),
    *("verify\nstudy\n--seed\n0\n--quiet", "verify\nstudy\n--block\ndql:0-1"),
    *("evaluate\nstudy\n--episodes\n2\n--label\ndql", "report\nstudy", "--version"),
    *("evaluate\nstudy\n--trial\n1\n--episodes\n2\n--seed\n3", "show\nstudy\nstudy"),
    "plot\nstudy\n--x\nteam_bytes\n--y\nreward\n--out\nsome.svg",
    f"{_RUN}\n--set\nalpha=0.5\n--stop\nuplink_bytes=500\n--gamma\n0.5\n--seed\n7",
    f"{_RUN}\n--uplink-budget\nmessages=1,per=episode\n--codec\nfeedback+top_k,k=2",
    f"{_RUN}\n--out\nnew\n--trace\n--block\n1",
    f"{_SMALL}\n--out\nstudy\n--scheme\nperiodic\n--set\nperiod=2\n--loss\n0.5",
    _RUN.replace("dql", "es") + "\n--set\nes.hidden_sizes=2\n--downlink-codec\nint8",
    _RUN.replace("SimpleGrid-v0", "WindyGrid-v0") + "\n--max-episode-steps\n5",
    f"{_RUN}\n--algorithm\nebcdql\n--evaluate-every\n2\n--workers\n1\n--delay\n2",
)
_WORDS = tuple(
    one.encode()
    for one in (
        *_NUMBERS,
        *(
            "\n",
            "=",
            "0",
            "-1",
            "1",
            "2",
            "1e3",
            "10000000000000",
            "nan",
            "inf",
            "None",
        ),
        *("1" * 5000, "study", "new", "--set\n", "--scheme\nnever\n", "--link\nwifi\n"),
        *(
            "env.size=3",
            "env.no=1",
            "--env\nCartPole-v1\n",
            "--env\nno-v0",
            "dql:0",
            "[]",
        ),
        *("--allow\nx:Y\n", "alpha=", "--y\nsize\n", "--all\n", "-h", "--", "@f", "%s"),
        *(
            "[" * 2000,
            "\ud800".encode("utf-8", "surrogatepass").hex(),
            "--acknowledgements",
        ),
        *(
            "--codec\nint8\n",
            "--stop\nmessages=1\n",
            "--trace\n",
            "--scheme\ntd_error\n",
        ),
        *(
            "--env\nTaxi-v3\n",
            "--algorithm\nfed-dqn\n",
            "--algorithm\ndavia\n",
            "epsilon=",
        ),
    )
)


def changed_words(rng: random.Random, known: Sequence[bytes]) -> bytes:
    """Whole arguments changed, and sometimes their bytes."""
    if rng.random() < 0.3:
        return changed(rng, known, _WORDS)
    words = known[int(rng.random() * len(known))].split(b"\n")
    for _ in range(1 + int(rng.random() * 3)):
        at = int(rng.random() * len(words))
        chance = rng.random()
        if chance < 0.5:
            words[at] = _WORDS[int(rng.random() * len(_WORDS))]
        elif chance < 0.7:
            words.insert(at, _WORDS[int(rng.random() * len(_WORDS))])
        elif chance < 0.85 and len(words) > 1:
            del words[at]
        else:
            words[at] = changed(rng, [words[at]], _WORDS)
    return b"\n".join(words)


TARGETS = (
    Target(
        "command",
        read_command,
        lambda: [one.encode() for one in _SEEDS],
        (),
        changes=changed_words,
        surroundings=study_folder,
        room=2048 * MEBIBYTE,
        seconds=30.0,
        share=1,
    ),
)
