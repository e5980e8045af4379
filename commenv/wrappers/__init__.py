"""The channel around environments, and the metrics that it measures."""

from commenv.wrappers.batched import ChannelEnv, StepObserver, batched_env
from commenv.wrappers.metrics import Metrics

__all__ = ["ChannelEnv", "Metrics", "StepObserver", "batched_env"]
