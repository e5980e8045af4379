"""The options of ``run``, and those that it shares with other commands."""

from __future__ import annotations

import argparse
from typing import Any

from commenv.cli.channel import add_channel_options
from commenv.cli.names import split_name

__all__ = ["add_backend", "add_quiet", "add_run_options"]


def add_run_options(run: argparse.ArgumentParser) -> None:
    """Adds what is to be run, over which channels, and how."""
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
    add_backend(how)
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
    add_quiet(how)


def _agents(text: str) -> str:
    """A number of agents, which may have a name."""
    try:
        int(split_name(text)[1])
    except ValueError:
        raise argparse.ArgumentTypeError(f"invalid int value: {text!r}") from None
    return text


def add_quiet(group: Any) -> None:
    """Adds what silences the progress."""
    group.add_argument(
        "--quiet",
        action="store_true",
        help="no progress on standard error (default: progress)",
    )


def add_backend(group: Any) -> None:
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
