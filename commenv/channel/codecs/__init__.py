"""How records become fewer bytes."""

from commenv.channel.codecs.delta import Delta
from commenv.channel.codecs.feedback import ErrorFeedback
from commenv.channel.codecs.quantized import QSGD, Float16, Int8, ScaledSign, Uniform
from commenv.channel.codecs.records import RecordCodec
from commenv.channel.codecs.selected import RandomK, Sparse, TopK

__all__ = [
    "QSGD",
    "Delta",
    "ErrorFeedback",
    "Float16",
    "Int8",
    "RandomK",
    "RecordCodec",
    "ScaledSign",
    "Sparse",
    "TopK",
    "Uniform",
]
