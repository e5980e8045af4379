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
from numpy.typing import NDArray

from commenv.checks import path_of
from commenv.errors import MissingExtraError, UnknownNameError
from commenv.study.axes import (
    X_AXES,
    check_x,
    check_y,
    in_bytes,
    is_amount,
    x_label,
    y_axes,
    y_label,
)
from commenv.study.curves import Curve, curves
from commenv.study.files import write_atomically

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

__all__ = [
    "DEFAULT_PANELS",
    "FORMATS",
    "canvas",
    "dress",
    "plot",
    "save",
    "style_of",
    "with_picture",
]

DEFAULT_PANELS = ("reward", "frequency", "size")
FORMATS = ("pdf", "png", "svg")

_IN_RETURNS = ("evaluation", "held_evaluation", "reward")

# Okabe and Ito's palette without its yellow, which is too faint on white, and darker or
# duller colours for figures of more curves. Markers, not dashes, tell curves apart
# without colour: a dashed line means "held".
_COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#882255",
    "#999933",
    "#332288",
    "#8C564B",
    "#44AA99",
)
_MARKERS = "os^Dv<P>"
_MARKS = 7
_GREY = "#555555"
_HELD_DASHES = (0, (3.0, 1.8))
_OPTIMUM_DASHES = (0, (7.0, 3.0))
_SMALL = 8.5

_PANEL_WIDTH, _PANEL_HEIGHT, _SINGLE_WIDTH = 4.0, 3.3, 6.2  # inches
_LINE_HEIGHT, _CAPTION_HEIGHT = 0.18, 0.32  # inches, of legend and caption
_CHARACTER_WIDTH = 0.07  # inches, of the legend's text
_SHORT_NAME = 20  # characters
_BAND_OPACITY, _FEW_BANDS = 0.16, 4  # more bands than these few are fainter


def plot(
    frame: pd.DataFrame,
    *,
    optimum: Mapping[str, float | None] | None = None,
    x: str = "episode",
    y: str | Sequence[str] | None = None,
    title: str | None = None,
    notes: Sequence[str] = (),
) -> Figure:
    """Draw a study: one panel for each measure, one curve for each label.

    A line is the mean over trials, its band the 10th to 90th percentile. From where at
    least one trial has ended, the line is dashed: that trial's last value is held.

    Args:
        frame: A study's frame.
        optimum: The exact optimum of each label where it is known, drawn as a line in
            the panels of returns.
        x: ``episode``, ``env_steps``, ``messages``, ``uplink_bytes``,
            ``total_bytes`` or another of :data:`commenv.study.axes.X_AXES`; all but the
            first add up over episodes, per agent. ``team_steps`` and ``team_bytes`` are
            those of all agents together.
        y: One or more columns of numbers, or ``cumulative_reward``; None draws reward,
            frequency and size.
        title: A line above the panels.
        notes: Lines below the caption, such as in what settings curves differ.

    Returns:
        A figure of matplotlib's that belongs to no window; see `save`.

    Raises:
        MissingExtraError: matplotlib is not installed.
        UnknownNameError: An unknown axis.
        ResultsError: The frame is empty, or a trial has no value on a y axis.
        ValueError: ``y`` is an empty sequence.
    """
    panels = _panels(frame, x, y)
    drawn = {panel: curves(frame, x, panel) for panel in panels}
    entries = _legend_entries(list(drawn.values()))
    caption = _caption([one for panel in drawn.values() for one in panel])
    figure, axes = canvas(len(panels), entries, title, [caption, *notes])
    for panel, ax in zip(panels, axes, strict=True):
        for index, one in enumerate(drawn[panel]):
            _draw_curve(ax, one, index, len(drawn[panel]))
        dress(ax, x, panel)
        if panel in _IN_RETURNS:
            _draw_optima(ax, [one.label for one in drawn[panel]], optimum or {})
    return with_picture(figure)


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
    count: int, entries: Sequence[Artist], title: str | None, captions: Sequence[str]
) -> tuple[Figure, list[Axes]]:
    """An empty figure with its legend, its title and its captions, and room for all."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("drawing a figure", "study") from error
    columns = count if count <= 3 else 2
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
        fontsize=_SMALL + 0.5,
        borderaxespad=0.0,
        borderpad=0.0,
        labelspacing=0.3,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)  # a label is no formula, whatever it holds
    if title:
        y = 1 - 0.1 / height
        figure.text(0.5, y, title, ha="center", va="top", size=12, weight="bold")
    said = "\n".join(lines)
    words = figure.text(0.5, 0.08 / height, said, ha="center", va="bottom")
    words.set(size=_SMALL, color=_GREY)
    words.set_parse_math(False)  # notes hold labels and settings, whatever these hold
    return figure, [figure.add_subplot(rows, columns, i + 1) for i in range(count)]


def _legend_entries(panels: Sequence[Sequence[Curve]]) -> list[Artist]:
    """One entry for each label, and one for the dashes where there are any."""
    try:
        from matplotlib.lines import Line2D
    except ImportError as error:
        raise MissingExtraError("drawing a figure", "study") from error
    names = [one.label for one in panels[0]]
    entries: list[Artist] = [
        Line2D([], [], label=name, **style_of(index, len(names)))
        for index, name in enumerate(names)
    ]
    if any(one.held_from is not None for panel in panels for one in panel):
        held: dict[str, Any] = {"color": _GREY, "linewidth": 1.4}
        held |= {"label": "last value held", "linestyle": _HELD_DASHES}
        entries.append(Line2D([], [], **held, **_mark(_GREY)))
    return entries


def style_of(index: int, count: int) -> dict[str, Any]:
    """Colour, width and marker of a curve; a curve that is alone needs no marker."""
    style: dict[str, Any] = {
        "color": _COLOURS[index % len(_COLOURS)],
        "linewidth": 1.6 if count < 4 else 1.3,
    }
    if count == 1:
        return style
    return style | {
        "marker": _MARKERS[(index + index // len(_COLOURS)) % len(_MARKERS)],
        "markersize": 5.5,
        "markeredgecolor": "white",
        "markeredgewidth": 0.6,
    }


def _mark(colour: str) -> dict[str, Any]:
    """The small open circle that says where holding begins."""
    return {
        "marker": "o",
        "markersize": 4.5,
        "markerfacecolor": "white",
        "markeredgecolor": colour,
        "markeredgewidth": 1.2,
    }


def _draw_curve(ax: Axes, one: Curve, index: int, count: int) -> None:
    """The band, the line, and the dashed part where trials are being held.

    Markers stand evenly along x, those of different curves at different places, so
    that of curves that lie on each other all are seen.
    """
    style = style_of(index, count)
    colour = style["color"]
    if one.trials > 1:
        alpha = _BAND_OPACITY * min(1.0, _FEW_BANDS / count)
        ax.fill_between(
            one.x, one.low, one.high, color=colour, alpha=alpha, linewidth=0
        )
    own = one.x <= (one.x[-1] if one.held_from is None else one.held_from)
    if own.sum() == 1:
        style.setdefault("marker", ".")  # a line of one point would not be seen
    style["markevery"] = _marked(one.x, int(own.sum()), (index + 0.5) / count)
    ax.plot(one.x[own], one.mean[own], label=one.label, zorder=3, **style)
    if one.held_from is None:
        return
    held = one.x >= one.held_from
    ax.plot(
        one.x[held],
        one.mean[held],
        label=f"_{one.label} (held)",  # the underscore keeps it out of legends
        color=colour,
        linewidth=1.4,
        linestyle=_HELD_DASHES,
        markevery=[0],
        zorder=4,
        **_mark(colour),
    )


def _marked(x: NDArray[np.float64], own: int, shift: float) -> list[int]:
    """Which of the first ``own`` points carry a marker: evenly along the whole x."""
    places = x[0] + (np.arange(_MARKS) + shift) / _MARKS * (x[-1] - x[0])
    marked = np.unique(np.searchsorted(x, places))
    # A curve that is held nearly from the start still shows its marker once.
    return marked[marked < own].tolist() or [own // 2]


def _draw_optima(
    ax: Axes, names: Sequence[str], optimum: Mapping[str, float | None]
) -> None:
    """A thin line with its value for each exact optimum, named where they differ."""
    known = [(name, optimum.get(name)) for name in names]
    values = {value: name for name, value in reversed(known) if value is not None}
    for value, name in values.items():
        colour = _GREY
        text = f"exact optimum {value:.4g}"
        if len(values) > 1:
            colour = _COLOURS[names.index(name) % len(_COLOURS)]
            if len(name) <= _SHORT_NAME:  # else the colour alone says whose it is
                text = f"exact optimum of {name} {value:.4g}"
        text = text.replace(" -", " \N{MINUS SIGN}")  # as the axis writes it
        ax.axhline(
            value,
            color=colour,
            linewidth=0.9,
            linestyle=_OPTIMUM_DASHES,
            label="_optimum",
            zorder=2,
        )
        note = ax.annotate(
            text,
            (1.0, value),
            xycoords=ax.get_yaxis_transform(),
            xytext=(-4, 2.5),
            textcoords="offset points",
            ha="right",
            va="bottom",
            size=_SMALL,
            color=colour,
            zorder=5,
        )
        note.set_in_layout(False)  # a long name must not squeeze the panel
    if values:
        bottom, top = ax.get_ylim()
        # Room for the text above the highest line.
        ax.set_ylim(bottom, max(top, max(values) + 0.09 * (top - bottom)))


def dress(ax: Axes, x: str, y: str) -> None:
    """Title, axis labels with units, number formats, limits and grid."""
    ax.set_title(y.replace("_", " ").capitalize(), loc="left", size=10.5, weight="bold")
    ax.set_xlabel(x_label(x), size=10)
    ax.set_ylabel(y_label(y), size=10)
    _format_numbers(ax.xaxis, x)
    _format_numbers(ax.yaxis, y)
    ax.tick_params(labelsize=9)
    ax.margins(x=0.02)
    if y == "frequency":
        ax.set_ylim(-0.03, 1.05)
    elif is_amount(y):
        # From 0, so that what was saved is seen in proportion.
        anything = any(np.any(line.get_ydata()) for line in ax.lines)
        top = ax.get_ylim()[1] if anything else 1.0
        ax.set_ylim(-0.03 * top, top)
    ax.grid(True, color="#DDDDDD", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def _format_numbers(axis: Axis, name: str) -> None:
    """Bytes and large counts with SI prefixes (20 kB, 200k), the rest in full."""
    from matplotlib.ticker import EngFormatter, MaxNLocator, StrMethodFormatter

    if in_bytes(name):
        axis.set_major_formatter(EngFormatter(unit="B"))
    elif name in X_AXES:
        large = axis.get_view_interval()[1] >= 1e5
        axis.set_major_formatter(
            EngFormatter(sep="") if large else StrMethodFormatter("{x:,g}")
        )
    if name in X_AXES:
        steps, whole = [1, 2, 2.5, 5, 10], name == "episode"
        axis.set_major_locator(MaxNLocator(nbins=6, steps=steps, integer=whole))


def _caption(drawn: Sequence[Curve]) -> str:
    """How the lines and bands came about, with the number of trials."""
    counts = [one.trials for one in drawn]
    least, most = min(counts), max(counts)
    trials = f"{most:,}" if least == most else f"{least:,} to {most:,}"
    text = f"Mean and 10th to 90th percentile of {trials} trials."
    if most == 1:
        text = "One trial for each curve."
    if any(one.held_from is not None for one in drawn):
        text += " Dashed: at least one trial has ended."
    return text
