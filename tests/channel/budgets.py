"""Budgets for property tests, with the settings that their policy uses."""

from __future__ import annotations

from typing import get_args

from hypothesis import strategies as st

from commenv import Budget
from commenv.channel.budget import Exceed, Scope, Window

POLICIES = get_args(Exceed)
WINDOWS = get_args(Window)


@st.composite
def budgets(draw, messages, size, exceed=POLICIES, per=WINDOWS):
    """A budget of at most so many messages and bytes, or none at all."""
    limits = {
        "messages": draw(st.none() | st.integers(0, messages)),
        "bytes": draw(st.none() | st.integers(0, size)),
    }
    if set(limits.values()) == {None}:
        return Budget()
    policy = draw(st.sampled_from(exceed))
    own = {
        "queue": {"max_wait": st.integers(0, 3)},
        "penalize": {"price": st.sampled_from([0, 0.5, 2])},
    }
    return Budget(
        **limits,
        per=draw(st.sampled_from(per)),
        scope=draw(st.sampled_from(get_args(Scope))),
        exceed=policy,
        **{name: draw(values) for name, values in own.get(policy, {}).items()},
    )
