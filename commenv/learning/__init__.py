"""What an algorithm is, and the rounds in which its two halves communicate."""

from commenv.learning.algorithm import (
    Agents,
    Algorithm,
    Learner,
    Problem,
    RoundAgents,
    Transition,
)
from commenv.learning.evaluation import (
    Evaluator,
    ExactEvaluator,
    MonteCarloEvaluator,
    Policy,
)
from commenv.learning.plugins import make_algorithm, make_scheme, plugin_names
from commenv.learning.rounds import Rounds
from commenv.learning.scheme import Scheme, SchemeDraws, Signal
from commenv.learning.schemes import Always

__all__ = [
    "Agents",
    "Algorithm",
    "Always",
    "Evaluator",
    "ExactEvaluator",
    "Learner",
    "MonteCarloEvaluator",
    "Policy",
    "Problem",
    "RoundAgents",
    "Rounds",
    "Scheme",
    "SchemeDraws",
    "Signal",
    "Transition",
    "make_algorithm",
    "make_scheme",
    "plugin_names",
]
