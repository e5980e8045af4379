"""What the wrapper around a PettingZoo environment costs, beside the bare one.

MPE2's simple_spread with 8 agents takes the same actions bare, wrapped with silent
agents, and wrapped with each agent sending 16 bytes to all others in every step. Their
repetitions take turns, so that a busy machine slows all of them, and the medians of the
ratios of one turn are shown. A ring of 8 and of 256 agents in a world that does nothing
shows how the cost of one agent grows. Needs `mpe2`.

    python benchmarks/wrapper_speed.py [--repetitions 15]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces
from mpe2 import simple_spread_v3
from pettingzoo import ParallelEnv

import commenv

AGENTS = 8
STEPS = 100
CEILING = 2.0  # wrapped over bare
MOST_MICROSECONDS = 10.0  # for each message that an agent gets
MESSAGE = spaces.Box(-1, 1, (4,), np.float32)

Run = Callable[[], float]


class Idle(ParallelEnv):
    """A world that costs nothing."""

    metadata = {"name": "idle"}  # noqa: RUF012

    def __init__(self, num_agents: int) -> None:
        self.possible_agents = [f"agent_{number}" for number in range(num_agents)]
        self._spaces = spaces.Box(-1, 1, (4,)), spaces.Discrete(5)
        seen = dict.fromkeys(self.possible_agents, np.zeros(4, np.float32))
        zeros = dict.fromkeys(self.possible_agents, 0.0)
        no = dict.fromkeys(self.possible_agents, False)
        infos: dict[str, Any] = {agent: {} for agent in self.possible_agents}
        self._result = (seen, zeros, no, no, infos)

    def observation_space(self, agent):
        return self._spaces[0]

    def action_space(self, agent):
        return self._spaces[1]

    def reset(self, seed=None, options=None):
        self.agents = self.possible_agents[:]
        return self._result[0], self._result[4]

    def step(self, actions):
        return self._result


def spread() -> Any:
    return simple_spread_v3.parallel_env(N=AGENTS, max_cycles=10**9)


def stepping(env: Any, actions: dict[str, Any]) -> Run:
    """Seconds of processor time for one step."""
    env.reset(seed=0)

    def run() -> float:
        begin = time.process_time()
        for _ in range(STEPS):
            env.step(actions)
        return (time.process_time() - begin) / STEPS

    return run


def wrapped(env: Any, to: int, **parts: Any) -> Run:
    env = commenv.CommunicationBudget(env, message_space=MESSAGE, **parts)
    action = {"action": 0, "message": np.full(4, 0.5, np.float32), "to": to}
    return stepping(env, dict.fromkeys(env.possible_agents, action))


def turns(forms: dict[str, Run], repetitions: int) -> dict[str, list[float]]:
    """Times of all forms, turn by turn; the first turn warms up."""
    times: dict[str, list[float]] = {name: [] for name in forms}
    for repetition in range(repetitions + 1):
        for name, run in forms.items():
            seconds = run()
            if repetition:
                times[name].append(seconds)
    return times


def median(values: Any) -> float:
    return statistics.median(list(values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repetitions", type=int, default=15)
    repetitions = parser.parse_args().repetitions
    times = turns(
        {
            "bare": stepping(spread(), dict.fromkeys(spread().possible_agents, 0)),
            "silent": wrapped(spread(), to=0),
            "talking": wrapped(spread(), to=1),
            "ring of 8": wrapped(Idle(8), to=1, topology="ring"),
            "ring of 256": wrapped(Idle(256), to=1, topology="ring"),
        },
        repetitions,
    )
    bare = times["bare"]
    print(f"bare simple_spread, {AGENTS} agents: {median(bare) * 1e6:.0f} us a step")
    ratios = {}
    for name in ("silent", "talking"):
        pairs = list(zip(times[name], bare, strict=True))
        ratios[name] = median(one / other for one, other in pairs)
        added = median(one - other for one, other in pairs) * 1e6
        print(
            f"{name}: {ratios[name]:.2f} x bare (at most {CEILING}), "
            f"{added:.0f} us a step more, {added / AGENTS:.1f} us for each agent"
        )
        if name == "talking":
            each = added / (AGENTS * (AGENTS - 1))
            print(
                f"  {each:.1f} us for each message that an agent gets "
                f"(at most {MOST_MICROSECONDS:.0f})"
            )
    growth = median(
        (large / 256) / (small / 8)
        for large, small in zip(times["ring of 256"], times["ring of 8"], strict=True)
    )
    print(f"ring, cost of an agent with 256 over with 8: {growth:.2f} (at most 1)")
    if ratios["talking"] > CEILING or each > MOST_MICROSECONDS or growth > 1:
        raise SystemExit("slower than it should be")


if __name__ == "__main__":
    main()
