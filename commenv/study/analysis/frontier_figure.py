"""The arms that no other beats, as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from commenv.errors import MissingExtraError
from commenv.study.analysis.facets import grouped
from commenv.study.analysis.figures import MOST_COLOURED, canvas, with_picture
from commenv.study.analysis.panels import dress, style_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_frontier"]

_CAPTION = (
    "Means at the end of all trials; bars are 95 % intervals where there are enough "
    "trials for one. Hollow: another arm has at least as much for no more."
)
_GREY = "#888888"
_OTHERS: dict[str, Any] = {
    "marker": "o",
    "markersize": 3.0,
    "color": _GREY,
    "alpha": 0.6,
}


def plot_frontier(
    table: pd.DataFrame, x: str, y: str, *, title: str | None = None
) -> Figure:
    """Draws what arms have against what they spend, a panel for each environment.

    The line joins the arms that no other beats: what is had at most for so much. Of
    more than 24 arms, these alone have names, and the others are grey points.

    Args:
        table: What :func:`commenv.study.analysis.frontier.frontier` gave, of all arms
            or of those that are not beaten.
        x: What is spent.
        y: What is had for it.
        title: A line above the panels.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    rows: list[Any] = table.to_dict("records")
    facets = sorted(grouped({row["label"]: row["environment"] for row in rows}))
    called = {label: name for one in facets for label, name in one.names.items()}
    names = sorted(set(called.values()))
    if many := len(names) > MOST_COLOURED:
        best = {called[row["label"]] for row in rows if not _is_beaten(row)}
        names = [name for name in names if name in best]
    entries = [_entry(name, index, len(names)) for index, name in enumerate(names)]
    if many:
        words = f"{len(set(called.values())) - len(names):,} others"
        entries.append(_entry(words, 0, 2, **_OTHERS))
    figure, axes = canvas(len(facets), entries, title, [_CAPTION])
    for facet, ax in zip(facets, axes, strict=True):
        own = [row for row in rows if row["label"] in facet.names]
        _draw_steps(ax, [row for row in own if not _is_beaten(row)])
        for row in own:
            if (name := called[row["label"]]) in names:
                _draw_arm(ax, row, names.index(name), len(names))
            else:
                ax.plot(row["x"], row["y"], **_OTHERS, linestyle="none", zorder=1)
        dress(ax, x, y)
        ax.set_title(facet.title, loc="left", size=10.5, weight="bold")
        ax.margins(0.06)
    return with_picture(figure)


def _entry(name: str, index: int, count: int, **others: Any) -> Artist:
    try:
        from matplotlib.lines import Line2D
    except ImportError as error:
        raise MissingExtraError("drawing a figure", "study") from error
    style = {"marker": "o", **style_of(index, count), **others, "linestyle": "none"}
    return Line2D([], [], label=name, **style)


def _is_beaten(row: dict[str, Any]) -> bool:
    return isinstance(row["beaten_by"], str)


def _draw_steps(ax: Axes, best: list[dict[str, Any]]) -> None:
    """The most that can be had for each amount."""
    x, y = ([row[name] for row in best] for name in ("x", "y"))
    ax.step(x, y, where="post", color=_GREY, linewidth=1.2, zorder=1)


def _draw_arm(ax: Axes, row: dict[str, Any], index: int, count: int) -> None:
    style = {"marker": "o", **style_of(index, count)}
    beaten = _is_beaten(row)
    if beaten:
        style |= {"markerfacecolor": "white", "markeredgecolor": style["color"]}
        style |= {"markeredgewidth": 1.0, "alpha": 0.6}
    bars = {f"{name}err": _reach(row, name) for name in ("x", "y")}
    ax.errorbar(
        row["x"],
        row["y"],
        **bars,
        **(style | {"linestyle": "none", "elinewidth": 0.9}),
        capsize=2,
        zorder=2 if beaten else 3,
    )


def _reach(row: dict[str, Any], name: str) -> Any:
    """How far the interval reaches to both sides; None where there is none."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    if not np.isfinite([low, high]).all():
        return None
    return [[max(0.0, row[name] - low)], [max(0.0, high - row[name])]]
