"""LoRa, by Semtech's formula for the time on air."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from commenv.study.cost.profile import (
    Cost,
    Direction,
    LinkProfile,
    check_numbers,
    fragments,
)

__all__ = ["LoRa"]

_SLOW_SYMBOL = 16e-3
"""Seconds; longer symbols need the low data rate optimisation (SX1276, 4.1.1.6)."""


@dataclass(frozen=True)
class LoRa(LinkProfile):
    """A LoRa modem without a network layer, such as Semtech's SX1276.

    The time on air is that of the SX1276/77/78/79 datasheet, section 4.1.1.7 (the same
    as in Semtech's AN1200.13): with the symbol time T = 2^SF / BW, a frame of PL bytes
    lasts

        (preamble + 4.25 + 8 + max(ceil((8 PL - 4 SF + 28 + 16 CRC - 20 IH)
                                        / (4 (SF - 2 DE))) (CR + 4), 0)) T

    where IH is 1 without the explicit header, and DE 1 where T exceeds 16 ms, for which
    the datasheet demands it. A message that no frame holds is cut into several, each
    with its own preamble; all of them arrive or none, as the study decided.

    Seconds are time on air, summed over all senders. Under a duty cycle of 1 %, as in
    most of Europe's 868 MHz sub-bands, a sender must then be silent for 99 times as
    long as it sent. That is waiting and not air time: it is not in the seconds.

    Args:
        spreading_factor: SF, 7 to 12.
        bandwidth: BW in Hz.
        coding_rate: CR, 1 to 4, for the rates 4/5 to 4/8.
        preamble: Programmed preamble, in symbols; 8 is the modem's default.
        explicit_header: Whether frames say how long they are.
        crc: Whether the payload has a checksum.
        frame_payload: Most bytes of a message in a frame; the modem's length register
            has 8 bits, so 255. LoRaWAN carries less: at most 51 at SF 12 to 222 at SF 7
            in Europe.
        frame_overhead: Bytes that each frame carries besides; 0 for the bare modem, 13
            for LoRaWAN.
        volts: Supply.
        transmit_amperes: While sending at +14 dBm, 33.1 mA: RAKwireless' figure for the
            RAK4260 module (an SX1276 radio with its microcontroller) at 3.3 V.
        receive_amperes: While receiving, 13.6 mA, of the same module.

    Raises:
        ValueError: A setting outside its range.
    """

    name: ClassVar[str] = "lora"
    source: ClassVar[str] = (
        "time on air: Semtech SX1276 datasheet, 4.1.1.7; currents: RAK4260 module"
    )
    leaves_out: ClassVar[str] = (
        "waiting (99 times the seconds of each sender at a duty cycle of 1 %), "
        "listening before and after frames, sleep, and a network layer such as LoRaWAN"
    )

    spreading_factor: int = 7
    bandwidth: float = 125e3
    coding_rate: int = 1
    preamble: int = 8
    explicit_header: bool = True
    crc: bool = True
    frame_payload: int = 255
    frame_overhead: int = 0
    volts: float = 3.3
    transmit_amperes: float = 33.1e-3
    receive_amperes: float = 13.6e-3

    def __post_init__(self) -> None:
        check_numbers(
            self,
            spreading_factor=(7, 12),
            bandwidth=(7.8e3, 500e3, "Hz"),
            coding_rate=(1, 4),
            preamble=(6, 65_535, "symbols"),
            frame_payload=(1, 255, "bytes"),
            frame_overhead=(0, 254, "bytes"),
            volts=(0, 1e3, "V"),
            transmit_amperes=(0, 1e3, "A"),
            receive_amperes=(0, 1e3, "A"),
        )
        if self.frame_payload + self.frame_overhead > 255:
            raise ValueError(
                f"lora frame_payload {self.frame_payload} and frame_overhead "
                f"{self.frame_overhead} are {self.frame_payload + self.frame_overhead} "
                "bytes together; a frame holds at most 255"
            )

    def time_on_air(self, frame: NDArray[np.int64]) -> NDArray[np.float64]:
        """Seconds that frames last.

        Args:
            frame: int64, shape (m,): the bytes in each frame, at most 255.
        """
        symbol = 2**self.spreading_factor / self.bandwidth
        slow = symbol > _SLOW_SYMBOL
        bits = 8 * frame - 4 * self.spreading_factor + 28 + 16 * self.crc
        bits = bits - 20 * (not self.explicit_header)
        coded = np.ceil(bits / (4 * (self.spreading_factor - 2 * slow)))
        payload = 8 + np.maximum(coded * (self.coding_rate + 4), 0)
        return np.asarray((self.preamble + 4.25 + payload) * symbol)

    def cost(self, sizes: NDArray[np.int64], direction: Direction) -> Cost:
        """Both directions cost the same; see :meth:`LinkProfile.cost`."""
        full, last = fragments(sizes, self.frame_payload)
        whole = self.time_on_air(np.array([self.frame_payload + self.frame_overhead]))
        seconds = full * whole + self.time_on_air(last + self.frame_overhead)
        return Cost(
            seconds,
            seconds * self.volts * self.transmit_amperes,
            seconds * self.volts * self.receive_amperes,
        )
