"""Reading the results of studies from their folders."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commenv.checks import path_of
from commenv.errors import MissingExtraError, ResultsError
from commenv.study.analysis.comparability import Settings, settings_of_study
from commenv.study.results import Results
from commenv.study.storage.frame import Bounds
from commenv.study.storage.store import Store
from commenv.study.wording import count_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["load"]

_logger = logging.getLogger("commenv")


_MOST_LACKING = 3


def load(*directories: str | Path | Sequence[str | Path]) -> Results:
    """Reads the results of one study, or of several together.

    Args:
        directories: Results folders, one by one or as one list. A label that occurs in
            several of them gets its folder's name added.

    Raises:
        ResultsError: A folder that is not ours, is damaged, is still empty, or is
            given twice.
        MissingExtraError: The extra ``study`` is not installed.
    """
    try:
        import pandas  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("reading results", "study") from error
    named: Any = directories
    if len(named) == 1 and isinstance(named[0], (list, tuple)):
        [named] = named
    return _load(tuple(named))


def _load(directories: tuple[str | Path, ...]) -> Results:
    import pandas as pd

    if not directories:
        raise ResultsError("no results folder given; name at least one")
    places = [path_of("a folder", directory).resolve() for directory in directories]
    for directory, place in zip(directories, places, strict=True):
        if places.count(place) > 1:
            raise ResultsError(f"{directory} is given twice; name each folder once")
    found = [_read(directory) for directory in directories]
    counts = pd.Series([label for one in found for label in one.optimum]).value_counts()
    frames: list[pd.DataFrame] = []
    optimum: dict[str, float | None] = {}
    settings: dict[str, Settings] = {}
    ranges: dict[str, Mapping[str, Bounds]] = {}
    pruned: dict[str, list[int]] = {}
    names: list[dict[Any, str]] = []
    for directory, one in zip(directories, found, strict=True):
        new: dict[Any, str] = {
            label: label if counts[label] == 1 else f"{label}, {directory}"
            for label in one.optimum
        }
        frames.append(one.frame.assign(label=one.frame["label"].map(new)))
        optimum |= {new[label]: value for label, value in one.optimum.items()}
        settings |= {new[label]: value for label, value in one.settings.items()}
        ranges |= {new[label]: known for label, known in one.ranges.items()}
        pruned |= {new[label]: trials for label, trials in one.pruned.items()}
        names.append(new)

    def sizes() -> pd.DataFrame:
        parts = []
        for directory, new in zip(directories, names, strict=True):
            part = Store(directory).sizes()
            parts.append(part.assign(label=part["label"].map(new)))
        return pd.concat(parts, ignore_index=True)

    frame = pd.concat(frames, ignore_index=True)
    loaded = Results(frame, optimum, sizes, directories, settings, ranges, pruned)
    for line in loaded._different():
        _logger.warning("%s", line)
    return loaded


def _read(directory: str | Path) -> Results:
    store = Store(directory)
    frame, manifest = store.frame(), store.manifest()
    trials = frame.groupby("label", observed=True)["trial"].nunique()
    wanted = len(store.trials)
    labels = manifest.study.labels
    short = [sum(map(len, store.outgrown(arm))) for arm in range(len(labels))]
    lacking = [
        f"{there} of {wanted} trials of {label}"
        for label, fewer in zip(labels, short, strict=True)
        if (there := int(trials.get(label, 0)) - fewer) < wanted
    ]
    if lacking:
        more = len(lacking) - _MOST_LACKING
        _logger.warning(
            "%s is unfinished: %s%s are there; run the study again to go on",
            directory,
            ", ".join(lacking[:_MOST_LACKING]),
            f" (and {count_of(more, 'label')} more lack some)" if more > 0 else "",
        )
    settings = settings_of_study(manifest.study, manifest.software)
    ranges = {label: manifest.ranges.get(label, {}) for label in manifest.optima}
    return Results(
        frame,
        manifest.optima,
        settings=settings,
        ranges=ranges,
        pruned=store.pruned(),
    )
