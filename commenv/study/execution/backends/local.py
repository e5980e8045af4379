"""Jobs one after the other, in this process."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from commenv.study.execution.backends.backend import Backend, Jobs, Report

__all__ = ["Local"]


class Local(Backend):
    """Runs jobs here, in their order."""

    def run(
        self, job: Callable[..., Any], jobs: Jobs, report: Report
    ) -> Generator[Any]:
        """See :meth:`Backend.run`."""
        for arguments in jobs.values():
            yield job(*arguments, report)
