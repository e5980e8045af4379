"""Running a figure of the thesis: its data, its pictures and its verdicts.

DIR/4.5/study/...            the study
DIR/4.5/figure.png           in the thesis' layout
DIR/4.5/evaluation.png       the policy without exploration, controls included
DIR/4.5/bytes.png            the same against uplink bytes
DIR/4.5/claims.csv           claim by claim, with its verdict
DIR/4.5/run.json             scale, seconds, versions
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from commenv.errors import UnknownNameError
from commenv.learning import make_algorithm, make_scheme
from commenv.study.analysis.claims import Verdict, judge, write_csv
from commenv.study.analysis.figures import plot, save
from commenv.study.arm import Arm
from commenv.study.results import Results
from commenv.study.runner import execute
from commenv.study.spec import Study
from commenv.study.storage.files import write_atomically
from commenv.study.time_limit import time_limit
from commenv_baselines.thesis.controls import RANDOM_START
from commenv_baselines.thesis.exact import expected_sending, first_round
from commenv_baselines.thesis.figure import Context, Curve, Figure, Scale
from commenv_baselines.thesis.grids import GRID_FIGURES
from commenv_baselines.thesis.search import SEARCH_FIGURES

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

__all__ = ["FIGURES", "NUMBERS", "check_known", "reproduce"]

FIGURES: Mapping[str, Figure] = {
    figure.number: figure for figure in (*GRID_FIGURES, *SEARCH_FIGURES)
}
EXACT = {"4.1": expected_sending, "4.7": first_round}
NUMBERS = tuple(
    sorted([*FIGURES, *EXACT], key=lambda n: [int(x) for x in n.split(".")])
)

SCALES = ("quick", "paper", "report")
_DPI = 110


def reproduce(
    number: str,
    out: str | Path,
    *,
    scale: str = "quick",
    trials: int | None = None,
    episodes: int | None = None,
    agents: float | None = None,
    seed: int = 4,
    backend: str | None = None,
    workers: int | None = None,
    address: str | None = None,
    progress: bool = True,
) -> list[Verdict]:
    """Runs a figure, or goes on with it; draws it, and judges the thesis' claims.

    Args:
        number: As printed, such as ``"3.4"``.
        out: The folder that holds a folder for each figure.
        scale: ``"quick"``, to see it work; ``"paper"``, the thesis' own; or
            ``"report"``, that of REPRODUCTION.md, with more trials.
        trials: Another number of trials; claims are judged from 10 on, or from as many
            as :mod:`commenv.study.analysis.claims` says.
        episodes: Another number of rounds.
        agents: Another share of the thesis' agents, in (0, 1].
        seed: Of all draws. Settings, margins and claims were chosen on seeds 0 to 3.
        backend: Where it runs; see :func:`commenv.run`. No number depends on it, nor on
            the next two.
        workers: See :func:`commenv.run`.
        address: See :func:`commenv.run`.
        progress: Say on standard error how far it has come.

    Returns:
        The verdicts; none for the figures in closed form.

    Raises:
        UnknownNameError: No such figure or scale.
        ResultsError: The folder holds something else.
    """
    check_known(number, scale)
    folder = Path(out) / number
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    if number in EXACT:
        _reproduce_exact(number, folder, seed)
        _note(folder, {"scale": {"samples": 100_000}}, began)
        return []
    figure = FIGURES[number]
    asked = {"trials": trials, "episodes": episodes, "agents": agents}
    given: dict[str, Any] = {k: v for k, v in asked.items() if v is not None}
    size: Scale = replace(getattr(figure, scale), **given)
    figure = figure.at(size)
    results = execute(
        _study(figure, size, seed),
        out=folder / "study",
        backend=backend,
        workers=workers,
        address=address,
        progress=progress,
    )
    _draw(figure, results, folder)
    verdicts = _judge(figure, size, results)
    write_csv(verdicts, folder / "claims.csv")
    named = scale if size == getattr(figure, scale) else None
    _note(folder, {"scale": asdict(size), "named": named, "seed": seed}, began)
    return verdicts


def check_known(number: str, scale: str) -> None:
    """Raises UnknownNameError if there is no such figure or scale."""
    if number not in NUMBERS:
        raise UnknownNameError("figure", number, NUMBERS)
    if scale not in SCALES:
        raise UnknownNameError("scale", scale, SCALES)


def _study(figure: Figure, size: Scale, seed: int) -> Study:
    """All curves, in the thesis' order."""
    env_kwargs = dict(figure.env_kwargs)
    limit = time_limit(figure.environment, env_kwargs)
    return Study(
        arms=tuple(
            _arm(figure, curve, env_kwargs, limit, size) for curve in figure.curves
        ),
        num_trials=size.trials,
        num_episodes=size.episodes,
        gamma=figure.gamma,
        seed=seed,
        evaluate_every=max(1, size.episodes // figure.evaluations),
        evaluation_episodes=figure.evaluation_episodes,
    )


def _arm(
    figure: Figure,
    curve: Curve,
    env_kwargs: dict[str, Any],
    limit: int,
    size: Scale,
) -> Arm:
    algorithm = make_algorithm(curve.algorithm, dict(curve.settings))
    settings = {**algorithm.scheme_settings(), **curve.scheme_settings}
    if "m" in settings:
        settings["m"] = size.of(settings["m"])
    scheme = make_scheme(curve.scheme or algorithm.scheme, settings)
    return Arm(
        curve.label,
        figure.environment,
        env_kwargs,
        limit,
        algorithm,
        scheme,
        size.of(curve.num_agents or figure.num_agents),
    )


def _judge(figure: Figure, size: Scale, results: Results) -> list[Verdict]:
    optimum = next(iter(results.optimum.values()))
    context = Context(figure.number, size, optimum)
    return judge(figure.claims(context), results.frame, ranges=results.ranges)


def _draw(figure: Figure, results: Results, folder: Path) -> None:
    """The thesis' panels; evaluations with controls; and the same by bytes."""
    thesis = [curve.label for curve in figure.curves if not curve.control]
    random = [c.label for c in figure.curves if c.label.endswith(RANDOM_START)]
    rest = [c.label for c in figure.curves if c.label not in random]
    title = f"Figure {figure.number}: {figure.title}"
    value = ("evaluation",)
    _save(results, thesis, folder / "figure.png", title, "episode", figure.panels)
    _save(results, rest, folder / "evaluation.png", title, "episode", value)
    _save(results, rest, folder / "bytes.png", title, "team_bytes", value)
    if random:
        short = {label: label.removesuffix(RANDOM_START) for label in random}
        path, title = folder / "random_start.png", f"{title}{RANDOM_START}"
        _save(
            _renamed(results, short), [*short.values()], path, title, "episode", value
        )


def _renamed(results: Results, names: dict[str, str]) -> Results:
    """Some labels under other names, without the rest."""
    frame = results.frame[results.frame["label"].isin(names)]
    optimum = {new: results.optimum[old] for old, new in names.items()}
    return Results(frame.assign(label=frame["label"].map(names)), optimum)


def _save(
    results: Results,
    labels: list[str],
    path: Path,
    title: str,
    x: str,
    y: tuple[str, ...],
) -> None:
    chosen = results.frame[results.frame["label"].isin(labels)]
    optimum = {label: results.optimum[label] for label in labels}
    save(plot(chosen, optimum=optimum, x=x, y=y, title=title), path, dpi=_DPI)


def _reproduce_exact(number: str, folder: Path, seed: int) -> None:
    frame = EXACT[number](seed=seed)
    write_atomically(folder / "data.parquet", frame.to_parquet(index=False))
    save(_exact_picture(number, frame), folder / "figure.png", dpi=_DPI)


def _exact_picture(number: str, frame: pd.DataFrame) -> Picture:
    from matplotlib.figure import Figure as Picture

    picture = Picture(figsize=(6, 4), layout="constrained")
    axes = picture.add_subplot()
    axes.plot(frame["m"], frame["exact"], label="exact")
    axes.errorbar(
        frame["m"],
        frame["monte_carlo"],
        1.96 * frame["error"],
        fmt=".",
        label="Monte Carlo, 95 % interval",
    )
    worst = float((frame["monte_carlo"] - frame["exact"]).abs().max())
    axes.set_xlabel("m, messages that are wanted of 50 agents")
    axes.set_ylabel("E[p_send]" if number == "4.1" else "p_send in the first round")
    axes.set_title(f"Figure {number}: largest difference {worst:.1e}")
    axes.legend(frameon=False)
    return picture


def _note(folder: Path, what: dict[str, Any], began: float) -> None:
    """Keeps what was run, and adds up the seconds that it took."""
    path = folder / "run.json"
    before = json.loads(path.read_text())["seconds"] if path.exists() else 0.0
    seconds = before + time.monotonic() - began
    text = json.dumps({**what, "seconds": round(seconds, 1)}, indent=1)
    write_atomically(path, text.encode())
