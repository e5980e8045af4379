"""What the settings of links are held to."""

from __future__ import annotations

import math

from commenv.channel.link import Link
from commenv.checks import check_number

__all__ = ["check_positive", "check_probabilities", "check_whole"]


def check_probabilities(link: Link, *names: str) -> None:
    """Raises TypeError or ValueError for a setting outside [0, 1]."""
    for name in names:
        value = getattr(link, name)
        check_number(name, value, most=1, of=f" of {type(link).__name__}")


def check_whole(link: Link, *names: str) -> None:
    """Raises ValueError for a setting that is not an integer of 0 or more."""
    for name in names:
        value = getattr(link, name)
        if value is None and name in ("expiry", "max_wait"):
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ValueError(
                f"{name} {value!r} of {type(link).__name__} is not an integer of 0 or "
                "more"
            )


def check_positive(link: Link, *names: str) -> None:
    """Raises TypeError or ValueError for a setting not above 0 and finite, nor None."""
    for name in names:
        value = getattr(link, name)
        if value is None:
            continue
        of = f" of {type(link).__name__}"
        check_number(name, value, -math.inf, of=of)
        if not 0 < value < math.inf:
            raise ValueError(f"{name} {value}{of} is not above 0 and finite")
