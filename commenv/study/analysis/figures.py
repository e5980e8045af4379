"""A study as a figure: mean lines and 10th to 90th percentile bands over trials.

Figures are made with matplotlib's objects, never with pyplot: no global state is read
or left behind, no window opens, and drawing works on a machine without a display.
"""

from __future__ import annotations

import io
import math
import os
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from commenv.checks import path_of
from commenv.errors import MissingExtraError, UnknownNameError
from commenv.study.analysis.axes import check_x, check_y, y_axes
from commenv.study.analysis.comparability import Settings
from commenv.study.analysis.curves import Curve, curves_of, rows_by_label
from commenv.study.analysis.facets import Facet, facets_of
from commenv.study.analysis.panels import (
    GREY,
    HELD_DASHES,
    IN_RETURNS,
    SMALL,
    draw_curve,
    draw_optima,
    draw_others,
    dress,
    mark,
    style_of,
    style_of_others,
)
from commenv.study.storage.files import write_atomically

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "DEFAULT_PANELS",
    "FORMATS",
    "MOST_COLOURED",
    "canvas",
    "plot",
    "save",
    "with_picture",
]

DEFAULT_PANELS = ("reward", "frequency", "size")
FORMATS = ("pdf", "png", "svg")
MOST_COLOURED = 24
"""Curves that have a colour each; of more, some have one."""

_PANEL_WIDTH, _PANEL_HEIGHT, _SINGLE_WIDTH = 4.0, 3.3, 6.2  # inches
_LINE_HEIGHT, _CAPTION_HEIGHT = 0.18, 0.32  # inches, of legend and caption
_CHARACTER_WIDTH = 0.07  # inches, of the legend's text
_COLOURED_OF_MANY = 12
_LONGEST_TITLE, _TITLE_WIDTH = 90, 45  # characters


def plot(
    frame: pd.DataFrame,
    *,
    optimum: Mapping[str, float | None] | None = None,
    x: str = "episode",
    y: str | Sequence[str] | None = None,
    facet: str | None = None,
    settings: Mapping[str, Settings] | None = None,
    title: str | None = None,
    notes: Sequence[str] = (),
) -> Figure:
    """Draw a study: a panel for each measure and each facet, a curve for each label.

    A line is the mean over trials, its band the 10th to 90th percentile. From where at
    least one trial has ended, the line is dashed: that trial's last value is held. Of
    more than 24 curves, the 12 that end highest in the first measure have colours and
    names; the others are grey, and none has a band.

    Args:
        frame: A study's frame.
        optimum: The exact optimum of each label where it is known, drawn as a line in
            the panels of returns.
        x: ``episode``, ``env_steps``, ``messages``, ``uplink_bytes``,
            ``total_bytes`` or another of :data:`commenv.study.analysis.axes.X_AXES`;
            all but the first add up over episodes, per agent. ``team_steps`` and
            ``team_bytes`` are those of all agents together.
        y: One or more columns of numbers, or ``cumulative_reward``; None draws reward,
            frequency and size.
        facet: What panels stand side by side for, one of
            :data:`commenv.study.analysis.facets.FACETS`; see :func:`.facets_of`.
        settings: What each label was run with; some facets need it.
        title: A line above the panels.
        notes: Lines below the caption, such as in what settings curves differ.

    Returns:
        A figure of matplotlib's that belongs to no window; see `save`.

    Raises:
        MissingExtraError: matplotlib is not installed.
        UnknownNameError: An unknown axis or facet.
        ResultsError: The frame is empty, a trial has no value on a y axis, or a facet
            has too many values.
        ValueError: ``y`` is an empty sequence.
    """
    panels = _panels(frame, x, y)
    facets = facets_of(frame, facet, settings)
    rows = rows_by_label(frame)
    drawn = {
        (panel, place): curves_of({name: rows[name] for name in one.names}, x, panel)
        for panel in panels
        for place, one in enumerate(facets)
    }
    first = [drawn[panels[0], place] for place in range(len(facets))]
    coloured, others = _coloured(facets, first)
    entries = _legend_entries(coloured, others, list(drawn.values()))
    caption = _caption([one for panel in drawn.values() for one in panel], not others)
    if others:
        caption += f" In colour: the {len(coloured)} that end highest in {panels[0]}."
    columns = len(facets) if len(facets) > 1 < len(panels) else None
    figure, axes = canvas(len(drawn), entries, title, [caption, *notes], columns)
    for ((panel, place), own), ax in zip(drawn.items(), axes, strict=True):
        _fill(ax, own, facets[place], coloured, band=not others)
        dress(ax, x, panel)
        if len(facets) > 1:
            measure = f": {panel.replace('_', ' ')}" if len(panels) > 1 else ""
            _set_title(ax, facets[place].title + measure)
        if panel in IN_RETURNS:
            names = facets[place].names
            known = {
                names[label]: value
                for label, value in (optimum or {}).items()
                if label in names
            }
            draw_optima(ax, [(n, i, known.get(n)) for i, n in enumerate(coloured)])
    if len(facets) > 1 and _is_one_world(frame):
        _share_heights(axes, len(facets))
    return with_picture(figure)


def _coloured(
    facets: Sequence[Facet], first: Sequence[Sequence[Curve]]
) -> tuple[list[str], int]:
    """The names that have colours, and how many others there are.

    Args:
        facets: The panels of a measure.
        first: The curves of the first measure in each.
    """
    names = list(dict.fromkeys(name for one in facets for name in one.names.values()))
    if len(names) <= MOST_COLOURED:
        return names, 0
    best: dict[str, int] = {}
    for facet, own in zip(facets, first, strict=True):
        ordered = sorted(own, key=lambda one: -one.mean[-1])
        for rank, one in enumerate(ordered):
            name = facet.names[one.label]
            best[name] = min(rank, best.get(name, rank))
    few = set(sorted(names, key=best.__getitem__)[:_COLOURED_OF_MANY])
    return [name for name in names if name in few], len(names) - len(few)


def _fill(
    ax: Axes, own: Sequence[Curve], facet: Facet, coloured: list[str], *, band: bool
) -> None:
    """Draws the curves of a panel."""
    named = [(one, facet.names[one.label]) for one in own]
    if others := [one for one, name in named if name not in coloured]:
        draw_others(ax, others)
    for one, name in named:
        if name in coloured:
            place = coloured.index(name)
            draw_curve(ax, one, place, len(coloured), band=band)


def _is_one_world(frame: pd.DataFrame) -> bool:
    """Whether all returns are of one environment, so that panels can share an axis."""
    return "environment" in frame.columns and frame["environment"].nunique() == 1


def _share_heights(axes: Sequence[Axes], columns: int) -> None:
    """Gives the panels of each measure the same y axis."""
    for start in range(0, len(axes), columns):
        row = axes[start : start + columns]
        ends = np.array([ax.get_ylim() for ax in row])
        for ax in row:
            ax.set_ylim(ends[:, 0].min(), ends[:, 1].max())


def _set_title(ax: Axes, title: str) -> None:
    words = textwrap.fill(textwrap.shorten(title, _LONGEST_TITLE), _TITLE_WIDTH)
    text = ax.set_title(words, loc="left", size=10.5, weight="bold")
    text.set_parse_math(False)  # settings are shown as plain text, never as formulas


def with_picture(figure: Figure) -> Figure:
    """The figure, which notebooks can show.

    They ask an object for this method; pyplot would otherwise have to be loaded.
    """
    figure._repr_png_ = partial(_bytes, figure, "png")  # type: ignore[attr-defined]
    return figure


def save(figure: Figure, path: str | os.PathLike[str], *, dpi: int = 200) -> Path:
    """Write a figure to a file, whole or not at all; folders are made as needed.

    Args:
        figure: What `plot` returned.
        path: Where to; the suffix, one of `FORMATS`, says in which format.
        dpi: Dots per inch of a ``.png``.

    Returns:
        The path.

    Raises:
        TypeError: It is not a path.
        UnknownNameError: The suffix is not one of `FORMATS`.
        OSError: The folder cannot be written to.
    """
    target = path_of("a picture", path)
    suffix = target.suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        cure = f"give {target.name!r} an ending such as .png"
        raise UnknownNameError("figure format", suffix, FORMATS, cure)
    data = _bytes(figure, suffix, dpi)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, data)
    return target


def _bytes(figure: Figure, suffix: str, dpi: int = 200) -> bytes:
    """The figure as a file's content; equal figures give equal bytes."""
    from matplotlib import rc_context

    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "commenv"}):
        figure.savefig(buffer, format=suffix, dpi=dpi, metadata=undated.get(suffix))
    return buffer.getvalue()


def _panels(
    frame: pd.DataFrame, x: str, y: str | Sequence[str] | None
) -> tuple[str, ...]:
    """The names of the panels, checked."""
    check_x(x)
    several = isinstance(y, Iterable) and not isinstance(y, str)
    panels: Any = DEFAULT_PANELS if y is None else tuple(y) if several else (y,)
    if not panels:
        known = ", ".join(y_axes(frame))
        raise ValueError(f"y is empty; name at least one of {known}")
    check_y(frame, panels)
    return tuple(dict.fromkeys(panels))


def canvas(
    count: int,
    entries: Sequence[Artist],
    title: str | None,
    captions: Sequence[str],
    columns: int | None = None,
) -> tuple[Figure, list[Axes]]:
    """An empty figure with its legend, its title and its captions, and room for all."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("drawing a figure", "study") from error
    if columns is None:
        columns = count if count <= 3 else 2 if count == 4 else 3
    rows = math.ceil(count / columns)
    entry = 0.7 + _CHARACTER_WIDTH * max(len(str(e.get_label())) for e in entries)
    width = max(_SINGLE_WIDTH if count == 1 else _PANEL_WIDTH * columns, entry)
    in_a_row = min(len(entries), int(width / entry))
    across = int(width / _CHARACTER_WIDTH)
    lines = [line for text in captions for line in textwrap.wrap(text, across)]
    caption = _CAPTION_HEIGHT + _LINE_HEIGHT * (len(lines) - 1)
    below = _LINE_HEIGHT * math.ceil(len(entries) / in_a_row) + caption
    above = 0.35 if title else 0.05
    height = _PANEL_HEIGHT * rows + below + above
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    room = (0.0, below / height, 1.0, 1.0 - (below + above) / height)
    figure.set_layout_engine("constrained", rect=room, w_pad=0.1, h_pad=0.06)
    legend = figure.legend(
        handles=entries,
        loc="lower center",
        bbox_to_anchor=(0.5, (caption - 0.05) / height),
        ncols=in_a_row,
        frameon=False,
        fontsize=SMALL + 0.5,
        borderaxespad=0.0,
        borderpad=0.0,
        labelspacing=0.3,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)  # labels are shown as plain text, never as formulas
    if title:
        y = 1 - 0.1 / height
        figure.text(0.5, y, title, ha="center", va="top", size=12, weight="bold")
    said = "\n".join(lines)
    words = figure.text(0.5, 0.08 / height, said, ha="center", va="bottom")
    words.set(size=SMALL, color=GREY)
    words.set_parse_math(False)  # notes hold labels and settings, whatever these hold
    return figure, [figure.add_subplot(rows, columns, i + 1) for i in range(count)]


def _legend_entries(
    coloured: Sequence[str], others: int, panels: Sequence[Sequence[Curve]]
) -> list[Artist]:
    """One entry for each name, and one for the dashes and the grey if there are any."""
    try:
        from matplotlib.lines import Line2D
    except ImportError as error:
        raise MissingExtraError("drawing a figure", "study") from error
    entries: list[Artist] = [
        Line2D([], [], label=name, **style_of(index, len(coloured)))
        for index, name in enumerate(coloured)
    ]
    if others:
        words = f"{others:,} others (means)"
        entries.append(Line2D([], [], label=words, **style_of_others()))
    if any(one.held_from is not None for panel in panels for one in panel):
        held: dict[str, Any] = {"color": GREY, "linewidth": 1.4}
        held |= {"label": "last value held", "linestyle": HELD_DASHES}
        entries.append(Line2D([], [], **held, **mark(GREY)))
    return entries


def _caption(drawn: Sequence[Curve], bands: bool) -> str:
    """How the lines and bands came about, with the number of trials."""
    counts = [one.trials for one in drawn]
    least, most = min(counts), max(counts)
    trials = f"{most:,}" if least == most else f"{least:,} to {most:,}"
    what = "Mean and 10th to 90th percentile" if bands else "Mean"
    text = f"{what} of {trials} trials."
    if most == 1:
        text = "One trial for each curve."
    if any(one.held_from is not None for one in drawn):
        text += " Dashed: at least one trial has ended."
    return text
