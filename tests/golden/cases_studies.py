"""Studies: every algorithm with every scheme, on every world, over every channel."""

from __future__ import annotations

from itertools import product
from typing import Any

from tests.golden import library
from tests.golden.case import Case, Numbers
from tests.golden.library import (
    ALGORITHM_SCHEMES,
    ANY_SCHEMES,
    BY_RETURNS,
    CODECS,
    CONFIRMED,
    EXCEED,
    LAKE,
    LINKS,
    PER,
    POLE,
    ROUNDED_LINKS,
    SCOPES,
    SETTINGS,
    SIMPLE,
    TABULAR,
    TRAINED_BY_TORCH,
    WINDY,
    budget,
    channel,
    lossy,
)
from tests.golden.studies import kept, killed_and_resumed, numbers, scratch

NEEDS = ("pandas", "pyarrow", "safetensors")
BY_TORCH = (*NEEDS, "stable_baselines3")


def study(
    environments: Any, algorithm: Any, schemes: Any = None, **own: Any
) -> dict[str, Any]:
    """The arguments of a study on small grids."""
    small = {**SETTINGS[algorithm]}
    if environments == SIMPLE and "env_kwargs" not in own:
        small |= {"env.size": 3}
    given = own.pop("settings", {})
    settings: Any = {**small, **given} if isinstance(given, dict) else given
    if isinstance(given, list):
        settings = [{**small, **one} for one in given]
    return {
        "environments": environments,
        "algorithms": algorithm,
        "schemes": schemes,
        "settings": settings,
        **own,
    }


def world_of(algorithm: str) -> str:
    """Where so short a training changes what it trains."""
    return POLE if algorithm in BY_RETURNS else SIMPLE  # all returns are equal there


def case(name: str, **arguments: Any) -> Case:
    algorithm = arguments["algorithms"]
    torch = algorithm in TRAINED_BY_TORCH
    world = str(arguments["environments"])
    return Case(
        name,
        lambda: numbers(**arguments),
        exact=algorithm in TABULAR and world != POLE,
        needs=BY_TORCH if torch else (*NEEDS, "torch", "scipy"),
    )


def _algorithms() -> list[Case]:
    return [
        case(
            f"algorithms/{name}/{scheme}",
            **study(world_of(name), name, scheme),
        )
        for name, own in ALGORITHM_SCHEMES.items()
        for scheme in (*ANY_SCHEMES, *own)
    ]


def _worlds() -> list[Case]:
    winds = [{"wind": {way: 0.5}} for way in ("up", "left", "down")]
    ices = [{"is_slippery": wet} for wet in (False, True, False)]
    cases = [
        case(f"studies/world/{what}", **study(world, algorithm, **own))
        for what, world, algorithm, own in (
            ("windy", WINDY, "dql", {}),
            ("lake", LAKE, "ebcdql", {"settings": {"env.map_name": "4x4"}}),
            ("pole", POLE, "es", {}),
            ("pole-ppo", POLE, "fed-ppo", {}),
            ("own-winds", WINDY, "dql", {"env_kwargs": winds}),
            ("own-ice", LAKE, "dql", {"env_kwargs": ices}),
            ("gymnasium", "CliffWalking-v1", "dql", {}),
            ("several", [SIMPLE, WINDY], "dql", {"agents": [1, 3]}),
        )
    ]
    robots = study("commenv/Hopper-v5", "es", rounds=4, limit=10)
    cases.append(
        Case(
            "studies/world/hopper",
            lambda: numbers(**robots),
            exact=False,
            needs=(*NEEDS, "mujoco", "torch"),
        )
    )
    return cases


def _settings() -> list[Case]:
    return [
        case(
            f"studies/settings/{what}",
            **study(world_of(algorithm), algorithm, scheme, **own),
        )
        for what, algorithm, scheme, own in (
            ("dql", "dql", None, {"settings": {"alpha": 0.3}, "gamma": 0.7}),
            ("several", "dql", None, {"settings": [{"alpha": 0.3}, {"alpha": 0.7}]}),
            ("es-rank", "es", None, {"settings": {"antithetic": True}, "agents": 4}),
            ("es-sgd", "es", None, {"settings": {"optimizer": "momentum"}}),
            ("centered", "espc", None, {"settings": {"mode": "centered"}}),
            ("calibrated", "espc", None, {"settings": {"mode": "calibrated"}}),
            ("first", "ebcdql", None, {"settings": {"order": "update_first"}}),
            (
                "stop",
                "dql",
                None,
                {"stop": {library.SPENT["up bytes"]: 500.0}, "rounds": 8},
            ),
            ("pruned", "dql", None, {"callbacks": [library.Pruner(2)]}),
        )
    ]


def _channels() -> list[Case]:
    cases = []
    for name, codec in CODECS.items():
        both = channel(codec=codec, link=lossy(0.2))
        up = study(SIMPLE, "davia", "always", uplink=both, downlink=both)
        down = study(POLE, "es", "always", downlink=both)
        cases += [
            case(f"studies/codec/{name}/gradients", **up),
            case(f"studies/codec/{name}/parameters", **down),
        ]
    for name, codec in CONFIRMED.items():
        up = channel(codec=codec, link=lossy(0.3), acknowledgements=True)
        own = study(SIMPLE, "davia", "always", uplink=up)
        cases.append(case(f"studies/confirmed/{name}", **own))
    for name, link in LINKS.items():
        up = channel(link=link, headers=True)
        down = channel(link=link, medium="broadcast")
        own = study(SIMPLE, "dql", uplink=up, downlink=down)
        made = case(f"studies/link/{name}", **own)
        cases.append(
            made
            if name not in ROUNDED_LINKS
            else Case(made.name, made.run, exact=False)
        )
    windows = list(zip(PER, (*SCOPES, "team"), strict=True))
    for exceed, (per, scope) in product(EXCEED, windows):
        if exceed == "raise":
            continue  # which ends a study
        up = channel(budget=budget(exceed, per, scope, bytes=300))
        down = channel(budget=budget(exceed, per, scope, messages=2))
        own = study(SIMPLE, "dql", uplink=up, downlink=down)
        cases.append(case(f"studies/budget/{exceed}/{per}", **own))
    return cases


WAYS: dict[str, dict[str, Any]] = {
    "tabular": study(
        SIMPLE,
        "dql",
        "bernoulli",
        trials=4,
        rounds=6,
        uplink=channel(link=LINKS["delay-spread"]),
        downlink=channel(codec=CODECS["delta-sparse"], link=lossy(0.2)),
    ),
    "parameters": study(
        POLE,
        "es",
        "always",
        trials=4,
        rounds=6,
        uplink=channel(link=lossy(0.2)),
        downlink=channel(codec=CODECS["feedback-top"]),
    ),
}
"""Studies that are run in several ways, which all give the same numbers."""


def _blocks(which: str, **how: Any) -> Numbers:
    return numbers(**WAYS[which], **how)


def _shards(which: str) -> Numbers:
    with scratch() as folder:
        parts = [folder / "one", folder / "two"]
        library.run_study(**WAYS[which], last_trial=0, out=parts[0])
        library.run_study(**WAYS[which], first_trial=1, out=parts[1])
        library.merge(folder / "out", parts)
        return kept(folder / "out")


def _more(which: str) -> Numbers:
    """Fewer trials and rounds first, and then the others."""
    with scratch() as folder:
        out = folder / "out"
        fewer = {**WAYS[which], "trials": 2}
        library.run_study(**{**fewer, "rounds": 3}, out=out)
        library.run_study(**{**fewer, "rounds": 6}, out=out)
        library.run_study(**WAYS[which], out=out)
        return kept(out)


def _on_ray(which: str, **how: Any) -> Numbers:
    from tests.study.execution.backends.rays import around_ray

    with around_ray():
        return _blocks(which, backend="ray", **how)


def _ways() -> list[Case]:
    cases = []
    for which in WAYS:
        exact = which == "tabular"
        whole = f"ways/{which}"
        ways = {
            "blocks": lambda w=which: _blocks(w, block=1),
            "shards": lambda w=which: _shards(w),
            "more": lambda w=which: _more(w),
            "killed": lambda w=which: killed_and_resumed(w),
            "processes": lambda w=which: _blocks(w, workers=2),
        }
        cases.append(Case(whole, lambda w=which: _blocks(w), exact=exact, needs=NEEDS))
        cases += [
            Case(f"{whole}/{way}", run, exact=exact, like=whole, needs=NEEDS)
            for way, run in ways.items()
        ]
    cases.append(
        Case(
            "ways/tabular/actors",
            lambda: _on_ray("tabular", actors=2),
            like="ways/tabular",
            needs=(*NEEDS, "ray"),
            slow=True,
        )
    )
    return cases


CASES = [*_algorithms(), *_worlds(), *_settings(), *_channels(), *_ways()]
