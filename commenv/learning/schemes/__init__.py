"""Communication schemes: the controls, the triggers, and ESPC's probabilistic one."""

from commenv.learning.schemes.chosen import RandomChoice, TopUtility
from commenv.learning.schemes.probabilistic import (
    ProbabilisticUtility,
    return_times_noise,
)
from commenv.learning.schemes.simple import (
    Always,
    Bernoulli,
    Never,
    Periodic,
)
from commenv.learning.schemes.triggers import Gain, TDError

__all__ = [
    "Always",
    "Bernoulli",
    "Gain",
    "Never",
    "Periodic",
    "ProbabilisticUtility",
    "RandomChoice",
    "TDError",
    "TopUtility",
    "return_times_noise",
]
