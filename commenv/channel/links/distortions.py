"""Links that deliver payloads other than they were sent."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from commenv.channel.link import Link, Payloads, Sending, State, Transit
from commenv.channel.links.checks import check_probabilities
from commenv.checks import check_number
from commenv.rng import LinkDraws

__all__ = ["AdditiveNoise", "BitErrors"]


class _Distorting(Link):
    """Everything arrives at once, but not unharmed."""

    def carry(
        self, sending: Sending, state: State, draws: LinkDraws
    ) -> tuple[Transit, State]:
        """Nothing is lost here."""
        return Transit(np.zeros(len(sending.links), dtype=np.bool_)), state

    @property
    def distorts(self) -> bool:
        """Yes."""
        return True


@dataclass(frozen=True)
class BitErrors(_Distorting):
    """Every bit of a payload is flipped with the same probability, independently.

    Headers arrive whole. A payload that can no longer be read is lost; what can be
    read is delivered, wrong as it may be.

    Args:
        rate: Probability of each bit, in [0, 1].

    Raises:
        ValueError: A rate outside [0, 1].
    """

    rate: float

    def __post_init__(self) -> None:
        check_probabilities(self, "rate")

    def distort(self, payloads: Payloads, draws: LinkDraws) -> NDArray[np.uint8]:
        """Flips bits."""
        uniforms = payloads.draws(draws).uniforms(payloads.sizes, 8)
        flips = np.packbits(uniforms < self.rate, axis=1).ravel()
        return payloads.data ^ flips


@dataclass(frozen=True)
class AdditiveNoise(_Distorting):
    """Gaussian noise is added to every real number of a payload.

    Args:
        deviation: The noise's standard deviation, in the numbers' own unit, 0 or more.

    Raises:
        ValueError: A negative deviation.
    """

    deviation: float

    def __post_init__(self) -> None:
        check_number("deviation", self.deviation, of=" of AdditiveNoise")
        if math.isinf(self.deviation):
            raise ValueError("deviation inf of AdditiveNoise is not finite")

    def distort(self, payloads: Payloads, draws: LinkDraws) -> NDArray[np.uint8]:
        """Adds noise.

        Raises:
            ValueError: The codec's payloads are not numbers, so noise cannot be added.
        """
        wire = payloads.wire
        if wire is None:
            raise ValueError(
                "additive noise needs payloads of plain numbers, such as Identity's or "
                "Float16's; use BitErrors with other codecs and free-form payloads"
            )
        records = payloads.data.copy().view(wire)
        names = [name for name in wire.names or () if wire[name].base.kind == "f"]
        widths = [math.prod(wire[name].shape) for name in names]
        lengths = payloads.sizes // wire.itemsize
        noise = payloads.draws(draws).normals(lengths, sum(widths)) * self.deviation
        columns = np.split(noise, np.cumsum(widths)[:-1], axis=1)
        for name, column in zip(names, columns, strict=True):
            numbers = records[name]
            records[name] = numbers + column.reshape(numbers.shape)
        return records.view(np.uint8)
