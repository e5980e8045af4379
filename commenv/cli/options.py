"""The options of the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

import commenv
from commenv.cli.parser import Parser
from commenv.cli.run_options import add_backend, add_quiet, add_run_options

__all__ = ["make_parser"]

Command = Callable[[argparse.Namespace], int | None]


def make_parser(commands: Mapping[str, Command]) -> argparse.ArgumentParser:
    """The parser of all commands.

    Args:
        commands: What to call for each of them, by name. The call's argument holds the
            options, and ``interrupted``: what to say if it is interrupted. It
            returns the exit code; None is 0.
    """
    parser = Parser(
        prog="commenv",
        description="Communication-efficient reinforcement learning: run studies, "
        "show their numbers, plot their curves.",
    )
    parser.add_argument("--version", action="version", version=commenv.__version__)
    common = Parser(add_help=False)
    common.add_argument(
        "--traceback",
        action="store_true",
        help="show where an error comes from (default: one line)",
    )
    common.set_defaults(interrupted="repeat the same command")
    subparsers: Any = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (text, add_options) in _COMMANDS.items():
        sub = subparsers.add_parser(name, help=text, description=text, parents=[common])
        sub.set_defaults(command=commands[name])
        add_options(sub)
    return parser


def _add_evaluate_options(evaluate: argparse.ArgumentParser) -> None:
    evaluate.add_argument("directory", metavar="DIR", help="results folder")
    evaluate.add_argument("--label", metavar="LABEL", help="one label (default: all)")
    evaluate.add_argument(
        "--trial", type=int, metavar="N", help="number of one trial (default: all)"
    )
    evaluate.add_argument(
        "--episodes",
        type=int,
        default=100,
        metavar="N",
        help="episodes of each policy (default 100)",
    )
    evaluate.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="of the episodes' draws, a whole number from 0 (default 0)",
    )
    evaluate.add_argument(
        "--render",
        metavar="FILE",
        help="draw an episode of the first label: .gif (default: no picture)",
    )
    _add_allow(evaluate)


def _add_allow(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="MODULE:NAME",
        help="import this name that the folder's settings hold (repeat for several); "
        "importing runs code, so allow what you trust (default: none)",
    )


def _add_verify_options(verify: argparse.ArgumentParser) -> None:
    verify.add_argument("directory", metavar="DIR", help="results folder")
    which = verify.add_mutually_exclusive_group()
    which.add_argument(
        "--block",
        metavar="LABEL:TRIALS",
        help="the block to run again, such as dql:0-24, or dql:7 for the one with that "
        "trial (default: one drawn at random)",
    )
    which.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="of that draw, to repeat one (default: another each time)",
    )
    which.add_argument(
        "--all", action="store_true", help="run all blocks again (default: one)"
    )
    _add_allow(verify)
    add_quiet(verify)
    verify.epilog = (
        "Exit code 0: it holds; 1: something is wrong; 3: nothing is, but it cannot be "
        "run again here, so it is not decided."
    )


def _add_reproduce_options(reproduce: argparse.ArgumentParser) -> None:
    reproduce.add_argument(
        "figures",
        nargs="+",
        metavar="FIGURE",
        help="its number, such as 3.4 (a wrong one lists them), or all",
    )
    reproduce.add_argument(
        "--scale",
        default="quick",
        metavar="SCALE",
        help="quick (to see it work), paper (as published), or report (as on the page "
        "that commenv report writes, with more trials) (default quick)",
    )
    reproduce.add_argument(
        "--trials",
        type=int,
        metavar="N",
        help="trials of each curve (default: the scale's)",
    )
    reproduce.add_argument(
        "--episodes",
        type=int,
        metavar="N",
        help="rounds of each trial (default: the scale's)",
    )
    reproduce.add_argument(
        "--agents",
        type=float,
        metavar="SHARE",
        help="share of the published number of agents, above 0 to 1 (default: the "
        "scale's)",
    )
    reproduce.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="of all random draws, a whole number from 0 (default: the reproduction's)",
    )
    _add_reproduction(reproduce)
    add_backend(reproduce)
    reproduce.add_argument(
        "--out",
        default="reproduction",
        metavar="DIR",
        help="where figures go, a folder each (default reproduction)",
    )
    add_quiet(reproduce)


def _add_reproduction(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--reproduction",
        metavar="NAME",
        help="whose figures: a name that a package has registered, or module:name "
        "(default: the one that is installed)",
    )


def _add_plot_options(plot: argparse.ArgumentParser) -> None:
    _add_directories(plot)
    plot.add_argument(
        "--x",
        default="episode",
        metavar="AXIS",
        help="episode, env_steps, messages, uplink_bytes or total_bytes, per agent; "
        "team_steps or team_bytes, of all agents together; or a column of amounts, "
        "added up, such as refused or lost (default episode)",
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
        "--facet",
        metavar="FIELD",
        help="panels side by side for each environment, algorithm, scheme, num_agents, "
        "settings, uplink or downlink; none for one panel (default: environment, where "
        "there are several)",
    )
    plot.add_argument(
        "--out", metavar="FILE", help=".png, .svg or .pdf (default: DIR/curves.png)"
    )


def _add_frontier_options(frontier: argparse.ArgumentParser) -> None:
    _add_directories(frontier)
    frontier.add_argument(
        "--x",
        default="uplink_bytes",
        metavar="AXIS",
        help="what is spent, to the end of a trial: uplink_bytes, total_bytes, "
        "messages, env_steps ... (default uplink_bytes)",
    )
    frontier.add_argument(
        "--y",
        default="evaluation",
        metavar="COLUMN",
        help="what is had for it, the last value of a trial: evaluation, reward, "
        "episode_return ... (default evaluation)",
    )
    frontier.add_argument(
        "--out", metavar="FILE", help=".png, .svg or .pdf (default: DIR/frontier.png)"
    )


def _add_merge_options(merge: argparse.ArgumentParser) -> None:
    merge.add_argument("out", metavar="OUT", help="results folder, new")
    _add_directories(merge)


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
        "own, FILE.csv with the columns bytes,seconds,joules; repeat for several; "
        "commenv list lora explains settings and sources (default: none)",
    )


def _add_report_options(report: argparse.ArgumentParser) -> None:
    report.add_argument("directory", metavar="DIR", help="what reproduce wrote to")
    _add_reproduction(report)
    report.add_argument(
        "--out", metavar="FILE", help="the page (default: DIR/REPRODUCTION.md)"
    )
    report.add_argument(
        "--images",
        metavar="DIR",
        help="for pictures (default: images, beside the page)",
    )


_COMMANDS: Mapping[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "list": (
        "list environments, algorithms, schemes, codecs, links and cost profiles",
        _add_list_options,
    ),
    "run": ("run a study, or go on with one", add_run_options),
    "show": ("print the numbers of one or more studies", _add_show_options),
    "plot": ("draw the curves of one or more studies", _add_plot_options),
    "frontier": (
        "say and draw which curves no other beats, for what they send",
        _add_frontier_options,
    ),
    "evaluate": ("play a study's trained policies again", _add_evaluate_options),
    "merge": ("join shards of a study, run apart, into one folder", _add_merge_options),
    "verify": (
        "check a study's files and sums, and run one of its blocks again",
        _add_verify_options,
    ),
    "reproduce": ("run a publication's figures again", _add_reproduce_options),
    "report": ("write a page about reproduced figures", _add_report_options),
}
