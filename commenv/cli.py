"""The command line: ``list | run | show | plot | evaluate | reproduce | report``."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import commenv
from commenv.channel import Budget, Channel
from commenv.errors import CommenvError
from commenv.learning.plugins import ALGORITHMS, SCHEMES, find, plugin_names
from commenv.registration import env_ids, plain_ids

__all__ = ["main"]

_FAILURE, _USAGE, _INTERRUPTED = 1, 2, 130


class _UsageError(ValueError):
    """A value on the command line that cannot be read."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code.

    0 is success, 1 a failure, 2 a mistake in the usage, 130 an interrupt. What a user
    can cause is said in one line on standard error.
    """
    options = _parser().parse_args(arguments)
    try:
        if str(Path.cwd()) not in sys.path:
            sys.path.append(str(Path.cwd()))  # so that module:Class finds one's own
        with _log_shown():
            options.command(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        _say(options.interrupted)
        return _INTERRUPTED
    except BrokenPipeError:  # who reads our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILURE
    except (CommenvError, ValueError, OSError, ImportError, MemoryError) as error:
        if options.traceback:
            raise
        _say(f"commenv: {error}")
        return _USAGE if isinstance(error, ValueError) else _FAILURE
    return 0


def _list(options: argparse.Namespace) -> None:
    print("environments (and every other Gymnasium id)")
    for env_id in [*env_ids(), *plain_ids()]:
        print(f"  {env_id}")
    for group, title in ((ALGORITHMS, "algorithms"), (SCHEMES, "schemes")):
        print(f"{title} (and every module:Class)")
        for name in plugin_names(group):
            summary = (find(name, group).__doc__ or "").strip().partition("\n")[0]
            print(f"  {name:<14} {summary}")


def _run(options: argparse.Namespace) -> None:
    options.interrupted = (
        "stopped; the blocks that were finished are in "
        f"{options.out}: repeat the same command to go on"
        if options.out
        else "stopped; nothing is kept without --out DIR"
    )
    results = commenv.run(
        options.env,
        options.algorithm,
        options.scheme,
        num_agents=options.agents,
        num_trials=options.trials,
        num_episodes=options.episodes,
        gamma=options.gamma,
        seed=options.seed,
        settings=_once([_setting(text) for text in options.set], "--set"),
        uplink=Channel(budget=Budget.parse(options.uplink_budget)),
        downlink=Channel(budget=Budget.parse(options.downlink_budget)),
        stop=_once([_limit(text) for text in options.stop], "--stop") or None,
        evaluate_every=options.evaluate_every,
        evaluation_episodes=options.evaluation_episodes,
        max_episode_steps=options.max_episode_steps,
        out=options.out,
        workers=options.workers,
        block=options.block,
        trace=options.trace,
        progress=not options.quiet,
    )
    print(results.table())
    if options.out:
        print(f"\nresults: {options.out} (see the curves: commenv plot {options.out})")


def _show(options: argparse.Namespace) -> None:
    print(commenv.load(*options.directories).table())


def _plot(options: argparse.Namespace) -> None:
    path = options.out or Path(options.directories[0]) / "curves.png"
    commenv.load(*options.directories).plot(x=options.x, y=options.y, path=path)
    print(f"picture: {path}")


def _evaluate(options: argparse.Namespace) -> None:
    from commenv.study.animation import check_picture, draw
    from commenv.study.evaluation import evaluate, render

    if options.render:
        check_picture(options.render)
    rows = evaluate(
        options.directory,
        label=options.label,
        trial=options.trial,
        episodes=options.episodes,
        seed=options.seed,
        allow=options.allow,
    )
    print(render(rows))
    if options.render:
        policy = commenv.load_policy(
            options.directory, rows[0].label, options.trial, allow=options.allow
        )
        drawn = draw(policy, options.render, seed=options.seed)
        print(
            f"\npicture: {options.render} (an episode of {policy.cell.label}, trial "
            f"{policy.trial}: {drawn.steps} steps, return {drawn.total:.4g})"
        )


def _reproduce(options: argparse.Namespace) -> None:
    from commenv.study.thesis.reproduce import NUMBERS, reproduce

    options.interrupted = (
        f"stopped; what was finished is in {options.out}: repeat the same command to "
        "go on"
    )
    numbers = NUMBERS if "all" in options.figures else options.figures
    for number in numbers:
        print(f"figure {number}")
        verdicts = reproduce(
            number,
            options.out,
            scale=options.scale,
            trials=options.trials,
            episodes=options.episodes,
            agents=options.agents,
            seed=options.seed,
            workers=options.workers,
            progress=not options.quiet,
        )
        for one in verdicts:
            print(f"  {one.verdict:<12} {one.claim} ({one.estimate:.4g})")
        print(f"  pictures and claims: {Path(options.out) / number}")


def _report(options: argparse.Namespace) -> None:
    from commenv.study.thesis.report import report

    print(f"page: {report(options.directory, options.out, options.images)}")


def _setting(text: str) -> tuple[str, Any]:
    """``name=value``; the value is JSON, or else a word."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise _UsageError(f"--set {text!r} has no value; write --set name=value")
    for read in (json.loads, float):  # float takes .5, which is no JSON
        with contextlib.suppress(ValueError):
            return name, read(value)
    return name, value


def _once(pairs: list[tuple[str, Any]], option: str) -> dict[str, Any]:
    """Pairs as a dictionary, each name once."""
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise _UsageError(f"{option} {name} is given twice; give it once")
    return dict(pairs)


def _limit(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise _UsageError(
            f"--stop {text!r} has no number; write for example uplink_bytes=1e6"
        ) from None


@contextlib.contextmanager
def _log_shown() -> Iterator[None]:
    """Shows what commenv logs, each line once, and no other package's log."""
    logger, handler = logging.getLogger("commenv"), logging.StreamHandler()
    before, said = logger.level, set[str]()

    def is_new(record: logging.LogRecord) -> bool:
        known = record.getMessage() in said
        said.add(record.getMessage())
        return not known

    handler.addFilter(is_new)
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def _say(text: str) -> None:
    print(" ".join(str(text).split()), file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        _say(f"{self.prog}: {message} (see {self.prog} --help)")
        sys.exit(_USAGE)


def _parser() -> argparse.ArgumentParser:
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
    common.set_defaults(interrupted="stopped")
    commands: Any = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: Any, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text, parents=[common])
        sub.set_defaults(command=function)
        return sub

    command("list", _list, "list environments, algorithms and schemes")
    _add_run_options(command("run", _run, "run a study, or go on with one"))
    show = command("show", _show, "print the numbers of one or more studies")
    plot = command("plot", _plot, "draw the curves of one or more studies")
    for sub in (show, plot):
        sub.add_argument("directories", nargs="+", metavar="DIR", help="results folder")
    _add_plot_options(plot)
    _add_evaluate_options(
        command("evaluate", _evaluate, "play a study's trained policies again")
    )
    reproduce = command("reproduce", _reproduce, "run figures of the thesis again")
    _add_reproduce_options(reproduce)
    report = command("report", _report, "write a page about reproduced figures")
    report.add_argument("directory", metavar="DIR", help="what reproduce wrote to")
    report.add_argument("--out", default="REPRODUCTION.md", metavar="FILE")
    report.add_argument("--images", default="docs/images/reproduction", metavar="DIR")
    return parser


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
    channel = run.add_argument_group("the channel")
    for direction in ("uplink", "downlink"):
        channel.add_argument(
            f"--{direction}-budget",
            default="",
            metavar="BUDGET",
            help="for example messages=1,bytes=1000,per=episode,scope=team,"
            "exceed=refuse",
        )
    channel.add_argument(
        "--stop",
        action="append",
        default=[],
        metavar="TOTAL=N",
        help="stop a trial once its total per agent reaches N: uplink_bytes=1e6, "
        "total_bytes, messages or env_steps",
    )
    how = run.add_argument_group("how to run it (no number depends on these)")
    how.add_argument("--out", metavar="DIR", help="results folder, new or to go on in")
    how.add_argument("--workers", type=int, default=1, metavar="N", help="processes")
    how.add_argument("--block", type=int, metavar="N", help="trials that run together")
    how.add_argument(
        "--trace",
        action="store_true",
        help="keep every step and message in DIR/trace; a study that is gone on with "
        "must keep to it",
    )
    how.add_argument("--quiet", action="store_true", help="no progress")


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
    evaluate.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="MODULE:NAME",
        help="import this name that the folder's settings hold (repeat for several); "
        "importing runs code, so allow what you trust",
    )


def _add_reproduce_options(reproduce: argparse.ArgumentParser) -> None:
    reproduce.add_argument(
        "figures", nargs="+", metavar="FIGURE", help="3.4, 3.5, 4.1 ... 4.11, or all"
    )
    reproduce.add_argument(
        "--scale",
        default="quick",
        metavar="SCALE",
        help="quick (to see it work, the default), or paper (the thesis' own)",
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
    reproduce.add_argument("--seed", type=int, default=2, metavar="N", help="default 2")
    reproduce.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes"
    )
    reproduce.add_argument(
        "--out", default="reproduction", metavar="DIR", help="default: reproduction"
    )
    reproduce.add_argument("--quiet", action="store_true", help="no progress")


def _add_plot_options(plot: argparse.ArgumentParser) -> None:
    plot.add_argument(
        "--x",
        default="episode",
        metavar="AXIS",
        help="episode, env_steps, team_steps, messages, uplink_bytes or total_bytes",
    )
    plot.add_argument(
        "--y",
        action="append",
        metavar="AXIS",
        help="evaluation, reward, frequency or size; repeat for several panels "
        "(default: reward, frequency and size)",
    )
    plot.add_argument(
        "--out", metavar="FILE", help=".png, .svg or .pdf (default: DIR/curves.png)"
    )
