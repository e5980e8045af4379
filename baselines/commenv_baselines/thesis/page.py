"""REPRODUCTION.md, written from what ``reproduce`` has stored."""

from __future__ import annotations

import csv
import io
import math
import os
import struct
from pathlib import Path
from typing import Annotated, Any

import msgspec

from commenv.errors import ResultsError, shown
from commenv.study.storage.files import write_atomically
from commenv.study.storage.safe_files import read_file
from commenv.study.storage.store import Store
from commenv.study.wording import count_of, duration
from commenv_baselines.thesis.runner import EXACT, FIGURES, NUMBERS

__all__ = ["report"]

_HEAD = """# Reproduction of the thesis' figures

E. Gunn, *Communication Efficient Distributed Reinforcement Learning* (2023), figure by
figure: what the thesis says, and what these experiments say about it. Every claim is an
inequality; a verdict is *supported* or *contradicted* where a corrected test (Holm's,
within a figure, at 5 %) says so, and *undecided* otherwise, always so with too few
trials. How, and how many trials it takes, is documented in
`commenv.study.analysis.claims`.

Settings, margins and claims were chosen on seeds 0 to 3; each figure's settings name
its own seed.{trials}

This page is written by `commenv report`, from what `commenv reproduce` stores. Pictures
show the mean and the 10th to 90th percentile over trials.
"""
_TRIALS = """ So were the numbers of trials (`--scale report`), by a pilot: the 95 %
interval of every difference of evaluations was to reach at most 5 % of the score range
to either side (25 of 500 on Cart Pole). Ant runs at what half an hour of two cores
holds."""
_COLOURS = 256
_MOST_BYTES = 64 * 2**20
_BROKEN_PICTURE = (
    *(OSError, ValueError, SyntaxError, EOFError, struct.error),
    MemoryError,  # a length in a damaged picture
)
_EXACT_SAID = {
    "4.1": "E[p_send] = m/n. It is exact when p is uniform: the line, and the mean of "
    "100,000 draws.",
    "4.7": "In the first round every agent has p = 1/2, and sends with probability "
    "P(Bin(n - 1, 1/2) >= n - m).",
}
_PICTURES = {
    "figure.png": "The thesis' panels",
    "evaluation.png": "Without exploration, with the controls",
    "bytes.png": "The same against uplink bytes",
    "random_start.png": "From a random theta",
}


class _Scale(msgspec.Struct):
    """How much was run: draws of a figure in closed form, or trials of another."""

    samples: int | None = None
    trials: int = 0
    episodes: int = 0
    agents: float = 1.0

    def __str__(self) -> str:
        if self.samples is not None:
            return f"{self.samples:,} draws"
        words = f"{self.trials} trials of {self.episodes} episodes"
        if self.agents < 1:
            words += f", {self.agents:.0%} of the thesis' agents"
        return words


class _Run(msgspec.Struct):
    """What ``run.json`` holds."""

    scale: _Scale
    seconds: Annotated[float, msgspec.Meta(ge=0, le=1e10)]
    named: str | None = None


class _Claim(msgspec.Struct):
    """A row of ``claims.csv``."""

    claim: str
    estimand: str
    margin: float
    estimate: float
    low: float
    high: float
    p: float
    trials: int
    needed: int
    verdict: str


def report(results: str | Path, out: str | Path, images: str | Path) -> Path:
    """Writes the page for all figures that are there.

    Args:
        results: The folder that ``reproduce`` wrote to.
        out: The Markdown file.
        images: A folder for the pictures.

    Returns:
        The page's path.

    Raises:
        ResultsError: No figure is there, or one is damaged.
    """
    root, page, pictures = Path(results), Path(out), Path(images)
    there = [number for number in NUMBERS if (root / number / "run.json").exists()]
    if not there:
        raise ResultsError(
            f"{root} holds no reproduced figure; run commenv reproduce first"
        )
    scales = {_run(root / number).named for number in there} - {None}
    head = _HEAD.format(trials=_TRIALS if scales == {"report"} else "")
    parts = [head, _overview(root, there)]
    parts += [_section(root / number, number, page, pictures) for number in there]
    page.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(page, "\n".join(parts).encode())
    return page


def _overview(root: Path, numbers: list[str]) -> str:
    lines = ["| figure | scale | verdicts |", "|---|---|---|"]
    for number in numbers:
        verdicts = [row.verdict for row in _claims(root / number)]
        counts = ", ".join(
            f"{verdicts.count(one)} {one}"
            for one in ("supported", "contradicted", "undecided")
            if one in verdicts
        )
        words = _run(root / number).scale
        lines.append(f"| [{number}](#{_anchor(number)}) | {words} | {counts or '-'} |")
    return "\n".join(lines) + "\n"


def _section(folder: Path, number: str, page: Path, pictures: Path) -> str:
    run = _run(folder)
    lines = [f"## {_title(number)}", ""]
    if number in EXACT:
        lines += [_EXACT_SAID[number], ""]
    else:
        lines += [f"**The thesis says:** {FIGURES[number].said}", ""]
    lines += _picture_lines(folder, number, page, pictures)
    verdicts = _claims(folder)
    if verdicts:
        lines += [*_claim_lines(verdicts), ""]
        lines += _notes(number, verdicts)
        lines += _setting_lines(folder)
    lines += [f"Run time: {duration(run.seconds)} of wall clock.", ""]
    return "\n".join(lines)


def _notes(number: str, verdicts: list[_Claim]) -> list[str]:
    """What has to be known to read the verdicts, and what none is about."""
    figure, lines = FIGURES[number], []
    if figure.not_tested:
        lines += [f"**Not tested:** {figure.not_tested}", ""]
    if all(row.trials < row.needed for row in verdicts):
        lines += ["These are too few trials for any verdict.", ""]
    if figure.note:
        lines += [f"**Note:** {figure.note}", ""]
    return lines


def _picture_lines(folder: Path, number: str, page: Path, pictures: Path) -> list[str]:
    pictures.mkdir(parents=True, exist_ok=True)
    lines = []
    for name, caption in _PICTURES.items():
        if not (folder / name).exists():
            continue
        target = pictures / f"{number}-{name}"
        _copy_small(folder / name, target)
        place = Path(os.path.relpath(target, page.parent)).as_posix()
        lines += [f"![{caption}]({place})", ""]
    return lines


def _copy_small(source: Path, target: Path) -> None:
    """A picture with few colours, which line drawings do not miss."""
    from PIL import Image

    buffer = io.BytesIO()
    try:
        content = io.BytesIO(read_file(source, _MOST_BYTES))
        with Image.open(content, formats=["PNG"]) as picture:
            few = picture.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
            few.save(buffer, "PNG", optimize=True)
    except _BROKEN_PICTURE as error:
        raise _damaged(source, error) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _damaged(source, error) from None
    write_atomically(target, buffer.getvalue())


def _claim_lines(verdicts: list[_Claim]) -> list[str]:
    lines = [
        "| claim | measured | held against | mean | 95 % interval | p | verdict |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in verdicts:
        numbers = {
            name: f"{getattr(row, name):.4g}"
            for name in ("margin", "estimate", "low", "high", "p")
        }
        interval, p = f"{numbers['low']} to {numbers['high']}", numbers["p"]
        if math.isnan(row.low):
            few = row.trials < row.needed
            interval, p = f"from {row.needed} trials" if few else "none", "-"
        lines.append(
            f"| {row.claim} | {row.estimand} | {numbers['margin']} "
            f"| {numbers['estimate']} | {interval} | {p} | **{row.verdict}** |"
        )
    return lines


def _setting_lines(folder: Path) -> list[str]:
    """Scale, settings of every curve, and what ran it, folded away."""
    lines = ["<details><summary>Settings and versions</summary>", ""]
    manifest = Store(folder / "study").manifest()
    study, software = manifest.study, manifest.software
    lines += [
        f"{study.num_trials} trials, {study.num_episodes} episodes, gamma "
        f"{study.gamma}, seed {study.seed}:",
        "",
    ]
    for arm in study.arms:
        settings = {**_settings(arm.algorithm), **_settings(arm.scheme)}
        words = ", ".join(f"{name} {value}" for name, value in settings.items())
        agents = count_of(arm.num_agents, "agent")
        lines.append(f"- {arm.label} ({arm.environment}, {agents}): {words}")
    lines.append("")
    versions = ", ".join(f"{name} {value}" for name, value in software.items())
    return [*lines, versions, "", "</details>", ""]


def _settings(plugin: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in plugin.items()
        if name not in ("class", "utility") and value is not None
    }


def _claims(folder: Path) -> list[_Claim]:
    path = folder / "claims.csv"
    if folder.name in EXACT or not path.exists():
        return []
    try:
        text = read_file(path, _MOST_BYTES).decode("utf-8")
        rows = list(csv.DictReader(io.StringIO(text)))
        for row in rows:
            row.pop(None, None)  # cells beyond the header
        return [msgspec.convert(row, _Claim, strict=False) for row in rows]
    except (csv.Error, ValueError, OSError) as error:
        raise _damaged(path, error) from None


def _run(folder: Path) -> _Run:
    path = folder / "run.json"
    try:
        data = read_file(path, _MOST_BYTES)
        return msgspec.json.decode(data, type=_Run)
    except (ValueError, RecursionError, OSError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> ResultsError:
    return ResultsError(
        f"{path} is damaged ({shown(error)}); reproduce the figure again"
    )


def _title(number: str) -> str:
    words = "exact" if number in EXACT else FIGURES[number].title
    return f"Figure {number}: {words}"


def _anchor(number: str) -> str:
    kept = (c for c in _title(number).lower() if c.isalnum() or c in " -")
    return "".join(kept).replace(" ", "-")
