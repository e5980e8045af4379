"""How often intervals hold the mean and figures have a false verdict: simulations.

    python -m tests.study.analysis.coverage                  all of it, a few minutes
    python -m tests.study.analysis.coverage --figures 500    a rougher look

The tables in ``commenv.study.analysis.intervals`` and
``commenv.study.analysis.claims`` are this program's. Every population has mean 0, and
every claim is about a mean at its margin, so that any verdict on it is false.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from commenv.study.analysis.claims import ALPHA, corrected
from commenv.study.analysis.intervals import (
    LEAST_UNBOUNDED,
    least_trials,
    mean_interval,
)
from commenv.study.analysis.significance import mean_test
from commenv.study.storage.frame import Bounds

CLAIMS = 7  # of a figure
TRIALS = (10, 20, 100)
_CHUNK = 700  # columns at a time, which share their resamples

Array = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, int]], Array]


@dataclass(frozen=True)
class Population:
    """Trials with mean 0, and their range if it is taken to be known."""

    name: str
    draw: Draw
    bounds: Bounds | None


@dataclass(frozen=True)
class Found:
    """Shares of samples and of figures; NaN where there is no interval."""

    below: float
    above: float
    wrong: float
    samples: int
    figures: int

    @property
    def held(self) -> float:
        """The share of intervals that hold the mean."""
        return 1 - self.below - self.above


def failing(share: float) -> Draw:
    """Labels of which a share of trials fails, for 0 instead of .8, give or take."""

    def draw(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
        fails = rng.random(shape) < share
        return np.where(fails, 0.0, 0.8 + rng.uniform(-0.15, 0.15, shape))

    return draw


def one_fails(share: float) -> Draw:
    """Differences of paired trials; the other label never fails, with equal mean."""
    draw = failing(share)

    def differences(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
        other = 0.8 * (1 - share) + rng.uniform(-0.15, 0.15, shape)
        return draw(rng, shape) - other

    return differences


def both_fail(share: float) -> Draw:
    """Differences of paired trials; both labels fail, each for itself."""
    draw = failing(share)
    return lambda rng, shape: draw(rng, shape) - draw(rng, shape)


def lognormal(sigma: float) -> Draw:
    mean = np.exp(sigma**2 / 2)
    return lambda rng, shape: rng.lognormal(0.0, sigma, shape) - mean


def populations() -> Iterator[Population]:
    """Those with a known range first."""
    yield Population("uniform", lambda rng, s: rng.random(s) - 0.5, (-0.5, 0.5))
    yield Population("beta(.3, 3)", lambda rng, s: rng.beta(0.3, 3, s) - 1 / 11, _BETA)
    failures = [
        (f"{100 * share:g} % fail, {which}", draw(share))
        for share in (0.03, 0.1)
        for which, draw in (("one", one_fails), ("both", both_fail))
    ]
    for name, draw in failures:
        yield Population(name, draw, (-1.0, 1.0))
    yield Population("normal", lambda rng, s: rng.normal(size=s), None)
    for sigma in (0.5, 1.0):
        yield Population(f"log-normal {sigma:g}", lognormal(sigma), None)
    for name, draw in failures:
        yield Population(name, draw, None)


_BETA = (-1 / 11, 10 / 11)


def simulate(
    population: Population,
    trials: int,
    figures: int,
    *,
    claims: int = CLAIMS,
    seed: int = 0,
    resamples: int = 1_999,
) -> Found:
    """Coverage, and false verdicts of figures whose claims are about samples apart."""
    rng = np.random.default_rng([seed, trials])
    counts: list[Any] = []
    per_chunk = max(1, _CHUNK // claims)
    for first in range(0, figures, per_chunk):
        now = min(per_chunk, figures - first)
        values = population.draw(rng, (trials, claims * now))
        key = np.random.SeedSequence([seed, first])
        how: dict[str, Any] = {
            "bounds": population.bounds,
            "seed": key,
            "resamples": resamples,
        }
        low, high = mean_interval(values, **how)
        if np.isnan(low).all():
            return Found(np.nan, np.nan, np.nan, 0, 0)
        sides = [mean_test(values, 0.0, side, **how) for side in ("greater", "less")]
        p = np.hstack([one.reshape(claims, now) for one in sides])
        decided = corrected(p).reshape(claims, 2, now) <= ALPHA
        wrong = decided.any(axis=(0, 1)).sum()
        counts.append(((low > 0).sum(), (high < 0).sum(), wrong))
    below, above, wrong = np.sum(counts, axis=0)
    samples = figures * claims
    return Found(below / samples, above / samples, wrong / figures, samples, figures)


def error(share: float, count: int) -> float:
    """The Monte Carlo error of a share: one standard deviation."""
    return float(np.sqrt(share * (1 - share) / count))


def most(share: float, count: int) -> float:
    """The share, and three errors of what is counted in so many samples."""
    return share + 3 * error(share, count)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figures", type=int, default=3_000, help="of each row")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(
        f"{'per cent':<18}{'range':<9}{'trials':>6}  {'interval holds the mean':<30}"
        f"figures of {CLAIMS} claims with a false verdict"
    )
    for one in populations():
        known = "known" if one.bounds else "unknown"
        for trials in (*TRIALS, LEAST_UNBOUNDED):
            start = f"{one.name:<18}{known:<9}{trials:>6}  "
            if trials < (least := least_trials(one.bounds)):
                print(f"{start}none: it takes {least} trials", flush=True)
                continue
            found = simulate(one, trials, options.figures, seed=options.seed)
            misses = f"({100 * found.below:.1f}, {100 * found.above:.1f})"
            print(
                f"{start}{100 * found.held:5.1f} +- "
                f"{100 * error(found.held, found.samples):.2f} {misses:<14}"
                f"{100 * found.wrong:9.1f} +- "
                f"{100 * error(found.wrong, found.figures):.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
