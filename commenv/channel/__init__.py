"""The metered message channel: what travels, what it costs, what becomes of it."""

from commenv.channel.awaited import Acknowledgement
from commenv.channel.budget import Budget
from commenv.channel.channel import Channel
from commenv.channel.codec import Codec, Decoded, Encoded, Identity, Incoming
from commenv.channel.codecs import (
    QSGD,
    Delta,
    ErrorFeedback,
    Float16,
    Int8,
    RandomK,
    RecordCodec,
    ScaledSign,
    Sparse,
    TopK,
    Uniform,
)
from commenv.channel.coding import Decoder, Delivered, Encoder, Packets
from commenv.channel.ledger import Entry, Fate, Ledger, Unit
from commenv.channel.link import (
    Chain,
    Link,
    Payloads,
    PerfectLink,
    Sending,
    Transit,
)
from commenv.channel.links import (
    AdditiveNoise,
    BernoulliLoss,
    BitErrors,
    Delay,
    GilbertElliottLoss,
    Range,
    RateCap,
)
from commenv.channel.message import FreeForm, Messages, Received
from commenv.channel.meter import Left
from commenv.channel.network import Network
from commenv.channel.payload import pack, unpack
from commenv.channel.versions import Versions
from commenv.channel.wire import HEADER, HEADER_SIZE, decode_packet
from commenv.channel.wiring import Receipt, Wiring
from commenv.rng import LinkDraws, MessageDraws

__all__ = [
    "HEADER",
    "HEADER_SIZE",
    "QSGD",
    "Acknowledgement",
    "AdditiveNoise",
    "BernoulliLoss",
    "BitErrors",
    "Budget",
    "Chain",
    "Channel",
    "Codec",
    "Decoded",
    "Decoder",
    "Delay",
    "Delivered",
    "Delta",
    "Encoded",
    "Encoder",
    "Entry",
    "ErrorFeedback",
    "Fate",
    "Float16",
    "FreeForm",
    "GilbertElliottLoss",
    "Identity",
    "Incoming",
    "Int8",
    "Ledger",
    "Left",
    "Link",
    "LinkDraws",
    "MessageDraws",
    "Messages",
    "Network",
    "Packets",
    "Payloads",
    "PerfectLink",
    "RandomK",
    "Range",
    "RateCap",
    "Receipt",
    "Received",
    "RecordCodec",
    "ScaledSign",
    "Sending",
    "Sparse",
    "TopK",
    "Transit",
    "Uniform",
    "Unit",
    "Versions",
    "Wiring",
    "decode_packet",
    "pack",
    "unpack",
]
