"""What happens to messages on the way."""

from commenv.channel.links.delays import Delay, RateCap
from commenv.channel.links.distortions import AdditiveNoise, BitErrors
from commenv.channel.links.losses import BernoulliLoss, GilbertElliottLoss, Range

__all__ = [
    "AdditiveNoise",
    "BernoulliLoss",
    "BitErrors",
    "Delay",
    "GilbertElliottLoss",
    "Range",
    "RateCap",
]
