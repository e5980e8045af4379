"""Channels to a learner: codecs, links, budgets, media and wrappers, both ways."""

from __future__ import annotations

from itertools import product
from typing import Any

from tests.golden import library
from tests.golden.case import Case, Numbers
from tests.golden.library import (
    CODECS,
    CONFIRMED,
    EXCEED,
    LINKS,
    PER,
    ROUNDED_LINKS,
    SCOPES,
    SIMPLE,
    WINDY,
    budget,
    channel,
    delayed,
    lossy,
)
from tests.golden.runs import play_batch, play_parallel, play_scalar, play_vector


def batch(form: str, rounds: int = 4, up: Any = None, down: Any = None) -> Numbers:
    """2 trials of 3 agents, whose channels tick once in a round."""
    env = library.batch(WINDY, 2, 3, uplink=up, downlink=down, max_episode_steps=20)
    return play_batch(env, rounds, form=form, down=True)


def vector(form: str, steps: int = 12, up: Any = None, down: Any = None) -> Numbers:
    """3 agents of a native vector, whose channels tick with every step."""
    envs = library.vector(SIMPLE, 3, uplink=up, downlink=down, max_episode_steps=7)
    return play_vector(envs, steps, form=form, down=True)


def scalar(form: str, steps: int = 14, up: Any = None, down: Any = None) -> Numbers:
    env = library.scalar(SIMPLE, uplink=up, downlink=down, max_episode_steps=5)
    return play_scalar(env, steps, form=form, down=True)


def around_one(form: str, up: Any = None, down: Any = None) -> Numbers:
    env = library.scalar(SIMPLE, max_episode_steps=5)
    env = library.with_channel(env, uplink=up, downlink=down)
    return play_scalar(env, 14, form=form, down=True)


def around_many(form: str, up: Any = None, down: Any = None) -> Numbers:
    envs = library.vector(SIMPLE, 3, max_episode_steps=7, vectorization_mode="sync")
    envs = library.with_vector_channel(envs, uplink=up, downlink=down)
    return play_vector(envs, 12, form=form, down=True)


def named(form: str, up: Any = None, down: Any = None) -> Numbers:
    env = library.named(WINDY, 3, uplink=up, downlink=down, max_cycles=6)
    return play_parallel(env, 14, form=form)


def adapted(form: str, up: Any = None, down: Any = None, *, whole: bool) -> Numbers:
    """A batch, and the same batch of environments with names."""
    make = library.batch if whole else library.batch_of_named
    env = make(WINDY, 2, 3, uplink=up, downlink=down)
    return play_batch(env, 4, form=form, down=True, ledgers=False)


def _codecs() -> list[Case]:
    cases = []
    for name, codec in CODECS.items():
        both = channel(codec=codec, link=lossy(0.3))
        shared = channel(codec=codec, link=lossy(0.3), medium="broadcast")
        cases += [
            Case(f"codecs/{name}/batch", lambda c=both: batch("whole", 6, c, c)),
            Case(
                f"codecs/{name}/shared",
                lambda c=both, d=shared: vector("whole", 9, c, d),
            ),
        ]
    for name, codec in CONFIRMED.items():
        up = channel(codec=codec, link=lossy(0.3), acknowledgements=True, headers=True)
        late = channel(codec=codec, link=delayed(1), acknowledgements=True)
        cases += [
            Case(f"codecs/confirmed/{name}/batch", lambda c=up: batch("whole", 6, c)),
            Case(f"codecs/confirmed/{name}/late", lambda c=late: batch("whole", 6, c)),
        ]
    return cases


def _links() -> list[Case]:
    cases = []
    for name, link in LINKS.items():
        exact = name not in ROUNDED_LINKS
        plain = channel(link=link)
        shared = channel(link=link, medium="broadcast", headers=True)
        cases += [
            Case(
                f"links/{name}/batch",
                lambda c=plain, d=shared: batch("steps", 6, c, d),
                exact=exact,
            ),
            Case(
                f"links/{name}/vector",
                lambda c=plain: vector("steps", 12, c, c),
                exact=exact,
            ),
        ]
    confirmed = channel(link=LINKS["delay-spread"], acknowledgements=True)
    cases += [
        Case("links/acknowledged/batch", lambda: batch("steps", 6, confirmed)),
        Case("links/acknowledged/vector", lambda: vector("free", 12, confirmed)),
    ]
    return cases


def _budgets() -> list[Case]:
    cases = []
    for exceed, per, scope in product(EXCEED, PER, SCOPES):
        times = (3 if per == "lifetime" else 1) * (2 if scope == "team" else 1)
        most = {"messages": 2 * times, "bytes": 30 * times}
        up = channel(budget=budget(exceed, per, scope, **most))
        down = channel(
            budget=budget(exceed, per, scope, bytes=130 * times), headers=True
        )
        what = f"budgets/{exceed}/{per}/{scope}"
        cases.append(
            Case(f"{what}/batch", lambda c=up, d=down: batch("steps", 4, c, d))
        )
        if (scope, per) != ("team", "episode"):  # sub-environments have their own
            cases.append(
                Case(f"{what}/vector", lambda c=up, d=down: vector("steps", 9, c, d))
            )
    return cases


def _faces() -> list[Case]:
    """The same channels behind every API."""
    faces = {
        "scalar": scalar,
        "vector": vector,
        "around-one": around_one,
        "around-many": around_many,
        "batch": batch,
        "named": named,
    }
    channels = {
        "perfect": (channel(), channel()),
        "lossy": (
            channel(link=lossy(0.3), acknowledgements=True),
            channel(link=lossy(0.3), medium="broadcast"),
        ),
        "queue": (
            channel(budget=budget("queue", bytes=30), link=delayed(1)),
            channel(budget=budget("queue", bytes=80)),
        ),
        "penalize": (
            channel(budget=budget("penalize", messages=0), headers=True),
            channel(budget=budget("penalize", bytes=30)),
        ),
        "terminate": (
            channel(budget=budget("terminate", "episode", messages=1)),
            channel(),
        ),
    }
    cases = []
    for (name, run), form in product(faces.items(), ("steps", "whole", "free")):
        like = {"around-one": "scalar", "around-many": "vector"}.get(name)
        for kind, (up, down) in channels.items():
            if kind == "terminate" and name == "around-many":
                continue  # a vector cannot be ended from outside
            if form != "steps" and kind in ("lossy", "queue"):
                continue
            cases.append(
                Case(
                    f"faces/{name}/{kind}/{form}",
                    lambda r=run, f=form, c=up, d=down: r(f, up=c, down=d),
                    like=f"faces/{like}/{kind}/{form}" if like else "",
                )
            )
    for kind, (up, down) in channels.items():
        # Prices come off the rewards of environments with names, not of a batch.
        cases += [
            Case(
                f"faces/adapted/{kind}",
                lambda c=up, d=down: adapted("steps", c, d, whole=True),
            ),
            Case(
                f"faces/adapted/{kind}/named",
                lambda c=up, d=down: adapted("steps", c, d, whole=False),
                like="" if kind == "penalize" else f"faces/adapted/{kind}",
            ),
        ]
    return cases


CASES = [*_codecs(), *_links(), *_budgets(), *_faces()]
