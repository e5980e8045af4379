"""MPE2's Simple Spread, bare and wrapped in the same process, by turns."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from mpe2 import simple_spread_v3

BLOCK = 10  # steps of the one, then of the other

Times = tuple[float, float]  # by the clock, of processor time
Act = Callable[[dict[str, Any]], dict[str, Any]]


def bare(num_agents: int) -> Any:
    """The environment in its parallel form, without an end."""
    return simple_spread_v3.parallel_env(N=num_agents, max_cycles=10**9)


def still(observations: dict[str, Any]) -> dict[str, int]:
    """Nobody moves."""
    return dict.fromkeys(observations, 0)


def stepping(env: Any, act: Act) -> Callable[[], Times]:
    """Seconds of one block."""
    observations, _ = env.reset(seed=0)

    def block() -> Times:
        nonlocal observations
        clock, processor = time.perf_counter(), time.process_time()
        for _ in range(BLOCK):
            observations, *_ = env.step(act(observations))
        return time.perf_counter() - clock, time.process_time() - processor

    return block


def beside_bare(
    env: Any, act: Act, num_agents: int, added: bool
) -> Callable[[int], tuple[int, float, float]]:
    """Steps of a wrapped environment, and what each adds to a step of the bare one.

    Args:
        env: The wrapped environment.
        act: Its agents, all at once.
        num_agents: How many there are; steps are counted agent by agent.
        added: Take the time of as many bare steps off.
    """
    wrapped, plain = stepping(env, act), stepping(bare(num_agents), still)

    def run(calls: int) -> tuple[int, float, float]:
        blocks = calls // BLOCK
        clock = processor = 0.0
        for _ in range(blocks):
            more, less = wrapped(), plain() if added else (0.0, 0.0)
            clock += more[0] - less[0]
            processor += more[1] - less[1]
        return blocks * BLOCK * num_agents, clock, processor

    return run
