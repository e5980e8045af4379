"""The trackers that the command line names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commenv.errors import UnknownNameError

if TYPE_CHECKING:
    from commenv.trackers import Tracker

__all__ = ["tracker_of"]

_WHAT = {"tensorboard": "DIR", "wandb": "PROJECT", "mlflow": "URI"}


def tracker_of(text: str) -> Tracker:
    """The tracker that ``NAME=WHERE`` stands for.

    Raises:
        UnknownNameError: No such tracker.
        ValueError: It is not said where.
    """
    from commenv.trackers import TRACKERS

    name, _, where = text.partition("=")
    if name not in TRACKERS:
        raise UnknownNameError("tracker", name, _WHAT)
    if not where:
        raise ValueError(f"--track {text!r}: write --track {name}={_WHAT[name]}")
    return TRACKERS[name](where)
