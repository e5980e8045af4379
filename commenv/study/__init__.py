"""Studies: what to run, where it is kept, and how it is shown."""

from commenv.study.arm import Arm
from commenv.study.callbacks import Callback, StopTrial, TrialRound
from commenv.study.execution.estimates import Estimate, estimate
from commenv.study.loader import load
from commenv.study.merging import merge
from commenv.study.policies.loader import TrainedPolicy, load_policy
from commenv.study.product import arms
from commenv.study.results import Results
from commenv.study.runner import execute, run
from commenv.study.spec import Study
from commenv.study.verification.verifier import Verification, verify

__all__ = [
    "Arm",
    "Callback",
    "Estimate",
    "Results",
    "StopTrial",
    "Study",
    "TrainedPolicy",
    "TrialRound",
    "Verification",
    "arms",
    "estimate",
    "execute",
    "load",
    "load_policy",
    "merge",
    "run",
    "verify",
]
