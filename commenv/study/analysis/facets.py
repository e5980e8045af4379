"""Panels side by side: which arms stand in which, and what they are called there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from commenv.errors import ResultsError, UnknownNameError
from commenv.study.analysis.comparability import Settings
from commenv.study.analysis.curves import labels
from commenv.study.wording import count_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FACETS", "MOST_FACETS", "Facet", "facets_of", "grouped"]

_SETTINGS = ("algorithm setting ", "scheme setting ", "environment argument ")
# What belongs to a field, by how its settings are called in words.
_BELONGS: dict[str, tuple[str, ...]] = {
    "environment": ("environment", "time limit"),
    "algorithm": ("algorithm", "scheme"),
    "scheme": ("scheme",),
    "num_agents": ("number of agents",),
    "settings": _SETTINGS,
    "uplink": ("uplink ",),
    "downlink": ("downlink ",),
}
FACETS = (*_BELONGS, "none")
"""What panels may stand side by side for; ``"none"`` is one panel for all arms."""

MOST_FACETS = 12
"""Panels side by side of one measure."""


class Facet(NamedTuple):
    """One of the panels side by side.

    Attributes:
        title: What its arms have in common; empty where it is the only panel.
        names: What each of its arms is called in the legend, by label.
    """

    title: str
    names: dict[str, str]


def facets_of(
    frame: pd.DataFrame,
    field: str | None = None,
    settings: Mapping[str, Settings] | None = None,
) -> list[Facet]:
    """The panels that the arms of a frame are drawn in.

    Args:
        frame: A study's frame.
        field: One of :data:`FACETS`; when left out, the environment where there are
            several: their returns do not share an axis.
        settings: What each label was run with.

    Raises:
        UnknownNameError: No such field.
        ResultsError: Nothing is known of it, or it has more than :data:`MOST_FACETS`
            values.
    """
    if field is None:
        many = "environment" in frame.columns and frame["environment"].nunique() > 1
        field = "environment" if many else "none"
    if field not in FACETS:
        raise UnknownNameError("facet", field, FACETS, f"all: {', '.join(FACETS)}")
    names = labels(frame)
    if field == "none":
        return [_as_they_are("", names)]
    known = settings or {}
    words = _words(frame, names, field, known)
    if (count := len(set(words.values()))) > MOST_FACETS:
        raise ResultsError(
            f"{field} has {count} values, more than the {MOST_FACETS} panels that fit "
            f"side by side; choose another facet of {', '.join(FACETS)}"
        )
    alike = {
        label: [
            (name, repr(value))
            for name, value in sorted(known[label].items())
            if not name.startswith(_BELONGS[field])
        ]
        for label in names
        if label in known
    }
    return grouped(words, alike)


def grouped(
    titles: Mapping[str, str], alike: Mapping[str, Any] | None = None
) -> list[Facet]:
    """Arms by their panel's title; names in the legend leave out what that says.

    Args:
        titles: Of each label.
        alike: What each label has beside; arms of two panels that are the same in it
            may have the same name, and so the same colour.
    """
    groups: dict[str, list[str]] = {}
    for label, title in titles.items():
        groups.setdefault(title, []).append(label)
    if len(groups) == 1:
        return [
            Facet(title, {one: one for one in own}) for title, own in groups.items()
        ]
    plain = [Facet(title, _less(own, {title})) for title, own in groups.items()]
    if _is_product(plain, alike or {}):
        return plain
    shorter = [
        Facet(title, _less(own, _in_this_alone(title, groups)))
        for title, own in groups.items()
    ]
    if alike and _is_product(shorter, alike):
        return shorter
    if all(map(_are_names, plain)):
        return plain
    return [_as_they_are(*one) for one in groups.items()]


def _as_they_are(title: str, own: Sequence[str]) -> Facet:
    return Facet(title, {label: label for label in own})


def _parts(label: str) -> list[str]:
    return label.split(", ")


def _less(own: Sequence[str], said: set[str]) -> dict[str, str]:
    """The labels without the parts that are said already."""
    return {
        label: ", ".join(part for part in _parts(label) if part not in said)
        for label in own
    }


def _in_this_alone(title: str, groups: Mapping[str, Sequence[str]]) -> set[str]:
    """What all labels of a panel say, and no other panel's."""
    shared = set.intersection(*(set(_parts(label)) for label in groups[title]))
    others = [own for other, own in groups.items() if other != title]
    return shared - {part for own in others for one in own for part in _parts(one)}


def _are_names(facet: Facet) -> bool:
    """Whether every arm of a panel has a name of its own."""
    names = list(facet.names.values())
    return all(names) and len(set(names)) == len(names)


def _is_product(facets: Sequence[Facet], alike: Mapping[str, Any]) -> bool:
    """Whether each name stands in every panel, for arms that are alike but for it."""
    if not all(map(_are_names, facets)):
        return False
    first = {name: alike.get(label) for label, name in facets[0].names.items()}
    return all(
        {name: alike.get(label) for label, name in one.names.items()} == first
        for one in facets[1:]
    )


def _words(
    frame: pd.DataFrame,
    names: Sequence[str],
    field: str,
    settings: Mapping[str, Settings],
) -> dict[str, str]:
    """What panels say of each label."""
    if field in ("environment", "algorithm", "scheme", "num_agents"):
        column = frame.drop_duplicates("label").set_index("label")[field]
        if field == "num_agents":
            return {label: count_of(int(column[label]), "agent") for label in names}
        return {label: str(column[label]) for label in names}
    for label in names:
        if label not in settings:
            raise ResultsError(
                f"nothing is known of the {field} of {label!r}; take results that run "
                "or load returned"
            )
    leaves = {label: _leaves_of(settings[label], field) for label in names}
    paths = dict.fromkeys(path for own in leaves.values() for path in own)
    # What one algorithm alone has, and has alike in all its arms, sets nothing apart.
    apart = [
        path
        for path in paths
        if len({own[path] for own in leaves.values() if path in own}) > 1
    ]
    return {
        label: ", ".join(own[path] for path in apart if path in own) or "default"
        for label, own in leaves.items()
    }


def _leaves_of(settings: Settings, field: str) -> dict[str, str]:
    """The settings of a field down to their last parts, in words, by their path."""
    found: dict[str, str] = {}
    for name, value in settings.items():
        for prefix in _BELONGS[field]:
            if name.startswith(prefix):
                _add(found, name.removeprefix(prefix), name, value)
    return found


def _add(found: dict[str, str], name: str, path: str, value: Any) -> None:
    if isinstance(value, dict) and "class" in value:
        found[path] = str(value["class"]).rpartition(":")[2]
        for key, inner in value.items():
            if key != "class":
                _add(found, key, f"{path} {key}", inner)
    elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
        for place, inner in enumerate(value):
            _add(found, name, f"{path} {place}", inner)
    else:
        found[path] = f"{name}={value}"
