"""evosax: OpenAI's evolution strategy on gymnax's Cart Pole, compiled as a whole."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import gymnax
import jax
import jax.numpy as jnp
import optax
from evosax.algorithms import Open_ES

PACKAGES = ("evosax", "gymnax", "jax", "jaxlib", "numpy")

SIZES = (4, 8, 8, 2)
LIMIT = 500
EVALUATIONS = 10  # episodes of each trained policy


def train(
    num_agents: int, num_trials: int, num_generations: int
) -> Callable[[int], int]:
    """A call is whole trainings, all trials under ``vmap`` and all steps scanned."""
    env, params = gymnax.make("CartPole-v1")
    start = jnp.zeros(sum((i + 1) * o for i, o in pairwise(SIZES)))
    strategy = Open_ES(
        population_size=num_agents,
        solution=start,
        use_antithetic_sampling=False,
        optimizer=optax.adam(0.05),
        std_schedule=optax.constant_schedule(0.1),
    )

    def episode(key: Any, theta: Any) -> Any:
        layers = _layers(theta)
        begin, rest = jax.random.split(key)
        observations, state = env.reset(begin, params)

        def step(carry: Any, key: Any) -> Any:
            hidden, state, total, alive = carry
            for weights, biases in layers:
                hidden = jnp.tanh(hidden @ weights + biases)
            hidden, state, reward, terminated, truncated, _ = env.step(
                key, state, hidden.argmax(), params
            )
            total += reward * alive
            return (hidden, state, total, alive & ~(terminated | truncated)), None

        carry = (observations, state, jnp.array(0.0), jnp.array(True))
        carry, _ = jax.lax.scan(step, carry, jax.random.split(rest, LIMIT))
        return carry[2]

    def trial(key: Any) -> Any:
        def generation(state: Any, key: Any) -> Any:
            ask, play, tell = jax.random.split(key, 3)
            population, state = strategy.ask(ask, state, strategy.default_params)
            keys = jax.random.split(play, num_agents)
            returns = jax.vmap(episode)(keys, population)
            state, _ = strategy.tell(
                tell, population, -returns, state, strategy.default_params
            )
            return state, None

        first, rest, last = jax.random.split(key, 3)
        state = strategy.init(first, start, strategy.default_params)
        state, _ = jax.lax.scan(
            generation, state, jax.random.split(rest, num_generations)
        )
        keys = jax.random.split(last, EVALUATIONS)
        return jax.vmap(episode, (0, None))(keys, state.mean).mean()

    trained = jax.jit(jax.vmap(trial))

    def run(calls: int) -> int:
        for seed in range(calls):
            keys = jax.random.split(jax.random.key(seed), num_trials)
            run.score = float(trained(keys).mean())
        return calls * num_trials * num_generations

    return run


def _layers(theta: Any) -> list[tuple[Any, Any]]:
    layers, at = [], 0
    for inputs, outputs in pairwise(SIZES):
        end = at + inputs * outputs
        weights = theta[at:end].reshape(inputs, outputs)
        at = end + outputs
        layers.append((weights, theta[end:at]))
    return layers
