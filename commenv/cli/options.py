"""The options of the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

import commenv
from commenv.cli.channel import add_channel_options
from commenv.cli.names import split_name
from commenv.cli.parser import Parser

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


def _add_run_options(run: argparse.ArgumentParser) -> None:
    study = run.add_argument_group(
        "what to run",
        "Values of options that repeat may have names, which labels then say: "
        '--codec "small: top_k,k=5", --agents "few: 2".',
    )
    product = "; repeat for a product"
    for name, needed, text in (
        ("--env", True, f"Gymnasium id{product} (no default)"),
        ("--algorithm", True, f"name, or module:Class{product} (no default)"),
        (
            "--scheme",
            False,
            f"name, or module:Class{product} (default: the algorithm's own)",
        ),
    ):
        study.add_argument(
            name, action="append", metavar="NAME", required=needed, help=text
        )
    study.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting: alpha=0.5, dql.alpha=0.5, or env.size=7; repeat for several, "
        "and one name for a product; commenv list NAME shows what there is (default: "
        "each one's own)",
    )
    study.add_argument(
        "--env-kwargs",
        action="append",
        metavar="JSON",
        help="arguments of the environment by agent, for worlds that differ: "
        '[{"goal": [4, 4]}, {"goal": [4, 3]}] for --agents 2; repeat with names for a '
        "product (default: --set env.NAME for all agents)",
    )
    study.add_argument(
        "--agents",
        type=_agents,
        action="append",
        metavar="N",
        help=f"agents of each trial{product} (default 5)",
    )
    numbers: tuple[tuple[str, Any, Any, str, str], ...] = (
        (
            "--trials",
            int,
            20,
            "independent training runs of each curve, in all: a folder of fewer gets "
            "those that it lacks",
            "",
        ),
        ("--first-trial", int, 0, "with --last-trial: run these of them alone", ""),
        ("--last-trial", int, None, "see --first-trial", "the last"),
        (
            "--episodes",
            int,
            1000,
            "rounds of each trial, in all: a folder of fewer gets those that it lacks",
            "",
        ),
        ("--gamma", float, 0.9, "discount of a step, 0 to 1", ""),
        ("--seed", int, 0, "of all random draws, a whole number from 0", ""),
        (
            "--max-episode-steps",
            int,
            None,
            "time limit of an episode, in steps",
            "the environment's, or 200",
        ),
        ("--evaluate-every", int, 1, "rounds from one evaluation to the next", ""),
        (
            "--evaluation-episodes",
            int,
            10,
            "episodes of an evaluation that cannot be exact, for want of tables",
            "",
        ),
    )
    for name, kind, default, text, otherwise in numbers:
        study.add_argument(
            name,
            type=kind,
            default=default,
            metavar="N" if kind is int else "X",
            help=f"{text} (default: {otherwise})"
            if otherwise
            else f"{text} (default {default})",
        )
    add_channel_options(run)
    study.add_argument(
        "--stop",
        action="append",
        default=[],
        metavar="TOTAL=N",
        help="stop a trial once its total per agent reaches N: uplink_bytes=1e6, "
        "total_bytes (payload and headers), messages or env_steps; repeat for several "
        "(default: after --episodes)",
    )
    study.add_argument(
        "--yes",
        action="store_true",
        help="run a product of more than 1,000 curves (default: refuse it)",
    )
    how = run.add_argument_group("how to run it (no number depends on these)")
    how.add_argument(
        "--out",
        metavar="DIR",
        help="results folder, new or to go on in (default: nothing is kept)",
    )
    how.add_argument(
        "--dry-run",
        action="store_true",
        help="list the curves and estimate time and room, from some seconds' trying; "
        "write nothing (default: run)",
    )
    how.add_argument(
        "--frontier",
        action="store_true",
        help="say and draw, too, which curves no other beats: as commenv frontier DIR "
        "(default: the table alone)",
    )
    _add_backend(how)
    how.add_argument(
        "--actors",
        type=int,
        metavar="N",
        help="with --backend ray: spread the agents of each block over N actors, and "
        "run the blocks one after the other (default: blocks are spread)",
    )
    how.add_argument(
        "--block",
        type=int,
        metavar="N",
        help="trials that run together (default: by their number and --workers)",
    )
    how.add_argument(
        "--checkpoint-episodes",
        type=int,
        metavar="N",
        help="keep the state of what is running after each N rounds, too (default: by "
        "time alone)",
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
        "must keep to it (default: no trace)",
    )
    how.add_argument(
        "--track",
        action="append",
        default=[],
        metavar="NAME=WHERE",
        help="also write every round to tensorboard=DIR, wandb=PROJECT or mlflow=URI, "
        "each trial as a run (an extra of that name installs it); repeat for several "
        "(default: none)",
    )
    _add_quiet(how)


def _agents(text: str) -> str:
    """A number of agents, which may have a name."""
    try:
        int(split_name(text)[1])
    except ValueError:
        raise argparse.ArgumentTypeError(f"invalid int value: {text!r}") from None
    return text


def _add_quiet(group: Any) -> None:
    group.add_argument(
        "--quiet",
        action="store_true",
        help="no progress on standard error (default: progress)",
    )


def _add_backend(group: Any) -> None:
    """Adds where the blocks of trials run."""
    group.add_argument(
        "--backend",
        metavar="NAME",
        help="local (in this process), processes, or ray (tasks of a Ray cluster, or "
        "of a Ray of its own) (default: local for one worker, processes for more)",
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
        "on this machine (default: a Ray of its own)",
    )


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
    _add_quiet(verify)
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
        help="quick (to see it work), paper (the thesis' own), or report (as in "
        "REPRODUCTION.md, with more trials) (default quick)",
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
        help="share of the thesis' agents, above 0 to 1 (default: the scale's)",
    )
    reproduce.add_argument(
        "--seed",
        type=int,
        default=4,
        metavar="N",
        help="of all random draws, a whole number from 0 (default 4)",
    )
    _add_backend(reproduce)
    reproduce.add_argument(
        "--out",
        default="reproduction",
        metavar="DIR",
        help="where figures go, a folder each (default reproduction)",
    )
    _add_quiet(reproduce)


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
    "run": ("run a study, or go on with one", _add_run_options),
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
    "reproduce": ("run figures of the thesis again", _add_reproduce_options),
    "report": ("write a page about reproduced figures", _add_report_options),
}
