"""The option of the command line that names a link to reckon with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commenv.cli.values import made

if TYPE_CHECKING:
    from commenv.study.cost import LinkProfile

__all__ = ["link_of"]


def link_of(text: str) -> LinkProfile:
    """The link that ``lora``, ``lora,spreading_factor=12`` or ``FILE.csv`` describes.

    Raises:
        ValueError: An unknown link or setting, a value that is not allowed, or a table
            that cannot be read.
    """
    from commenv.study.cost import PROFILES, link_profile

    name, _, settings = text.partition(",")
    if not settings or text.lower().endswith(".csv"):
        return link_profile(text)
    cls = type(link_profile(name))
    if cls not in PROFILES.values():
        raise ValueError(f"link {name!r} takes no settings; leave out {settings!r}")
    profile: LinkProfile = made(cls, settings, f"link {name}")
    return profile
