"""Studies: what to run, where it is kept, and how it is shown."""

from commenv.study.results import Results, load
from commenv.study.run import execute, run
from commenv.study.spec import Cell, Study, cells
from commenv.study.trained import TrainedPolicy, load_policy
from commenv.study.verification import Verification, verify

__all__ = [
    "Cell",
    "Results",
    "Study",
    "TrainedPolicy",
    "Verification",
    "cells",
    "execute",
    "load",
    "load_policy",
    "run",
    "verify",
]
