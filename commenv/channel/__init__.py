"""The metered message channel: what travels, what it costs, what becomes of it."""

from commenv.channel.budget import Budget, Left
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
from commenv.channel.frames import HEADER, HEADER_SIZE, Frames, decode_frame
from commenv.channel.ledger import Entry, Fate, Ledger, Unit
from commenv.channel.link import (
    Chain,
    Link,
    Passage,
    Payloads,
    PerfectLink,
    Sending,
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
from commenv.channel.live import LiveChannel, Receipt
from commenv.channel.mesh import Arrivals, Mesh
from commenv.channel.message import FreeForm, Messages, Received
from commenv.channel.payload import pack, unpack
from commenv.channel.randomness import LinkDraws, MessageDraws
from commenv.channel.sending import Sender, Verdict
from commenv.channel.versions import Versions

__all__ = [
    "HEADER",
    "HEADER_SIZE",
    "QSGD",
    "AdditiveNoise",
    "Arrivals",
    "BernoulliLoss",
    "BitErrors",
    "Budget",
    "Chain",
    "Channel",
    "Codec",
    "Decoded",
    "Delay",
    "Delta",
    "Encoded",
    "Entry",
    "ErrorFeedback",
    "Fate",
    "Float16",
    "Frames",
    "FreeForm",
    "GilbertElliottLoss",
    "Identity",
    "Incoming",
    "Int8",
    "Ledger",
    "Left",
    "Link",
    "LinkDraws",
    "LiveChannel",
    "Mesh",
    "MessageDraws",
    "Messages",
    "Passage",
    "Payloads",
    "PerfectLink",
    "RandomK",
    "Range",
    "RateCap",
    "Receipt",
    "Received",
    "RecordCodec",
    "ScaledSign",
    "Sender",
    "Sending",
    "Sparse",
    "TopK",
    "Uniform",
    "Unit",
    "Verdict",
    "Versions",
    "decode_frame",
    "pack",
    "unpack",
]
