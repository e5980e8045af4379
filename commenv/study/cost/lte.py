"""LTE, by the power model of Huang et al. (2012)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from commenv.study.cost.profile import Cost, Direction, LinkProfile, check_numbers

__all__ = ["LTE"]


@dataclass(frozen=True)
class LTE(LinkProfile):
    """A telephone on an LTE network.

    J. Huang et al., "A close examination of performance and power characteristics of 4G
    LTE networks", MobiSys 2012: while it transfers, a device draws

        P = alpha_up t_up + alpha_down t_down + beta

    at t Mbit/s in either direction. A message of n bytes takes 8 n bits at the median
    throughputs that the paper measured, 6 Mbit/s up and 13 Mbit/s down. The power
    constants are those of AT&T's Application Resource Optimizer, which implements this
    model; the paper's own table was not at hand (its beta is some 7 % larger).

    A radio that was idle is first promoted, and stays awake in a tail after the last
    byte. How many messages find it idle depends on when they are sent, which sizes do
    not tell: ``wakeups`` says it, 0 by default, at most 1 for a message every quarter
    of a minute or less often. It adds joules alone. The joules are the device's;
    those of the base station are not modelled and count as 0.

    Args:
        uplink: Throughput in bit/s.
        downlink: The same from the network to the device.
        overhead: Bytes of IPv4 and UDP headers (RFC 791 and 768) of each packet.
        packet_payload: Most bytes of a message in a packet: 1500, less those headers.
        alpha_uplink: Watts for each Mbit/s sent.
        alpha_downlink: Watts for each Mbit/s received.
        beta: Watts while anything is transferred.
        wakeups: Share of messages that find the radio idle, 0 to 1.
        promotion_seconds: How long waking up takes.
        promotion_watts: The power meanwhile.
        tail_seconds: How long the radio stays awake (timers of 0.1, 0.02 and 10 s).
        tail_watts: The power meanwhile.

    Raises:
        ValueError: A setting outside its range.
    """

    name: ClassVar[str] = "lte"
    source: ClassVar[str] = (
        "throughput and power model: Huang et al., MobiSys 2012; constants: AT&T "
        "Application Resource Optimizer"
    )
    leaves_out: ClassVar[str] = (
        "waking up and the tail (unless wakeups says how often), round trips, "
        "retransmissions, and the base station's energy"
    )

    uplink: float = 6e6
    downlink: float = 13e6
    overhead: int = 28
    packet_payload: int = 1472
    alpha_uplink: float = 0.43839
    alpha_downlink: float = 0.05197
    beta: float = 1.2
    wakeups: float = 0.0
    promotion_seconds: float = 0.26
    promotion_watts: float = 1.21
    tail_seconds: float = 10.12
    tail_watts: float = 1.06

    def __post_init__(self) -> None:
        watts = (0.0, 1e3, "W")
        check_numbers(
            self,
            uplink=(1.0, 1e12, "bit/s"),
            downlink=(1.0, 1e12, "bit/s"),
            overhead=(0, 65_535, "bytes"),
            packet_payload=(1, 65_535, "bytes"),
            alpha_uplink=watts,
            alpha_downlink=watts,
            beta=watts,
            wakeups=(0, 1),
            promotion_seconds=(0, 1e3, "s"),
            promotion_watts=watts,
            tail_seconds=(0, 1e3, "s"),
            tail_watts=watts,
        )

    def cost(self, sizes: NDArray[np.int64], direction: Direction) -> Cost:
        """The device sends uplinks and receives downlinks; its partner costs 0."""
        up = direction == "uplink"
        throughput = self.uplink if up else self.downlink
        alpha = self.alpha_uplink if up else self.alpha_downlink
        packets = np.maximum(-(-sizes // self.packet_payload), 1)
        seconds = 8 * (sizes + packets * self.overhead) / throughput
        waking = (
            self.promotion_seconds * self.promotion_watts
            + self.tail_seconds * self.tail_watts
        )
        device = seconds * (alpha * throughput / 1e6 + self.beta)
        device = device + self.wakeups * waking
        nothing = np.zeros_like(device)
        return Cost(seconds, *((device, nothing) if up else (nothing, device)))
