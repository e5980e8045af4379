"""The library as the golden runs use it.

Every name of the library that they spell is in this file, beside the names under which
its numbers are kept, which are our own: who renames something changes this file alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

import commenv
from commenv import Budget, Channel, Fate, FreeForm, Messages, Unit
from commenv.channel import (
    QSGD,
    AdditiveNoise,
    BernoulliLoss,
    BitErrors,
    Chain,
    Codec,
    Delay,
    Delta,
    ErrorFeedback,
    Float16,
    GilbertElliottLoss,
    Identity,
    Int8,
    Link,
    RandomK,
    Range,
    RateCap,
    ScaledSign,
    Sparse,
    TopK,
    Uniform,
)
from commenv.errors import BudgetExceededError
from commenv.learning.plugins import ALGORITHMS, SCHEMES, plugin_names
from commenv.multiagent import batched_from_parallel
from commenv.registration import env_ids
from commenv.wrappers import MessageChannel, VectorMessageChannel
from tests.golden.case import Log, Numbers, normal

# --- what there is -------------------------------------------------------------------

SIMPLE, WINDY = "commenv/SimpleGrid-v0", "commenv/WindyGrid-v0"
LAKE, POLE = "commenv/FrozenLake-v0", "commenv/CartPole-v1"
ROBOTS = tuple(
    f"commenv/{name}-v5"
    for name in ("Ant", "HalfCheetah", "Hopper", "Humanoid", "Walker2d")
)
PLAIN = ("SimpleGrid-v0", "WindyGrid-v0")

CODECS: dict[str, Codec] = {
    "identity": Identity(),
    "float16": Float16(),
    "int8": Int8(),
    "uniform": Uniform(bits=5),
    "qsgd": QSGD(levels=3),
    "sign": ScaledSign(),
    "top": TopK(k=2),
    "random": RandomK(k=2),
    "random-unbiased": RandomK(k=2, unbiased=True),
    "sparse": Sparse(),
    "feedback-top": ErrorFeedback(TopK(k=2)),
    "feedback-sign": ErrorFeedback(ScaledSign()),
    "feedback-qsgd": ErrorFeedback(QSGD(levels=3)),
    "feedback-random": ErrorFeedback(RandomK(k=2, unbiased=True)),
    "delta": Delta(key_every=3),
    "delta-sparse": Delta(Sparse(), key_every=3),
    "delta-float16": Delta(Float16(), key_every=4),
}
CONFIRMED: dict[str, Codec] = {
    "delta": Delta(),
    "delta-history": Delta(Int8(), history=2),
    "feedback": ErrorFeedback(TopK(k=2)),
}
"""Codecs that are told what arrived."""

LINKS: dict[str, Link] = {
    "bernoulli": BernoulliLoss(0.4),
    "gilbert-elliott": GilbertElliottLoss(0.4, 0.5, loss_good=0.1, loss_bad=0.9),
    "delay": Delay(ticks=2),
    "delay-spread": Delay(ticks=1, spread=2),
    "delay-size": Delay(bytes_per_tick=15),
    "delay-expiry": Delay(spread=3, expiry=2),
    "rate": RateCap(bytes_per_tick=12, burst=30),
    "rate-wait": RateCap(bytes_per_tick=8, burst=20, max_wait=2),
    "noise": AdditiveNoise(0.5),
    "bit-errors": BitErrors(0.01),
    "chain": Chain(BernoulliLoss(0.2), Delay(ticks=1), BitErrors(0.005)),
}
ROUNDED_LINKS = ("noise",)
"""Links whose draws go through logarithms and cosines."""

EXCEED = ("refuse", "truncate", "queue", "penalize", "terminate", "raise")
PER = ("step", "episode", "lifetime")
SCOPES = ("agent", "team")
_OF_ITS_OWN: dict[str, dict[str, Any]] = {
    "queue": {"max_wait": 2},
    "penalize": {"price": 0.25},
}


def budget(exceed: str, per: str = "step", scope: str = "agent", **most: Any) -> Budget:
    """A budget with what its policy takes beside."""
    own = _OF_ITS_OWN.get(exceed, {})
    return Budget(per=per, scope=scope, exceed=exceed, **own, **most)  # type: ignore[arg-type]


def channel(**parts: Any) -> Channel:
    return Channel(**parts)


def within_range(radius: float) -> Link:
    return Range(radius)


def lossy(probability: float) -> Link:
    return BernoulliLoss(probability)


def delayed(ticks: int) -> Link:
    return Delay(ticks=ticks)


ALWAYS = "always"
ALGORITHM_SCHEMES: dict[str, tuple[str, ...]] = {
    "dql": ("td_error",),
    "ebcdql": ("td_error",),
    "davia": ("gain",),
    "es": ("probabilistic", "top"),
    "espc": ("probabilistic", "top"),
    "fed-a2c": ("top",),
    "fed-dqn": ("top",),
    "fed-ppo": ("top",),
}
"""The schemes that read what an algorithm offers."""
ANY_SCHEMES = ("always", "bernoulli", "never", "periodic", "random")
TABULAR = ("dql", "ebcdql")
BY_RETURNS = ("es", "espc")
TRAINED_BY_TORCH = ("fed-a2c", "fed-dqn", "fed-ppo")
SETTINGS: dict[str, dict[str, Any]] = {
    "dql": {},
    "ebcdql": {},
    "davia": {"features": "afterstate"},
    "es": {"hidden_sizes": [4], "initial": "random", "noise": 0.5},
    "espc": {"hidden_sizes": [4], "initial": "random", "noise": 0.5},
    "fed-a2c": {"hidden_sizes": [4], "local_steps": 16, "n_steps": 8},
    "fed-dqn": {
        **{"hidden_sizes": [4], "local_steps": 16, "batch_size": 8},
        **{"learning_starts": 8, "buffer_size": 64, "target_update_interval": 8},
    },
    "fed-ppo": {
        **{"hidden_sizes": [4], "local_steps": 16, "n_steps": 8},
        **{"batch_size": 8, "n_epochs": 2},
    },
}
"""Small settings of each algorithm."""


def registered() -> dict[str, set[str]]:
    """All names that the library has, for who looks whether one is left out."""
    own = (
        (kind, {name for name in plugin_names(group) if ":" not in name})
        for kind, group in (("algorithms", ALGORITHMS), ("schemes", SCHEMES))
    )
    return {**dict(own), "environments": set(env_ids())}


def parts(kind: str) -> set[type]:
    """The classes of codecs or links that can be made a channel of."""
    from commenv import channel as room

    base, abstract = {
        "codec": (Codec, (Codec, room.RecordCodec)),
        "link": (Link, (Link, room.PerfectLink)),
    }[kind]
    found = (getattr(room, name) for name in room.__all__)
    classes = {one for one in found if isinstance(one, type) and issubclass(one, base)}
    return classes - set(abstract)


# --- environments --------------------------------------------------------------------


def scalar(env_id: str, **arguments: Any) -> Any:
    """One environment of Gymnasium's, with a channel if one is given."""
    return gym.make(env_id, **arguments)


def vector(env_id: str, count: int, **arguments: Any) -> Any:
    """A vector of Gymnasium's, with a channel if one is given."""
    return gym.make_vec(env_id, count, **arguments)


def batch(env_id: str, trials: int, agents: int, **arguments: Any) -> Any:
    """Trials x agents instances with a channel."""
    return commenv.batched_env(env_id, trials, agents, **arguments)


def named(env_id: str, agents: int, **arguments: Any) -> Any:
    """Agents with names in instances of their own, with a channel to a learner."""
    return commenv.parallel_env(env_id, agents, **arguments)


def batch_of_named(env_id: str, trials: int, agents: int, **arguments: Any) -> Any:
    """The same as :func:`batch`, of environments with names."""
    return batched_from_parallel(
        [named(env_id, agents, trial=trial, **arguments) for trial in range(trials)]
    )


def with_channel(env: Any, **channels: Any) -> Any:
    """A channel around one environment."""
    return MessageChannel(env, **channels)


def with_vector_channel(envs: Any, **channels: Any) -> Any:
    """A channel around a vector."""
    return VectorMessageChannel(envs, **channels)


def talking(env: Any, message_space: spaces.Space[Any], **arguments: Any) -> Any:
    """Agents that talk while they act."""
    return commenv.CommunicationBudget(env, message_space=message_space, **arguments)


def find(env: Any) -> Any:
    """What has the channel, inside other wrappers."""
    return commenv.find_channel(env)


def steps_so_far(env: Any) -> int:
    """Of the episode, of agents with names."""
    return int(env.metrics.episode_length.max())


def of_pettingzoo(form: str, env_id: str, **arguments: Any) -> Any:
    """An environment by its PettingZoo id; the form is ``parallel`` or ``aec``."""
    import pettingzoo

    return pettingzoo.make(form, env_id, **arguments)


def tables(env_id: str, gamma: float, **arguments: Any) -> Numbers:
    """The tables of an environment, and its exact values."""
    mdp = commenv.TabularMDP.from_env(gym.make(env_id, **arguments))
    log = Log()
    for name in ("start", "probability", "next_state", "reward", "terminated"):
        log.add(name.replace("_", " "), getattr(mdp, name))
    log.add("optimal values", mdp.optimal_values(gamma=gamma))
    log.add("optimal start", mdp.start_value(mdp.optimal_values(gamma=gamma)))
    return log.numbers()


# --- messages ------------------------------------------------------------------------

STEP = np.dtype([("cell", "<i4"), ("value", "<f8")])
WHOLE = np.dtype([("round", "<i4"), ("numbers", "<f8", (6,))])


def steps_of(count: int, salt: int) -> NDArray[Any]:
    """Records of a trajectory: any number of them is a message."""
    place = np.arange(count)
    records = np.zeros(count, STEP)
    records["cell"] = (place * 7 + salt) % 25
    records["value"] = ((place * 37 + salt * 11) % 101 - 50) / 8
    return records


def wholes_of(count: int, salt: int) -> NDArray[Any]:
    """Records of numbers, as gradients are: one of them is a message."""
    records = np.zeros(count, WHOLE)
    records["round"] = salt
    place = np.arange(count * 6).reshape(count, 6)
    numbers = ((place * 53 + salt * 17) % 97 - 40) / 16
    records["numbers"] = np.where((place + salt) % 3 == 0, 0.0, numbers)
    return records


def payload_of(agent: int, salt: int) -> Any:
    """What has no fixed form; every fourth is silence."""
    if (agent + salt) % 4 == 3:
        return None
    return {
        "who": f"agent {agent}",
        "numbers": np.arange(agent + 1) * 0.5 + salt,
        "parts": [salt, {"flag": agent % 2 == 0, "bytes": bytes([agent, salt])}],
    }


def counts_of(form: str, shape: tuple[int, int], salt: int) -> NDArray[np.int64]:
    """How many records each agent sends: some are silent."""
    place = np.arange(shape[0] * shape[1]).reshape(shape)
    if form == "whole":
        return ((place + salt) % 4 != 3).astype(np.int64)
    return (place * 3 + salt) % 4


def message(form: str, shape: tuple[int, int], salt: int) -> Messages | FreeForm:
    """What all agents of a batch send: the form is ``steps``, ``whole`` or ``free``."""
    if form == "free":
        payloads = [payload_of(place, salt) for place in range(shape[0] * shape[1])]
        return FreeForm(payloads, shape)
    counts = counts_of(form, shape, salt)
    records = wholes_of if form == "whole" else steps_of
    return Messages(records(int(counts.sum()), salt), counts)


def parameters(trials: int, salt: int) -> NDArray[Any]:
    """What learners broadcast."""
    return wholes_of(trials, salt + 3)


ACT, SAY, TO = "action", "message", "to"


def speech_spaces(space: spaces.Dict) -> tuple[Any, Any, int]:
    """Of an agent that talks: its actions, its messages, and whom they can be for."""
    return space[ACT], space[SAY], int(space[TO].n)  # type: ignore[attr-defined]


def speech(act: Any, say: Any, to: int) -> dict[str, Any]:
    """What an agent that talks does."""
    return {ACT: act, SAY: say, TO: to}


# --- what is told --------------------------------------------------------------------

FATES = {
    "delivered": Fate.DELIVERED,
    "refused": Fate.REFUSED,
    "lost": Fate.LOST,
    "expired": Fate.EXPIRED,
    "in flight": Fate.IN_FLIGHT,
}
UNITS = {"messages": Unit.MESSAGES, "payload": Unit.PAYLOAD, "headers": Unit.HEADER}
COMM, TOTALS, INNER = "comm", "episode_comm", "inner_"
TOLD = {
    "sent": "sent",
    "refused": "refused",
    "messages left": "messages_left",
    "bytes left": "bytes_left",
    "acknowledged": "acknowledged",
}
METRICS = {
    "discounted return": "reward",
    "return": "episode_return",
    "steps": "episode_length",
    "senders": "frequency",
    "up/messages": "messages",
    "up/bytes": "size",
    "up/header bytes": "header_size",
    "down/bytes": "downlink_size",
    "down/header bytes": "downlink_header_size",
    "all bytes": "total_size",
    "up/refused": "refused",
    "up/refused bytes": "refused_bytes",
    "up/lost": "lost",
    "up/expired": "expired",
    "up/penalty": "penalty",
    "down/refused": "downlink_refused",
    "down/lost": "downlink_lost",
    "down/penalty": "downlink_penalty",
}
CHARGED = {"charged bytes": "charged_size"}
BILL = {
    "payload": "payload",
    "headers": "headers",
    "acknowledgements": "acknowledgements",
    "silence": "silence",
    "polls": "polls",
    "charged": "charged",
}


def _ours(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Values under our names; one that we have no name for is an error."""
    ours = {theirs: own for own, theirs in names.items()}
    return {ours[theirs]: value for theirs, value in values.items() if theirs in ours}


def _check_named(values: Mapping[str, Any], names: Mapping[str, str]) -> None:
    known = {*names.values(), *(f"_{name}" for name in names.values())}
    if unknown := set(values) - known:
        raise AssertionError(f"no name of ours for {unknown}; see library.py")


def log_info(log: Log, name: str, info: Mapping[str, Any]) -> None:
    """What an info tells of a channel, of one environment or of a vector."""
    for inner in ("", INNER):
        for key, names in ((COMM, TOLD), (TOTALS, {**METRICS, **CHARGED})):
            told = info.get(f"{inner}{key}")
            if told is None:
                continue
            _check_named(told, names)
            log.add(f"{name}/{inner}{_INFO[key]}", _ours(told, names))
            if (mask := info.get(f"_{inner}{key}")) is not None:
                log.add(f"{name}/{inner}{_INFO[key]}/whose", mask)


_INFO = {COMM: "known", TOTALS: "totals"}


HEARD = {
    "world": "observation",
    "inbox": "inbox",
    "spoke": "spoke",
    "age": "age",
    "left": "budget",
}


def log_observation(log: Log, name: str, observation: Any) -> None:
    """What an agent sees, and hears if it does."""
    if isinstance(observation, Mapping) and HEARD["left"] in observation:
        _check_named(observation, HEARD)
        observation = _ours(observation, HEARD)
    log.add(name, observation)


def log_metrics(log: Log, name: str, env: Any) -> None:
    values = vars(env.metrics)
    _check_named(values, METRICS)
    log.add(name, _ours(values, METRICS))


def log_ledger(log: Log, name: str, ledger: Any) -> None:
    """A ledger in full."""
    for unit_name, unit in UNITS.items():
        log.add(f"{name}/attempted/{unit_name}", ledger.attempted(unit))
        log.add(f"{name}/sent/{unit_name}", ledger.sent(unit))
        for fate_name, fate in FATES.items():
            log.add(f"{name}/{fate_name}/{unit_name}", ledger.count(fate, unit))
    log.add(f"{name}/penalty", ledger.penalty)
    log.add(f"{name}/acknowledgements", ledger.acknowledgements)
    sizes = ledger.sizes
    log.add(f"{name}/sizes/trial", sizes.trials)
    log.add(f"{name}/sizes/payload", sizes.payload)
    log.add(f"{name}/sizes/messages", sizes.messages)


def log_ledgers(log: Log, env: Any) -> None:
    """The ledgers of both directions, of whatever has a channel to a learner."""
    links = env
    if not hasattr(env, "uplink"):
        links = find(env).star
    log_ledger(log, "up", links.uplink.ledger)
    log_ledger(log, "down", links.downlink.ledger)


def log_bill(log: Log, name: str, env: Any) -> None:
    values = env.bill._asdict()
    _check_named(values, BILL)
    log.add(name, _ours(values, BILL))


def log_receipt(log: Log, name: str, receipt: Any) -> None:
    """What senders are told, of a batch or of a single trial."""
    log.add(f"{name}/accepted", receipt.accepted)
    left = getattr(receipt, "left", receipt)
    log.add(f"{name}/messages left", left.messages)
    log.add(f"{name}/bytes left", left.bytes)
    if hasattr(receipt, "ended"):
        log.add(f"{name}/ended", receipt.ended)


def log_sending(log: Log, name: str, send: Any, *arguments: Any) -> None:
    """Sends; a budget may raise an error instead."""
    try:
        receipt = send(*arguments)
    except BudgetExceededError:
        log.add(f"{name}/raised", True)
        return
    log.add(f"{name}/raised", False)
    log_receipt(log, name, receipt)


def log_received(log: Log, name: str, received: Any) -> None:
    """What reached the learner: records by message, or payloads of no fixed form."""
    if received is None or isinstance(received, (list, dict, np.ndarray, np.void)):
        log.add(name, received)
        return
    log.add(f"{name}/records", received.records)
    log.add(f"{name}/counts", received.counts)
    log.add(f"{name}/lengths", received.lengths)


# --- studies -------------------------------------------------------------------------

COLUMNS = {
    "label": "label",
    "environment": "environment",
    "algorithm": "algorithm",
    "scheme": "scheme",
    "codec": "codec",
    "agents": "num_agents",
    "trial": "trial",
    "round": "episode",
    "steps so far": "env_steps",
    "steps": "episode_length",
    "discounted return": "reward",
    "return": "episode_return",
    "evaluation": "evaluation",
    "held evaluation": "held_evaluation",
    "senders": "frequency",
    "up/messages": "messages",
    "up/bytes": "size",
    "up/header bytes": "header_size",
    "down/bytes": "downlink_size",
    "down/header bytes": "downlink_header_size",
    "all bytes": "total_size",
    "up/refused": "refused",
    "up/refused bytes": "refused_bytes",
    "up/lost": "lost",
    "invalid": "invalid",
    "up/expired": "expired",
    "up/penalty": "penalty",
    "down/refused": "downlink_refused",
    "down/lost": "downlink_lost",
    "down/penalty": "downlink_penalty",
}
SIZES = {
    "label": "label",
    "trial": "trial",
    "direction": "direction",
    "payload": "payload",
    "header": "header",
    "receivers": "receivers",
    "messages": "messages",
}
ROUND, UP_BYTES = "episode", "uplink_bytes"
ROUNDS = "num_episodes"


def run_study(
    environments: Any, algorithms: Any, schemes: Any = None, **rest: Any
) -> Any:
    """Runs a study: 2 trials of 3 agents and 5 rounds unless told otherwise."""
    rounds = rest.pop("rounds", 5)
    trials, agents = rest.pop("trials", 2), rest.pop("agents", 3)
    limit = rest.pop("limit", 25)
    rest.setdefault("evaluate_every", 2)
    rest.setdefault("evaluation_episodes", 2)
    return commenv.run(
        environments,
        algorithms,
        schemes,
        num_agents=agents,
        num_trials=trials,
        num_episodes=rounds,
        max_episode_steps=limit,
        progress=False,
        **rest,
    )


def frame_numbers(frame: Any, names: Mapping[str, str], name: str) -> Numbers:
    """A frame's columns under our names; others are of agents' own worlds."""
    ours = {theirs: own for own, theirs in names.items()}
    found: Numbers = {}
    for column in frame.columns:
        own = ours.get(column)
        if own is None:
            if not column.startswith("evaluation_agent_"):
                raise AssertionError(f"no name of ours for {column!r}; see library.py")
            own = f"evaluation/{column.rpartition('_')[2]}"
        values = frame[column]
        if values.dtype.kind not in "biuf":
            values = values.astype(str)
        found[f"{name}/{own}"] = normal(values.to_numpy())
    return found


def result_numbers(results: Any) -> Numbers:
    """All numbers of a study."""
    found = frame_numbers(results.frame, COLUMNS, "rounds")
    sizes = results.sizes()
    found |= frame_numbers(
        sizes.sort_values(list(SIZES.values()), ignore_index=True), SIZES, "sizes"
    )
    optima = results.optimum.items()
    found["optimum/label"] = normal([label for label, _ in optima])
    found["optimum/value"] = normal(
        [np.nan if value is None else value for _, value in optima]
    )
    for label, known in results.ranges.items():
        for column, bounds in known.items():
            own = {theirs: own for own, theirs in COLUMNS.items()}.get(column, column)
            found[f"range/{label}/{own}"] = normal(bounds)
    return found


def policy_numbers(folder: Any, results: Any) -> Numbers:
    """What trials have learned: tables, or the parameters of networks."""
    log = Log()
    key = [COLUMNS["label"], COLUMNS["trial"]]
    for label, trial in results.frame[key].drop_duplicates().itertuples(index=False):
        policy = commenv.load_policy(folder, label, trial)
        if isinstance(policy.policy, np.ndarray):
            log.add(f"policy/{label}", policy.policy)
            continue
        for name, values in policy.to_torch().state_dict().items():
            log.add(f"policy/{label}/{name}", values.numpy())
    return log.numbers()


def load(folder: Any) -> Any:
    return commenv.load(folder)


def merge(folder: Any, folders: Sequence[Any]) -> None:
    commenv.merge(folder, folders)


class Interruption(commenv.Callback):
    """Calls a function after a round.

    Args:
        when: The round.
        do: What to do then.
    """

    def __init__(self, when: int, do: Any) -> None:
        self.when, self.do = when, do

    def on_round(self, measured: Any) -> None:
        if measured.round == self.when:
            self.do()


class Pruner(commenv.Callback):
    """Stops odd trials after a round."""

    def __init__(self, when: int) -> None:
        self.when = when

    def on_round(self, measured: Any) -> None:
        if measured.round == self.when and measured.trial % 2:
            raise commenv.StopTrial


# --- what is made of results ---------------------------------------------------------

FINAL = "evaluation"
SPENT = {
    "rounds": "episode",
    "steps": "env_steps",
    "messages": "messages",
    "up bytes": "uplink_bytes",
    "all bytes": "total_bytes",
}
COMPARED = {
    "difference": "estimate",
    "low": "low",
    "high": "high",
    "p": "p",
    "better": "improvement",
    "trials": "trials",
    "trials of the other": "trials_b",
    "spread": "spread",
    "bounds": "bounds",
    "never": "never",
}
VERDICT = {
    "margin": "margin",
    "estimate": "estimate",
    "low": "low",
    "high": "high",
    "p": "p",
    "trials": "trials",
    "needed": "needed",
    "verdict": "verdict",
}
FRONTIER = {
    "label": "label",
    "environment": "environment",
    "trials": "trials",
    "spent": "x",
    "spent/low": "x_low",
    "spent/high": "x_high",
    "had": "y",
    "had/low": "y_low",
    "had/high": "y_high",
    "beaten by": "beaten_by",
}
PLAYED = {
    "discounted": "discounted",
    "return": "total",
    "steps": "length",
    "exact": "exact",
}


def _fields(log: Log, name: str, value: Any, names: Mapping[str, str]) -> None:
    for own, theirs in names.items():
        log.add(f"{name}/{own}", getattr(value, theirs))


def log_comparison(log: Log, name: str, results: Any, *who: str, **how: Any) -> None:
    """How much two labels differ; ``at`` names an axis as :data:`SPENT` does."""
    if "at" in how:
        how["at"] = {SPENT[axis]: amount for axis, amount in how["at"].items()}
    _fields(log, name, results.compare(*who, **how), COMPARED)


def frontier_numbers(results: Any, x: str) -> Numbers:
    """All arms by what they spend."""
    table = results.frontier(SPENT[x], FINAL, every=True)
    log = Log()
    for own, theirs in FRONTIER.items():
        values = table[theirs].fillna("") if own == "beaten by" else table[theirs]
        log.add(own, values.tolist())
    return {name: normal(array[0]) for name, array in log.numbers().items()}


def table_numbers(table: Any) -> Numbers:
    """A small frame, by its own columns."""
    return {
        str(column): normal(
            table[column].to_numpy()
            if table[column].dtype.kind in "biuf"
            else table[column].astype(str).to_numpy()
        )
        for column in table.columns
    }


def arrival_numbers(results: Any, reach: float, x: str) -> Numbers:
    """When each label first has an evaluation."""
    return table_numbers(results.times(reach, FINAL, SPENT[x]))


def link_profiles(measured: Any) -> dict[str, Any]:
    """Links with a price; ``measured`` is the path of a table."""
    from commenv.study.cost import LTE, LoRa, WiFi

    return {
        "lora": "lora",
        "lora-slow": LoRa(spreading_factor=12, coding_rate=4),
        "lte": "lte",
        "lte-own": LTE(wakeups=1.0, overhead=40),
        "wifi": "wifi",
        "wifi-lossy": WiFi(rate=6, loss=0.4),
        "measured": str(measured),
    }


def cost_numbers(results: Any, profile: Any) -> Numbers:
    """Seconds and joules, means over trials and of each."""
    found = {}
    for name, per_trial in (("mean", False), ("trials", True)):
        table = table_numbers(results.cost(profile, per_trial=per_trial))
        found |= {f"{name}/{column}": values for column, values in table.items()}
    return found


def verdict_numbers(results: Any, a: str, b: str) -> Numbers:
    """Verdicts on one claim of each kind."""
    from commenv.study.analysis import estimands, paired_estimands
    from commenv.study.analysis.arrivals import reaches, sooner, time_to
    from commenv.study.analysis.claims import Claim, judge

    last = estimands.final(a)
    best = results.optimum[a]
    claims = {
        "late": (estimands.late(a, "reward", 5), "greater", -9.0),
        "last": (last, "less", -4.0),
        "gap": (estimands.gap(a, best), "greater", 0.5),
        "optimal": (estimands.at_optimum(a, best), "greater", 0.2),
        "total": (estimands.total(a, "messages"), "greater", 10.0),
        "smooth": (estimands.smoothness(a), "less", 5.0),
        "correlated": (estimands.correlation(a, "reward", "size"), "less", 0.0),
        "area": (estimands.area(a), "greater", -9.0),
        "value": (estimands.value_at(a, SPENT["steps"], 200.0), "greater", -9.0),
        "equal steps": (paired_estimands.at_equal(a, b), "equal", 2.0),
        "equal areas": (paired_estimands.area_at_equal(a, b), "greater", -1.0),
        "difference": (
            paired_estimands.difference(last, estimands.final(b)),
            "greater",
            -1.0,
        ),
        "messages": (paired_estimands.messages_ratio(a, b), "greater", 1.0),
        "less": (estimands.less(last, -5.0), "equal", 3.0),
        "share": (estimands.share(last, above=-6.0), "greater", 0.1),
        "time": (time_to(a, -8.0, within=25), "less", 25.0),
        "reached": (reaches(a, -8.0), "greater", 0.3),
        "sooner": (sooner(a, b, -8.0), "greater", 0.0),
    }
    listed = [
        Claim(
            figure=name.partition(" ")[0],
            text=name,
            estimand=estimand,
            direction=direction,
            margin=margin,
            trials=12,
        )
        for name, (estimand, direction, margin) in claims.items()
    ]
    log = Log()
    found = judge(listed, results.frame, ranges=results.ranges, resamples=499)
    for name, verdict in zip(claims, found, strict=True):
        _fields(log, name, verdict, VERDICT)
        for trial, number in claims[name][0](results.frame).items():
            log.add(f"{name}/trials", [trial, number])
    return log.numbers()


def statistics_numbers() -> Numbers:
    """Every statistic, of fixed numbers."""
    from commenv.study.analysis import intervals, significance, statistics, unpaired

    place = np.arange(40)
    data = ((place * 37 + 11) % 41) / 41
    other = ((place * 23 + 5) % 41) / 50
    many = np.concatenate([data, other] * 4)
    few = {"seed": 3, "resamples": 999}
    log = Log()
    two = np.stack([data, other], axis=1)
    for name, interval in {
        "percentiles": statistics.percentiles(data),
        "student": intervals.student_interval(two),
        "bootstrap t": intervals.bootstrap_t_interval(two, **few),
        "bca": intervals.bca_interval(data, statistics.iqm, **few),
        "iqm": intervals.iqm_interval(data, **few),
        "bounded": intervals.bounded_interval(two, (0.0, 1.0)),
        "mean, bounded": intervals.mean_interval(data, bounds=(0.0, 1.0)),
        "mean": intervals.mean_interval(many, **few),
        "share": intervals.share_interval(13, 40),
        "unpaired": unpaired.unpaired_interval(
            float(data.mean()),
            intervals.student_interval(data),
            float(other.mean()),
            intervals.student_interval(other),
        ),
    }.items():
        log.add(f"interval/{name}", np.array([interval.low, interval.high]))
    for side in ("greater", "less"):
        for name, p in {
            "student": significance.student(two, 0.45, side),
            "bootstrap t": significance.bootstrap_t(two, 0.45, side, **few),
            "bounded": significance.bounded_test(two, (0.0, 1.0), 0.45, side),
            "mean": significance.mean_test(many, 0.45, side, **few),
            "share": significance.share_test(13, 40, 0.4, side),
        }.items():
            log.add(f"p/{name}/{side}", p)
    for name, value in {
        "difference": significance.difference_test(many - 0.4, **few),
        "equivalence": significance.equivalence(many - 0.4, 0.1, **few),
        "permutation": unpaired.permutation_test(data, other, **few),
    }.items():
        log.add(f"p/{name}", value)
    log.add("holm", significance.holm([0.01, 0.04, 0.03, 0.2]))
    log.add("iqm", statistics.iqm(data))
    log.add("improvement", statistics.probability_of_improvement(data, other))
    log.add("superiority", unpaired.superiority(data, other))
    log.add("apart", statistics.apart(data, other))
    return log.numbers()


def played_again(folder: Any, episodes: int) -> Numbers:
    """What the policies of a folder come to when they are played again."""
    from commenv.study.policies.evaluation import evaluate

    log = Log()
    for row in evaluate(folder, episodes=episodes, seed=5):
        for own, theirs in PLAYED.items():
            value = getattr(row, theirs)
            if hasattr(value, "mean"):
                value = [value.mean, value.low, value.high]
            log.add(f"{row.label}/{own}", np.nan if value is None else value)
    return log.numbers()
