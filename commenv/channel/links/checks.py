"""What the settings of links are held to."""

from __future__ import annotations

import math

from commenv.channel.link import Link

__all__ = ["check_positive", "check_probabilities", "check_whole"]


def check_probabilities(link: Link, *names: str) -> None:
    """Raises ValueError for a setting outside [0, 1]."""
    for name in names:
        if not 0 <= (value := getattr(link, name)) <= 1:
            raise ValueError(
                f"{name} {value} of {type(link).__name__} is outside [0, 1]"
            )


def check_whole(link: Link, *names: str) -> None:
    """Raises ValueError for a setting that is no whole number of 0 or more."""
    for name in names:
        value = getattr(link, name)
        if value is None and name in ("expiry", "max_wait"):
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ValueError(
                f"{name} {value!r} of {type(link).__name__} is no whole number of 0 or "
                "more"
            )


def check_positive(link: Link, *names: str) -> None:
    """Raises ValueError for a setting that is not above 0 and finite, nor None."""
    for name in names:
        value = getattr(link, name)
        if value is not None and not 0 < value < math.inf:
            raise ValueError(
                f"{name} {value} of {type(link).__name__} is not above 0 and finite"
            )
