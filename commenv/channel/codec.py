"""Codecs turn records into bytes and back, with a memory for what they left out.

Encoding has two phases because a codec may keep what it did not send: ``encode`` says
what the memory would become, and ``commit`` makes it so once the channel has told which
messages it accepted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from commenv.channel.message import Messages, check_record_dtype
from commenv.errors import MalformedMessage

__all__ = ["Codec", "Encoded", "Identity"]

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


class Codec(ABC):
    """How records become bytes.

    Attributes:
        name: What results call the codec.
    """

    name: str

    def start(self, shape: tuple[int, int]) -> Memory:
        """The memory before the first message, arrays of shape (trials, agents, ...).

        The default keeps none.
        """
        return {}

    @abstractmethod
    def encode(self, messages: Messages, memory: Memory) -> tuple[Encoded, Memory]:
        """The payloads, and the memory that accepted messages would leave."""

    def commit(
        self, memory: Memory, pending: Memory, accepted: NDArray[np.bool_]
    ) -> Memory:
        """The memory after the channel's verdict, bool of shape (trials, agents).

        The default takes ``pending`` where the message was accepted and keeps the old
        memory elsewhere.
        """
        return {
            name: np.where(
                accepted.reshape(accepted.shape + (1,) * (old.ndim - 2)),
                pending[name],
                old,
            )
            for name, old in memory.items()
        }

    @abstractmethod
    def decode(
        self,
        data: NDArray[np.uint8],
        sizes: NDArray[np.int64],
        dtype: np.dtype[np.void],
    ) -> tuple[NDArray[np.void], NDArray[np.int64]]:
        """The records of the payloads in ``data``, and how many each payload held.

        Raises:
            MalformedMessage: Bytes that this codec did not write.
        """

    def record_size(self, dtype: np.dtype[np.void]) -> int | None:
        """Bytes after which a payload can be cut; None where it cannot be."""
        return None


class Identity(Codec):
    """Records travel as they stand in memory: k * itemsize bytes."""

    name = "identity"

    def encode(self, messages: Messages, memory: Memory) -> tuple[Encoded, Memory]:
        """The records' own bytes; there is no memory."""
        counts: NDArray[np.int64] = messages.counts.ravel()
        data = np.frombuffer(messages.records.tobytes(), np.uint8)
        return Encoded(data, counts * messages.records.dtype.itemsize, counts > 0), {}

    def decode(
        self,
        data: NDArray[np.uint8],
        sizes: NDArray[np.int64],
        dtype: np.dtype[np.void],
    ) -> tuple[NDArray[np.void], NDArray[np.int64]]:
        """A view of the bytes as records."""
        check_record_dtype(dtype)
        broken = sizes % dtype.itemsize != 0
        if broken.any() or sizes.sum() != len(data):
            raise MalformedMessage(
                f"payloads of {sizes[broken].tolist() or len(data)} bytes are no "
                f"whole number of records of {dtype.itemsize} bytes"
            )
        return data.view(dtype), sizes // dtype.itemsize

    def record_size(self, dtype: np.dtype[np.void]) -> int | None:
        """A payload can be cut between any two records."""
        return dtype.itemsize
