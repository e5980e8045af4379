"""What stands in one panel of a figure: lines, bands, optima and axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from commenv.study.analysis.axes import X_AXES, in_bytes, is_amount, x_label, y_label
from commenv.study.analysis.curves import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

__all__ = [
    "GREY",
    "HELD_DASHES",
    "IN_RETURNS",
    "SMALL",
    "draw_curve",
    "draw_optima",
    "draw_others",
    "dress",
    "mark",
    "style_of",
    "style_of_others",
]

IN_RETURNS = ("evaluation", "held_evaluation", "reward")

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
GREY = "#555555"
HELD_DASHES = (0, (3.0, 1.8))
_OPTIMUM_DASHES = (0, (7.0, 3.0))
SMALL = 8.5

_SHORT_NAME = 20  # characters
_BAND_OPACITY, _FEW_BANDS = 0.16, 4  # more bands than these few are fainter


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


def mark(colour: str) -> dict[str, Any]:
    """The small open circle that says where holding begins."""
    return {
        "marker": "o",
        "markersize": 4.5,
        "markerfacecolor": "white",
        "markeredgecolor": colour,
        "markeredgewidth": 1.2,
    }


def draw_curve(
    ax: Axes, one: Curve, index: int, count: int, *, band: bool = True
) -> None:
    """The band, the line, and the dashed part where trials are being held.

    Markers stand evenly along x, those of different curves at different places, so
    that of curves that lie on each other all are seen.
    """
    style = style_of(index, count)
    colour = style["color"]
    if band and one.trials > 1:
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
        linestyle=HELD_DASHES,
        markevery=[0],
        zorder=4,
        **mark(colour),
    )


def style_of_others() -> dict[str, Any]:
    """Colour and width of curves that are too many for colours."""
    return {"color": GREY, "linewidth": 0.5, "alpha": 0.3}


def draw_others(ax: Axes, drawn: Sequence[Curve]) -> None:
    """Curves that are too many for colours: their means alone, behind the others."""
    from matplotlib.collections import LineCollection

    lines = [np.column_stack([one.x, one.mean]) for one in drawn]
    ax.add_collection(LineCollection(lines, zorder=1.5, **style_of_others()))
    ax.autoscale_view()


def _marked(x: NDArray[np.float64], own: int, shift: float) -> list[int]:
    """Which of the first ``own`` points carry a marker: evenly along the whole x."""
    places = x[0] + (np.arange(_MARKS) + shift) / _MARKS * (x[-1] - x[0])
    marked = np.unique(np.searchsorted(x, places))
    # A curve that is held nearly from the start still shows its marker once.
    return marked[marked < own].tolist() or [own // 2]


def draw_optima(ax: Axes, optima: Sequence[tuple[str, int, float | None]]) -> None:
    """A thin line with its value for each exact optimum, named where they differ.

    Args:
        ax: The panel.
        optima: The name and the place of each curve, and its optimum if it is known.
    """
    values = {
        value: (name, place)
        for name, place, value in reversed(optima)
        if value is not None
    }
    for value, (name, place) in values.items():
        colour = GREY
        text = f"exact optimum {value:.4g}"
        if len(values) > 1:
            colour = _COLOURS[place % len(_COLOURS)]
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
            size=SMALL,
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
        top = ax.get_ylim()[1] if ax.dataLim.y1 > 0 else 1.0
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
