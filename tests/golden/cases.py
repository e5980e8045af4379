"""All golden cases."""

from __future__ import annotations

from tests.golden import (
    cases_links,
    cases_results,
    cases_studies,
    cases_talk,
    cases_worlds,
)
from tests.golden.case import Case

__all__ = ["CASES"]

CASES: dict[str, Case] = {
    case.name: case
    for module in (
        cases_worlds,
        cases_links,
        cases_talk,
        cases_studies,
        cases_results,
    )
    for case in module.CASES
}
