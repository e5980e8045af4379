"""The state of the generators that a whole process shares, which nobody may touch."""

from __future__ import annotations

import random
import sys
from typing import Any

import numpy as np

__all__ = ["GlobalState", "check_untouched", "global_state"]

GlobalState = dict[str, Any]


def global_state() -> GlobalState:
    """The state of Python's and NumPy's generator, and of torch's once it is imported.

    Torch's is missing before: hold a later state against the names of an earlier one.
    """
    _, keys, position, *_ = np.random.get_state()  # noqa: NPY002 - only looked at
    numpy = [*np.asarray(keys).tolist(), position]
    state = {"random": random.getstate(), "numpy": numpy}
    if torch := sys.modules.get("torch"):
        state["torch"] = torch.get_rng_state().tolist()
    return state


def check_untouched(before: GlobalState, cure: str) -> None:
    """Holds the generators against an earlier state.

    Raises:
        AssertionError: One has been drawn from or seeded.
    """
    after = global_state()
    for name, state in before.items():
        assert after[name] == state, f"draws from {name}'s global generator; {cure}"
