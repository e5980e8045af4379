"""Adding results in memory: more labels, or more trials of the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from commenv.errors import ResultsError
from commenv.study.analysis.comparability import differing

if TYPE_CHECKING:
    import pandas as pd

    from commenv.study.results import Results

__all__ = ["pooled"]


def pooled(one: Results, other: Results) -> dict[str, Any]:
    """The arguments of both results as one; labels stay in their order.

    Raises:
        ResultsError: A label of both has the same trial twice, or other settings.
    """
    import pandas as pd

    for label in one.optimum:
        if label in other.optimum:
            _check_same(label, one, other)
    frame = pd.concat([one.frame, other.frame], ignore_index=True)
    frame = _in_order(frame, [*one.optimum, *other.optimum])

    def sizes() -> pd.DataFrame:
        return pd.concat([one.sizes(), other.sizes()], ignore_index=True)

    return {
        "frame": frame,
        "optimum": {**one.optimum, **other.optimum},
        "sizes": sizes,
        "directories": [*one.directories, *other.directories],
        "settings": {**one.settings, **other.settings},
        "ranges": {**one.ranges, **other.ranges},
        "pruned": {
            label: sorted([*one.pruned.get(label, ()), *other.pruned.get(label, ())])
            for label in {**one.pruned, **other.pruned}
        },
    }


def _check_same(label: str, one: Results, other: Results) -> None:
    """Raises ResultsError where two results do not hold trials of one arm."""
    names = {f"{label} (left)": one, f"{label} (right)": other}
    there = {name: found.settings.get(label, {}) for name, found in names.items()}
    plugins = ("algorithm", "scheme")
    unlike = [
        f"{name}: {left!r} and {there[f'{label} (right)'].get(name)!r}"
        for name, left in there[f"{label} (left)"].items()
        if name.startswith(plugins) and left != there[f"{label} (right)"].get(name)
    ]
    if unlike := unlike + differing(there):
        raise ResultsError(
            f"both results have the label {label!r}, with other settings "
            f"({'; '.join(unlike)}); give one of them another label"
        )
    both = set(_trials(one, label)) & set(_trials(other, label))
    if both:
        raise ResultsError(
            f"both results have trial {min(both)} of {label!r}; add trials that differ"
        )


def _trials(results: Results, label: str) -> list[int]:
    frame = results.frame
    return frame.loc[frame["label"] == label, "trial"].unique().tolist()


def _in_order(frame: pd.DataFrame, labels: list[str]) -> pd.DataFrame:
    """Rows by label, trial and episode, as a run gives them."""
    place = {label: position for position, label in enumerate(dict.fromkeys(labels))}
    key = frame["label"].map(place)
    order = frame.assign(place=key).sort_values(
        ["place", "trial", "episode"], kind="stable"
    )
    return order.drop(columns="place").reset_index(drop=True)
