"""Two labels side by side, paired by trial where trials meet equal worlds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from commenv.errors import ResultsError
from commenv.study.analysis.arrivals import arrivals, common_end, time_to
from commenv.study.analysis.axes import check_x, progress_along
from commenv.study.analysis.comparability import (
    Settings,
    check_same_quantity,
    settings_of_frame,
    unlike,
    why_not_paired,
)
from commenv.study.analysis.estimands import Estimand, final, value_at
from commenv.study.analysis.intervals import least_trials, mean_interval
from commenv.study.analysis.paired_estimands import difference
from commenv.study.analysis.significance import difference_test
from commenv.study.analysis.statistics import (
    RESAMPLES,
    apart,
    percentiles,
    probability_of_improvement,
)
from commenv.study.analysis.unpaired import (
    permutation_test,
    superiority,
    unpaired_interval,
)
from commenv.study.storage.frame import Bounds

if TYPE_CHECKING:
    import pandas as pd

    from commenv.study.storage.frame import Ranges

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True)
class Comparison:
    """How much higher one label is than another; printed, it is a sentence.

    Trials are pairs where their seed, number and environment are the same. Then the
    interval is that of :func:`~commenv.study.analysis.intervals.mean_interval`, p that
    of :func:`~commenv.study.analysis.significance.difference_test`, from the same
    resamples: p is at most .05 where the interval leaves out 0. Other trials are
    independent: see :mod:`commenv.study.analysis.unpaired`. Where the range of what is
    compared is known, they rest on it. Where it is not, there are none below
    :data:`~commenv.study.analysis.intervals.LEAST_UNBOUNDED` trials, nor where no two
    trials differ.

    Args:
        a: The one label.
        b: The other.
        what: What was compared, and where.
        estimate: The mean over trials of ``a`` less that of ``b``.
        low: The lower end of its 95 % interval; NaN where there is none.
        high: The upper end.
        p: Two-sided, of the hypothesis that the labels do not differ; NaN without an
            interval.
        improvement: The share of pairs in which ``a`` is above ``b`` (or before it),
            ties counting half: pairs of trials, or all pairs where they are not paired.
        trials: How many trials ``a`` has.
        trials_b: How many ``b`` has.
        spread: The 10th and the 90th percentile over these pairs of ``a`` less ``b``.
        bounds: The least and the greatest value that this can have; None if unknown.
        not_paired: Why trials are not pairs; None where they are.
        differences: What the labels differ in beside what they are compared for.
        never: How many trials of ``a`` and of ``b`` never came to what was to be
            reached; None where nothing was.
    """

    a: str
    b: str
    what: str
    estimate: float
    low: float
    high: float
    p: float
    improvement: float
    trials: int
    trials_b: int
    spread: tuple[float, float]
    bounds: Bounds | None
    not_paired: str | None = None
    differences: tuple[str, ...] = ()
    never: tuple[int, int] | None = None

    def __str__(self) -> str:
        """One sentence with all numbers in it, and what qualifies it."""
        way = "lower" if self.estimate < 0 else "higher"
        distance = f"{abs(self.estimate):.4g} {way} than of {self.b}"
        if self.estimate == 0:
            distance = f"the same as of {self.b}"
        relation = "above" if self.never is None else "there before"
        text = (
            f"{self.what} of {self.a} is {distance} (difference {self.estimate:.4g}, "
            f"{self._interval()}, {self._pairs()}); {self.a} is {relation} {self.b} in "
            f"{self.improvement:.0%} of them, ties counting half"
        )
        return ". ".join([text, *self._qualified()])

    def _pairs(self) -> str:
        """Which trials were compared with which."""
        if self.not_paired is None:
            return f"{self.trials} paired trials"
        return (
            f"{self.trials} trials and {self.trials_b}, not paired: {self.not_paired}; "
            f"all {self.trials * self.trials_b:,} pairs of one and the other counted"
        )

    def _qualified(self) -> list[str]:
        """What has to be said beside the numbers."""
        said = []
        if self.never is not None:
            said.append(
                f"Never: {self.never[0]} of {self.trials} trials of {self.a}, "
                f"{self.never[1]} of {self.trials_b} of {self.b}"
            )
        if self.differences:
            said.append(f"They also differ in {', '.join(self.differences)}")
        return said

    def _interval(self) -> str:
        """The interval and p in words, or why there are none and what trials show."""
        if np.isnan(self.low):
            spread = "10th to 90th percentile {:.4g} to {:.4g}".format(*self.spread)
            why = "equal trials give none"
            if min(self.trials, self.trials_b) < (least := least_trials(self.bounds)):
                why = f"it takes {least} trials"
            return f"{spread}, no interval: as the range is not known, {why}"
        if self.low == self.high:
            return "exactly: it can have no other value"
        p = f"p = {self.p:.2g}" if self.p >= 1e-3 else "p < 0.001"
        by = "Student's test and bootstrap"
        if self.bounds is not None:
            by = "the known range {:.4g} to {:.4g}".format(*self.bounds)
        if self.not_paired is not None:
            by = "permutations"
        return f"95 % interval {self.low:.4g} to {self.high:.4g}, {p} by {by}"


def compare(
    frame: pd.DataFrame,
    a: str,
    b: str,
    at: int | Mapping[str, float] | None = None,
    y: str = "evaluation",
    *,
    reach: float | None = None,
    settings: Mapping[str, Settings] | None = None,
    ranges: Ranges | None = None,
    bounds: Bounds | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Compare two labels, trial by trial where trials are pairs.

    Args:
        frame: A study's frame.
        a: The one label.
        b: The other.
        at: Where: None for the last value of each; an episode; or one of the x axes
            and how much has been spent on it, per agent: ``{"uplink_bytes": 1e5}``,
            ``{"env_steps": 1e4}``. Past a trial's end its last value is held, and the
            sentence says so where that is true of all.
        y: The column of numbers to compare, or ``"cumulative_reward"``.
        reach: Compare not values but when ``y`` first reaches this. ``at`` then says in
            what that is counted and how far is looked, as in ``{"uplink_bytes": 1e5}``;
            when left out, in episodes, to where the first trial ends without it. Later
            and never count as that; who is there first is counted without such a cut,
            never as the last.
        settings: What each label was run with, as in
            :attr:`commenv.study.results.Results.settings`; when left out, all labels
            are taken to have the same seed and gamma.
        ranges: The ranges of the frame's columns, as in
            :attr:`commenv.study.results.Results.ranges`.
        bounds: The least and the greatest value that ``y`` can have, where you know it
            and ``ranges`` do not.
        seed: What the resamples of the interval and the test are drawn from.
        resamples: How many.

    Raises:
        UnknownNameError: An unknown label, column or axis.
        ResultsError: The labels have different trials although they are of one seed and
            environment, fewer than 2 of them, no value at that place, or different
            discounts where discounted returns are compared.
        ValueError: A place that is not a number of 0 or more, a label compared with
            itself, or values outside ``bounds``.
    """
    if a == b:
        raise ValueError(f"{a!r} is compared with itself; give two labels")
    one, other = (
        (settings or {}).get(label) or settings_of_frame(frame, label)
        for label in (a, b)
    )
    check_same_quantity(a, one, b, other, y)
    estimands, what = _wanted(frame, a, b, at, y, reach)
    reason = why_not_paired(one, other)
    if bounds is not None and reach is None:
        ranges = {label: {y: bounds} for label in (a, b)}
    how: dict[str, Any] = {"seed": seed, "resamples": resamples}
    compared = _paired if reason is None else _independent
    numbers = compared(estimands, frame, ranges or {}, how)
    never = None
    if reach is not None:
        x = "episode" if at is None else _axis(at)[0]
        times = [_times(frame, label, reach, y, x) for label in (a, b)]
        never = int(np.isinf(times[0]).sum()), int(np.isinf(times[1]).sum())
        counted = probability_of_improvement if reason is None else superiority
        numbers["improvement"] = counted(
            _ranks(times[1], times), _ranks(times[0], times)
        )
    return Comparison(
        a,
        b,
        what,
        **numbers,
        not_paired=reason,
        differences=tuple(unlike(one, other)),
        never=never,
    )


def _wanted(
    frame: pd.DataFrame,
    a: str,
    b: str,
    at: int | Mapping[str, float] | None,
    y: str,
    reach: float | None,
) -> tuple[tuple[Estimand, Estimand], str]:
    """What is compared of each label, and what it is called."""
    if reach is None:
        return (_place(a, at, y), _place(b, at, y)), _words(at, y, frame, (a, b))
    x, end = "episode", None
    if at is not None:
        x, end = _axis(at)
    end = common_end(frame, [a, b], reach, y, x) if end is None else end
    first, second = (time_to(name, reach, y, x, within=end) for name in (a, b))
    return (first, second), (
        f"{x} until {y} is {reach:g} (later than {end:g} and never count as that)"
    )


def _paired(
    estimands: tuple[Estimand, Estimand],
    frame: pd.DataFrame,
    ranges: Ranges,
    how: dict[str, Any],
) -> dict[str, Any]:
    """The numbers of a comparison of pairs."""
    pair = difference(*estimands)
    values = np.array(list(pair(frame).values()))
    _check_trials(len(values))
    bounds = pair.bounds(ranges)
    low, high = map(float, mean_interval(values, bounds=bounds, **how))
    p = np.nan
    if not np.isnan(low):
        p = float(difference_test(values, bounds=bounds, **how))
    above, below = values[values > 0].sum(), -values[values < 0].sum()
    return {
        "estimate": float(apart(above, below)) / len(values),
        "low": low,
        "high": high,
        "p": p,
        "improvement": probability_of_improvement(values, np.zeros_like(values)),
        "trials": len(values),
        "trials_b": len(values),
        "spread": tuple(map(float, percentiles(values))),
        "bounds": bounds,
    }


def _independent(
    estimands: tuple[Estimand, Estimand],
    frame: pd.DataFrame,
    ranges: Ranges,
    how: dict[str, Any],
) -> dict[str, Any]:
    """The numbers of a comparison of independent trials."""
    one, other = (np.array(list(each(frame).values())) for each in estimands)
    _check_trials(min(len(one), len(other)))
    intervals = [
        mean_interval(values, bounds=each.bounds(ranges), **how)
        for values, each in zip((one, other), estimands, strict=True)
    ]
    means = float(one.mean()), float(other.mean())
    interval = unpaired_interval(means[0], intervals[0], means[1], intervals[1])
    low, high = map(float, interval)
    return {
        "estimate": float(apart(*means)),
        "low": low,
        "high": high,
        "p": np.nan if np.isnan(low) else permutation_test(one, other, **how),
        "improvement": superiority(one, other),
        "trials": len(one),
        "trials_b": len(other),
        "spread": tuple(map(float, percentiles(apart(one[:, None], other).ravel()))),
        "bounds": difference(*estimands).bounds(ranges),
    }


def _check_trials(count: int) -> None:
    if count < 2:
        raise ResultsError("1 trial has no interval; run at least 2 (10 for a verdict)")


def _times(
    frame: pd.DataFrame, label: str, reach: float, y: str, x: str
) -> NDArray[np.float64]:
    """When each trial of a label is there, inf for never."""
    found = arrivals(frame, label, reach, y, x)
    return np.array([found[trial][0] for trial in sorted(found)])


def _ranks(
    times: NDArray[np.float64], all_times: list[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Times with never as a number beyond all others."""
    known = np.concatenate(all_times)
    beyond = 2 * known[np.isfinite(known)].max(initial=1.0)
    return np.where(np.isfinite(times), times, beyond)


def _end(frame: pd.DataFrame, pair: tuple[str, str], x: str) -> float:
    """How far the longest trial of either label goes."""
    rows = frame[frame["label"].isin(pair)].sort_values(["label", "trial", "episode"])
    parts = [part for _, part in rows.groupby("label", observed=True)]
    return max((float(progress_along(part, x).max()) for part in parts), default=np.inf)


def _place(label: str, at: int | Mapping[str, float] | None, y: str) -> Estimand:
    """The value of one label at the place asked for."""
    if at is None:
        return final(label, y)
    x, amount = _axis(at)
    return value_at(label, x, amount, y)


def _axis(at: int | Mapping[str, float]) -> tuple[str, float]:
    """The axis and how far along it."""
    places = at if isinstance(at, Mapping) else {"episode": at}
    if len(places) != 1:
        raise ValueError(f"at is {at}; name one axis, as in {{'env_steps': 1e4}}")
    [(x, amount)] = places.items()
    check_x(x)
    if not isinstance(amount, Real) or not amount >= 0:
        raise ValueError(f"{x} {amount!r} is no place; give a number of 0 or more")
    return x, amount


def _words(
    at: int | Mapping[str, float] | None,
    y: str,
    frame: pd.DataFrame,
    pair: tuple[str, str],
) -> str:
    """What is compared, and where."""
    if at is None:
        return f"last {y}"
    x, amount = _axis(at)
    end = _end(frame, pair, x)
    held = f" (held from {end:g}, where the trials end)" if amount > end else ""
    return f"{y} at {x} {amount:g}{held}"
