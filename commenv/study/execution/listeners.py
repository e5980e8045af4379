"""Whoever listens to a study, told of every round once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from commenv.study.arm import Arm
from commenv.study.callbacks import Callback, StopTrial, TrialRound
from commenv.study.execution.played import Played, Wanted
from commenv.study.spec import Study
from commenv.study.storage.frame import evaluations_in

if TYPE_CHECKING:
    from commenv.study.results import Results

__all__ = ["Listeners"]

_BY_TRIAL = ("on_round", "on_evaluation", "on_trial_end")


class Listeners:
    """Calls callbacks.

    Args:
        callbacks: In the order in which they are called.

    Raises:
        TypeError: They are not a list of Callback instances.
    """

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        _check(callbacks)
        self._callbacks = tuple(callbacks)
        self._hearing = {
            name: [one for one in callbacks if _overrides(one, name)]
            for name in _BY_TRIAL
        }
        self._told: dict[str, tuple[int, bool]] = {}
        self._stops: dict[tuple[str, int], set[int]] = {}

    @property
    def wanted(self) -> Wanted:
        """What jobs are to report."""
        return Wanted(*(bool(self._hearing[name]) for name in _BY_TRIAL))

    @contextlib.contextmanager
    def of(self, study: Study) -> Iterator[None]:
        """Tells of a study's start, and closes whatever was open at its end."""
        with contextlib.ExitStack() as stack:
            for one in self._callbacks:
                stack.callback(one.close)
            for one in self._callbacks:
                one.on_start(study)
            yield

    def end(self, results: Results) -> None:
        """Tells of a study that is complete."""
        for one in self._callbacks:
            one.on_end(results)

    def hear(self, arm: Arm, played: Played) -> None:
        """Tells of a round, unless it was told before.

        Raises:
            ValueError: A trial is to stop that runs in another process.
        """
        moment = (played.episode, played.pruned)
        place = (played.block, played.episode)
        if moment <= self._told.get(played.block, (-1, False)):
            # What had played it was lost: it stops again those that it stopped then.
            if played.stops is not None:
                played.stops.update(self._stops.get(place, ()))
            return
        self._told[played.block] = moment
        for position in range(len(played.trials)):
            self._tell(arm, played, position)
        if played.stops:
            self._stops[place] = played.stops

    def _tell(self, arm: Arm, played: Played, position: int) -> None:
        """Tells of a round of one trial."""
        evaluated, ended = played.evaluated[position], played.ended[position]
        happened = zip(_BY_TRIAL, (not played.pruned, evaluated, ended), strict=True)
        names = [name for name, due in happened if due and self._hearing[name]]
        if not names:
            return
        measured = _round_of(arm, played, position)
        for name in names:
            for one in self._hearing[name]:
                try:
                    getattr(one, name)(measured)
                except StopTrial as stop:
                    if name == "on_trial_end":
                        raise
                    _stop(one, played, measured, stop)


def _round_of(arm: Arm, played: Played, position: int) -> TrialRound:
    values = {name: float(one[position]) for name, one in played.values.items()}
    for name in evaluations_in(list(values)):
        if values[name] != values[name]:  # it has none in this round
            del values[name]
    return TrialRound(
        arm,
        played.trials[position],
        played.episode,
        values,
        {name: float(one[position]) for name, one in played.totals.items()},
        played.pruned,
    )


def _stop(one: Callback, played: Played, measured: TrialRound, stop: StopTrial) -> None:
    if played.stops is None:
        raise ValueError(
            f"{type(one).__name__} stops trial {measured.trial} of "
            f"{measured.arm.label!r}, which runs in another process and has gone on "
            "since; use the backend 'local' with one worker, or raise no StopTrial"
        ) from stop
    played.stops.add(measured.trial)


def _overrides(one: Callback, name: str) -> bool:
    own = getattr(one, name)
    return getattr(own, "__func__", own) is not getattr(Callback, name)


def _check(callbacks: Any) -> None:
    cure = "give objects of classes derived from commenv.Callback"
    if not isinstance(callbacks, (list, tuple)):
        raise TypeError(f"callbacks is {callbacks!r}; {cure}, in a list")
    for one in callbacks:
        if not isinstance(one, Callback):
            raise TypeError(f"callbacks has {one!r}, which is not a callback; {cure}")
