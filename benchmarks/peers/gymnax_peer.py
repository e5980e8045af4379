"""gymnax: whole rollouts compiled by JAX, with its own autoreset in the same step."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle, islice, pairwise
from typing import Any

import gymnax
import jax
import jax.numpy as jnp
from gymnasium_peer import EMPTY

PACKAGES = ("gymnax", "jax", "jaxlib", "gymnasium", "numpy")

Run = Callable[[int], int]


def frozen_lake(num_envs: int, like_ours: bool = True, scan: bool = True) -> Run:
    """Frozen Lake, with random actions drawn beforehand; every step's results are kept.

    Args:
        num_envs: How many.
        like_ours: A lake of Simple Grid's size and limit without holes and slipping;
            else the lake as gymnax makes it.
        scan: A call is a compiled rollout of 100 steps; else a compiled step.
    """
    settings = {"desc": EMPTY, "is_slippery": False} if like_ours else {}
    env, params = gymnax.make("FrozenLake-misc", **settings)
    if like_ours:
        params = params.replace(max_steps_in_episode=200)
    table = jax.random.randint(jax.random.key(0), (100, num_envs), 0, 4)

    def step(carry: Any, actions: Any) -> Any:
        state, key = carry
        key, now = jax.random.split(key)
        observations, state, rewards, terminated, truncated, _ = jax.vmap(
            env.step, (0, 0, 0, None)
        )(jax.random.split(now, num_envs), state, actions, params)
        return (state, key), (observations, rewards, terminated, truncated)

    starts = jax.random.split(jax.random.key(1), num_envs)
    _, state = jax.vmap(env.reset, (0, None))(starts, params)
    carry = state, jax.random.key(2)
    if not scan:
        return _repeated(jax.jit(step), carry, num_envs, list(table))
    rollout = jax.jit(lambda carry, _: jax.lax.scan(step, carry, table))
    return _repeated(rollout, carry, len(table) * num_envs)


def cart_pole(num_envs: int) -> Run:
    """Agents with a perceptron each balance their poles."""
    env, params = gymnax.make("CartPole-v1")
    sizes = (4, 8, 8, 2)
    keys = jax.random.split(jax.random.key(0), 2 * (len(sizes) - 1))
    layers = [
        (
            jax.random.normal(keys[2 * place], (num_envs, inputs, outputs)),
            jax.random.normal(keys[2 * place + 1], (num_envs, outputs)),
        )
        for place, (inputs, outputs) in enumerate(pairwise(sizes))
    ]

    def act(layers: Any, hidden: Any) -> Any:
        for weights, biases in layers:
            hidden = jnp.tanh(hidden @ weights + biases)
        return hidden.argmax()

    def step(carry: Any, _: Any) -> Any:
        observations, state, key = carry
        key, now = jax.random.split(key)
        actions = jax.vmap(act)(layers, observations)
        observations, state, rewards, terminated, truncated, _ = jax.vmap(
            env.step, (0, 0, 0, None)
        )(jax.random.split(now, num_envs), state, actions, params)
        kept = (observations, actions, rewards, terminated, truncated)
        return (observations, state, key), kept

    starts = jax.random.split(jax.random.key(1), num_envs)
    observations, state = jax.vmap(env.reset, (0, None))(starts, params)
    rollout = jax.jit(lambda carry, _: jax.lax.scan(step, carry, None, 100))
    return _repeated(rollout, (observations, state, jax.random.key(2)), 100 * num_envs)


def _repeated(
    rollout: Callable[[Any, Any], Any], carry: Any, steps: int, given: Any = (None,)
) -> Run:
    """Calls that go on from each other, each with the next of ``given``."""

    def run(calls: int) -> int:
        nonlocal carry
        for one in islice(cycle(given), calls):
            carry, _ = jax.block_until_ready(rollout(carry, one))
        return calls * steps

    return run
