"""The link profiles that have a name."""

from __future__ import annotations

from commenv.errors import UnknownNameError
from commenv.study.cost.lora import LoRa
from commenv.study.cost.lte import LTE
from commenv.study.cost.measured import read_measured
from commenv.study.cost.profile import LinkProfile
from commenv.study.cost.wifi import WiFi

__all__ = ["PROFILES", "link_profile"]

PROFILES: dict[str, type[LinkProfile]] = {cls.name: cls for cls in (LoRa, LTE, WiFi)}
"""The built-in profiles by name."""


def link_profile(link: str | LinkProfile) -> LinkProfile:
    """A profile by name, by the path of a ``.csv`` file, or as it is.

    Raises:
        UnknownNameError: Neither a name nor a ``.csv``.
        ValueError: A file that is not of the format.
        TypeError: Neither a text nor a profile.
    """
    if isinstance(link, LinkProfile):
        return link
    if not isinstance(link, str):
        made = f"; an instance is {link.__name__}()" if isinstance(link, type) else ""
        raise TypeError(
            "a link is a name, the path of a .csv file or an instance of a "
            f"LinkProfile, got {link!r}{made}"
        )
    if link.lower().endswith(".csv"):
        return read_measured(link)
    if link not in PROFILES:
        raise UnknownNameError("link", link, PROFILES, "or name a .csv file")
    return PROFILES[link]()
