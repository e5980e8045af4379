"""The channel around environments, and the metrics that it measures."""

from commenv.wrappers.batched import ChannelEnv, StepObserver, batched_env
from commenv.wrappers.finding import find_channel
from commenv.wrappers.message_channel import MessageChannel
from commenv.wrappers.metrics import Metrics
from commenv.wrappers.own_channel import OwnChannel, OwnVectorChannel
from commenv.wrappers.star import Star
from commenv.wrappers.telling import Told
from commenv.wrappers.vector_channel import VectorMessageChannel

__all__ = [
    "ChannelEnv",
    "MessageChannel",
    "Metrics",
    "OwnChannel",
    "OwnVectorChannel",
    "Star",
    "StepObserver",
    "Told",
    "VectorMessageChannel",
    "batched_env",
    "find_channel",
]
