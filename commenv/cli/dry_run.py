"""What ``run --dry-run`` says: the arms of a study, and what it will need."""

from __future__ import annotations

import argparse

from commenv.study.execution.backends import cpus_here
from commenv.study.execution.block import optimum_of
from commenv.study.execution.estimates import Estimate, estimate
from commenv.study.spec import Study
from commenv.study.storage.trace import expected_size
from commenv.study.wording import count_of, duration, size

__all__ = ["foreseen"]

_MOST_ARMS = 40


def foreseen(study: Study, options: argparse.Namespace) -> str:
    """The arms, the trials and rounds, and an estimate of time and room.

    Args:
        study: The settings.
        options: How it is to be run.

    Raises:
        ValueError: An algorithm does not fit its environment.
    """
    for arm in study.arms:
        optimum_of(study, arm)
    workers = options.workers or (cpus_here() if options.backend else 1)
    if options.backend == "local":
        workers = 1
    found = estimate(study, workers=workers, block=options.block)
    return "\n".join([*_arms(study), "", *_needs(study, found, workers)])


def _arms(study: Study) -> list[str]:
    """A line for each of the first arms."""
    shown = study.arms[:_MOST_ARMS]
    label = max(len(arm.label) for arm in shown)
    environment = max(len(arm.environment) for arm in shown)
    more = len(study.arms) - len(shown)
    return [
        *(
            f"{arm.label:<{label}}  {arm.environment:<{environment}}  "
            f"{count_of(arm.num_agents, 'agent')}"
            for arm in shown
        ),
        *[f"and {count_of(more, 'more arm')}"] * (more > 0),
    ]


def _needs(study: Study, found: Estimate, workers: int) -> list[str]:
    """What the whole study needs, and where the estimate comes from."""
    trials = len(study.trials)
    lines = [
        f"{count_of(len(study.arms), 'arm')} of {count_of(trials, 'trial')} and "
        f"{count_of(study.num_episodes, 'round')}",
        f"time: about {duration(found.seconds)} with {count_of(workers, 'worker')}",
        f"room: about {size(found.bytes)} on the disk, where results are kept",
    ]
    if study.trace:
        lines.append(f"trace: {expected_size(study)}")
    return [
        *lines,
        f"This is an estimate for the whole study, from a few rounds of {found.probed} "
        f"of its arms; nothing was written.",
    ]
