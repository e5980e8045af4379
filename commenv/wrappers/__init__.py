"""The channel around environments, and the metrics that it measures."""

from commenv.wrappers.channel_env import ChannelEnv, batched_env
from commenv.wrappers.finding import find_channel
from commenv.wrappers.infos import SendResult
from commenv.wrappers.instances import Instances, StepObserver
from commenv.wrappers.message_channel import MessageChannel
from commenv.wrappers.metrics import Metrics
from commenv.wrappers.own_channel import OwnChannel, OwnVectorChannel
from commenv.wrappers.star import Star
from commenv.wrappers.vector_channel import VectorMessageChannel

__all__ = [
    "ChannelEnv",
    "Instances",
    "MessageChannel",
    "Metrics",
    "OwnChannel",
    "OwnVectorChannel",
    "SendResult",
    "Star",
    "StepObserver",
    "VectorMessageChannel",
    "batched_env",
    "find_channel",
]
