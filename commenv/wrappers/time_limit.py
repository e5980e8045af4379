"""Which time limit an environment is under, seen from inside it."""

from __future__ import annotations

import math
import sys
from typing import Any

import gymnasium as gym
from gymnasium.wrappers import TimeLimit

__all__ = ["steps_allowed"]


def steps_allowed(env: gym.Env[Any, Any]) -> float:
    """The least of the time limits that wrappers outside of an environment set.

    ``gym.make`` puts ``TimeLimit`` around what it has made and tells it nothing, and a
    wrapper knows only what is inside it. So an environment that has to know which step
    is the last one looks at the wrappers through which it is being stepped: at the
    calls that have not returned yet.

    Args:
        env: An environment, during a call of its ``step`` or ``reset``.

    Returns:
        Steps since the reset, inf without a limit.
    """
    limit = math.inf
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_varnames[:1] == ("self",):
            caller = frame.f_locals.get("self")
            if isinstance(caller, TimeLimit) and caller.unwrapped is env.unwrapped:
                limit = min(limit, caller._max_episode_steps)
        frame = frame.f_back  # type: ignore[assignment]
    return limit
