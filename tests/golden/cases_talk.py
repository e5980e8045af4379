"""Agents that talk to each other while they act."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from tests.golden import library
from tests.golden.case import Case, Numbers
from tests.golden.library import (
    CODECS,
    EXCEED,
    LINKS,
    PER,
    ROUNDED_LINKS,
    SCOPES,
    SIMPLE,
    WINDY,
    budget,
    delayed,
    lossy,
    within_range,
)
from tests.golden.runs import play_talking

WORDS = spaces.Discrete(8)
NUMBERS = spaces.Box(-2, 2, (3,), np.float32)
MESSAGES = {
    "discrete": WORDS,
    "box": NUMBERS,
    "multi-discrete": spaces.MultiDiscrete([3, 4]),
    "multi-binary": spaces.MultiBinary(5),
}
CHAIN = np.eye(4, k=1, dtype=bool)  # each agent can send to the next


def changing(env: Any) -> Any:
    """Links that come and go with the steps."""
    return CHAIN if library.steps_so_far(env) % 3 else CHAIN.T


def _graph() -> Any:
    import networkx

    names = [f"agent_{row}" for row in range(4)]
    return networkx.path_graph(names)


TOPOLOGIES: dict[str, Any] = {
    "broadcast": lambda: "broadcast",
    "complete": lambda: "complete",
    "ring": lambda: "ring",
    "star": lambda: "star",
    "matrix": lambda: CHAIN,
    "neighbours": lambda: {"agent_0": ["agent_2"], "agent_3": ["agent_0", "agent_1"]},
    "function": lambda: changing,
    "graph": _graph,
}
LINE = {f"agent_{row}": [float(row), 0.0] for row in range(4)}


def on_a_line(env: Any) -> dict[str, list[float]]:
    return LINE


def talk(
    world: str = WINDY, space: Any = WORDS, cycles: int = 9, **own: Any
) -> Numbers:
    env = library.named(world, 4, max_cycles=cycles)
    return play_talking(library.talking(env, space, **own))


def signal(**own: Any) -> Numbers:
    env = library.of_pettingzoo("parallel", "commenv/signal-v0", max_cycles=8)
    return play_talking(library.talking(env, WORDS, **own))


def _cases() -> list[Case]:
    cases = [
        Case(
            f"talk/topology/{name}",
            lambda t=topology: talk(topology=t(), budget=budget("refuse", messages=2)),
            needs=("networkx",) if name == "graph" else (),
        )
        for name, topology in TOPOLOGIES.items()
    ]
    for name, space in MESSAGES.items():
        for flat in (False, True):
            form = "flat" if flat else "plain"
            own = {"flatten": flat, "bins": 5 if flat and name == "box" else None}
            cases.append(
                Case(
                    f"talk/messages/{name}/{form}",
                    lambda s=space, o=own: talk(space=s, link=lossy(0.2), **o),
                )
            )
    for exceed in EXCEED:
        for per, scope in zip(PER, (*SCOPES, SCOPES[0]), strict=True):
            most = {"messages": 2, "bytes": 20}
            if per == "lifetime":
                most = {"messages": 12}
            limits = budget(exceed, per, scope, **most)
            cases.append(
                Case(
                    f"talk/budget/{exceed}/{per}",
                    lambda b=limits: talk(SIMPLE, topology="complete", budget=b),
                )
            )
    for name, link in LINKS.items():
        space = NUMBERS if name in ROUNDED_LINKS else WORDS
        cases.append(
            Case(
                f"talk/link/{name}",
                lambda k=link, s=space: talk(space=s, topology="ring", link=k),
                exact=name not in ROUNDED_LINKS,
            )
        )
    reach = {"link": within_range(1.5), "positions": on_a_line}
    for topology in ("broadcast", "complete"):
        cases.append(
            Case(
                f"talk/link/range/{topology}",
                lambda t=topology: talk(topology=t, **reach),
            )
        )
    for name, codec in CODECS.items():
        cases.append(
            Case(
                f"talk/codec/{name}",
                lambda c=codec: talk(
                    space=NUMBERS, topology="complete", codec=c, link=lossy(0.2)
                ),
            )
        )
    for name in ("feedback-top", "delta"):  # copies go to several receivers
        codec = CODECS[name]
        own = {"codec": codec, "acknowledgements": True, "link": lossy(0.2)}
        cases += [
            Case(
                f"talk/confirmed/{name}/{topology}",
                lambda t=topology, o=own: talk(space=NUMBERS, topology=t, **o),
            )
            for topology in ("broadcast", "complete")
        ]
    charged = {"headers": True, "silence": True, "polls": True}
    cases += [
        Case("talk/bill", lambda: talk(budget=budget("refuse", bytes=40), **charged)),
        Case("talk/late", lambda: talk(link=delayed(2), acknowledgements=True)),
        Case("talk/signal/plain", lambda: signal(budget=budget("refuse", bytes=4))),
        Case("talk/signal/flat", lambda: signal(flatten=True, link=lossy(0.3))),
        Case("talk/signal/late", lambda: signal(topology="complete", link=delayed(1))),
    ]
    return cases


CASES = _cases()
