"""What happens in a run: fixed actions and messages, and all that is told of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from tests.golden import library
from tests.golden.case import Log, Numbers

__all__ = [
    "action",
    "play_batch",
    "play_in_turn",
    "play_parallel",
    "play_scalar",
    "play_talking",
    "play_vector",
]

SEED = 7


def action(space: spaces.Space[Any], agent: int, step: int) -> Any:
    """An element of a space, a different one for each agent and step."""
    if isinstance(space, spaces.Discrete):
        count = int(space.n)
        ways = [*range(count), *(way % count for way in (1, 3, 1, 3))]  # to the goal
        return int(space.start) + ways[_any(agent, step) % len(ways)]
    if isinstance(space, spaces.MultiDiscrete):
        place = np.arange(space.nvec.size).reshape(space.nvec.shape)
        return ((place * 3 + agent + step) % space.nvec).astype(space.dtype)
    if isinstance(space, spaces.MultiBinary):
        place = np.arange(np.prod(space.shape)).reshape(space.shape)
        return ((place + agent + step) % 2).astype(space.dtype)
    if isinstance(space, spaces.Box):
        place = np.arange(np.prod(space.shape)).reshape(space.shape)
        share = ((place * 7 + agent * 5 + step * 13) % 21 + 2) / 25
        low, high = space.low.astype(np.float64), space.high.astype(np.float64)
        return (low + share * (high - low)).astype(space.dtype)
    raise TypeError(f"no action for {space}")


def _any(agent: int, step: int) -> int:
    """A number that looks like chance."""
    return (agent * 7919 + step * 104_729 + 12_345) * 2_654_435_761 % 2**32 >> 16


def actions(space: spaces.Space[Any], count: int, step: int) -> NDArray[Any]:
    return np.stack([np.asarray(action(space, row, step)) for row in range(count)])


def play_scalar(
    env: Any, steps: int = 30, *, form: str = "", down: bool = False
) -> Numbers:
    """One environment, reset whenever its episode is over.

    Args:
        env: The environment.
        steps: How many.
        form: What is sent before each step: records, ``"free"`` payloads, or nothing.
        down: Whether something is broadcast, too.
    """
    log = Log()
    observation, info = env.reset(seed=SEED)
    log.add("reset/observation", observation)
    library.log_info(log, "reset", info)
    for step in range(steps):
        if form:
            payload = _single(form, step)
            library.log_sending(log, "sending", env.get_wrapper_attr("send"), payload)
        if down and step % 3 == 0:
            record = library.parameters(1, step)
            send = env.get_wrapper_attr("broadcast")
            library.log_sending(log, "broadcast", send, record)
        if form:
            library.log_received(log, "received", env.get_wrapper_attr("receive")())
        if down:
            held = env.get_wrapper_attr("receive_broadcast")()
            library.log_received(log, "held", held)
        taken = action(env.action_space, 0, step)
        observation, reward, terminated, truncated, info = env.step(taken)
        log.add("observation", observation)
        log.add("reward", reward)
        log.add("terminated", terminated)
        log.add("truncated", truncated)
        library.log_info(log, "step", info)
        if terminated or truncated:
            observation, info = env.reset()
            log.add("reset/observation", observation)
            library.log_info(log, "reset", info)
    if form or down:
        library.log_metrics(log, "metrics", library.find(env))
        library.log_ledgers(log, library.find(env))
    env.close()
    return log.numbers()


def play_vector(
    envs: Any, steps: int = 30, *, form: str = "", down: bool = False
) -> Numbers:
    """A vector, which resets itself; the arguments are those of `play_scalar`."""
    log, count = Log(), envs.num_envs
    observations, infos = envs.reset(seed=SEED)
    log.add("reset/observation", observations)
    library.log_info(log, "reset", infos)
    for step in range(steps):
        if form:
            message = library.message(form, (1, count), step)
            said = message if form != "free" else message.payloads
            library.log_sending(log, "sending", envs.send, said)
        if down and step % 3 == 0:
            record = library.parameters(1, step)
            library.log_sending(log, "broadcast", envs.broadcast, record)
        if form:
            library.log_received(log, "received", envs.receive())
        if down:
            library.log_received(log, "held", envs.receive_broadcast())
        taken = actions(envs.single_action_space, count, step)
        observations, rewards, terminated, truncated, infos = envs.step(taken)
        log.add("observation", observations)
        log.add("reward", rewards)
        log.add("terminated", terminated)
        log.add("truncated", truncated)
        library.log_info(log, "step", infos)
    if form or down:
        library.log_metrics(log, "metrics", envs)
        library.log_ledgers(log, envs)
    envs.close()
    return log.numbers()


def play_batch(
    env: Any,
    rounds: int = 4,
    steps: int = 4,
    *,
    form: str = "",
    down: bool = False,
    ledgers: bool = True,
) -> Numbers:
    """Trials x agents, for some rounds: sends before and after the steps of each.

    Args:
        env: The batch.
        rounds: How many.
        steps: Of each round, at most.
        form: What is sent: ``"steps"``, ``"whole"``, ``"free"``, or nothing.
        down: Whether something is broadcast, too.
        ledgers: Whether the batch has ledgers to look at.
    """
    log = Log()
    for number in range(rounds):
        observations, _ = env.reset(seed=None if number else SEED)
        log.add("reset/observation", observations)
        if down:
            record = library.parameters(env.shape[0], number)
            library.log_sending(log, "broadcast", env.broadcast, record)
        if form:
            said = library.message(form, env.shape, 2 * number)
            library.log_sending(log, "sending", env.send, said)
        log.add("active", env.active)
        for step in range(steps):
            if not env.active.any():
                break
            taken = actions(env.single_action_space, env.num_envs, step + 5 * number)
            observations, rewards, terminated, truncated, _ = env.step(taken)
            log.add("observation", observations)
            log.add("reward", rewards)
            log.add("terminated", terminated)
            log.add("truncated", truncated)
        if form:
            said = library.message(form, env.shape, 2 * number + 1)
            library.log_sending(log, "sending", env.send, said)
            library.log_received(log, "received", env.receive())
        if down:
            library.log_received(log, "held", env.receive_broadcast())
        library.log_metrics(log, "metrics", env)
    if ledgers and (form or down):
        library.log_ledgers(log, env)
    if hasattr(env, "close"):
        env.close()
    return log.numbers()


def play_parallel(env: Any, steps: int = 20, *, form: str = "") -> Numbers:
    """Agents with names; those in instances of their own send to a learner, too."""
    log = Log()
    space = {agent: env.action_space(agent) for agent in env.possible_agents}
    place = {agent: row for row, agent in enumerate(env.possible_agents)}
    observations, infos = env.reset(seed=SEED)
    _log_agents(log, "reset", observations, infos)
    for step in range(steps):
        for agent in env.possible_agents if form else ():
            payload = _single(form, step + place[agent])
            library.log_sending(log, f"sending/{agent}", env.send, agent, payload)
        if form:
            library.log_received(log, "received", env.receive())
        taken = {one: action(space[one], place[one], step) for one in env.agents}
        observations, rewards, terminated, truncated, infos = env.step(taken)
        log.add("reward", rewards)
        log.add("terminated", terminated)
        log.add("truncated", truncated)
        _log_agents(log, "step", observations, infos)
        if not env.agents:
            _log_agents(log, "reset", *env.reset())
    if form:
        library.log_metrics(log, "metrics", env)
    env.close()
    return log.numbers()


def play_talking(env: Any, steps: int = 16) -> Numbers:
    """Agents that talk while they act: silence, to all, and to one of them in turn."""
    log = Log()
    place = {agent: row for row, agent in enumerate(env.possible_agents)}
    observations, infos = env.reset(seed=SEED)
    _log_agents(log, "reset", observations, infos)
    for step in range(steps):
        taken = {one: _said(env, one, place[one], step) for one in env.agents}
        log.add("raised", 0)
        try:
            observations, rewards, terminated, truncated, infos = env.step(taken)
        except library.BudgetExceededError:
            log.add("raised", 1)
            _log_agents(log, "reset", *env.reset())
            continue
        log.add("reward", rewards)
        log.add("terminated", terminated)
        log.add("truncated", truncated)
        _log_agents(log, "step", observations, infos)
        library.log_bill(log, "bill", env)
        library.log_metrics(log, "metrics", env)
        if not env.agents:
            _log_agents(log, "reset", *env.reset())
    library.log_ledger(log, "ledger", env.ledger)
    env.close()
    return log.numbers()


def play_in_turn(env: Any, steps: int = 24) -> Numbers:
    """Agents of PettingZoo's other form, one after the other."""
    log = Log()
    env.reset(seed=SEED)
    place = {agent: row for row, agent in enumerate(env.possible_agents)}
    for step, agent in enumerate(env.agent_iter(steps)):
        observation, reward, terminated, truncated, info = env.last()
        log.add("whose", place[agent])
        log.add("observation", observation)
        log.add("reward", reward)
        log.add("terminated", terminated)
        log.add("truncated", truncated)
        library.log_info(log, "step", info)
        over = terminated or truncated
        space = env.action_space(agent)
        env.step(None if over else action(space, place[agent], step // len(place)))
        if not env.agents:
            break
    env.close()
    return log.numbers()


def _log_agents(log: Log, name: str, observations: Any, infos: Any) -> None:
    for agent, observation in observations.items():
        library.log_observation(log, f"{name}/observation/{agent}", observation)
    for agent, info in infos.items():
        library.log_info(log, f"{name}/{agent}", info)


def _single(form: str, step: int) -> Any:
    """One agent's message, or None or no record at all."""
    if form == "free":
        return library.payload_of(0, step)
    count = int(library.counts_of(form, (1, 4), step)[0, 0])
    records = library.wholes_of if form == "whole" else library.steps_of
    return records(count, step)


def _said(env: Any, agent: Any, row: int, step: int) -> Any:
    space = env.action_space(agent)
    if not isinstance(space, spaces.Dict):
        return action(space, row, step)
    acts, words, receivers = library.speech_spaces(space)
    said = action(words, row, 3 * step)
    return library.speech(action(acts, row, step), said, (row + step) % receivers)
