"""Environments without messages: fixed actions, in every form."""

from __future__ import annotations

from typing import Any

from tests.golden import library
from tests.golden.case import Case, Numbers
from tests.golden.library import LAKE, PLAIN, POLE, ROBOTS, SIMPLE, WINDY
from tests.golden.runs import (
    play_batch,
    play_in_turn,
    play_parallel,
    play_scalar,
    play_vector,
)

GRIDS = {
    "simple": (SIMPLE, {}),
    "simple-4": (SIMPLE, {"size": 4}),
    "windy": (WINDY, {}),
    "windy-own": (WINDY, {"wind": {"up": 0.3, "right": 0.3}}),
    "lake": (LAKE, {}),
    "lake-slippery": (LAKE, {"map_name": "8x8", "is_slippery": True}),
}
OWN_GRIDS = {
    "simple": (SIMPLE, [{"size": 4}, {}, {"size": 3}]),
    "windy": (WINDY, [{"wind": {way: 0.5}} for way in ("up", "left", "down")]),
    "lake": (LAKE, [{"map_name": "4x4"}, {}, {"is_slippery": True}]),
    "pole": (POLE, [{}, {"sutton_barto_reward": True}, {}]),
}
PETTINGZOO = ("commenv/simple_grid-v0", "commenv/windy_grid-v0", "commenv/signal-v0")
NEAR = {"exact": False}  # sines, cosines, and what MuJoCo computes
ROBOT = {**NEAR, "needs": ("mujoco",)}


def scalar(env_id: str, steps: int = 30, limit: int = 20, **own: Any) -> Numbers:
    return play_scalar(library.scalar(env_id, max_episode_steps=limit, **own), steps)


def vector(env_id: str, steps: int = 30, limit: int = 20, **own: Any) -> Numbers:
    return play_vector(library.vector(env_id, 3, max_episode_steps=limit, **own), steps)


def batch(
    env_id: str, steps: int = 25, shape: Any = (2, 3), own: Any = None
) -> Numbers:
    env = library.batch(env_id, *shape, env_kwargs=own, max_episode_steps=20)
    return play_batch(env, 2, steps)


def _named(env_id: str, steps: int = 30, own: Any = None) -> Numbers:
    return play_parallel(library.named(env_id, 3, env_kwargs=own, max_cycles=20), steps)


def _cases() -> list[Case]:
    cases = []
    for name, (env_id, own) in GRIDS.items():
        cases += [
            Case(f"worlds/{name}/scalar", lambda e=env_id, o=own: scalar(e, **o)),
            Case(f"worlds/{name}/vector", lambda e=env_id, o=own: vector(e, **o)),
            Case(f"worlds/{name}/batch", lambda e=env_id, o=own: batch(e, own=o)),
            Case(
                f"worlds/{name}/tables",
                lambda e=env_id, o=own: library.tables(e, 0.9, **o),
                exact=False,  # a linear system is solved
            ),
        ]
    for form, run in {"scalar": scalar, "vector": vector, "batch": batch}.items():
        cases.append(Case(f"worlds/pole/{form}", lambda r=run: r(POLE), **NEAR))
    for env_id in PLAIN:
        like = "simple" if env_id.startswith("Simple") else "windy"
        cases.append(
            Case(
                f"worlds/plain/{like}",
                lambda e=env_id: scalar(e),
                like=f"worlds/{like}/scalar",
            )
        )
    for env_id in ROBOTS:
        name = env_id.partition("/")[2].partition("-")[0].lower()
        for form, run in {
            "scalar": lambda e: scalar(e, 6, 4),
            "vector": lambda e: vector(e, 4, 3),
            "batch": lambda e: batch(e, 3, (1, 2)),
        }.items():
            what = f"robots/{name}/{form}"
            cases.append(Case(what, lambda r=run, e=env_id: r(e), **ROBOT))
    for name, (env_id, own) in OWN_GRIDS.items():
        exact = env_id != POLE
        cases += [
            Case(
                f"worlds/own/{name}/batch",
                lambda e=env_id, o=own: batch(e, own=o),
                exact=exact,
            ),
            Case(
                f"worlds/own/{name}/named",
                lambda e=env_id, o=own: _named(e, own=o),
                exact=exact,
            ),
        ]
    for env_id in PETTINGZOO:
        name = env_id.partition("/")[2].partition("-")[0]
        cases += [
            Case(
                f"worlds/pettingzoo/{name}/parallel",
                lambda e=env_id: play_parallel(library.of_pettingzoo("parallel", e)),
            ),
            Case(
                f"worlds/pettingzoo/{name}/aec",
                lambda e=env_id: play_in_turn(library.of_pettingzoo("aec", e)),
            ),
        ]
    return cases


CASES = _cases()
