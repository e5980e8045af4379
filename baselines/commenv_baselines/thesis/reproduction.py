"""The thesis as a reproduction that plugs into commenv."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from commenv.study.analysis.claims import Verdict
from commenv_baselines.thesis.page import report
from commenv_baselines.thesis.runner import NUMBERS, check_known, reproduce

__all__ = ["THESIS", "Thesis"]


class Thesis:
    """E. Gunn's thesis; see :class:`commenv.study.reproduction.Reproduction`."""

    figures = NUMBERS

    def check_known(self, number: str, scale: str) -> None:
        """See :func:`.runner.check_known`."""
        check_known(number, scale)

    def reproduce(
        self, number: str, out: str | Path, *, seed: int | None = None, **how: Any
    ) -> list[Verdict]:
        """See :func:`.runner.reproduce`, whose seed this takes when left out."""
        own: dict[str, Any] = {} if seed is None else {"seed": seed}
        return reproduce(number, out, **own, **how)

    def report(self, results: str | Path, out: str | Path, images: str | Path) -> Path:
        """See :func:`.page.report`."""
        return report(results, out, images)


THESIS = Thesis()
