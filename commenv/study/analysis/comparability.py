"""What sets labels apart beside what they are compared for.

Results of several folders may differ in anything: a discount of .9 and one of .5 make
two quantities of the same name, and trials of equal numbers meet equal worlds only if
their seed and their environment are the same. Here each label's settings are listed by
the words that people use for them, so that every difference can be named.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from commenv.errors import ResultsError, shown
from commenv.study.storage.manifest import brief
from commenv.study.storage.schema import ArmSettings, StudySettings

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ENVIRONMENT",
    "Settings",
    "check_same_quantity",
    "differing",
    "settings_of_frame",
    "settings_of_study",
    "unlike",
    "why_not_paired",
]

Settings: TypeAlias = dict[str, Any]
"""What a label was run with: a value for each setting, by its name in words."""

_NAMES = {
    "num_episodes": "number of rounds",
    "gamma": "gamma",
    "seed": "seed",
    "stop": "stop",
    "evaluate_every": "rounds from one evaluation to the next",
    "evaluation_episodes": "episodes of an evaluation",
}
_PACKAGES = ("commenv", "gymnasium", "pettingzoo", "mujoco")
ENVIRONMENT = ("environment", "environment argument")
_COMPARED = ("algorithm", "scheme")
_DISCOUNTED = ("evaluation", "held_evaluation", "reward", "cumulative_reward")
_MISSING = "not set"
_MOST_LABELS = 3


def settings_of_study(
    study: StudySettings, software: Mapping[str, str]
) -> dict[str, Settings]:
    """The settings of each label of a study.

    Args:
        study: As a manifest holds it.
        software: As :func:`commenv.study.storage.provenance.software` gives it.
    """
    shared = {words: getattr(study, name) for name, words in _NAMES.items()}
    shared |= {f"{name} version": software.get(name) for name in _PACKAGES}
    return {arm.label: shared | _of_arm(arm) for arm in study.arms}


def _of_arm(arm: ArmSettings) -> Settings:
    """What belongs to one label alone."""
    settings: Settings = {
        "environment": arm.environment,
        "time limit": arm.time_limit,
        "number of agents": arm.num_agents,
    }
    for way in ("uplink", "downlink"):
        parts = getattr(arm, way)
        settings |= {f"{way} {name}": x for name, x in parts.items() if name != "class"}
    if isinstance(arm.env_kwargs, list):
        settings["environment argument of each agent"] = arm.env_kwargs
    else:
        for name, value in arm.env_kwargs.items():
            settings[f"environment argument {name}"] = value
    for part in _COMPARED:
        plugin = getattr(arm, part)
        settings[part] = plugin.get("class")
        for name, value in plugin.items():
            if name != "class":
                settings[f"{part} setting {name}"] = value
    return settings


def settings_of_frame(frame: pd.DataFrame, label: str) -> Settings:
    """What a frame alone tells of a label's settings."""
    columns = {
        "environment": "environment",
        "num_agents": "number of agents",
        "codec": "uplink codec",
    }
    rows = frame[frame["label"] == label]
    there = {name: words for name, words in columns.items() if name in frame.columns}
    return {words: rows[name].iloc[0] for name, words in there.items() if len(rows)}


def unlike(one: Settings, other: Settings) -> list[str]:
    """Where two labels differ, such as ``"gamma (0.9 and 0.5)"``.

    Algorithm and scheme are what labels are compared for, and so are their settings;
    these are named only where both labels have the same algorithm or scheme.
    """
    skipped = [part for part in _COMPARED if one.get(part) != other.get(part)]
    return [
        f"{name} ({_shown(one, name)} and {_shown(other, name)})"
        for name in one | other
        if one.get(name) != other.get(name)
        and name not in _COMPARED
        and not any(name.startswith(f"{part} setting") for part in skipped)
    ]


def differing(settings: Mapping[str, Settings]) -> list[str]:
    """Where labels differ, such as ``"gamma: 0.9 (dql, a), 0.5 (dql, b)"``.

    Algorithms, schemes and their settings are left out: that is what labels are for.
    """
    names = dict.fromkeys(name for one in settings.values() for name in one)
    lines = []
    for name in names:
        by_value: dict[str, list[str]] = {}
        for label, one in settings.items():
            by_value.setdefault(_shown(one, name), []).append(label)
        if len(by_value) > 1 and not name.startswith(_COMPARED):
            parts = [f"{x} ({_listed(where)})" for x, where in by_value.items()]
            lines.append(f"{name}: {', '.join(parts)}")
    return lines


def why_not_paired(one: Settings, other: Settings) -> str | None:
    """Why trials of equal numbers do not meet equal worlds; None where they do."""
    if one.get("seed") != other.get("seed"):
        return "their seeds differ"
    names = [name for name in one | other if name.startswith(ENVIRONMENT)]
    if any(one.get(name) != other.get(name) for name in names):
        return "their environments differ"
    return None


def check_same_quantity(
    a: str, one: Settings, b: str, other: Settings, column: str
) -> None:
    """Refuses to compare discounted returns that have different discounts.

    Raises:
        ResultsError: They have; the message says what can be compared instead.
    """
    if column in _DISCOUNTED and one.get("gamma") != other.get("gamma"):
        raise ResultsError(
            f"{a} discounts with gamma {_shown(one, 'gamma')} and {b} with gamma "
            f"{_shown(other, 'gamma')}, so their {column} is not the same quantity; "
            "compare y='episode_return', which is not discounted, or run both with the "
            "same gamma"
        )


def _shown(settings: Settings, name: str) -> str:
    """A setting's value in a few characters."""
    return _in_short(settings.get(name, _MISSING))


def _in_short(value: Any) -> str:
    if isinstance(value, dict) and "class" in value:
        name = str(value["class"]).rpartition(":")[2]
        arguments = ", ".join(
            f"{key}={_in_short(x)}"
            for key, x in value.items()
            if key != "class" and x is not None
        )
        return f"{name}({arguments})"
    if value is None:
        return "none"
    return shown(value if isinstance(value, str) else brief.repr(value), 100)


def _listed(labels: Iterable[str]) -> str:
    """The first few labels, and how many more there are."""
    names = list(labels)
    more = len(names) - _MOST_LABELS
    first = "; ".join(names[:_MOST_LABELS])
    return f"{first} and {more} more" if more > 0 else first
