"""The thesis' figures of ESPC against ES: 4.5, 4.6 and 4.8 to 4.11.

Each also runs the controls that tell better communication from a missing baseline, and
all from both starts of theta.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from commenv.study.analysis.claims import Claim
from commenv.study.analysis.estimands import area, correlation, less, smoothness
from commenv.study.analysis.paired_estimands import at_equal, difference, messages_ratio
from commenv_baselines.thesis.controls import (
    CENTRED,
    CENTRED_WITH_OFFSET,
    WITH_OFFSET,
    Controls,
    both_starts,
)
from commenv_baselines.thesis.figure import Context, Curve, Figure, Scale

__all__ = ["SEARCH_FIGURES"]

AGENTS = 50
_VALUES = (5, 10, 15, 30, 45)
_ES, _ES_HALF, _HALF = "ES {50}", "ES {25}", "ESPC ({50}, {25})"
SAME_SHARE = 0.02
"""Messages within this of m / n, as a share of ES', count as m / n."""
SAME_SCORE: Mapping[str, float] = {"cart": 25.0, "ant": 10.0}
"""Evaluations this close count as equal: 5 % of the score range."""

OFFSET: Mapping[str, float] = {"cart": -500.0, "ant": -100.0}
"""What the offset controls add to every return: less the most that staying up earns."""

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
    return Curve(f"ES {{{agents}}}", "es", settings, num_agents=agents)


def _espc(settings: dict[str, Any], m: int, k: int, label: str) -> Curve:
    return Curve(label, "es", settings, "probabilistic", {"m": m, "k": k})


def _controls(settings: dict[str, Any], m: int, k: int, offset: float) -> Controls:
    labels = {"es": _ES, "fewer": f"ES {{{m}}}", "espc": _espc_of(m)}
    return Controls(settings, m, k, offset, **labels)


def _espc_of(m: int) -> str:
    """What ESPC of m messages is called, before the number of agents is known."""
    return f"ESPC m {{{m}}}"


def _better(context: Context, a: str, b: str, text: str) -> Claim:
    words = context.scale.words
    return Claim(
        figure=context.figure,
        text=words(text),
        estimand=difference(area(words(a)), area(words(b))),
        direction="greater",
        trials=context.trials,
    )


def _messages(context: Context, label: str, m: int) -> Claim:
    words = context.scale.words
    wanted, agents = context.scale.of(m), context.scale.of(AGENTS)
    return Claim(
        figure=context.figure,
        text=words(f"{label} sends {wanted}/{agents} of {_ES}'s messages"),
        estimand=less(messages_ratio(words(label), words(_ES)), wanted / agents),
        direction="equal",
        margin=SAME_SHARE,
        trials=context.trials,
    )


def _espc_is_better(margin: float) -> Callable[[Context], list[Claim]]:
    def claims(context: Context) -> list[Claim]:
        return [*_against_es(context), *_offset_tells(context, margin)]

    return claims


def _against_es(context: Context) -> list[Claim]:
    words = context.scale.words
    plain = [
        _better(context, _HALF, other, f"{_HALF} learns better than {other}")
        for other in (_ES, _ES_HALF)
    ]
    controls = [
        Claim(
            figure=context.figure,
            text="at equal steps of all agents together, ESPC does better than "
            + words(_ES_HALF),
            estimand=at_equal(words(_HALF), words(_ES_HALF), "team_steps"),
            direction="greater",
            trials=context.trials,
        ),
        _better(
            context,
            _espc_of(25) + CENTRED,
            "{25} at random" + CENTRED,
            "centred, ESPC learns better than as many agents drawn at random",
        ),
    ]
    return [*plain, _messages(context, _HALF, 25), *controls]


def _offset_tells(context: Context, margin: float) -> list[Claim]:
    """A sound scheme learns the same if a constant is added to all returns."""
    centred, moved = (
        context.scale.words(_espc_of(25) + words)
        for words in (CENTRED, CENTRED_WITH_OFFSET)
    )
    same = Claim(
        figure=context.figure,
        text="centred, ESPC learns alike with an offset of the returns",
        estimand=difference(area(centred), area(moved)),
        direction="equal",
        margin=margin,
        trials=context.trials,
    )
    text = "with an offset of the returns, ESPC as printed learns worse"
    return [same, _better(context, _HALF, _espc_of(25) + WITH_OFFSET, text)]


def _fewer_is_faster(context: Context) -> list[Claim]:
    few, many = _espc_of(5), _espc_of(45)
    words = context.scale.words
    claims = [_messages(context, _espc_of(m), m) for m in _VALUES]
    claims += [
        _better(context, few, many, "m = {5} learns faster than m = {45}"),
        Claim(
            figure=context.figure,
            text=words("m = {5} learns less smoothly than m = {45}"),
            estimand=difference(smoothness(words(few)), smoothness(words(many))),
            direction="greater",
            trials=context.trials,
        ),
    ]
    claims += [
        _better(context, _espc_of(15), other, f"m = {{15}} learns better than {other}")
        for other in (few, _espc_of(30), many, _ES)
    ]
    return claims


def _five_collapses(context: Context) -> list[Claim]:
    return [
        _better(context, _ES, _espc_of(5), f"m = {{5}} collapses: {_ES} learns better"),
        *[_messages(context, _espc_of(m), m) for m in _VALUES],
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


def _compared(settings: dict[str, Any], offset: float) -> tuple[Curve, ...]:
    return both_starts(
        (
            _espc(settings, 25, 5, _HALF),
            _es(settings),
            _es(settings, 25),
            *_controls(settings, 25, 5, offset).curves(),
        )
    )


def _numbers(settings: dict[str, Any], offset: float) -> tuple[Curve, ...]:
    return both_starts(
        (
            *[_espc(settings, m, 10, _espc_of(m)) for m in _VALUES],
            _es(settings),
            *_controls(settings, 15, 10, offset).curves(),
        )
    )


def _windows(settings: dict[str, Any], offset: float) -> tuple[Curve, ...]:
    return both_starts(
        (
            *[_espc(settings, 25, k, f"ESPC k {k}") for k in (3, 10, 30)],
            _es(settings),
            *_controls(settings, 25, 10, offset).curves(),
        )
    )


_CONTROLS = (
    "Returns are not centred in the thesis, so adding a constant to all of them may "
    "change what is learned; the curves with an offset do so. The centred curves take "
    "the mean off, and the agents at random send as many messages without choosing."
)
_CART_POLE: dict[str, Any] = {
    "environment": "commenv/CartPole-v1",
    "num_agents": AGENTS,
    "gamma": 1.0,
}
_ANT_27: dict[str, Any] = {
    "environment": "commenv/Ant-v5",
    # As Ant-v4, the thesis': contacts are neither observed nor paid for.
    "env_kwargs": {
        "include_cfrc_ext_in_observation": False,
        "contact_cost_weight": 0.0,
    },
    "num_agents": AGENTS,
    "gamma": 0.99,
    "evaluations": 5,
    "evaluation_episodes": 3,
    "quick": Scale(trials=1, episodes=2, agents=0.2),
    "report": Scale(trials=2, episodes=24, agents=0.2),
}

SEARCH_FIGURES = (
    Figure(
        number="4.5",
        title="Cart Pole: ESPC against ES",
        paper=Scale(trials=20, episodes=200),
        quick=Scale(trials=1, episodes=15),
        report=Scale(trials=200, episodes=200),
        curves=_compared(_CART, OFFSET["cart"]),
        claims=_espc_is_better(SAME_SCORE["cart"]),
        said="ESPC(50, 25) learns better than ES 50 and ES 25, at ES 25's messages.",
        note=_CONTROLS,
        **_CART_POLE,
    ),
    Figure(
        number="4.6",
        title="Ant: ESPC against ES",
        paper=Scale(trials=3, episodes=200),
        curves=_compared(_ANT, OFFSET["ant"]),
        claims=_espc_is_better(SAME_SCORE["ant"]),
        said="ESPC(50, 25) learns better than ES 50 and ES 25, at ES 25's messages.",
        note=_CONTROLS,
        **_ANT_27,
    ),
    Figure(
        number="4.8",
        title="Cart Pole: the number of messages m",
        paper=Scale(trials=20, episodes=200),
        quick=Scale(trials=1, episodes=15),
        report=Scale(trials=180, episodes=200),
        curves=_numbers(_CART, OFFSET["cart"]),
        claims=_fewer_is_faster,
        said="Messages are m/n of ES'; lower m learns faster and less smoothly; 15 is "
        "best.",
        note=_CONTROLS,
        **_CART_POLE,
    ),
    Figure(
        number="4.9",
        title="Ant: the number of messages m",
        paper=Scale(trials=6, episodes=200),
        curves=_numbers(_ANT, OFFSET["ant"]),
        claims=_five_collapses,
        said="m = 5 collapses.",
        note=_CONTROLS,
        **_ANT_27,
    ),
    Figure(
        number="4.10",
        title="Cart Pole: the window k",
        paper=Scale(trials=10, episodes=200),
        quick=Scale(trials=1, episodes=15),
        report=Scale(trials=200, episodes=200),
        curves=_windows(_CART, OFFSET["cart"]),
        claims=_window_leaves_learning_alone(SAME_SCORE["cart"]),
        said="k leaves learning alone; larger k follows the reward more closely.",
        note=_CONTROLS,
        **_CART_POLE,
    ),
    Figure(
        number="4.11",
        title="Ant: the window k",
        paper=Scale(trials=5, episodes=300),
        curves=_windows(_ANT, OFFSET["ant"]),
        claims=_window_leaves_learning_alone(SAME_SCORE["ant"]),
        said="k leaves learning alone; larger k follows the reward more closely.",
        note=_CONTROLS,
        **_ANT_27,
    ),
)
