"""Numbers and amounts in words."""

from __future__ import annotations

__all__ = ["count_of", "duration", "size"]


def count_of(number: int, unit: str) -> str:
    """Such as ``1 block`` or ``1,000 trials``."""
    return f"{number:,} {unit}" + "s" * (number != 1)


def size(count: float) -> str:
    """Bytes in words, such as ``12 kB`` or ``3.4 GB``."""
    units = ["B", "kB", "MB", "GB", "TB"]
    while count >= 999.5 and len(units) > 1:
        count /= 1000
        units.pop(0)
    digits = 1 if units[0] != "B" and count < 9.95 else 0
    return f"{count:,.{digits}f} {units[0]}"


def duration(seconds: float) -> str:
    """A length of time in words, in the two largest units that matter.

    Args:
        seconds: The length of time in seconds.

    Returns:
        Such as ``6 s``, ``2 min 5 s`` or ``3 h 10 min``.
    """
    whole = round(max(seconds, 0.0))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
