"""Codecs turn records into bytes and back, with a memory for what they left out.

Encoding has two phases because a codec may keep what it did not send: ``encode`` says
what the memory would become, and ``commit`` makes it so once the channel has told which
messages it accepted. On channels with acknowledgements ``acknowledge`` follows, when
the fate of a message is known.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from commenv.channel.message import Messages, check_record_dtype
from commenv.errors import MalformedMessage
from commenv.rng import MessageDraws

__all__ = ["Codec", "Decoded", "Encoded", "Identity", "Incoming", "whole_records"]

Memory = dict[str, NDArray[Any]]


class Encoded(NamedTuple):
    """The payloads of many agents in one buffer.

    Attributes:
        data: uint8, shape (bytes,): the payloads, trial-major, one after the other.
        sizes: int64, shape (links,): bytes of each agent's payload.
        present: bool, shape (links,): who has a message (it may be 0 bytes long).
    """

    data: NDArray[np.uint8]
    sizes: NDArray[np.int64]
    present: NDArray[np.bool_]


class Incoming(NamedTuple):
    """Payloads that arrived, in order of arrival on each link.

    Attributes:
        data: uint8, shape (bytes,): the payloads one after the other.
        sizes: int64, shape (m,): bytes of each.
        links: Integers, shape (m,): the flat (trial-major) link of each.
        sequence: uint32, shape (m,): the number of each message on its link.
    """

    data: NDArray[np.uint8]
    sizes: NDArray[np.int64]
    links: NDArray[np.intp]
    sequence: NDArray[np.uint32]


class Decoded(NamedTuple):
    """What payloads held.

    Attributes:
        records: Structured array, shape (records,), message by message.
        lengths: int64, shape (m,): how many records each message held.
        memory: What the receiver remembers from now on.
    """

    records: NDArray[np.void]
    lengths: NDArray[np.int64]
    memory: Memory


class Codec(ABC):
    """How records become bytes.

    Attributes:
        name: What results call the codec.
        needs_acknowledgements: Whether it has to know which messages arrived.
        remembers: Whether what is sent depends on earlier messages.
        unbiased: Whether what is read is the message on average, over the draws.
        largest: The largest size of a number that it carries; what is beyond is cut
            off.
    """

    name: ClassVar[str]
    needs_acknowledgements: bool = False
    remembers: ClassVar[bool] = False
    unbiased: bool = False
    largest: ClassVar[float] = math.inf

    def start(self, shape: tuple[int, int], dtype: np.dtype[np.void]) -> Memory:
        """The senders' memory before the first message of records of ``dtype``.

        Arrays of shape (trials, agents, ...); the default keeps none.

        Raises:
            TypeError: Records that the codec cannot encode.
        """
        return {}

    def start_receiver(
        self, shape: tuple[int, int], dtype: np.dtype[np.void]
    ) -> Memory:
        """The receiver's memory, likewise; the default keeps none."""
        return {}

    @abstractmethod
    def encode(
        self, messages: Messages, memory: Memory, draws: MessageDraws
    ) -> tuple[Encoded, Memory]:
        """The payloads, and the memory that accepted messages would leave.

        Args:
            messages: What is to be sent.
            memory: The senders'; it is not changed.
            draws: Numbers that the receiver knows too, for every sender in turn.

        The second result has the same names and shapes for all messages, silence
        included.

        Raises:
            ValueError: A number that the codec cannot encode.
        """

    def commit(
        self, memory: Memory, pending: Memory, accepted: NDArray[np.bool_]
    ) -> Memory:
        """The memory after the channel's verdict, bool of shape (trials, agents).

        The default takes ``pending`` where the message was accepted and keeps the old
        memory elsewhere.
        """
        return {
            name: np.where(_along(accepted, old), pending[name], old)
            for name, old in memory.items()
        }

    def acknowledge(
        self,
        memory: Memory,
        pending: Memory,
        delivered: NDArray[np.bool_],
        lost: NDArray[np.bool_],
    ) -> Memory:
        """The memory once the sender knows what became of messages.

        Args:
            memory: The senders', as it is now.
            pending: What ``encode`` returned for these messages.
            delivered: bool, shape (trials, agents): whose message arrived.
            lost: The same: whose did not.

        The default changes nothing.
        """
        return memory

    @abstractmethod
    def decode(
        self,
        incoming: Incoming,
        dtype: np.dtype[np.void],
        memory: Memory,
        draws: MessageDraws,
    ) -> Decoded:
        """The records of payloads.

        Raises:
            MalformedMessage: Bytes that this codec did not write, or that need a
                message which never arrived.
        """

    def record_size(self, dtype: np.dtype[np.void]) -> int | None:
        """Bytes after which a payload can be cut; None where it cannot be."""
        return None

    def wire(self, dtype: np.dtype[np.void]) -> np.dtype[np.void] | None:
        """What the payload is an array of, where its numbers travel as numbers."""
        return None

    def relative_error(self, count: int) -> float | None:
        """A bound q on the error: E|C(x) - x|^2 <= q |x|^2 for every x.

        C(x) is what is read of the real numbers x of a record, and the mean is over the
        draws. Below 1 the codec is a contraction, which codecs that remember what
        others left out rely on; one that is ``unbiased`` becomes a contraction when
        what is read is divided by 1 + q. Rounding to single precision, and numbers that
        underflow, may be left out of the account.

        Args:
            count: How many real numbers a record holds.

        Returns:
            The least bound that is known; None, the default, where none is.
        """
        return None


def _along(mask: NDArray[np.bool_], values: NDArray[Any]) -> NDArray[np.bool_]:
    """A mask of (trials, agents) with the dimensions of values of (..., more)."""
    return mask.reshape(mask.shape + (1,) * (values.ndim - 2))


@dataclass(frozen=True)
class Identity(Codec):
    """Records travel as they stand in memory: k * itemsize bytes."""

    name: ClassVar[str] = "identity"

    def encode(
        self, messages: Messages, memory: Memory, draws: MessageDraws
    ) -> tuple[Encoded, Memory]:
        """The records' own bytes; there is no memory."""
        counts: NDArray[np.int64] = messages.counts.ravel()
        # Bytes are copied many times quicker than records.
        data = np.ascontiguousarray(messages.records).view(np.uint8).copy()
        return Encoded(data, counts * messages.records.dtype.itemsize, counts > 0), {}

    def decode(
        self,
        incoming: Incoming,
        dtype: np.dtype[np.void],
        memory: Memory,
        draws: MessageDraws,
    ) -> Decoded:
        """A view of the bytes as records."""
        check_record_dtype(dtype)
        lengths = whole_records(incoming, dtype.itemsize)
        return Decoded(incoming.data.view(dtype), lengths, memory)

    def record_size(self, dtype: np.dtype[np.void]) -> int | None:
        """A payload can be cut between any two records."""
        return dtype.itemsize

    def wire(self, dtype: np.dtype[np.void]) -> np.dtype[np.void] | None:
        """The records themselves."""
        return dtype

    def relative_error(self, count: int) -> float | None:
        """Nothing is lost."""
        return 0.0


def whole_records(incoming: Incoming, size: int) -> NDArray[np.int64]:
    """How many records of ``size`` bytes each payload holds.

    Raises:
        MalformedMessage: A payload holds no whole number of them.
    """
    broken = incoming.sizes % size != 0
    if np.count_nonzero(broken) or incoming.sizes.sum() != len(incoming.data):
        raise MalformedMessage(
            f"payloads of {incoming.sizes[broken].tolist() or len(incoming.data)} "
            f"bytes are not a whole number of records of {size} bytes"
        )
    return incoming.sizes // size
