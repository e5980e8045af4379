"""The sending half of an uplink: its codec and its numbers, apart from what follows.

Where agents are spread over machines, each machine encodes for its own agents; budget,
link and ledger stand with the learner, which tells what became of messages.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from commenv.channel.channel import Channel
from commenv.channel.codec import Encoded, Memory
from commenv.channel.coding import Coder
from commenv.channel.frames import Frames, following
from commenv.channel.message import Messages
from commenv.draws import Draws
from commenv.errors import EncodingError, ResultsError
from commenv.snapshots import Resumable, Snapshot

__all__ = ["Sender", "Verdict", "other_form", "uplink_sender"]


class Verdict(NamedTuple):
    """What a learner's channel found out about messages, for those who sent them.

    Attributes:
        links: The flat links of the messages, shape (m,).
        headers: Their headers, shape (m,).
        arrived: Whether they were delivered, or will never be.
    """

    links: NDArray[np.intp]
    headers: NDArray[np.void]
    arrived: bool

    def frames(self) -> Frames:
        """The messages without their payloads."""
        nothing = np.zeros(len(self.links), dtype=np.int64)
        return Frames(self.links, self.headers, np.zeros(0, np.uint8), nothing, nothing)


class Sender(Resumable):
    """Encodes the messages of some agents.

    Args:
        channel: The uplink.
        draws: Of the agents.
    """

    _remembered: ClassVar[tuple[str, ...]] = ("_sequence", "_dtype", "_coder")

    def __init__(self, channel: Channel, draws: Draws) -> None:
        self._draws = draws = draws.owned_by("uplink")
        self._acknowledgements = channel.acknowledgements
        self._coder = Coder(
            channel.codec,
            draws,
            "codec",
            receivers=draws.shape,
            suspicious=channel.link.distorts,
        )
        self._sequence = np.zeros(draws.shape[0] * draws.shape[1], dtype=np.uint32)
        self._dtype: np.dtype[np.void] | None = None
        self._open: tuple[Memory, NDArray[np.uint32]] | None = None

    def encode(self, messages: Messages) -> Encoded:
        """The payloads of one round; :meth:`hear` must follow before the next.

        Raises:
            EncodingError: A number that the codec cannot encode, and whose it is.
        """
        if self._dtype is None:
            self._dtype = messages.records.dtype
            self._coder.begin(self._dtype)
        elif self._dtype != messages.records.dtype:
            raise other_form(messages.records.dtype, self._dtype, self._coder.restored)
        try:
            encoded, pending = self._coder.encode(messages, self._sequence)
        except EncodingError as error:
            if error.sender is None:
                raise
            named = f"{uplink_sender(self._draws, error.sender)}: {error}"
            raise EncodingError(named) from error
        numbers = following(self._sequence, encoded.present.astype(np.uint32))
        self._open, self._sequence = (pending, self._sequence), numbers
        return encoded

    def hear(self, accepted: NDArray[np.bool_], verdicts: list[Verdict]) -> None:
        """Learns who was accepted, and on channels with acknowledgements what arrived.

        Args:
            accepted: bool, shape (trials, agents): of the last messages.
            verdicts: Since the last call, in order.
        """
        if self._open is not None:
            pending, sequence = self._open
            self._coder.commit(pending, accepted)
            if self._acknowledgements:
                self._coder.expect(pending, sequence, accepted)
            self._open = None
        for one in verdicts:
            self._coder.tell(one.frames(), one.arrived)

    def snapshot(self) -> Snapshot:
        """What it remembers, and the messages whose fate it has not heard of yet."""
        waiting = None if self._open is None else list(self._open)
        return {**super().snapshot(), "open": waiting}

    def restore(self, snapshot: Snapshot) -> None:
        """Goes on where another one was.

        Raises:
            ResultsError: It is no snapshot of such a sender.
        """
        self._coder.begin_as(snapshot["_dtype"])
        super().restore(snapshot)
        self._open = None
        if (waiting := snapshot["open"]) is not None:
            self._coder.check_sending(*waiting)
            self._open = waiting[0], waiting[1]


def uplink_sender(draws: Draws, sender: int) -> str:
    """Who sends on a flat link, in words."""
    trial, agent = divmod(sender, len(draws.agents))
    return f"agent {draws.agents[agent]} of trial {draws.trials[trial]} on the uplink"


def other_form(
    dtype: np.dtype[np.void] | None, known: np.dtype[np.void] | None, restored: bool
) -> Exception:
    """The error that messages of a channel do not have one form throughout.

    Args:
        dtype: Of a message's records; None for free-form payloads.
        known: Of those before it.
        restored: Whether that is known from a snapshot.
    """
    if restored:
        return ResultsError(
            f"a snapshot of a channel of {known or 'free form'!s:.99}, but messages "
            f"are of {dtype or 'free form'!s:.99}"
        )
    return ValueError(
        f"a message of {dtype or 'free form'} on a channel of "
        f"{known or 'free form'}; keep to one form throughout"
    )
