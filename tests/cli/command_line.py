"""Calls of the command line, in this process."""

from __future__ import annotations

import re

from commenv.cli import main

SMALL = ("--agents", "2", "--trials", "4", "--episodes", "3", "--quiet")
# What a run without --out says first and last.
FIRST = "no results folder is named, so this run will keep nothing\n"
LAST = (
    "nothing was kept: to plot, compare or evaluate these results, run the same "
    "command with --out DIR\n"
)
GRID = ("--env", "SimpleGrid-v0", "--algorithm", "dql", "--set", "env.size=4")


def call(capsys, *arguments):
    """Exit code, standard output and standard error."""
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as end:
        code = end.code
    return code, *capsys.readouterr()


def run(capsys, *arguments):
    """Runs a study that is small in what the arguments do not say."""
    sizes = zip(SMALL[:-1:2], SMALL[1::2], strict=True)
    own = [word for pair in sizes if pair[0] not in arguments for word in pair]
    return call(capsys, "run", *own, "--quiet", *arguments)


def refused(outcome, code, *words):
    """Whether it failed as it should, with one line that says why."""
    assert outcome[0] == code
    assert outcome[1] == ""
    assert outcome[2].startswith("commenv")
    assert outcome[2].count("\n") == 1
    assert "Traceback" not in outcome[2]
    for word in words:
        assert re.search(word, outcome[2]), (word, outcome[2])
