from __future__ import annotations

import argparse

import pytest

from commenv.cli.options import make_parser
from commenv.cli.parser import Parser

COMMANDS = (
    *("list", "run", "show", "plot", "frontier", "evaluate"),
    *("merge", "verify", "reproduce", "report"),
)
# What each command needs besides the option at hand.
NEEDED = {
    "run": ["--env", "E", "--algorithm", "A"],
    "show": ["DIR"],
    "plot": ["DIR"],
    "frontier": ["DIR"],
    "evaluate": ["DIR"],
    "merge": ["OUT", "DIR"],
    "verify": ["DIR"],
    "reproduce": ["4.7"],
    "report": ["DIR"],
}


def parser():
    return make_parser(dict.fromkeys(COMMANDS, lambda options: 0))


def commands():
    """The sub-parser of each command."""
    [action] = [
        one for one in parser()._actions if isinstance(one, argparse._SubParsersAction)
    ]
    return action.choices


OPTIONS = [
    (command, action)
    for command, sub in commands().items()
    for action in sub._actions
    if action.option_strings and action.dest != "help"
]
IDS = [f"{command} {action.option_strings[-1]}" for command, action in OPTIONS]


def values_of(action):
    """Two values that the option takes."""
    if action.choices:
        return [*action.choices][:2]
    return ["1", "2"] if action.type else ["one", "two"]


def parse(capsys, command, *words):
    try:
        return parser().parse_args([command, *words, *NEEDED.get(command, [])]), ""
    except SystemExit:
        return None, capsys.readouterr().err


def given_twice(action, first, second):
    name = action.option_strings[-1]
    return [name, name] if action.nargs == 0 else [name, first, name, second]


def test_the_commands_are_those_that_are_tried_here():
    assert sorted(commands()) == sorted(COMMANDS)


@pytest.mark.parametrize(("command", "action"), OPTIONS, ids=IDS)
def test_an_option_that_does_not_accumulate_is_given_once(capsys, command, action):
    options, said = parse(capsys, command, *given_twice(action, *values_of(action)))
    if isinstance(action, argparse._AppendAction):
        expected = list(map(action.type or str, values_of(action)))
        assert getattr(options, action.dest)[:2] == expected
        return
    name = action.option_strings[-1]
    assert said.startswith(f"commenv {command}: {name} is given twice; give it once")
    assert said.count("\n") == 1


@pytest.mark.parametrize(("command", "action"), OPTIONS, ids=IDS)
def test_the_same_value_twice_is_refused(capsys, command, action):
    options, said = parse(
        capsys, command, *given_twice(action, *values_of(action)[:1] * 2)
    )
    assert options is None
    assert "is given twice; give it once" in said


@pytest.mark.parametrize(("command", "action"), OPTIONS, ids=IDS)
def test_no_option_is_abbreviated(capsys, command, action):
    name = action.option_strings[-1]
    if action.nargs == 0 or len(name) < 5:
        return
    options, said = parse(capsys, command, name[:-1], values_of(action)[0])
    assert options is None
    assert f"unknown option {name[:-1]}; did you mean" in said
    assert name in said


@pytest.mark.parametrize(("command", "action"), OPTIONS, ids=IDS)
def test_every_option_says_its_default(command, action):
    text = " ".join((action.help or "").split())
    if action.required:
        assert "(no default)" in text
    else:
        assert "(default" in text
    if action.default not in (None, [], "", False):
        shown = f"{action.default:g}" if isinstance(action.default, float) else ""
        assert text.endswith(f"(default {shown or action.default})")
    assert action.metavar or action.choices or action.nargs == 0


def test_an_argument_without_a_name_is_given_once(capsys):
    options, said = parse(capsys, "show", "DIR")
    assert (options, said.partition(" (see")[0]) == (
        None,
        "commenv show: 'DIR' is given twice; give it once",
    )


def test_what_is_left_over_is_named(capsys):
    _, said = parse(capsys, "evaluate", "another")
    assert said.startswith("commenv evaluate: unexpected 'DIR'")


def test_values_may_look_like_options(capsys):
    options, _ = parse(capsys, "run", "--gamma", "-0.5", "--set=--x=1")
    assert (options.gamma, options.set) == (-0.5, ["--x=1"])
    options, _ = parse(capsys, "list", "--", "--odd")
    assert options.names == ["--odd"]


def test_a_parser_forgets_what_an_earlier_line_gave():
    one = Parser()
    one.add_argument("--n", type=int)
    assert [one.parse_args(["--n", "3"]).n for _ in range(2)] == [3, 3]
