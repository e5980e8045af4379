"""Whether a communication scheme keeps its promises."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from commenv.channel import Left
from commenv.learning import Scheme, SchemeDraws, Signal
from commenv.learning.plugins import SCHEMES, check_plugin
from commenv.rng import Draws
from commenv.testing.global_state import check_untouched, global_state

__all__ = ["check_scheme"]

Level = Literal["record", "message"]
_TRIALS, _AGENTS, _ROUNDS = 3, 4, 7  # no period of 2 or 3 fits
_MANY_ROUNDS = 1000
_RECORD_SIGNALS = frozenset({"td_error"})


def check_scheme(scheme: Scheme, levels: Mapping[str, Level] | None = None) -> None:
    """Checks that a scheme keeps the promises that studies rely on.

    It must return masks and states of the right shapes, leave its inputs alone, leave
    global generators alone, draw none of the numbers that links and others draw,
    decide for a trial as if it were alone, survive pickling, and, unless it declares
    ``needs_global``, decide for an agent without regard to the others' signals, and,
    unless it declares ``plans``, without regard to how many rounds there are to be. If
    it says that it is ``separable``, it must decide alike for some of a trial's agents
    alone. With a setting ``m``, 0 silences everybody and the number of agents lets
    everybody speak.

    Args:
        scheme: The scheme, with the settings to check it under.
        levels: The level of each signal that it requires; ``td_error`` is about
            records and all others about messages unless told otherwise.

    Raises:
        AssertionError: A promise that is broken.
    """
    try:
        check_plugin(scheme, SCHEMES)
    except (TypeError, ValueError) as error:
        raise AssertionError(str(error)) from error
    assert isinstance(scheme.requires, tuple), (
        f"requires is {scheme.requires!r}; give a tuple of names"
    )
    play = _Play(scheme, levels or {})
    decisions = play.rounds(scheme)
    _same(decisions, play.rounds(scheme), "decides differently when asked again")
    copied = pickle.loads(pickle.dumps(scheme))
    _same(decisions, play.rounds(copied), "decides differently after pickling")
    _same(
        decisions,
        play.rounds(scheme, others_drawn_anew=True),
        "draws numbers that are not its own; use draws.uniforms",
    )
    if not scheme.plans:
        _same(
            decisions,
            play.rounds(scheme, planned=_MANY_ROUNDS),
            "decides differently where more rounds are planned; declare plans = True",
        )
    for trial in range(_TRIALS):
        alone = play.rounds(scheme, trials=[trial])
        mine = [mask[trial : trial + 1] for mask in decisions]
        _same(mine, alone, f"decides differently for trial {trial} alone")
    for agent in () if scheme.needs_global else range(_AGENTS):
        disturbed = play.rounds(scheme, disturb_all_but=agent)
        _same(
            [mask[:, agent] for mask in decisions],
            [mask[:, agent] for mask in disturbed],
            "looks at other agents' signals; declare needs_global = True",
        )
    for agent in range(_AGENTS) if scheme.separable else ():
        _same(
            [mask[:, agent : agent + 1] for mask in decisions],
            play.rounds(scheme, agent=agent),
            "decides differently about some agents apart; see draws.num_agents, or "
            "leave separable out",
        )
    if hasattr(scheme, "m"):
        _check_extremes(scheme, play)


class _Play:
    """Rounds of random signals, the same ones in every call."""

    def __init__(self, scheme: Scheme, levels: Mapping[str, Level]) -> None:
        self._levels = {
            name: levels.get(name, "record" if name in _RECORD_SIGNALS else "message")
            for name in scheme.requires
        }

    def rounds(
        self,
        scheme: Scheme,
        trials: list[int] | None = None,
        disturb_all_but: int | None = None,
        agent: int | None = None,
        others_drawn_anew: bool = False,
        planned: int = _ROUNDS,
    ) -> list[NDArray[np.bool_]]:
        """Each round's decision, padded to one row of records for each agent.

        Args:
            scheme: The scheme.
            trials: Which trials there are; all when left out.
            disturb_all_but: Whose signals alone are as always.
            agent: Which agent of each trial there is; all when left out.
            others_drawn_anew: Whether everybody else's random numbers are other ones.
            planned: How many rounds it is told that there are to be.
        """
        chosen = list(range(_TRIALS)) if trials is None else trials
        agents = list(range(_AGENTS)) if agent is None else [agent]
        shape = (len(chosen), len(agents))
        state = scheme.start((len(chosen), _AGENTS))
        if agent is not None:
            state = {name: values[:, agents] for name, values in state.items()}
        left = Left(*(_read_only(np.full(shape, np.inf)) for _ in Left._fields))
        source = Draws(7, chosen, agents, owner="scheme")
        source = _OthersDrawnAnew(source) if others_drawn_anew else source
        before = global_state()
        masks = []
        for episode in range(_ROUNDS):
            counts, signals = self._signals(episode, chosen, agents, disturb_all_but)
            draws = SchemeDraws(source, episode, planned, _AGENTS)
            state = {name: _read_only(values) for name, values in state.items()}
            mask, new = _select(scheme, signals, state, draws, left)
            _check_state(state, new, shape)
            masks.append(_padded(mask, counts))
            state = new
        check_untouched(before, "use draws")
        return masks

    def _signals(
        self,
        episode: int,
        trials: list[int],
        agents: list[int],
        disturb_all_but: int | None,
    ) -> tuple[NDArray[np.int64], dict[str, Signal]]:
        """Read-only signals; all agents' but one's may be disturbed."""
        random = np.random.default_rng(episode)
        every = random.integers(0, 5, size=(_TRIALS, _AGENTS))
        counts = every[trials][:, agents]
        signals = {}
        for name, level in self._levels.items():
            values = random.normal(size=(_TRIALS, _AGENTS, 5))
            if disturb_all_but is not None:
                others = np.arange(_AGENTS) != disturb_all_but
                values[:, others] = 10 * values[:, others] + 3
            values = np.abs(values) if name == "noise_norm" else values
            values = values[trials][:, agents]
            flat = (
                values[np.arange(5) < counts[..., None]]
                if level == "record"
                else values[..., 0].copy()
            )
            signals[name] = Signal(level, _read_only(flat), _read_only(counts))
        return counts, signals

    def present(self, episode: int) -> NDArray[np.bool_]:
        """Which records there are in a round, padded."""
        everybody = list(range(_TRIALS)), list(range(_AGENTS))
        counts, _ = self._signals(episode, *everybody, None)
        return _present(counts)


class _OthersDrawnAnew(Draws):
    """A scheme's draws, beside which all others have another seed."""

    def __init__(self, own: Draws) -> None:
        super().__init__(own.seed + 1, own.trials, own.agents, owner=own.owner)
        self._own = own

    def keys(self, purpose: str) -> NDArray[np.uint64]:
        """The scheme's own."""
        return self._own.keys(purpose)


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view


def _select(scheme: Scheme, *inputs: Any) -> Any:
    """The scheme's decision, once it is known to be a mask and a state."""
    try:
        decision = scheme.select(*inputs)
    except Exception as error:
        assert "read-only" not in str(error), (  # noqa: PT017 - not a test of ours
            "edits its signals, state or what is left in place; return new arrays"
        )
        missing = isinstance(error, KeyError) and "; declare signals in requires"
        raise AssertionError(
            f"select failed ({type(error).__name__}: {error}{missing or ''})"
        ) from error
    assert isinstance(decision, tuple) and len(decision) == 2, (  # noqa: PT018
        f"select returns {decision!r}; return mask, state"
    )
    mask, state = decision
    assert isinstance(mask, np.ndarray), f"returns the mask {mask!r}, not an array"
    for name, values in state.items():
        assert isinstance(values, np.ndarray), f"state {name!r} is {values!r}, no array"
    return decision


def _present(counts: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.arange(5) < counts[..., None]


def _padded(mask: NDArray[np.bool_], counts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """A mask of either level as (trials, agents, most records)."""
    assert mask.dtype == np.bool_, f"returns a mask of dtype {mask.dtype}, not bool"
    present = _present(counts)
    if mask.shape == counts.shape:
        return mask[..., None] & present
    total = int(counts.sum())
    assert mask.shape == (total,), (
        f"returns a mask of shape {mask.shape}; it must be {counts.shape} for messages "
        f"or ({total},) for records"
    )
    out = np.zeros(present.shape, dtype=np.bool_)
    out[present] = mask
    return out


def _check_state(
    old: dict[str, Any], new: dict[str, Any], shape: tuple[int, int]
) -> None:
    for name, value in new.items():
        assert value.shape[:2] == shape, (
            f"state {name!r} has shape {value.shape}; its first axes must be "
            f"(trials, agents) = {shape}"
        )
    assert old.keys() == new.keys(), (
        f"state has {sorted(new)} after a round and {sorted(old)} before it; start() "
        "returns the first state"
    )
    for name, value in new.items():
        assert old[name].shape == value.shape, (
            f"state {name!r} has shape {value.shape} after a round and "
            f"{old[name].shape} before it; keep to one, for checkpoints"
        )


def _same(one: list[Any], other: list[Any], wrong: str) -> None:
    for episode, (left, right) in enumerate(zip(one, other, strict=True)):
        assert np.array_equal(left, right), f"{wrong} (round {episode})"


def _check_extremes(scheme: Any, play: _Play) -> None:
    nobody = play.rounds(replace(scheme, m=0))
    assert not any(mask.any() for mask in nobody), "sends although m is 0"
    everybody = play.rounds(replace(scheme, m=_AGENTS))
    present = [play.present(episode) for episode in range(_ROUNDS)]
    assert all(map(np.array_equal, everybody, present)), (
        f"is silent although m is {_AGENTS}, the number of agents"
    )
