"""Codecs with a memory: error feedback around another codec, and differences.

They take messages of one record, such as a gradient or a vector of parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from commenv.channel.codec import (
    Codec,
    Decoded,
    Encoded,
    Incoming,
    Memory,
)
from commenv.channel.codecs.inner import (
    check_carried,
    check_inner,
    decode_inner,
    parts_of,
    read_back,
    spread,
    start_inner,
)
from commenv.channel.codecs.records import (
    fields_of,
)
from commenv.channel.message import Messages
from commenv.rng import MessageDraws

__all__ = ["ErrorFeedback"]


@dataclass(frozen=True)
class ErrorFeedback(Codec):
    """Adds to each message what the codec left out of earlier ones.

    With memory e and a message x, e + x is encoded; what the receiver will read of it
    is taken off, and the rest stays in memory. A refused message stays whole. A lost
    one is gone, unless the channel has acknowledgements: then it returns.

    What is left out stays bounded if the codec is a contraction, that is, if
    E|C(x) - x|^2 <= (1 - delta) |x|^2 with a delta above 0: for messages of a size up
    to G, E|e|^2 <= 4 (1 - delta) / delta^2 G^2 (Karimireddy et al. 2019). An unbiased
    codec with E|C(x) - x|^2 <= omega |x|^2 is made one: both sides divide what is read
    by 1 + omega, which costs no byte and gives delta = 1 / (1 + omega) (Beznosikov et
    al., *On Biased Compression for Distributed Learning*, 2020). What the codec says of
    its error is :meth:`Codec.relative_error`.

    Args:
        codec: A codec without a memory of its own, which says how large its error is.

    Raises:
        TypeError: It is not a codec, keeps a memory, or does not say.

    Source: A. Mitra, G. Pappas and H. Hassani, *Temporal Difference Learning with
    Compressed Updates: Error-Feedback Meets Reinforcement Learning* (2023).
    """

    remembers: ClassVar[bool] = True
    codec: Codec

    def __post_init__(self) -> None:
        check_inner(self.codec)

    @property
    def name(self) -> str:  # type: ignore[override]
        """The codec's name, with feedback."""
        return f"{self.codec.name} with feedback"

    def start(self, shape: tuple[int, int], dtype: np.dtype[np.void]) -> Memory:
        """Nothing left out yet: ``error``, float64 of shape (trials, agents, n).

        Raises:
            TypeError: Records that the codec cannot encode.
            EncodingError: Records of so many numbers that it is not a contraction.
        """
        fields = fields_of(dtype, self.name)
        start_inner(self.codec, shape, dtype)
        return {"error": np.zeros((*shape, fields.count))}

    def encode(
        self, messages: Messages, memory: Memory, draws: MessageDraws
    ) -> tuple[Encoded, Memory]:
        """The payloads of e + x.

        Raises:
            ValueError: A message of several records, a number that is not finite, or
                one of e + x that is larger than the codec carries.
        """
        fields, rest, numbers = parts_of(messages, self.name)
        senders = messages.senders
        wanted = numbers + memory["error"].reshape(-1, fields.count)[senders]
        check_carried(self.codec, wanted)
        corrected = Messages(fields.join(rest, wanted), messages.counts)
        encoded, _ = self.codec.encode(corrected, {}, draws)
        read = read_back(self.codec, encoded, fields, draws)
        shape = memory["error"].shape
        return encoded, {
            "wanted": spread(wanted, senders, shape),
            "read": spread(read, senders, shape),
            "present": encoded.present.reshape(shape[:2]),
        }

    def commit(
        self, memory: Memory, pending: Memory, accepted: NDArray[np.bool_]
    ) -> Memory:
        """What was not read stays; of a refused message that is everything."""
        sent = np.where(accepted[..., None], pending["read"], 0.0)
        present = pending["present"][..., None]
        return {"error": np.where(present, pending["wanted"] - sent, memory["error"])}

    def acknowledge(
        self,
        memory: Memory,
        pending: Memory,
        delivered: NDArray[np.bool_],
        lost: NDArray[np.bool_],
    ) -> Memory:
        """What was lost returns."""
        returned = np.where(lost[..., None], pending["read"], 0.0)
        return {"error": memory["error"] + returned}

    def decode(
        self,
        incoming: Incoming,
        dtype: np.dtype[np.void],
        memory: Memory,
        draws: MessageDraws,
    ) -> Decoded:
        """As the codec does, as a contraction."""
        return decode_inner(self.codec, incoming, fields_of(dtype, self.name), draws)

    def record_size(self, dtype: np.dtype[np.void]) -> int | None:
        """As the codec's; a message of one record cannot be cut."""
        return self.codec.record_size(dtype)

    def wire(self, dtype: np.dtype[np.void]) -> np.dtype[np.void] | None:
        """As the codec's."""
        return self.codec.wire(dtype)
