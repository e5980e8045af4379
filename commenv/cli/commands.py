"""What each command does."""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import commenv
from commenv.cli.cost import link_of
from commenv.cli.track import tracker_of

__all__ = ["COMMANDS"]

_UNDECIDED = 3
_FAILURE = 1
_FRONTIER_AXES = ("uplink_bytes", "evaluation")  # as of the command frontier
_logger = logging.getLogger("commenv")


def _list(options: argparse.Namespace) -> None:
    from commenv.cli.listing import explained, overview

    print("\n".join(map(explained, options.names)) or overview())


def _run(options: argparse.Namespace) -> None:
    from commenv.cli.study import study_of
    from commenv.study.execution.backends import choose
    from commenv.study.execution.checkpoints import Schedule
    from commenv.study.runner import execute
    from commenv.study.storage.extra import check_extra

    options.interrupted = (
        "the blocks that were finished are in "
        f"{options.out}: repeat the same command to go on"
        if options.out
        else "nothing is kept without --out DIR"
    )
    if options.frontier and not options.out:
        raise ValueError("--frontier draws into a results folder; add --out DIR")
    study = study_of(options)
    if options.dry_run:
        from commenv.cli.dry_run import foreseen

        check_extra("running a study")
        choose(options.backend, options.workers, options.address, options.actors)
        print(foreseen(study, options))
        return
    schedule = Schedule(options.checkpoint_episodes, options.checkpoint_minutes)
    with _ray_aside(options.backend):
        results = execute(
            study,
            out=options.out,
            backend=options.backend,
            workers=options.workers,
            address=options.address,
            actors=options.actors,
            block=options.block,
            schedule=schedule,
            callbacks=[tracker_of(text) for text in options.track],
            progress=not options.quiet,
        )
    print(results.table())
    if options.frontier:
        print()
        _print_frontier(results, *_FRONTIER_AXES, Path(options.out) / "frontier.png")
    if options.out:
        print(f"\nresults: {options.out} (see the curves: commenv plot {options.out})")
    else:
        _logger.info(
            "nothing was kept: to plot, compare or evaluate these results, run the "
            "same command with --out DIR"
        )


def _show(options: argparse.Namespace) -> None:
    from commenv.study.execution.plan import has_results, lacks

    links = [link_of(text) for text in options.link]
    lacking = list(filter(None, map(lacks, options.directories)))
    parts = []
    if any(map(has_results, options.directories)):
        results = commenv.load(*options.directories)
        parts = [results.table(), *map(results.cost_table, links)]
    print("\n\n".join([*parts, *lacking]))


def _plot(options: argparse.Namespace) -> None:
    path = options.out or Path(options.directories[0]) / "curves.png"
    results = commenv.load(*options.directories)
    results.plot(x=options.x, y=options.y, facet=options.facet, path=path)
    print(f"picture: {path}")


def _frontier(options: argparse.Namespace) -> None:
    results = commenv.load(*options.directories)
    path = options.out or Path(options.directories[0]) / "frontier.png"
    _print_frontier(results, options.x, options.y, path)


def _print_frontier(results: Any, x: str, y: str, path: str | Path) -> None:
    """Prints which arms no other beats, and draws them."""
    from commenv.study.analysis.frontier import render

    print(render(results.frontier(x, y, every=True), x, y))
    results.plot_frontier(x, y, path=path)
    print(f"picture: {path}")


def _evaluate(options: argparse.Namespace) -> None:
    from commenv.study.policies.animation import check_picture, draw
    from commenv.study.policies.evaluation import evaluate, render

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
            f"\npicture: {options.render} (an episode of {policy.arm.label}, trial "
            f"{policy.trial}: {drawn.steps} steps, return {drawn.total:.4g})"
        )


def _verify(options: argparse.Namespace) -> int:
    from commenv.study.verification.verifier import verify

    options.interrupted = "stopped; nothing was changed: repeat the command"
    found = verify(
        options.directory,
        block=options.block,
        seed=options.seed,
        every=options.all,
        allow=options.allow,
        progress=not options.quiet,
    )
    print(found)
    return {"holds": 0, "not decided": _UNDECIDED}.get(found.verdict, _FAILURE)


def _merge(options: argparse.Namespace) -> None:
    options.interrupted = "repeat the same command to go on"
    from commenv.study.wording import count_of

    results = commenv.merge(options.out, options.directories)
    trials = results.frame["trial"].nunique()
    print(f"{count_of(trials, 'trial')} in {options.out}\n\n{results.table()}")


def _reproduce(options: argparse.Namespace) -> None:
    from commenv.study.storage.extra import check_extra

    check_extra("reproducing a figure")
    from commenv.study.execution.backends import choose
    from commenv.study.reproduction import find_reproduction

    options.interrupted = (
        f"what was finished is in {options.out}: repeat the same command to go on"
    )
    # Wrong options are refused before the first of them takes its time.
    choose(options.backend, options.workers, options.address)
    chosen = find_reproduction(options.reproduction)
    numbers = chosen.figures if "all" in options.figures else options.figures
    for number in numbers:
        chosen.check_known(number, options.scale)
    for number in numbers:
        print(f"figure {number}")
        with _ray_aside(options.backend):
            verdicts = chosen.reproduce(
                number,
                options.out,
                scale=options.scale,
                trials=options.trials,
                episodes=options.episodes,
                agents=options.agents,
                seed=options.seed,
                backend=options.backend,
                workers=options.workers,
                address=options.address,
                progress=not options.quiet,
            )
        for one in verdicts:
            few = f"; judged from {one.needed} trials" if one.too_few else ""
            print(f"  {one.verdict:<12} {one.claim} (mean {one.estimate:.4g}{few})")
        print(f"  pictures and claims: {Path(options.out) / number}")


def _report(options: argparse.Namespace) -> None:
    from commenv.study.reproduction import find_reproduction

    folder = Path(options.directory)
    page = Path(options.out or folder / "REPRODUCTION.md")
    images = options.images or page.parent / "images"
    print(
        f"page: {find_reproduction(options.reproduction).report(folder, page, images)}"
    )


def _ray_aside(backend: str | None) -> contextlib.AbstractContextManager[Any]:
    """Sends to standard error what Ray prints of machines and processes that it loses.

    Standard output is for results.
    """
    if backend == "ray":
        return contextlib.redirect_stdout(sys.stderr)
    return contextlib.nullcontext()


COMMANDS: Mapping[str, Callable[[argparse.Namespace], int | None]] = {
    "list": _list,
    "run": _run,
    "show": _show,
    "plot": _plot,
    "frontier": _frontier,
    "evaluate": _evaluate,
    "merge": _merge,
    "verify": _verify,
    "reproduce": _reproduce,
    "report": _report,
}
