"""The results of a study: its numbers, its curves and its table."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from commenv.errors import ResultsError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from commenv.study.analysis.comparability import Settings
    from commenv.study.analysis.comparison import Comparison
    from commenv.study.cost import LinkProfile
    from commenv.study.storage.frame import Bounds, Ranges
    from commenv.study.verification.verifier import Verification

__all__ = ["Results"]

_logger = logging.getLogger("commenv")


class Results:
    """What a study measured.

    Args:
        frame: As the attribute.
        optimum: As the attribute.
        sizes: What gives the histogram of the messages' sizes, a frame of
            :data:`commenv.study.storage.sizes.SIZE_COLUMNS`, when :meth:`cost` needs
            it.
        directories: The folders that the results are kept in, if any.
        settings: As the attribute.
        ranges: As the attribute; none is known when left out.
        pruned: As the attribute.

    Attributes:
        directories: As given.
        frame: One row per episode and trial; the columns and their units are
            :data:`commenv.study.storage.frame.COLUMNS`.
        optimum: The exact optimal value of each label's environment within the time
            limit; None where there are no tables.
        settings: What each label was run with, by names in words, such as ``"gamma"``,
            ``"seed"`` and ``"environment argument size"``.
        ranges: The least and the greatest value that a label's columns can have, where
            it is known: ``ranges[label][column]``. Intervals rest on it.
        pruned: The trials of each label that a callback stopped, see
            :class:`commenv.StopTrial`; a label without any is left out.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        optimum: Mapping[str, float | None],
        sizes: Callable[[], pd.DataFrame] | None = None,
        directories: Sequence[str | Path] = (),
        settings: Mapping[str, Settings] | None = None,
        ranges: Ranges | None = None,
        pruned: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        self.frame = frame
        self.optimum = dict(optimum)
        self.ranges = dict(ranges or {})
        self._sizes = sizes
        self.directories = tuple(directories)
        self.settings = dict(settings or {})
        self.pruned = {label: list(trials) for label, trials in (pruned or {}).items()}

    def __repr__(self) -> str:
        labels = ", ".join(repr(str(label)) for label in self.frame["label"].unique())
        return f"<Results of {labels}: {len(self.frame):,} episodes>"

    def __add__(self, other: Results) -> Results:
        """Both results as one: other labels, or other trials of the same.

        Raises:
            ResultsError: A label of both has the same trial twice, or other settings.
        """
        if not isinstance(other, Results):
            return NotImplemented
        from commenv.study.analysis.pooling import pooled

        return Results(**pooled(self, other))

    def __str__(self) -> str:
        return self.table()

    def table(self) -> str:
        """A plain-text table: evaluation, its interval, optimum, reward, bytes ...

        Below it stands how many trials callbacks have stopped, and in what settings the
        folders differ, if there are several.
        """
        from commenv.study.analysis.tables import render, summary

        table = render(summary(self.frame, self.optimum, self.ranges))
        return "\n".join([table, *self._stopped(), *self._different()])

    def _stopped(self) -> list[str]:
        """How many trials of each label a callback has stopped, a line for each."""
        of_label = self.frame.groupby("label", observed=True)["trial"].nunique()
        return [
            f"{label}: callbacks stopped {len(trials)} of {of_label[label]} trials"
            for label, trials in self.pruned.items()
        ]

    def _different(self) -> list[str]:
        """In what settings the folders of these results differ, a line for each."""
        from commenv.study.analysis.comparability import differing

        several = len(self.directories) > 1
        return [
            f"labels differ in {line}" for line in differing(self.settings)
        ] * several

    def plot(
        self,
        x: str = "episode",
        y: str | Sequence[str] | None = None,
        *,
        facet: str | None = None,
        title: str | None = None,
        path: str | Path | None = None,
    ) -> Figure:
        """Curves with their mean and 10th to 90th percentile over trials.

        Of more than 24, the 12 that end highest have colours, the others are grey. In
        what settings folders differ that were loaded together stands below them.

        Args:
            x: ``"episode"``, ``"env_steps"``, ``"messages"``, ``"uplink_bytes"`` or
                ``"total_bytes"``, totals per agent; ``"team_steps"`` and
                ``"team_bytes"``, those of all agents together; or any other column of
                amounts, such as ``"refused"``, of which it is the total so far.
            y: Any column of numbers, such as ``"evaluation"``, ``"reward"`` or
                ``"episode_return"``, or ``"cumulative_reward"``; or several for as many
                panels. Reward, frequency and size when left out.
            facet: What panels stand side by side for: ``"environment"``,
                ``"algorithm"``, ``"scheme"``, ``"num_agents"``, ``"settings"``,
                ``"uplink"`` or ``"downlink"``; ``"none"`` puts all curves in one. When
                left out, it is the environment where there are several.
            title: Above the panels.
            path: Where to save the picture too: ``.png``, ``.svg`` or ``.pdf``.

        Raises:
            ValueError: An unknown axis, facet or picture format.
            ResultsError: The facet has more values than panels fit side by side.
        """
        from commenv.study.analysis.figures import plot, save

        figure = plot(
            self.frame,
            optimum=self.optimum,
            x=x,
            y=y,
            facet=facet,
            settings=self.settings,
            title=title,
            notes=self._different(),
        )
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
        reach: float | None = None,
        bounds: Bounds | None = None,
    ) -> Comparison:
        """Compares two labels; printed, it is a sentence.

        Trials are taken as pairs where their seed, number and environment are the same.
        The sentence names every setting that the labels differ in beside what they are
        compared for.

        Args:
            a: The one label.
            b: The other.
            at: None for the last values, an episode, or an x axis and how much has been
                spent on it: ``{"uplink_bytes": 1e5}``.
            y: The column of numbers to compare, or ``"cumulative_reward"``.
            reach: Compare when ``y`` first reaches this, instead of its values; see
                :func:`commenv.study.analysis.comparison.compare`.
            bounds: The least and the greatest value that ``y`` can have, where you know
                it and :attr:`ranges` do not: without, an interval takes 300 trials.

        Raises:
            UnknownNameError: No such label, column or axis.
            ResultsError: Other trials, fewer than 2, or no value there; or discounted
                returns of different discounts.
        """
        from commenv.study.analysis.comparison import compare

        return compare(
            self.frame,
            a,
            b,
            at,
            y,
            reach=reach,
            settings=self.settings,
            ranges=self.ranges,
            bounds=bounds,
        )

    def times(
        self,
        reach: float,
        y: str = "evaluation",
        x: str = "episode",
        *,
        within: float | None = None,
    ) -> pd.DataFrame:
        """When each label reaches a threshold, and how many trials never do.

        Args:
            reach: The threshold; the first value of at least this counts.
            y: The column that is to reach it.
            x: What the time is counted in: one of the axes of :meth:`plot`.
            within: How far along x is looked; when left out, to where the first trial
                ends without having reached it.

        Returns:
            One row for each label; the columns are those of
            :func:`commenv.study.analysis.arrivals.times`.

        Raises:
            UnknownNameError: No such column or axis.
            ResultsError: A trial ends before ``within`` without having reached it.
        """
        from commenv.study.analysis.arrivals import times

        return times(self.frame, reach, y, x, within=within)

    def frontier(
        self,
        x: str = "uplink_bytes",
        y: str = "evaluation",
        *,
        every: bool = False,
    ) -> pd.DataFrame:
        """The arms that no other beats: more of ``y`` for less of ``x``.

        Args:
            x: What is spent, one of the axes of :meth:`plot`.
            y: What is had for it: a column of numbers, of which more is better.
            every: Whether arms that are beaten are listed, too, and by whom.

        Returns:
            One row for each arm, from the cheapest, with intervals; the columns are
            those of :func:`commenv.study.analysis.frontier.frontier`.

        Raises:
            UnknownNameError: An unknown axis or column.
            ResultsError: A trial has no value of ``y``.
        """
        from commenv.study.analysis.frontier import frontier

        return frontier(
            self.frame, x, y, settings=self.settings, ranges=self.ranges, every=every
        )

    def plot_frontier(
        self,
        x: str = "uplink_bytes",
        y: str = "evaluation",
        *,
        title: str | None = None,
        path: str | Path | None = None,
    ) -> Figure:
        """All arms of :meth:`frontier` as a figure, a panel for each environment.

        Args:
            x: As there.
            y: As there.
            title: Above the panels.
            path: Where to save the picture too: ``.png``, ``.svg`` or ``.pdf``.

        Raises:
            UnknownNameError: An unknown axis, column or picture format.
            ResultsError: A trial has no value of ``y``.
        """
        from commenv.study.analysis.figures import save
        from commenv.study.analysis.frontier_figure import plot_frontier

        figure = plot_frontier(self.frontier(x, y, every=True), x, y, title=title)
        if path is not None:
            save(figure, path)
        return figure

    def sizes(self) -> pd.DataFrame:
        """How many messages of each size were sent, trial by trial.

        Returns:
            A frame of :data:`commenv.study.storage.sizes.SIZE_COLUMNS`.

        Raises:
            ResultsError: The study was stored without, or these results came without.
        """
        if self._sizes is None:
            raise ResultsError(
                "these results came without the sizes of their messages; take those "
                "that run or load returned"
            )
        return self._sizes()

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
            :func:`~commenv.study.analysis.intervals.mean_interval` as ``seconds_low``,
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
        sizes = self.sizes()
        trials = self.frame[["label", "trial"]].drop_duplicates()
        costs = account(sizes, trials, profile)
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
        from commenv.study.verification.verifier import verify

        if len(self.directories) != 1:
            raise ResultsError(
                f"these results are kept in {len(self.directories)} folders; verify "
                "one: commenv.study.verify(DIR)"
            )
        return verify(
            self.directories[0],
            block=block,
            seed=seed,
            every=every,
            allow=allow,
            progress=progress,
        )
