r"""ES: evolution strategies in which only returns travel.

Source: T. Salimans, J. Ho, X. Chen, S. Sidor and I. Sutskever, *Evolution Strategies as
a Scalable Alternative to Reinforcement Learning* (2017); E. Gunn, *Communication
Efficient Distributed Reinforcement Learning* (2023), chapter 3.

Agent i plays one episode with theta + noise e_i, e_i ~ N(0, I), and sends its return.
The learner draws e_i again from its address (trial, agent, episode), those of silent
agents included, so a message is one number of 8 bytes.

Deviations, and readings of what the sources leave open:

1. The gradient divides by the number of returns received, not by the number of agents.
   Where nothing is received nothing changes, Adam's step count included.
2. ``shaping="raw"`` and ``"centered"`` are 1/(n noise) sum F e, F less its mean if
   centred; ``"centered_rank"`` is Salimans' 1/n sum u e, not divided by noise. l2 theta
   is then taken off the gradient, which the optimizer sees, as in both sources.
3. Equal returns get the mean of their ranks, so that a tie pulls nowhere; Salimans'
   code ranks them by position.
4. Antithetic pairs are agents i and i + n/2; one whose partner is silent counts
   unpaired. Salimans sends both returns of a pair in one message.
5. F is the return discounted with the study's gamma; Salimans does not discount.
6. Observations are not normalised; Salimans normalises them on MuJoCo.
7. The defaults are ours (20 of 20 trials on Cart Pole). Thesis, Cart Pole:
   shaping="raw", learning_rate=0.01, noise=0.05, l2=0.05.
8. ``baseline="window"`` sends F - b, b the mean of the agent's last ``window`` returns;
   with no past return b is F itself, so the first round moves theta by l2 alone.
9. The seed that both sides draw from is agreed on beforehand: 8 bytes for each agent,
   which the downlink is charged once.
10. A return that is not finite is sent as -inf and counts as the worst of its round.
11. Policies compute in float32, with a rational tanh (``policies.py``); theta, noise
    and gradients are float64.

Figure 4.5's curve of ES with 50 agents::

    commenv run --env commenv/CartPole-v1 --algorithm es --agents 50 --trials 20 \
        --episodes 200 --gamma 1 --seed 0 --set shaping=raw --set learning_rate=0.01 \
        --set noise=0.05 --set l2=0.05 --out results
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from commenv.channel import Messages, Received
from commenv.envs import CartPoleBatch
from commenv.learning import Agents, Algorithm, Learner, Problem, Signal, Transition
from commenv.rng import Draws
from commenv.wrappers import Instances
from commenv_baselines.es_noise import Noise
from commenv_baselines.optimizers import Adam, Momentum, Normalized, Optimizer
from commenv_baselines.policies import MLP, Greedy, Players, TablePlayers
from commenv_baselines.shaping import SHAPINGS, with_worst

__all__ = ["ES", "RETURN", "ESAgents", "ESLearner"]

RETURN = np.dtype([("return", "<f8")])
"""An episode's return on the wire, 8 bytes."""

Array = NDArray[np.float64]
Shaping = Literal["centered_rank", "raw", "centered"]
OptimizerName = Literal["adam", "momentum", "normalized"]
Baseline = Literal["none", "window"]
Start = Literal["zero", "random"]

# Episodes of a study up to which compiled rounds save less time than their code takes
# to load, a tenth of a second.
WORTH_COMPILING = 10_000


@dataclass(frozen=True)
class ES(Algorithm):
    """Every agent perturbs the policy and sends its return; the learner climbs.

    Args:
        shaping: What the learner makes of the returns that it received:
            ``"centered_rank"`` (Salimans), ``"raw"`` (thesis) or ``"centered"`` (less
            their mean).
        antithetic: Whether agents i and i + n/2 use opposite noise; n must be even.
        optimizer: ``"adam"``, ``"momentum"``, or ``"normalized"``: steps of the length
            ``learning_rate`` along the gradient. Thesis: Adam, on grids momentum.
        learning_rate: The optimizer's, above 0. Thesis: 0.01 on Cart Pole.
        momentum: What ``"momentum"`` keeps of its velocity, in [0, 1). Thesis code:
            0.001 and 0.01 on grids.
        noise: Standard deviation of the perturbation, in units of theta, above 0.
            Thesis: 0.05 on Cart Pole.
        l2: Weight decay, per unit of theta, 0 or more. Thesis: 0.05.
        hidden_sizes: Units of each hidden layer of the policy. Thesis: 8, 8 on Cart
            Pole, 64, 64 on Ant.
        baseline: ``"window"`` sends the return less the mean of the agent's past ones.
        window: How many past returns that mean is over, at least 1; k in the thesis.
        offset: Added to every return before it is used, in units of return: a control,
            since a sound form learns the same whatever it is.
        initial: What theta starts from: ``"zero"`` (thesis code), or ``"random"``:
            weights from N(0, 1 / inputs of the unit) and biases 0.

    Raises:
        ValueError: A setting outside its range.
    """

    name: ClassVar[str] = "es"
    signals: ClassVar[tuple[str, ...]] = ("return", "noise_norm", "utility")

    shaping: Shaping = "centered_rank"
    antithetic: bool = False
    optimizer: OptimizerName = "adam"
    learning_rate: float = 0.05
    momentum: float = 0.9
    noise: float = 0.1
    l2: float = 0.0
    hidden_sizes: tuple[int, ...] = (8, 8)
    baseline: Baseline = "none"
    window: int = 5
    offset: float = 0.0
    initial: Start = "zero"

    def __post_init__(self) -> None:
        for name in ("learning_rate", "noise"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(
                    f"{name} {getattr(self, name)} is not above 0 and finite"
                )
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum {self.momentum} is outside [0, 1)")
        if not 0 <= self.l2 < np.inf:
            raise ValueError(f"l2 {self.l2} is below 0")
        if self.window < 1:
            raise ValueError(f"window {self.window} is below 1")
        if not np.isfinite(self.offset):
            raise ValueError(f"offset {self.offset} is not finite")
        if not isinstance(self.antithetic, bool):
            raise ValueError(f"antithetic {self.antithetic!r}; give True or False")
        if any(size < 1 for size in self.hidden_sizes):
            raise ValueError(f"hidden_sizes {self.hidden_sizes}; use 1 or more units")
        for name, known in _CHOICES.items():
            if (value := getattr(self, name)) not in known:
                raise ValueError(f"{name} {value!r} is none of {', '.join(known)}")

    def agents(self, problem: Problem) -> ESAgents:
        """The agents' half."""
        return ESAgents(problem, self)

    def learner(self, problem: Problem) -> ESLearner:
        """The learner's half."""
        return ESLearner(problem, self)

    def policy(self, problem: Problem) -> MLP:
        """The policy's sizes, for the problem's spaces."""
        spaces = problem.observation_space, problem.action_space
        return MLP(*spaces, self.hidden_sizes)

    def start(self, problem: Problem) -> Array:
        """What theta starts from, which both sides know: shape (trials, q)."""
        policy = self.policy(problem)
        if self.initial == "zero":
            return np.zeros((problem.shape[0], policy.num_parameters))
        draws = Draws(problem.draws.seed, problem.draws.trials, 1)
        normals = draws.normals("initial parameters", 0, policy.num_parameters)[:, 0]
        weight = policy.fan_in > 0
        return normals * np.where(weight, np.maximum(policy.fan_in, 1) ** -0.5, 0.0)


_CHOICES = {
    "shaping": get_args(Shaping),
    "optimizer": get_args(OptimizerName),
    "baseline": get_args(Baseline),
    "initial": get_args(Start),
}


class ESAgents(Agents):
    """Play with perturbed parameters, and offer their return.

    Where the world is Cart Pole and nobody watches the steps, it plays whole rounds in
    compiled code, and else they act step by step; both give the same numbers, bit for
    bit.

    Signals, about messages: ``return`` F; ``noise_norm`` ||e||; ``utility`` F ||e||. An
    invalid return's signals are NaN.
    """

    def __init__(self, problem: Problem, settings: ES) -> None:
        self._problem = problem
        self._settings = settings
        self._policy = settings.policy(problem)
        size = self._policy.num_parameters
        self._noise = Noise(
            problem.draws, size, settings.antithetic, problem.num_agents
        )
        theta = settings.start(problem)[:, None]
        self.memory = {"theta": theta.repeat(problem.shape[1], axis=1)}
        if settings.baseline == "window":
            self.memory["past"] = np.full((*problem.shape, settings.window), np.nan)

    def begin(self, episode: int) -> None:
        """Draws the episode's perturbations."""
        self._perturbation = self._noise.of(episode)
        self._players: Players | TablePlayers | None = None
        self._returns = np.zeros(self._problem.shape[0] * self._problem.shape[1])
        self._discount = 1.0

    def receive(self, parameters: NDArray[np.void]) -> None:
        """Takes theta: the field ``theta`` of shape (q,)."""
        self.memory["theta"] = parameters["theta"]

    def act(self, observations: NDArray[Any], active: NDArray[np.bool_]) -> NDArray:
        """The actions of the perturbed policies."""
        if self._players is None:
            self._players = self._policy.players(self._perturbed)
        return self._players.act(observations, active)

    @property
    def _perturbed(self) -> Array:
        """The parameters of all policies: (trials * agents, q)."""
        perturbed = self.memory["theta"] + self._settings.noise * self._perturbation
        return perturbed.reshape(-1, self._policy.num_parameters)

    def play(self, env: Instances, observations: NDArray[Any]) -> None:
        """Every agent runs one whole episode."""
        if not self._plays_whole_episodes(env):
            super().play(env, observations)
            return
        world, columns = env.world, self._policy.columns(self._perturbed)
        assert isinstance(world, CartPoleBatch)
        assert columns is not None  # Cart Pole's numbers are a Box
        ends = world.play(columns)
        self._returns = world.returns(*ends, self._problem.gamma)
        shape = env.shape
        env.measure(
            world.returns(*ends, env.gamma).reshape(shape),
            world.returns(*ends, 1.0).reshape(shape),
            ends[0].reshape(shape),
        )

    def _plays_whole_episodes(self, env: Instances) -> bool:
        """Whether that does what the steps would do, and is worth it."""
        episodes = self._problem.num_episodes * len(self._returns)
        return (
            episodes >= WORTH_COMPILING
            and type(self).act is ESAgents.act
            and type(self).observe is ESAgents.observe
            and type(env) is Instances
            and type(env.world) is CartPoleBatch
            and env.observer is None
            and bool(env.active.all())
        )

    def observe(self, transition: Transition) -> None:
        """Adds up the discounted rewards."""
        earned = self._discount * transition.rewards
        np.add(self._returns, earned, out=self._returns, where=transition.active)
        self._discount *= self._problem.gamma

    def candidates(self) -> tuple[Messages, Mapping[str, Signal]]:
        """Each agent's return, less its baseline if there is one."""
        returns = self._returns.reshape(self._problem.shape) + self._settings.offset
        returns = np.where(np.isfinite(returns), returns, np.nan)
        records = np.empty(returns.size, RETURN)
        sent = returns - self._baseline(returns)
        records["return"] = np.where(np.isnan(sent), -np.inf, sent).ravel()
        messages = Messages(records, np.ones(returns.shape, dtype=np.int64))
        return messages, self._signals(returns, messages.counts)

    def _signals(self, returns: Array, counts: NDArray[np.int64]) -> dict[str, Signal]:
        asked = self._problem.signals & set(self._settings.signals)
        if not asked:
            return {}
        norm = np.linalg.norm(self._perturbation, axis=-1)
        values = {
            "return": returns,
            "noise_norm": np.where(np.isnan(returns), np.nan, norm),
            "utility": returns * norm,
        }
        return {name: Signal("message", values[name], counts) for name in sorted(asked)}

    def _baseline(self, returns: Array) -> Array | float:
        """Each agent's b; the returns then count among the past ones."""
        if self._settings.baseline == "none":
            return 0.0
        past = self.memory["past"]
        known = np.isfinite(past)
        count = known.sum(axis=-1)
        mean = np.where(known, past, 0.0).sum(axis=-1) / np.maximum(count, 1)
        newest = returns[..., None]
        self.memory["past"] = np.concatenate([past[..., 1:], newest], axis=-1)
        return np.where(count > 0, mean, returns)


class ESLearner(Learner):
    """Weighs each sender's noise with its shaped return, and climbs.

    ``memory["invalid"]`` counts each trial's returns that were not finite.
    """

    def __init__(self, problem: Problem, settings: ES) -> None:
        self._problem = problem
        self._settings = settings
        self._policy = settings.policy(problem)
        self._size = self._policy.num_parameters
        self._noise = Noise(
            problem.draws, self._size, settings.antithetic, problem.num_agents
        )
        self._optimizer = _optimizer(settings)
        self._dtype = np.dtype([("theta", "<f8", (self._size,))])
        theta = settings.start(problem)
        self.memory = {
            "theta": theta,
            "invalid": np.zeros(len(theta), dtype=np.int64),
            **self._optimizer.start(theta.shape),
        }
        self._invalid = np.zeros(len(theta))

    @property
    def invalid(self) -> Array:
        """Returns of the last round that were not finite: (trials,)."""
        return self._invalid

    def agreed(self) -> NDArray[np.void]:
        """The seed of the noise, 8 bytes."""
        seed = np.uint64(self._problem.draws.seed & (2**64 - 1))
        return np.full(len(self.memory["theta"]), seed).view([("seed", "<u8")])

    def parameters(self) -> NDArray[np.void]:
        """One record with theta per trial, 8 q bytes."""
        records = np.empty(len(self.memory["theta"]), self._dtype)
        records["theta"] = self.memory["theta"]
        return records

    def update(self, messages: Received) -> None:
        """One step up the gradient in each trial that received a finite return."""
        gradient, heard = self.gradient(messages)
        before = {name: self.memory[name] for name in self._optimizer.start((1, 1))}
        step, after = self._optimizer.step(gradient, before)
        after["theta"] = self.memory["theta"] + step
        for name, values in after.items():
            changes = heard.reshape(-1, *[1] * (values.ndim - 1))
            self.memory[name] = np.where(changes, values, self.memory[name])

    def gradient(self, messages: Received) -> tuple[Array, NDArray[np.bool_]]:
        """The estimated gradient, (trials, q), and which trials have one."""
        trials = messages.trials
        returns = with_worst(self._checked(messages), trials)
        usable = np.isfinite(returns)
        returns, trials = returns[usable], trials[usable]
        noise = self._noise.under(messages)[usable]
        count = np.bincount(trials, minlength=self._problem.shape[0])
        weights = SHAPINGS[self._settings.shaping](returns, trials)
        weights = weights / count[trials]
        if self._settings.shaping != "centered_rank":
            weights /= self._settings.noise
        gradient = -self._settings.l2 * self.memory["theta"]
        ends = np.cumsum(count)
        for trial in np.flatnonzero(count):
            mine = slice(ends[trial] - count[trial], ends[trial])
            # Not a matrix product: threads would decide the order of its sums.
            gradient[trial] += (weights[mine, None] * noise[mine]).sum(axis=0)
        return gradient, count > 0

    def policy_of(self, parameters: NDArray[np.void]) -> Greedy:
        """The unperturbed policy."""
        return self._policy.greedy(parameters["theta"])

    def evaluate(self, episode: int) -> Array:
        """The value of the unperturbed policy."""
        return self._problem.evaluator.policy_values(self.policy(), episode)

    def _checked(self, messages: Received) -> Array:
        """The returns; those that are not finite are counted."""
        returns: Array = messages.records["return"]
        invalid = messages.trials[~np.isfinite(returns)]
        counts = np.bincount(invalid, minlength=self._problem.shape[0])
        self.memory["invalid"] = self.memory["invalid"] + counts
        self._invalid = counts.astype(np.float64)
        return returns


def _optimizer(settings: ES) -> Optimizer:
    if settings.optimizer == "adam":
        return Adam(settings.learning_rate)
    if settings.optimizer == "momentum":
        return Momentum(settings.learning_rate, settings.momentum)
    return Normalized(settings.learning_rate)
