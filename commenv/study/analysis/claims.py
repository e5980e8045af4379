"""Claims: testable statements about a study, and the verdicts on them.

A claim fixes beforehand what is measured, in which direction and by what margin it is
said to be, and on how many trials that is judged. The rule, with alpha .05:

1. For each claim two one-sided p-values are taken: that of the claim, small if trials
   like these would be rare were it false, and that of its reverse, small if they would
   be rare were it true. For a mean they come from
   :func:`~commenv.study.analysis.significance.mean_test`, which uses the range that the
   number can have where it is known; for a share from the exact binomial test. "Equal"
   is shown by two one-sided tests, and its reverse by a test on either side.
2. Within a figure, Holm's correction is applied to the claims' p-values, and on its own
   to the reverses', each at alpha / 2; the corrected values are doubled, so that they
   compare with alpha.
3. *Supported*: the claim's is at most alpha. *Contradicted*: the reverse's is. Else
   *undecided*; and always so below the number of trials fixed beforehand, below 10, and
   below :data:`~commenv.study.analysis.intervals.LEAST_UNBOUNDED` for a mean of unknown
   range.

So the chance of one or more false verdicts in a figure, of either kind together, is at
most alpha, whatever the claims have to do with each other, as far as the tests keep
their level.

Of 2,000 figures of seven claims whose means were at their margins, the per cent with a
false verdict, give or take a Monte Carlo error of at most .5. The populations are those
of :mod:`commenv.study.analysis.intervals`; a dash: no verdict. (``python -m
tests.study.analysis.coverage``)

====================  ====  ====  ====  ====
per cent, trials      10    20    100   300
====================  ====  ====  ====  ====
range known:
uniform               0.0   0.0   0.2   0.4
beta(.3, 3)           0.0   0.0   0.0   0.2
3 %, one fails        0.0   0.0   0.0   0.2
3 %, both             0.0   0.0   0.0   0.4
10 %, one fails       0.0   0.0   0.0   0.1
10 %, both            0.0   0.0   0.5   0.3
range unknown:
normal                -     -     -     4.0
log-normal, sigma .5  -     -     -     3.5
log-normal, sigma 1   -     -     -     4.9
3 %, one fails        -     -     -     2.8
3 %, both             -     -     -     4.3
10 %, one fails       -     -     -     2.7
10 %, both            -     -     -     4.2
====================  ====  ====  ====  ====
"""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from commenv.study.analysis.estimands import Estimand
from commenv.study.analysis.intervals import least_trials, mean_interval, share_interval
from commenv.study.analysis.significance import (
    difference_test,
    equivalence,
    holm,
    mean_test,
    share_test,
)
from commenv.study.analysis.statistics import RESAMPLES
from commenv.study.storage.files import write_atomically

if TYPE_CHECKING:
    import pandas as pd

    from commenv.study.storage.frame import Ranges

__all__ = [
    "ALPHA",
    "LEAST_TRIALS",
    "Claim",
    "Verdict",
    "corrected",
    "judge",
    "write_csv",
]

ALPHA = 0.05
LEAST_TRIALS = 10

Direction: TypeAlias = Literal["greater", "less", "equal"]
Outcome: TypeAlias = Literal["supported", "contradicted", "undecided"]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A statement that a study can support or contradict.

    Args:
        figure: The figure it belongs to; its claims are judged together.
        text: What is said, for people.
        estimand: The number of each trial; the claim is about its mean over trials
            (of a share: about the chance that a trial is one that counts).
        direction: The mean is above the margin (``"greater"``), below it (``"less"``),
            or within the margin of 0 (``"equal"``; see
            :func:`~commenv.study.analysis.estimands.less` for other numbers).
        margin: See there.
        trials: The number of trials, fixed beforehand. More are not looked at: the
            first ones by number count.
    """

    figure: str
    text: str
    estimand: Estimand
    direction: Direction
    margin: float = 0.0
    trials: int

    def __post_init__(self) -> None:
        if self.direction not in ("greater", "less", "equal"):
            raise ValueError(
                f"direction is {self.direction!r}; it is 'greater', 'less' or 'equal'"
            )
        if self.trials < 1 or not np.isfinite(self.margin):
            raise ValueError(
                f"trials is {self.trials} and margin {self.margin}; "
                "trials must be at least 1 and the margin finite"
            )
        if self.direction == "equal" and not self.margin > 0:
            raise ValueError(f"margin is {self.margin}; equality needs one above 0")
        if self.estimand.is_share:
            self._check_share()

    def _check_share(self) -> None:
        """A share is claimed to be above or below a number from 0 to 1."""
        if self.direction == "equal" or not 0 <= self.margin <= 1:
            raise ValueError(
                f"{self.estimand.name} is a share: claim that it is 'greater' or "
                f"'less' than a margin in 0 to 1, not {self.direction!r} and "
                f"{self.margin}"
            )


@dataclass(frozen=True)
class Verdict:
    """What a study says about a claim.

    Args:
        figure: The figure's name.
        claim: The statement.
        estimand: The name of what was measured, and what it says of trials that have
            no such number, in brackets.
        margin: What its mean was held against.
        estimate: Its mean over the trials.
        low: The lower end of its 95 % interval, not corrected for other claims; NaN
            where there are too few trials for one.
        high: The upper end.
        p: The smaller of the two corrected p-values, that of the claim and that of its
            reverse; at most alpha where the trials decide.
        trials: How many trials were looked at.
        needed: From how many on there can be a verdict.
        verdict: ``"supported"``, ``"contradicted"`` or ``"undecided"``.
    """

    figure: str
    claim: str
    estimand: str
    margin: float
    estimate: float
    low: float
    high: float
    p: float
    trials: int
    needed: int
    verdict: Outcome

    @property
    def too_few(self) -> bool:
        """Whether there are too few trials for any verdict."""
        return self.trials < self.needed


@dataclass(frozen=True)
class _Evidence:
    """One claim's numbers, before the correction; ``p`` is for it and against it."""

    measured: str
    estimate: float
    low: float
    high: float
    p: tuple[float, float]
    trials: int
    needed: int = LEAST_TRIALS


def judge(
    claims: Iterable[Claim],
    frame: pd.DataFrame,
    *,
    ranges: Ranges | None = None,
    alpha: float = ALPHA,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> list[Verdict]:
    """The verdicts on claims, in their order; the module says by which rule.

    Args:
        claims: All claims of each figure: which are judged together matters.
        frame: A study's frame, with all labels that the claims name.
        ranges: The ranges of its columns, as in
            :attr:`commenv.study.results.Results.ranges`; a claim about a mean whose
            range does not follow from them needs more trials.
        alpha: The chance allowed of any false verdict in a figure.
        seed: Resamples are drawn from this and from the claim's own words, so a
            claim's numbers, corrections aside, do not depend on the others.
        resamples: How many.

    Raises:
        ResultsError: Labels that are compared have different trials, or a trial has
            no number.
        UnknownNameError: The frame lacks a label or column.
    """
    listed = list(claims)
    known = ranges or {}
    found = [_evidence(claim, frame, known, seed, resamples) for claim in listed]
    decided: dict[int, Verdict] = {}
    for figure in dict.fromkeys(claim.figure for claim in listed):
        own = [i for i, claim in enumerate(listed) if claim.figure == figure]
        for i, p in zip(own, corrected([found[i].p for i in own]), strict=True):
            decided[i] = _verdict(listed[i], found[i], p, alpha)
    return [decided[i] for i in range(len(listed))]


def corrected(p: ArrayLike) -> NDArray[np.float64]:
    """The p-values of one figure's claims, fit to be compared with alpha.

    Args:
        p: Shape (claims, 2): that of each claim, and that of its reverse. Further
            figures may stand in further columns, each corrected for itself.

    Returns:
        The same shape; at most 1.
    """
    return np.minimum(1.0, 2 * holm(p))


def write_csv(verdicts: Sequence[Verdict], path: str | Path) -> None:
    """Write verdicts as a table, whole or not at all; columns as in `Verdict`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(Verdict)])
    for verdict in verdicts:
        cells = astuple(verdict)
        writer.writerow([f"{x:.10g}" if isinstance(x, float) else x for x in cells])
    write_atomically(Path(path), text.getvalue().encode())


def _evidence(
    claim: Claim, frame: pd.DataFrame, ranges: Ranges, seed: int, resamples: int
) -> _Evidence:
    """Estimate, interval and p-values of one claim, from its first trials."""
    values = np.array(list(claim.estimand(frame).values())[: claim.trials])
    name, remark = claim.estimand.name, claim.estimand.remark
    name += f" ({remark(frame)})" if remark else ""
    if claim.estimand.is_share:
        return _share_evidence(claim, values, name)
    bounds = claim.estimand.bounds(ranges)
    needed = max(LEAST_TRIALS, least_trials(bounds))
    low, high, p = np.nan, np.nan, (1.0, 1.0)
    if len(values) >= least_trials(bounds):
        words = f"{claim.figure}\n{claim.text}\n{claim.estimand.name}"
        key = np.random.SeedSequence(seed, spawn_key=(zlib.crc32(words.encode()),))
        how: dict[str, Any] = {"bounds": bounds, "seed": key, "resamples": resamples}
        low, high = map(float, mean_interval(values, **how))
        p = _mean_p(claim, values, how)
    return _Evidence(name, float(values.mean()), low, high, p, len(values), needed)


def _mean_p(
    claim: Claim, values: NDArray[np.float64], how: dict[str, Any]
) -> tuple[float, float]:
    """The p-values for and against a claim about a mean."""
    margin = claim.margin
    if claim.direction == "equal":
        favour = equivalence(values, margin, **how)
        against = difference_test(values, margin, **how)
    else:
        favour = mean_test(values, margin, "greater", **how)
        against = mean_test(values, margin, "less", **how)
        if claim.direction == "less":
            favour, against = against, favour
    return float(favour), float(against)


def _share_evidence(claim: Claim, values: NDArray[np.float64], name: str) -> _Evidence:
    """Estimate, interval and p-values of a claim about a share."""
    successes, trials = int(values.sum()), len(values)
    above = share_test(successes, trials, claim.margin, "greater")
    below = share_test(successes, trials, claim.margin, "less")
    p = (above, below) if claim.direction == "greater" else (below, above)
    low, high = share_interval(successes, trials)
    return _Evidence(name, successes / trials, float(low), float(high), p, trials)


def _verdict(
    claim: Claim, found: _Evidence, p: NDArray[np.float64], alpha: float
) -> Verdict:
    """The verdict by the corrected p-values, for and against."""
    outcome: Outcome = "undecided"
    needed = max(found.needed, claim.trials)
    if found.trials >= needed and p.min() <= alpha:
        outcome = "supported" if p[0] <= p[1] else "contradicted"
    return Verdict(
        claim.figure,
        claim.text,
        found.measured,
        claim.margin,
        found.estimate,
        found.low,
        found.high,
        float(p.min()),
        found.trials,
        needed,
        outcome,
    )
