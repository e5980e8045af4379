"""The options of the command line."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import commenv
from commenv.cli_channel import add_channel_options
from commenv.errors import shown

__all__ = ["USAGE", "make_parser", "say"]

USAGE = 2
"""The exit code of a mistake in the usage."""

_MOST_SAID = 4000

Command = Callable[[argparse.Namespace], int | None]


def say(text: str) -> None:
    """One line on standard error."""
    with contextlib.suppress(OSError):  # a terminal may be gone, a log's disk full
        print(shown(text, _MOST_SAID), file=sys.stderr)


def make_parser(commands: Mapping[str, Command]) -> argparse.ArgumentParser:
    """The parser of all commands.

    Args:
        commands: What to call for each of them, by name. The call's argument holds the
            options, and ``interrupted``: what to say if it is interrupted. It
            returns the exit code; None is 0.
    """
    parser = _Parser(
        prog="commenv",
        description="Communication-efficient reinforcement learning: run studies, "
        "show their numbers, plot their curves.",
    )
    parser.add_argument("--version", action="version", version=commenv.__version__)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--traceback", action="store_true", help="show where an error comes from"
    )
    common.set_defaults(interrupted="repeat the same command")
    subparsers: Any = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (text, add_options) in _COMMANDS.items():
        sub = subparsers.add_parser(name, help=text, description=text, parents=[common])
        sub.set_defaults(command=commands[name])
        add_options(sub)
    return parser


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        say(f"{self.prog}: {message} (see {self.prog} --help)")
        sys.exit(USAGE)


def _add_run_options(run: argparse.ArgumentParser) -> None:
    study = run.add_argument_group("what to run (repeat an option for a product)")
    for name, default, text in (
        ("--env", None, "Gymnasium id"),
        ("--algorithm", None, "name, or module:Class"),
        ("--scheme", None, "name, or module:Class; default: the algorithm's own"),
    ):
        study.add_argument(
            name,
            action="append",
            default=default,
            metavar="NAME",
            required=name != "--scheme",
            help=text,
        )
    study.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting: alpha=0.5, dql.alpha=0.5, or env.size=7",
    )
    numbers: tuple[tuple[str, Any, Any, str], ...] = (
        ("--agents", int, 5, "agents of each trial"),
        ("--trials", int, 20, "independent training runs"),
        ("--episodes", int, 1000, "rounds of each trial"),
        ("--gamma", float, 0.9, "discount"),
        ("--seed", int, 0, "of all random draws"),
        ("--max-episode-steps", int, None, "time limit; default: the environment's"),
        ("--evaluate-every", int, 1, "rounds from one evaluation to the next"),
        ("--evaluation-episodes", int, 10, "where there are no tables to be exact"),
    )
    for name, kind, default, text in numbers:
        shown = "" if default is None else f" (default {default})"
        study.add_argument(
            name, type=kind, default=default, metavar="N", help=text + shown
        )
    add_channel_options(run)
    study.add_argument(
        "--stop",
        action="append",
        default=[],
        metavar="TOTAL=N",
        help="stop a trial once its total per agent reaches N: uplink_bytes=1e6, "
        "total_bytes, messages or env_steps",
    )
    how = run.add_argument_group("how to run it (no number depends on these)")
    how.add_argument("--out", metavar="DIR", help="results folder, new or to go on in")
    _add_backend(how)
    how.add_argument(
        "--actors",
        type=int,
        metavar="N",
        help="with --backend ray: spread the agents of each block over N actors, and "
        "run the blocks one after the other",
    )
    how.add_argument("--block", type=int, metavar="N", help="trials that run together")
    how.add_argument(
        "--checkpoint-episodes",
        type=int,
        metavar="N",
        help="keep the state of what is running after each N episodes, too",
    )
    how.add_argument(
        "--checkpoint-minutes",
        type=float,
        default=1.0,
        metavar="M",
        help="and after each M minutes; inf keeps none (default 1)",
    )
    how.add_argument(
        "--trace",
        action="store_true",
        help="keep every step and message in DIR/trace; a study that is gone on with "
        "must keep to it",
    )
    how.add_argument("--quiet", action="store_true", help="no progress")


def _add_backend(group: Any) -> None:
    """Adds where the blocks of trials run."""
    group.add_argument(
        "--backend",
        metavar="NAME",
        help="local (in this process, the default), processes (the default for more "
        "than one worker), or ray (tasks of a Ray cluster, or of a Ray of its own)",
    )
    group.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="blocks at a time (default: 1; with --backend, all processors)",
    )
    group.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="with --backend ray: the cluster to join, or auto for the one that runs "
        "on this machine",
    )


def _add_evaluate_options(evaluate: argparse.ArgumentParser) -> None:
    evaluate.add_argument("directory", metavar="DIR", help="results folder")
    evaluate.add_argument("--label", help="one label; default: all")
    evaluate.add_argument("--trial", type=int, metavar="N", help="one trial")
    evaluate.add_argument(
        "--episodes", type=int, default=100, metavar="N", help="of each (default 100)"
    )
    evaluate.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the episodes (default 0)"
    )
    evaluate.add_argument(
        "--render", metavar="FILE", help="draw an episode of the first label: .gif"
    )
    _add_allow(evaluate)


def _add_allow(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="MODULE:NAME",
        help="import this name that the folder's settings hold (repeat for several); "
        "importing runs code, so allow what you trust",
    )


def _add_verify_options(verify: argparse.ArgumentParser) -> None:
    verify.add_argument("directory", metavar="DIR", help="results folder")
    which = verify.add_mutually_exclusive_group()
    which.add_argument(
        "--block",
        metavar="LABEL:TRIALS",
        help="the block to run again, such as dql:0-24, or dql:7 for the one with that "
        "trial; default: one drawn at random",
    )
    which.add_argument(
        "--seed", type=int, metavar="N", help="of that draw, to repeat one"
    )
    which.add_argument("--all", action="store_true", help="run all blocks again")
    _add_allow(verify)
    verify.add_argument("--quiet", action="store_true", help="no progress")
    verify.epilog = (
        "Exit code 0: it holds; 1: something is wrong; 3: nothing is, but it cannot be "
        "run again here, so it is not decided."
    )


def _add_reproduce_options(reproduce: argparse.ArgumentParser) -> None:
    reproduce.add_argument(
        "figures",
        nargs="+",
        metavar="FIGURE",
        help="3.4, 3.5, 4.1, 4.2, 4.3, 4.5 ... 4.11, or all",
    )
    reproduce.add_argument(
        "--scale",
        default="quick",
        metavar="SCALE",
        help="quick (to see it work, the default), paper (the thesis' own), or report "
        "(as in REPRODUCTION.md, with more trials)",
    )
    reproduce.add_argument(
        "--trials", type=int, metavar="N", help="trials; default: the scale's"
    )
    reproduce.add_argument(
        "--episodes", type=int, metavar="N", help="rounds; default: the scale's"
    )
    reproduce.add_argument(
        "--agents", type=float, metavar="SHARE", help="share of the thesis' agents"
    )
    reproduce.add_argument("--seed", type=int, default=4, metavar="N", help="default 4")
    _add_backend(reproduce)
    reproduce.add_argument(
        "--out", default="reproduction", metavar="DIR", help="default: reproduction"
    )
    reproduce.add_argument("--quiet", action="store_true", help="no progress")


def _add_plot_options(plot: argparse.ArgumentParser) -> None:
    _add_directories(plot)
    plot.add_argument(
        "--x",
        default="episode",
        metavar="AXIS",
        help="episode, env_steps, team_steps, messages, uplink_bytes, team_bytes, "
        "total_bytes, or a column of amounts, added up (refused, lost, ...)",
    )
    plot.add_argument(
        "--y",
        action="append",
        metavar="AXIS",
        help="a column of numbers: evaluation, reward, episode_return, frequency, "
        "size, messages, refused ... (a wrong name lists them all), or "
        "cumulative_reward; repeat for several panels (default: reward, frequency and "
        "size)",
    )
    plot.add_argument(
        "--out", metavar="FILE", help=".png, .svg or .pdf (default: DIR/curves.png)"
    )


def _add_list_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "names", nargs="*", metavar="NAME", help="explain these, with their settings"
    )


def _add_directories(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("directories", nargs="+", metavar="DIR", help="results folder")


def _add_show_options(show: argparse.ArgumentParser) -> None:
    _add_directories(show)
    show.add_argument(
        "--link",
        action="append",
        default=[],
        metavar="LINK",
        help="also say what the messages cost on a link, in seconds on air and joules: "
        "lora (Semtech's SX1276), lte (a telephone on 4G), wifi (802.11a that loses "
        "frames), with settings as in lora,spreading_factor=12; or a table of your "
        "own, FILE.csv with the columns bytes,seconds,joules (repeat for several; "
        "python -m pydoc commenv.study.cost.lora lists settings and sources, likewise "
        "lte, wifi and measured)",
    )


def _add_report_options(report: argparse.ArgumentParser) -> None:
    report.add_argument("directory", metavar="DIR", help="what reproduce wrote to")
    report.add_argument(
        "--out", metavar="FILE", help="the page; default: DIR/REPRODUCTION.md"
    )
    report.add_argument(
        "--images", metavar="DIR", help="for pictures; default: images, beside the page"
    )


_COMMANDS: Mapping[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "list": ("list environments, algorithms and schemes", _add_list_options),
    "run": ("run a study, or go on with one", _add_run_options),
    "show": ("print the numbers of one or more studies", _add_show_options),
    "plot": ("draw the curves of one or more studies", _add_plot_options),
    "evaluate": ("play a study's trained policies again", _add_evaluate_options),
    "verify": (
        "check a study's files and sums, and run one of its blocks again",
        _add_verify_options,
    ),
    "reproduce": ("run figures of the thesis again", _add_reproduce_options),
    "report": ("write a page about reproduced figures", _add_report_options),
}
