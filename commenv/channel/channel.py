"""What a channel is made of; a :class:`commenv.channel.network.Network` runs it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from commenv.channel.budget import Budget
from commenv.channel.codec import Codec, Identity
from commenv.channel.link import Link, PerfectLink
from commenv.channel.parts import wrong_part

__all__ = ["Channel"]


@dataclass(frozen=True)
class Channel:
    """The description of a metered message channel in one direction.

    A message passes codec, budget, link and ledger, and meets one fate: delivered,
    refused, lost, expired or in flight. What is counted are the bytes really encoded.

    Args:
        codec: How records become bytes; by default as they stand in memory.
        budget: How much may be sent; by default without limit.
        link: What may be lost; by default nothing.
        headers: Whether byte budgets and the metric ``size`` count the 16-byte headers
            too. The ledger always counts both, apart.
        acknowledgements: Whether the receiver confirms every message that arrives,
            with a header of 16 bytes in the other direction that is never lost, so that
            codecs know what became of theirs. A message to many has arrived when all of
            them have it, and is lost when none has.
        medium: ``"unicast"`` charges a broadcast once per receiving agent,
            ``"broadcast"`` once in all: one transmission that all agents of a trial
            hear, or none, entered on the trial's first link.

    Raises:
        TypeError: A codec, budget or link of another kind, or a switch that is not a
            bool.
        ValueError: An unknown medium, or a codec that needs acknowledgements without.
    """

    codec: Codec = field(default_factory=Identity)
    budget: Budget = field(default_factory=Budget)
    link: Link = field(default_factory=PerfectLink)
    headers: bool = False
    acknowledgements: bool = False
    medium: Literal["unicast", "broadcast"] = "unicast"

    def __post_init__(self) -> None:
        kinds: dict[str, type] = {"codec": Codec, "budget": Budget, "link": Link}
        for name in ("headers", "acknowledgements"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(
                    f"{name} must be True or False, got {getattr(self, name)!r}"
                )
        for name, kind in kinds.items():
            if not isinstance(getattr(self, name), kind):
                raise TypeError(f"{name}: {wrong_part(getattr(self, name), kind)}")
        if self.codec.needs_acknowledgements and not self.acknowledgements:
            raise ValueError(
                f"codec {self.codec.name!r} has to know which messages arrived; send "
                "whole messages in between (key_every=50, say), or let receivers "
                "confirm them (Channel(acknowledgements=True))"
            )
        if self.medium not in ("unicast", "broadcast"):
            raise ValueError(
                f"medium must be 'unicast' or 'broadcast', got {self.medium!r}"
            )

    @property
    def faithful(self) -> bool:
        """Whether all that is sent arrives, at once and as it was."""
        exact = isinstance(self.codec, Identity) and isinstance(self.link, PerfectLink)
        return exact and self.budget.unlimited
