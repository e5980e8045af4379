"""Probabilistic communication by utility: the scheme of ESPC.

An agent that knows only its own utility u sends with the probability that u is among
the m largest of n, were the others' utilities distributed like its own past ones:
``p_send = P(Bin(n - 1, p) >= n - m)``, p the probability that another's lies below u.

Source: E. Gunn, *Communication Efficient Distributed Reinforcement Learning* (2023),
chapter 4. Readings and deviations:

1. z divides by the standard deviation. The thesis prints the variance, with which the
   rule would depend on the scale of the returns.
2. p is the normal distribution function of z; the thesis prints an integral from 0.
3. ``mode="literal"`` keeps the rest: the window holds the own sample and the k - 1
   before it, the variance is the population's, and a standard deviation of 0, as in the
   first round, counts as 1. Its expected number of messages is off m (n = 50, m = 25 is
   met by symmetry; m = 5, k = 3 gives 5.71).
4. ``mode="calibrated"`` leaves the own sample out and uses Student's t:
   z = (u - mean) / (s sqrt(1 + 1/j)), p = T_(j-1)(z), j <= k past samples. For
   independent Gaussian utilities p is uniform, and exactly m send in expectation.
5. ``mode="centered"`` replaces the return F in the utility by its distance from b, the
   mean of the agent's past window, so that adding a constant to all returns changes
   nothing; p is the rank of u among the agent's past utilities, a tie or gap split at
   random, so exactly m send in expectation for any exchangeable utilities.
6. ``calibrated`` and ``centered`` send with probability m/n until an agent has 2 past
   samples to compare with.
7. m = n always sends and m = 0 never does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from commenv.channel import Left
from commenv.errors import MissingExtraError, UnknownNameError
from commenv.importing import imported
from commenv.learning.scheme import Decision, Scheme, SchemeDraws, Signals, State
from commenv.learning.schemes.chosen import check_m, check_whole, how_many

__all__ = ["ProbabilisticUtility", "return_times_noise"]

Array = NDArray[np.float64]
Utility = Callable[[Array, Array], Array]
_MODES = ("literal", "calibrated", "centered")
_LEAST_PAST = 2


def return_times_noise(returns: Array, noise_norm: Array) -> Array:
    """The thesis' utility u = F ||e||, elementwise."""
    return returns * noise_norm


@dataclass(frozen=True)
class ProbabilisticUtility(Scheme):
    """Sends with the probability of being among the m of n largest utilities.

    Args:
        m: How many of a trial's agents should send on average, 0 to n; None means half
            of them, rounded down.
        k: The window of utilities, in rounds: at least 1, and 2 unless ``literal``.
        mode: ``"literal"``, ``"calibrated"`` or ``"centered"``; see the module.
        utility: ``"return_times_noise"`` (F ||e||), or ``"module:function"``: from the
            returns (``centered``: their distances from b) and the noise's norm, both of
            shape (trials, agents), to as many utilities.

    Raises:
        ValueError: A setting outside its range, or m above the number of agents.
        MissingExtraError: SciPy is not installed.
    """

    name: ClassVar[str] = "probabilistic"
    requires: ClassVar[tuple[str, ...]] = ("return", "noise_norm")
    separable: ClassVar[bool] = True

    m: int | None = None
    k: int = 5
    mode: Literal["literal", "calibrated", "centered"] = "literal"
    utility: str = "return_times_noise"

    def __post_init__(self) -> None:
        check_m(self.m)
        if self.mode not in _MODES:
            raise ValueError(f"mode {self.mode!r} is none of {', '.join(_MODES)}")
        check_whole("k", self.k)
        least = 1 if self.mode == "literal" else _LEAST_PAST
        if self.k < least:
            raise ValueError(f"k {self.k} is below {least}, the least for {self.mode}")
        _find_utility(self.utility)

    def start(self, shape: tuple[int, int]) -> State:
        """Empty windows."""
        how_many(self.m, shape)
        return {
            "utilities": np.full((*shape, self.k), np.nan),
            "returns": np.full((*shape, self.k), np.nan),
        }

    def select(
        self, signals: Signals, state: State, draws: SchemeDraws, left: Left
    ) -> Decision:
        """A mask of messages, by one draw for each agent."""
        returns = signals["return"].values
        utility = self._utility(returns, signals["noise_norm"].values, state)
        decide, split = np.moveaxis(draws.uniforms(2), -1, 0)
        probability = self.probability(
            utility, state["utilities"], split, draws.num_agents
        )
        return decide < probability, {
            "utilities": _shifted(state["utilities"], utility),
            "returns": _shifted(state["returns"], returns),
        }

    def probability(
        self,
        utility: Array,
        past: Array,
        split: Array,
        num_agents: int | None = None,
    ) -> Array:
        """The probability with which each agent sends.

        Args:
            utility: float64, shape (trials, agents).
            past: Earlier utilities, shape (trials, agents, k); NaN where there are
                none yet.
            split: Uniform on [0, 1), shape (trials, agents); breaks ties of ranks.
            num_agents: n, where these are some of a trial's agents.

        Returns:
            float64, shape (trials, agents).
        """
        agents = num_agents or utility.shape[1]
        m = how_many(self.m, (len(utility), agents))
        if m in (0, agents):
            return np.full(utility.shape, float(m == agents))
        below = {
            "literal": _literal,
            "calibrated": _calibrated,
            "centered": _ranked,
        }[self.mode](utility, past, split)
        send = _special().bdtrc(agents - m - 1, agents - 1, below)
        if self.mode == "literal":
            return send
        enough = np.isfinite(past).sum(axis=-1) >= _LEAST_PAST
        return np.where(enough, send, m / agents)

    def _utility(self, returns: Array, norm: Array, state: State) -> Array:
        score = returns
        if self.mode == "centered":
            baseline, _, count = _moments(state["returns"])
            score = np.where(count > 0, np.abs(returns - baseline), np.nan)
        utility = np.asarray(_find_utility(self.utility)(score, norm))
        if utility.shape != returns.shape or utility.dtype.kind not in "fiu":
            raise ValueError(
                f"utility {self.utility!r} returned {utility.dtype} of shape "
                f"{utility.shape}; give real numbers of shape {returns.shape}"
            )
        if (wrong := np.isfinite(score) & ~np.isfinite(utility)).any():
            trial, agent = np.argwhere(wrong)[0]
            raise ValueError(
                f"utility {self.utility!r} of agent {agent} with the return "
                f"{score[trial, agent]:.6g} is {utility[trial, agent]}; give finite "
                "numbers"
            )
        return utility.astype(np.float64)


def _find_utility(name: str) -> Utility:
    if name == "return_times_noise":
        return return_times_noise
    if ":" not in name:
        known = ("return_times_noise",)
        raise UnknownNameError("utility", name, known, "or name module:function")
    utility: Utility = imported(name, "utility")
    if not callable(utility):
        raise ValueError(f"utility {name!r} is {utility!r}, not a function")
    return utility


def _literal(utility: Array, past: Array, split: Array) -> Array:
    window = np.concatenate([past[..., 1:], utility[..., None]], axis=-1)
    mean, variance, _ = _moments(window)
    # Not the variance: rounding may leave some where all are equal.
    present = np.isfinite(window)
    highest = np.where(present, window, -np.inf).max(axis=-1)
    alike = highest <= np.where(present, window, np.inf).min(axis=-1)
    score = (utility - mean) / np.sqrt(np.where(alike, 1.0, variance))
    return _special().ndtr(np.where(alike & np.isfinite(utility), 0.0, score))


def _calibrated(utility: Array, past: Array, split: Array) -> Array:
    mean, variance, count = _moments(past)
    freedom = np.maximum(count - 1, 1)
    spread = np.sqrt(variance * count / freedom * (1 + 1 / np.maximum(count, 1)))
    difference = utility - mean
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.where(difference == 0, 0.0, difference / spread)
    return _special().stdtr(freedom, score)


def _ranked(utility: Array, past: Array, split: Array) -> Array:
    count = np.isfinite(past).sum(axis=-1)
    lower = (past < utility[..., None]).sum(axis=-1)
    equal = (past == utility[..., None]).sum(axis=-1)
    return (lower + split * (equal + 1)) / (count + 1)


def _moments(window: Array) -> tuple[Array, Array, NDArray[np.int64]]:
    """Mean, population variance and count of the values that are not NaN."""
    present = np.isfinite(window)
    count = present.sum(axis=-1)
    divisor = np.maximum(count, 1)
    mean = np.where(present, window, 0.0).sum(axis=-1) / divisor
    deviation = np.where(present, window - mean[..., None], 0.0)
    return mean, (deviation**2).sum(axis=-1) / divisor, count


def _shifted(window: Array, newest: Array) -> Array:
    return np.concatenate([window[..., 1:], newest[..., None]], axis=-1)


def _special() -> Any:
    try:
        from scipy import special
    except ImportError as error:
        raise MissingExtraError("the scheme 'probabilistic'", "baselines") from error
    return special
