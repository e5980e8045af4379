"""The controls beside ESPC: is it better communication, or a missing baseline?

With returns that are not centred, choosing by F ||e|| keeps noise along the gradient
where returns are positive and against it where they are negative. ES centred, ES of m
agents, m agents drawn at random, ESPC centred, and a constant added to every return
tell the two apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from commenv_baselines.thesis.figure import Curve

__all__ = [
    "CENTRED",
    "CENTRED_WITH_OFFSET",
    "RANDOM_START",
    "WITH_OFFSET",
    "Controls",
    "both_starts",
]

CENTRED = ", centred"
WITH_OFFSET = ", with offset"
CENTRED_WITH_OFFSET = CENTRED + WITH_OFFSET
RANDOM_START = ", random start"


@dataclass(frozen=True)
class Controls:
    """The controls of one comparison.

    Attributes:
        settings: ES', as in the thesis.
        m: How many agents ESPC wants to send.
        k: Its window.
        offset: What the offset controls add to every return.
        es: What ES is called.
        fewer: What ES of m agents is called.
        espc: What ESPC with m and k is called.
    """

    settings: Mapping[str, Any]
    m: int
    k: int
    offset: float
    es: str
    fewer: str
    espc: str

    def curves(self) -> tuple[Curve, ...]:
        """One curve for each control."""
        centred = {**self.settings, "shaping": "centered"}
        at_random = f"{{{self.m}}} at random{CENTRED}"
        return (
            _control(self.es + CENTRED, centred),
            replace(_control(self.fewer + CENTRED, centred), num_agents=self.m),
            _control(at_random, centred, "random", {"m": self.m}),
            self._espc(CENTRED, centred=True, offset=0.0),
            self._espc(CENTRED_WITH_OFFSET, centred=True, offset=self.offset),
            self._espc(WITH_OFFSET, centred=False, offset=self.offset),
        )

    def _espc(self, words: str, *, centred: bool, offset: float) -> Curve:
        settings = {**self.settings, "offset": offset}
        scheme: dict[str, Any] = {"m": self.m, "k": self.k}
        if centred:
            settings |= {"baseline": "window", "window": self.k}
            scheme |= {"mode": "centered"}
        return _control(self.espc + words, settings, "probabilistic", scheme)


def _control(
    label: str,
    settings: Mapping[str, Any],
    scheme: str | None = None,
    scheme_settings: Mapping[str, Any] | None = None,
) -> Curve:
    return Curve(label, "es", settings, scheme, scheme_settings or {}, control=True)


def both_starts(curves: tuple[Curve, ...]) -> tuple[Curve, ...]:
    """The curves as they are, theta 0 at the start, and again from a random theta."""
    again = tuple(
        replace(
            curve,
            label=curve.label + RANDOM_START,
            settings={**curve.settings, "initial": "random"},
            control=True,
        )
        for curve in curves
    )
    return (*curves, *again)
