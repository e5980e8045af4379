"""Wi-Fi that loses frames, by the timing of IEEE 802.11 and expected repetitions."""

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

__all__ = ["WiFi"]

_BITS_PER_SYMBOL = {6: 24, 9: 36, 12: 48, 18: 72, 24: 96, 36: 144, 48: 192, 54: 216}
"""Data bits of an OFDM symbol at each rate in Mbit/s (IEEE 802.11, OFDM PHY)."""
_SYMBOL, _PREAMBLE = 4e-6, 20e-6
"""Seconds: an OFDM symbol; the preamble of 16 us and the SIGNAL field of 4 us."""
_SLOT, _SIFS = 9e-6, 16e-6
_DIFS = _SIFS + 2 * _SLOT
_SERVICE_AND_TAIL = 16 + 6
"""Bits around the bytes of a frame."""
_ACK_BYTES = 14
_LEAST_WINDOW, _MOST_WINDOW = 15, 1023
"""Slots; the contention window doubles (and one is added) with every repetition."""


@dataclass(frozen=True)
class WiFi(LinkProfile):
    """IEEE 802.11a: an OFDM link that repeats lost frames until one is acknowledged.

    One attempt at a frame takes DIFS (34 us), a backoff of half the contention window
    on average, the frame, SIFS (16 us) and the acknowledgement. A frame of L bytes
    lasts 20 us + 4 us ceil((16 + 8 L + 6) / N), with N data bits a symbol at the rate
    (clause "OFDM PHY" of IEEE 802.11). An attempt fails with probability p, whatever
    its length, and there are at most R of them, so that (1 - p^R) / (1 - p) are made on
    average; a failed one is taken to last as long as one that succeeds, but for its
    backoff. Whether a message arrives in the end is the study's own link's business.

    The radio draws ``transmit_watts`` while it sends, ``receive_watts`` while it hears
    its partner, and ``idle_watts`` in between.

    Args:
        rate: Mbit/s of data frames: 6, 9, 12, 18, 24, 36, 48 or 54.
        acknowledgement_rate: Of acknowledgements, one of the same.
        loss: Probability that an attempt fails, in [0, 1). The default is a choice and
            no measurement: a link that is lossy, and still in use.
        attempts: Most attempts at a frame (the standard's short retry limit, 7).
        frame_payload: Most bytes of a message in a frame: an Ethernet packet's 1500,
            less 28 bytes of IPv4 and UDP headers.
        overhead: Bytes around them: MAC header 24, LLC and SNAP 8, FCS 4, IPv4 20,
            UDP 8.
        transmit_watts: 380 mA at 3 V. These three are the defaults of the network
            simulator ns-3 (``WifiRadioEnergyModel``, at the 3 V of its energy source),
            which agree with D. Halperin et al., "Demystifying 802.11n power
            consumption", HotPower 2010; the paper's own table was not at hand.
        receive_watts: 313 mA at 3 V.
        idle_watts: 273 mA at 3 V.

    Raises:
        ValueError: A setting outside its range.
    """

    name: ClassVar[str] = "wifi"
    source: ClassVar[str] = (
        "timing: IEEE 802.11 OFDM PHY and DCF; powers: ns-3's WifiRadioEnergyModel"
    )
    leaves_out: ClassVar[str] = (
        "other stations' traffic and collisions, association, beacons, power saving "
        "and idling between messages"
    )

    rate: int = 54
    acknowledgement_rate: int = 24
    loss: float = 0.1
    attempts: int = 7
    frame_payload: int = 1472
    overhead: int = 64
    transmit_watts: float = 1.14
    receive_watts: float = 0.939
    idle_watts: float = 0.819

    def __post_init__(self) -> None:
        for name in ("rate", "acknowledgement_rate"):
            if getattr(self, name) not in _BITS_PER_SYMBOL:
                raise ValueError(
                    f"wifi {name} is {getattr(self, name)!r}; give one of "
                    f"{', '.join(map(str, _BITS_PER_SYMBOL))} Mbit/s"
                )
        check_numbers(
            self,
            loss=(0, 1 - 1e-9),
            attempts=(1, 255),
            frame_payload=(1, 2304, "bytes"),
            overhead=(0, 2304, "bytes"),
            transmit_watts=(0, 1e3, "W"),
            receive_watts=(0, 1e3, "W"),
            idle_watts=(0, 1e3, "W"),
        )

    @property
    def expected_attempts(self) -> float:
        """How often a frame is sent on average: (1 - p^R) / (1 - p)."""
        return sum(self._made())

    @property
    def expected_backoff(self) -> float:
        """Seconds of backoff of all attempts at a frame together, on average."""
        windows = (
            min((_LEAST_WINDOW + 1) * 2**k - 1, _MOST_WINDOW)
            for k in range(self.attempts)
        )
        made = zip(self._made(), windows, strict=True)
        return sum(chance * window / 2 * _SLOT for chance, window in made)

    def cost(self, sizes: NDArray[np.int64], direction: Direction) -> Cost:
        """Both directions cost the same; see :meth:`LinkProfile.cost`."""
        full, last = fragments(sizes, self.frame_payload)
        whole = _lasts(np.array([self.frame_payload + self.overhead]), self.rate)
        data = full * whole + _lasts(last + self.overhead, self.rate)
        frames = full + 1
        answer = _lasts(np.array([_ACK_BYTES]), self.acknowledgement_rate)
        attempts = self.expected_attempts
        sending, answering = attempts * data, attempts * frames * answer
        waiting = frames * (attempts * (_DIFS + _SIFS) + self.expected_backoff)
        idle = waiting * self.idle_watts
        send, hear = self.transmit_watts, self.receive_watts
        return Cost(
            sending + answering + waiting,
            sending * send + answering * hear + idle,
            sending * hear + answering * send + idle,
        )

    def _made(self) -> list[float]:
        """The chance that each attempt, from the first to the last, is made at all."""
        return [float(self.loss) ** k for k in range(self.attempts)]


def _lasts(size: NDArray[np.int64], rate: int) -> NDArray[np.float64]:
    """Seconds of frames of so many bytes, shape (m,)."""
    bits = _SERVICE_AND_TAIL + 8 * size
    return np.asarray(_PREAMBLE + _SYMBOL * np.ceil(bits / _BITS_PER_SYMBOL[rate]))
