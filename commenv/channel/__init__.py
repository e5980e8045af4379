"""The metered message channel: what travels, what it costs, what becomes of it."""

from commenv.channel.budget import Budget, Left
from commenv.channel.channel import Channel
from commenv.channel.codec import Codec, Encoded, Identity
from commenv.channel.frames import HEADER, HEADER_SIZE, Frames, decode_frame
from commenv.channel.ledger import Entry, Fate, Ledger, Unit
from commenv.channel.link import (
    BernoulliLoss,
    Chain,
    Delay,
    GilbertElliottLoss,
    Link,
    LinkDraws,
    Passage,
    PerfectLink,
    Range,
    RateCap,
    Sending,
)
from commenv.channel.live import LiveChannel, Receipt
from commenv.channel.message import FreeForm, Messages, Received
from commenv.channel.payload import pack, unpack

__all__ = [
    "HEADER",
    "HEADER_SIZE",
    "BernoulliLoss",
    "Budget",
    "Chain",
    "Channel",
    "Codec",
    "Delay",
    "Encoded",
    "Entry",
    "Fate",
    "Frames",
    "FreeForm",
    "GilbertElliottLoss",
    "Identity",
    "Ledger",
    "Left",
    "Link",
    "LinkDraws",
    "LiveChannel",
    "Messages",
    "Passage",
    "PerfectLink",
    "Range",
    "RateCap",
    "Receipt",
    "Received",
    "Sending",
    "Unit",
    "decode_frame",
    "pack",
    "unpack",
]
