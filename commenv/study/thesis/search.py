"""The thesis' figures of ESPC against ES: 4.5, 4.6 and 4.8 to 4.11.

Each also runs the controls that tell better communication from a missing baseline: ES
centred, ES of m agents, m of n drawn at random, ESPC centred; from both starts of
theta.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from commenv.study.claims import Claim
from commenv.study.estimands import (
    area,
    at_equal,
    correlation,
    difference,
    less,
    messages_ratio,
    smoothness,
)
from commenv.study.thesis.figure import Context, Curve, Figure, Scale

__all__ = ["SEARCH_FIGURES"]

AGENTS = 50
SAME_SHARE = 0.02
"""Messages within this of m / n, as a share of ES', count as m / n."""
SAME_SCORE: Mapping[str, float] = {"cart": 25.0, "ant": 10.0}
"""Evaluations this close count as equal: 5 % of the score range."""

_CART: dict[str, Any] = {
    "shaping": "raw",
    "optimizer": "adam",
    "learning_rate": 0.01,
    "noise": 0.05,
    "l2": 0.05,
    "hidden_sizes": (8, 8),
}
_ANT = _CART | {"learning_rate": 0.005, "noise": 0.02, "hidden_sizes": (64, 64)}


def _es(settings: dict[str, Any], agents: int = AGENTS) -> Curve:
    return Curve(f"ES {agents}", "es", settings, num_agents=agents)


def _espc(settings: dict[str, Any], m: int, k: int, label: str) -> Curve:
    return Curve(label, "es", settings, "probabilistic", {"m": m, "k": k})


def _controls(settings: dict[str, Any], m: int, k: int) -> tuple[Curve, ...]:
    centred = settings | {"shaping": "centered"}
    window = settings | {"baseline": "window", "window": k}
    return (
        Curve(f"ES {AGENTS}, centred", "es", centred, control=True),
        Curve(f"ES {m}, centred", "es", centred, num_agents=m, control=True),
        Curve(
            f"{m} at random, centred", "es", centred, "random", {"m": m}, control=True
        ),
        Curve(
            f"ESPC m {m}, centred",
            "es",
            window,
            "probabilistic",
            {"m": m, "k": k, "mode": "centered"},
            control=True,
        ),
    )


def _both_starts(curves: tuple[Curve, ...]) -> tuple[Curve, ...]:
    """The curves as they are, theta 0 at the start, and again from a random theta."""
    again = tuple(
        replace(
            curve,
            label=f"{curve.label}, random start",
            settings={**curve.settings, "initial": "random"},
            control=True,
        )
        for curve in curves
    )
    return (*curves, *again)


def _better(context: Context, a: str, b: str, text: str) -> Claim:
    return Claim(
        figure=context.figure,
        text=text,
        estimand=difference(area(a), area(b)),
        direction="greater",
        trials=context.trials,
    )


def _messages(context: Context, label: str, m: int) -> Claim:
    return Claim(
        figure=context.figure,
        text=f"{label} sends {m}/{AGENTS} of ES {AGENTS}'s messages",
        estimand=less(messages_ratio(label, f"ES {AGENTS}"), m / AGENTS),
        direction="equal",
        margin=SAME_SHARE,
        trials=context.trials,
    )


def _espc_is_better(context: Context) -> list[Claim]:
    espc = "ESPC (50, 25)"
    plain = [
        _better(context, espc, other, f"{espc} learns better than {other}")
        for other in ("ES 50", "ES 25")
    ]
    controls = [
        Claim(
            figure=context.figure,
            text="at equal steps of all agents together, ESPC does better than ES 25",
            estimand=at_equal(espc, "ES 25", "team_steps"),
            direction="greater",
            trials=context.trials,
        ),
        _better(
            context,
            "ESPC m 25, centred",
            "25 at random, centred",
            "centred, ESPC learns better than as many agents drawn at random",
        ),
    ]
    return [*plain, _messages(context, espc, 25), *controls]


def _fewer_is_faster(context: Context) -> list[Claim]:
    values = (5, 10, 15, 30, 45)
    claims = [_messages(context, f"ESPC m {m}", m) for m in values]
    claims += [
        _better(context, "ESPC m 5", "ESPC m 45", "m = 5 learns faster than m = 45"),
        Claim(
            figure=context.figure,
            text="m = 5 learns less smoothly than m = 45",
            estimand=difference(smoothness("ESPC m 5"), smoothness("ESPC m 45")),
            direction="greater",
            trials=context.trials,
        ),
    ]
    claims += [
        _better(context, "ESPC m 15", other, f"m = 15 learns better than {other}")
        for other in ("ESPC m 5", "ESPC m 30", "ESPC m 45", "ES 50")
    ]
    return claims


def _five_collapses(context: Context) -> list[Claim]:
    return [
        _better(context, "ES 50", "ESPC m 5", "m = 5 collapses: ES 50 learns better"),
        *[_messages(context, f"ESPC m {m}", m) for m in (5, 10, 15, 30, 45)],
    ]


def _window_leaves_learning_alone(margin: float) -> Callable[[Context], list[Claim]]:
    def claims(context: Context) -> list[Claim]:
        alike = [
            Claim(
                figure=context.figure,
                text=f"k = {one} and k = {other} learn alike",
                estimand=difference(area(f"ESPC k {one}"), area(f"ESPC k {other}")),
                direction="equal",
                margin=margin,
                trials=context.trials,
            )
            for one, other in ((3, 10), (10, 30), (3, 30))
        ]
        closer = Claim(
            figure=context.figure,
            text="messages follow the reward more closely with k = 30 than with k = 3",
            estimand=difference(
                correlation("ESPC k 30", "frequency", "reward"),
                correlation("ESPC k 3", "frequency", "reward"),
            ),
            direction="greater",
            trials=context.trials,
        )
        return [*alike, closer]

    return claims


def _compared(settings: dict[str, Any]) -> tuple[Curve, ...]:
    return _both_starts(
        (
            _espc(settings, 25, 5, "ESPC (50, 25)"),
            _es(settings),
            _es(settings, 25),
            *_controls(settings, 25, 5),
        )
    )


def _numbers(settings: dict[str, Any]) -> tuple[Curve, ...]:
    return _both_starts(
        (
            *[_espc(settings, m, 10, f"ESPC m {m}") for m in (5, 10, 15, 30, 45)],
            _es(settings),
            *_controls(settings, 15, 10),
        )
    )


def _windows(settings: dict[str, Any]) -> tuple[Curve, ...]:
    return _both_starts(
        (
            *[_espc(settings, 25, k, f"ESPC k {k}") for k in (3, 10, 30)],
            _es(settings),
            *_controls(settings, 25, 10),
        )
    )


_MISSING_BASELINE = (
    "Raw returns are positive here, so a return's size, not its lead over the others, "
    "weighs the noise, and choosing by F ||e|| keeps noise along the gradient. "
    "Centring does the same for everybody, without communication."
)
_CART_POLE: dict[str, Any] = {
    "environment": "commenv/CartPole-v1",
    "num_agents": AGENTS,
    "gamma": 1.0,
}
_ANT_27: dict[str, Any] = {
    "environment": "commenv/Ant-v5",
    "env_kwargs": {"include_cfrc_ext_in_observation": False},
    "num_agents": AGENTS,
    "gamma": 0.99,
    "evaluations": 5,
    "evaluation_episodes": 3,
    "quick": Scale(trials=1, episodes=2, agents=0.04),
}

SEARCH_FIGURES = (
    Figure(
        number="4.5",
        title="Cart Pole: ESPC against ES",
        paper=Scale(trials=20, episodes=200),
        quick=Scale(trials=1, episodes=15),
        curves=_compared(_CART),
        claims=_espc_is_better,
        said="ESPC(50, 25) learns better than ES 50 and ES 25, at ES 25's messages.",
        reasons=_MISSING_BASELINE,
        **_CART_POLE,
    ),
    Figure(
        number="4.6",
        title="Ant: ESPC against ES",
        paper=Scale(trials=3, episodes=200),
        curves=_compared(_ANT),
        claims=_espc_is_better,
        said="ESPC(50, 25) learns better than ES 50 and ES 25, at ES 25's messages.",
        reasons=_MISSING_BASELINE,
        **_ANT_27,
    ),
    Figure(
        number="4.8",
        title="Cart Pole: the number of messages m",
        paper=Scale(trials=20, episodes=200),
        quick=Scale(trials=1, episodes=15),
        curves=_numbers(_CART),
        claims=_fewer_is_faster,
        said="Messages are m/n of ES'; lower m learns faster and less smoothly; 15 is "
        "best.",
        reasons=_MISSING_BASELINE,
        **_CART_POLE,
    ),
    Figure(
        number="4.9",
        title="Ant: the number of messages m",
        paper=Scale(trials=6, episodes=200),
        curves=_numbers(_ANT),
        claims=_five_collapses,
        said="m = 5 collapses.",
        reasons=_MISSING_BASELINE,
        **_ANT_27,
    ),
    Figure(
        number="4.10",
        title="Cart Pole: the window k",
        paper=Scale(trials=10, episodes=200),
        quick=Scale(trials=1, episodes=15),
        curves=_windows(_CART),
        claims=_window_leaves_learning_alone(SAME_SCORE["cart"]),
        said="k leaves learning alone; larger k follows the reward more closely.",
        reasons="While returns rise, an agent's utility lies above the mean of its "
        "past, the more so the longer the window, so messages rise with the reward. "
        "Whether learning is left alone needs more trials than these.",
        **_CART_POLE,
    ),
    Figure(
        number="4.11",
        title="Ant: the window k",
        paper=Scale(trials=5, episodes=300),
        curves=_windows(_ANT),
        claims=_window_leaves_learning_alone(SAME_SCORE["ant"]),
        said="k leaves learning alone; larger k follows the reward more closely.",
        reasons=_MISSING_BASELINE,
        **_ANT_27,
    ),
)
