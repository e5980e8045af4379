"""The results of a study: its numbers, its curves and its table."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commenv.errors import MissingExtraError, ResultsError
from commenv.study.store import Store

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from commenv.study.comparison import Comparison
    from commenv.study.cost import LinkProfile
    from commenv.study.ranges import Ranges
    from commenv.study.statistics import Bounds
    from commenv.study.verification import Verification

__all__ = ["Results", "load"]

_logger = logging.getLogger("commenv")


class Results:
    """What a study measured.

    Args:
        frame: As the attribute.
        optimum: As the attribute.
        sizes: What gives the histogram of the messages' sizes, a frame of
            :data:`commenv.study.sizes.SIZE_COLUMNS`, when :meth:`cost` needs it.
        directories: The folders that the results are kept in, if any.
        ranges: As the attribute; none is known when left out.

    Attributes:
        frame: One row per episode and trial; the columns and their units are
            :data:`commenv.study.frame.COLUMNS`.
        optimum: The exact optimal value of each label's environment within the time
            limit; None where there are no tables.
        ranges: The least and the greatest value that a label's columns can have, where
            it is known: ``ranges[label][column]``. Intervals rest on it.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        optimum: Mapping[str, float | None],
        sizes: Callable[[], pd.DataFrame] | None = None,
        directories: Sequence[str | Path] = (),
        ranges: Ranges | None = None,
    ) -> None:
        self.frame = frame
        self.optimum = dict(optimum)
        self.ranges = dict(ranges or {})
        self._sizes = sizes
        self._directories = tuple(directories)

    def __repr__(self) -> str:
        labels = ", ".join(repr(str(label)) for label in self.frame["label"].unique())
        return f"<Results of {labels}: {len(self.frame):,} episodes>"

    def __str__(self) -> str:
        return self.table()

    def table(self) -> str:
        """A plain-text table: evaluation, optimum, gap, reward, messages, bytes."""
        from commenv.study.tables import render, summary

        return render(summary(self.frame, self.optimum))

    def plot(
        self,
        x: str = "episode",
        y: str | Sequence[str] | None = None,
        *,
        title: str | None = None,
        path: str | Path | None = None,
    ) -> Figure:
        """Curves with their mean and 10th to 90th percentile over trials.

        Args:
            x: ``"episode"``, ``"env_steps"``, ``"messages"``, ``"uplink_bytes"`` or
                ``"total_bytes"``, totals per agent; or ``"team_steps"`` and
                ``"team_bytes"``, those of all agents together.
            y: ``"evaluation"``, ``"reward"``, ``"cumulative_reward"``, ``"frequency"``
                or ``"size"``, or several for as many panels; reward, frequency and
                size when left out.
            title: Above the panels.
            path: Where to save the picture too: ``.png``, ``.svg`` or ``.pdf``.

        Raises:
            ValueError: An unknown axis or picture format.
        """
        from commenv.study.figures import plot, save

        figure = plot(self.frame, optimum=self.optimum, x=x, y=y, title=title)
        if path is not None:
            save(figure, path)
        return figure

    def compare(
        self,
        a: str,
        b: str,
        at: int | Mapping[str, float] | None = None,
        y: str = "evaluation",
        *,
        bounds: Bounds | None = None,
    ) -> Comparison:
        """Compares two labels, trial by trial; printed, it is a sentence.

        Args:
            a: The one label.
            b: The other.
            at: None for the last values, an episode, or an x axis and how much has been
                spent on it: ``{"uplink_bytes": 1e5}``.
            y: The column to compare.
            bounds: The least and the greatest value that it can have, where you know
                it and :attr:`ranges` do not: without, an interval takes 300 trials.

        Raises:
            UnknownNameError: No such label, column or axis.
            ResultsError: Other trials, fewer than 2, or no value there.
        """
        from commenv.study.comparison import compare

        return compare(self.frame, a, b, at, y, ranges=self.ranges, bounds=bounds)

    def cost(self, link: str | LinkProfile, *, per_trial: bool = False) -> pd.DataFrame:
        """What all messages cost on a link: seconds on air and joules.

        Args:
            link: ``"lora"``, ``"lte"``, ``"wifi"``, the path of a ``.csv`` file (see
                :mod:`commenv.study.cost.measured`), or a profile with settings of your
                own, such as ``commenv.study.cost.LoRa(spreading_factor=12)``.
            per_trial: A row for every trial, instead of means over them.

        Returns:
            One row for each label and direction (``"uplink"``, ``"downlink"``,
            ``"acknowledgement"`` and ``"total"``): ``messages``, ``bytes`` (payload
            and headers), ``seconds`` on air, ``sender_joules``, ``receiver_joules``
            and ``joules``, their sum. They are totals of a trial, of all its agents
            together: the mean over trials, and beside it the 95 % interval of
            :func:`~commenv.study.statistics.mean_interval` as ``seconds_low``,
            ``seconds_high`` and so on, NaN below the number of trials that it needs.
            With ``per_trial`` there is a column ``trial`` and no interval.

        Raises:
            UnknownNameError: No such link.
            ValueError: A table of a link that cannot be read.
            ResultsError: The study was stored without the sizes of its messages, or
                has a message of a size that the link's table does not cover.
        """
        from commenv.study.cost import account, link_profile, summary

        profile = link_profile(link)
        if self._sizes is None:
            raise ResultsError(
                "these results came without the sizes of their messages; take those "
                "that run or load returned"
            )
        trials = self.frame[["label", "trial"]].drop_duplicates()
        costs = account(self._sizes(), trials, profile)
        return costs if per_trial else summary(costs)

    def cost_table(self, link: str | LinkProfile) -> str:
        """The means of :meth:`cost` as a plain-text table, with the link's sources."""
        from commenv.study.cost import link_profile, render

        profile = link_profile(link)
        return render(self.cost(profile), profile)

    def verify(
        self,
        *,
        block: str | None = None,
        seed: int | None = None,
        every: bool = False,
        allow: Collection[str] = (),
        progress: bool = True,
    ) -> Verification:
        """Checks the folder of these results; see :func:`commenv.study.verify`.

        Raises:
            ResultsError: They are kept in no folder, or in several.
        """
        from commenv.study.verification import verify

        if len(self._directories) != 1:
            raise ResultsError(
                f"these results are kept in {len(self._directories)} folders; verify "
                "one: commenv.study.verify(DIR)"
            )
        return verify(
            self._directories[0],
            block=block,
            seed=seed,
            every=every,
            allow=allow,
            progress=progress,
        )


def load(*directories: str | Path) -> Results:
    """Reads the results of one study, or of several together.

    Args:
        directories: Results folders. A label that occurs in several of them gets its
            folder's name added.

    Raises:
        ResultsError: A folder that is not ours, is damaged, is still empty, or is
            given twice.
        MissingExtraError: The extra ``study`` is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError("reading results", "study") from error
    if not directories:
        raise ResultsError("no results folder given; name at least one")
    places = [Path(directory).resolve() for directory in directories]
    for directory, place in zip(directories, places, strict=True):
        if places.count(place) > 1:
            raise ResultsError(f"{directory} is given twice; name each folder once")
    found = [_read(directory) for directory in directories]
    counts = pd.Series([label for one in found for label in one.optimum]).value_counts()
    frames: list[pd.DataFrame] = []
    optimum: dict[str, float | None] = {}
    ranges: dict[str, Mapping[str, Bounds]] = {}
    names: list[dict[Any, str]] = []
    for directory, one in zip(directories, found, strict=True):
        new: dict[Any, str] = {
            label: label if counts[label] == 1 else f"{label}, {directory}"
            for label in one.optimum
        }
        frames.append(one.frame.assign(label=one.frame["label"].map(new)))
        optimum |= {new[label]: value for label, value in one.optimum.items()}
        ranges |= {new[label]: known for label, known in one.ranges.items()}
        names.append(new)

    def sizes() -> pd.DataFrame:
        parts = []
        for directory, new in zip(directories, names, strict=True):
            part = Store(directory).sizes()
            parts.append(part.assign(label=part["label"].map(new)))
        return pd.concat(parts, ignore_index=True)

    frame = pd.concat(frames, ignore_index=True)
    return Results(frame, optimum, sizes, directories, ranges)


def _read(directory: str | Path) -> Results:
    store = Store(directory)
    frame, manifest = store.frame(), store.manifest()
    trials = frame.groupby("label", observed=True)["trial"].nunique()
    wanted = int(manifest.study["num_trials"])
    for label in manifest.optima:
        if (there := int(trials.get(label, 0))) < wanted:
            _logger.warning(
                "%s is unfinished: %d of %d trials of %s are there; run the study "
                "again to go on",
                directory,
                there,
                wanted,
                label,
            )
    ranges = {label: manifest.ranges.get(label, {}) for label in manifest.optima}
    return Results(frame, manifest.optima, ranges=ranges)
