"""What somebody has prepared is refused in a line, and nothing else is touched."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import sys

import pytest

pytest.importorskip("pandas")
pytest.importorskip("pyarrow")
if not hasattr(os, "mkfifo"):
    pytest.skip("no pipes here", allow_module_level=True)

import commenv
from commenv.cli import main
from commenv.errors import CommenvError
from tests.strangers import PREPARED, contents, outside_of

HANG = 120
SETTINGS = {"num_agents": 2, "num_trials": 2, "num_episodes": 3, "block": 1}
RUN = (
    *("run", "--env", "SimpleGrid-v0", "--algorithm", "dql", "--agents", "2"),
    *("--trials", "2", "--episodes", "3", "--block", "1", "--quiet", "--out", "study"),
)
COMMANDS = (
    *(("show", "study"), ("show", "study", "--link", "lora"), ("plot", "study")),
    *(("verify", "study", "--quiet"), ("evaluate", "study", "--episodes", "1")),
    *(("report", "study"), RUN),
)
MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A study of which a block is still to be run."""
    out = tmp_path_factory.mktemp("strangers") / "study"
    commenv.run("SimpleGrid-v0", "dql", out=out, progress=False, **SETTINGS)
    for path in out.glob("*/00-dql/trials-00001-*"):
        path.unlink()
    return out


@pytest.fixture
def alarm():
    """What takes far too long ends the test."""

    def hang(number, frame):
        raise AssertionError(f"it takes more than {HANG} s")

    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(HANG)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def prepared(name, whole, tmp_path):
    outside = outside_of(tmp_path, whole)
    folder = shutil.copytree(whole, tmp_path / "study")
    PREPARED[name](folder, outside)
    return outside


@pytest.mark.parametrize("name", PREPARED)
@pytest.mark.usefixtures("alarm")
def test_a_prepared_folder_is_refused_and_nothing_outside_is_touched(
    name, whole, tmp_path, monkeypatch, capsys, caplog
):
    outside = prepared(name, whole, tmp_path)
    monkeypatch.chdir(tmp_path)
    before = contents(outside)
    caplog.set_level(logging.CRITICAL)
    failed = 0
    for words in COMMANDS:
        code = main(list(words))
        said = capsys.readouterr()
        assert code in (0, 1), said
        errors = [one for one in said.err.splitlines() if one.startswith("commenv:")]
        if code and words[0] != "verify":
            assert len(errors) == 1, said
            assert len(errors[0]) > len("commenv: "), said
        if words != ("report", "study"):  # there is none
            failed += code
    if failed:
        for read in (commenv.load_policy, commenv.load):
            with contextlib.suppress(CommenvError):
                read("study")
    assert contents(outside) == before


MEASURED = """
import os, re, sys
from commenv.cli import main
for name in sys.argv[1:]:
    os.chdir(name)
    for words in {commands}:
        main(list(words))
print(1024 * int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="no such measure of memory")
def test_no_prepared_folder_takes_much_memory(whole, tmp_path):
    for name in PREPARED:
        if name.split()[0] in ("sparse", "bomb", "nested", "endless"):
            (tmp_path / name.replace("/", " ")).mkdir()
            prepared(name, whole, tmp_path / name)
    code = MEASURED.format(commands=COMMANDS)
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, tmp_path.iterdir())],
        capture_output=True,
        text=True,
        timeout=HANG * 5,
        check=True,
    )
    most = int(done.stdout.splitlines()[-1])
    assert most < 500 * MEBIBYTE, f"{most / MEBIBYTE:.0f} MiB"
