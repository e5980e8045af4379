"""Exact values of policies on tables.

Functions of a :class:`~commenv.envs.tabular.TabularMDP`. A study's evaluation calls
:func:`finite_horizon_values`, whose results must not depend on the batch or on the
linear-algebra library, so it adds up element by element in a fixed order. The
functions without a horizon solve linear equations and are exact up to rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from commenv.envs.tabular import TabularMDP

__all__ = [
    "best_values",
    "finite_horizon_optimum",
    "finite_horizon_values",
    "greedy_policy",
    "optimal_values",
    "policy_values",
]

_SWEEPS_BETWEEN_CHECKS = 8
_MAX_SWEEPS = 1_000_000
_RELATIVE_TOLERANCE = 1e-15


def greedy_policy(q: ArrayLike) -> NDArray[np.float64]:
    """The policy that is uniform over the actions with exactly the largest value.

    Args:
        q: Action values, shape (..., A).

    Returns:
        Action probabilities, float64, shape (..., A).
    """
    array = np.asarray(q)
    columns = _by_action(array)
    best = columns == columns.max(axis=0)
    chances = best / best.sum(axis=0)
    return np.ascontiguousarray(chances.T).reshape(array.shape)


def best_values(q: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest value of each state: (..., A) to (...)."""
    best: NDArray[np.float64] = _by_action(q).max(axis=0).reshape(q.shape[:-1])
    return best


def _by_action(q: NDArray[Any]) -> NDArray[Any]:
    """A contiguous row for each action: NumPy is slow along short last axes."""
    return np.ascontiguousarray(q.reshape(-1, q.shape[-1]).T)


def finite_horizon_values(
    mdp: TabularMDP, policy: ArrayLike, gamma: float, horizon: int
) -> NDArray[np.float64]:
    """The expected discounted return of policies over the next ``horizon`` steps.

    One sweep maps the values with n steps to go to those with n + 1. Once a policy's
    values repeat, further sweeps would repeat them too, so it leaves the batch.

    Args:
        mdp: The tables.
        policy: Action probabilities of shape (..., S, A), or integer actions (..., S).
        gamma: The discount factor, in [0, 1].
        horizon: The number of steps to go, at least 0.

    Returns:
        float64, shape (..., S): the same bits for a policy in any batch.

    Raises:
        ValueError: A policy of the wrong shape, ``gamma`` outside [0, 1], or a
            negative horizon.
    """
    _check_gamma(gamma)
    _check_horizon(horizon)
    chances = _probabilities(mdp, policy)
    batch = chances.shape[:-2]
    flat = chances.reshape(-1, mdp.num_states, mdp.num_actions)
    result = np.zeros((len(flat), mdp.num_states))
    left = np.arange(len(flat))
    sweep = _Sweep(mdp, flat, gamma)
    state_values = np.zeros(result.size)
    for done in range(0, horizon, _SWEEPS_BETWEEN_CHECKS):
        for _ in range(min(_SWEEPS_BETWEEN_CHECKS, horizon - done)):
            before, state_values = state_values, sweep(state_values)
        rows = state_values.reshape(-1, mdp.num_states)
        result[left] = rows
        moving = (rows != before.reshape(rows.shape)).any(axis=1)
        if not moving.any():
            break
        if not moving.all():
            left = left[moving]
            sweep = _Sweep(mdp, flat[left], gamma)
            state_values = rows[moving].ravel()
    return result.reshape(*batch, mdp.num_states)


def policy_values(
    mdp: TabularMDP, policy: ArrayLike, gamma: float
) -> NDArray[np.float64]:
    """The expected discounted return of one policy, without a time limit.

    With ``gamma=1`` it is the expected total reward: from a state where the policy may
    enter a cycle that it never leaves, that is -inf or +inf by the sign of the mean
    reward in the cycle, 0 for a cycle without rewards, and nan where the total has no
    limit (rewards that cancel out, or cycles of both signs).

    Args:
        mdp: The tables.
        policy: Action probabilities of shape (S, A), or integer actions (S,).
        gamma: The discount factor, in [0, 1].

    Returns:
        float64, shape (S,).

    Raises:
        ValueError: A policy of the wrong shape, or ``gamma`` outside [0, 1].
    """
    _check_gamma(gamma)
    chances = _probabilities(mdp, policy)
    if chances.ndim != 2:
        raise ValueError(
            f"a batch of {chances.shape[:-2]} policies; policy_values takes one, "
            "finite_horizon_values takes many"
        )
    going_on = np.where(mdp.terminated, 0.0, mdp.probability)
    chain = np.zeros((mdp.num_states, mdp.num_states))
    origin = np.broadcast_to(
        np.arange(mdp.num_states)[:, None, None], mdp.next_state.shape
    )
    np.add.at(chain, (origin, mdp.next_state), chances[..., None] * going_on)
    rewards = (chances * (mdp.probability * mdp.reward).sum(axis=-1)).sum(axis=-1)
    if gamma == 1:
        return _total_reward(chain, rewards)
    return np.linalg.solve(np.eye(mdp.num_states) - gamma * chain, rewards)


def optimal_values(mdp: TabularMDP, gamma: float) -> NDArray[np.float64]:
    """The largest expected discounted return that any policy has, without a time limit.

    Below 1, policy iteration. With ``gamma=1``, value iteration from 0 until the values
    settle, after giving -inf to the states from which every policy may go on for ever
    at a cost.

    Args:
        mdp: The tables.
        gamma: The discount factor, in [0, 1].

    Returns:
        float64, shape (S,).

    Raises:
        ValueError: ``gamma`` outside [0, 1]; or ``gamma=1`` with a positive reward on a
            step that does not end the episode, where totals may grow without bound.
    """
    _check_gamma(gamma)
    return _optimal_total(mdp) if gamma == 1 else _policy_iteration(mdp, gamma)


def finite_horizon_optimum(
    mdp: TabularMDP, gamma: float, horizon: int
) -> NDArray[np.float64]:
    """The largest expected discounted return over the next ``horizon`` steps.

    Args:
        mdp: The tables.
        gamma: The discount factor, in [0, 1].
        horizon: The number of steps to go, at least 0.

    Returns:
        float64, shape (S,).

    Raises:
        ValueError: ``gamma`` outside [0, 1], or a negative horizon.
    """
    _check_gamma(gamma)
    _check_horizon(horizon)
    state_values = np.zeros(mdp.num_states)
    for _ in range(horizon):
        before = state_values
        state_values = _action_values(mdp, before, gamma).max(axis=1)
        if np.array_equal(state_values, before):
            break
    return state_values


class _Sweep:
    """Values with n steps to go -> values with n + 1, for a flat batch of policies.

    The tables are laid out so that each term of the sum over actions and outcomes is
    one contiguous row, to which all policies and states contribute in parallel.
    """

    def __init__(
        self, mdp: TabularMDP, policies: NDArray[np.float64], gamma: float
    ) -> None:
        count, num_states, num_actions = policies.shape
        outcomes = mdp.probability.shape[-1]
        chances = policies.transpose(2, 0, 1)
        weight = np.where(mdp.terminated, 0.0, gamma * mdp.probability)
        first = np.arange(count)[:, None] * num_states
        terms = [(a, k) for a in range(num_actions) for k in range(outcomes)]
        reward = np.zeros((count, num_states))
        for a, k in terms:
            reward += chances[a] * (mdp.probability[:, a, k] * mdp.reward[:, a, k])
        self._reward = reward.ravel()
        all_weights = np.stack(
            [(chances[a] * weight[:, a, k]).ravel() for a, k in terms]
        )
        all_next = np.stack(
            [(first + mdp.next_state[:, a, k]).ravel() for a, k in terms]
        )
        # Most weights of a greedy policy are 0, and adding 0 changes no bit: the others
        # move up, in order, and the rows below the longest column are not computed.
        used = all_weights != 0
        place, column = used.cumsum(axis=0)[used] - 1, np.nonzero(used)[1]
        shape = (int(used.sum(axis=0).max(initial=0)), reward.size)
        self._weight, self._next = np.zeros(shape), np.zeros(shape, dtype=np.intp)
        self._weight[place, column] = all_weights[used]
        self._next[place, column] = all_next[used]

    def __call__(self, state_values: NDArray[np.float64]) -> NDArray[np.float64]:
        terms = state_values.take(self._next)
        terms *= self._weight
        total = self._reward.copy()
        for term in terms:
            total += term
        return total


def _total_reward(
    chain: NDArray[np.float64], reward: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The expected sum of ``reward`` along ``chain``, whose rows may sum to less."""
    reaches = _reachability(chain)
    stays = np.isclose(chain.sum(axis=1), 1.0, rtol=0.0, atol=1e-9)
    # A state is in a cycle that is never left if it never ends, nor does any state
    # that it reaches, and each of those reaches it back.
    endless = ~(reaches & ~stays).any(axis=1)
    recurrent = endless & ~(reaches & ~reaches.T).any(axis=1)
    total = np.zeros(len(chain))
    for state in np.flatnonzero(recurrent):
        cycle = np.flatnonzero(reaches[state])
        if state == cycle[0] and (limit := _cycle_total(chain, reward, cycle)) != 0:
            with np.errstate(invalid="ignore"):
                total += np.where(reaches[:, state], limit, 0.0)
    rest = np.isfinite(total) & ~recurrent
    system = np.eye(int(rest.sum())) - chain[np.ix_(rest, rest)]
    total[rest] = np.linalg.solve(system, reward[rest])
    return total


def _cycle_total(
    chain: NDArray[np.float64], reward: NDArray[np.float64], cycle: NDArray[np.intp]
) -> float:
    """The total reward of going round a set of states for ever: 0, -inf, inf or nan."""
    gains = reward[cycle]
    if not gains.any():
        return 0.0
    inside = chain[np.ix_(cycle, cycle)]
    system = np.vstack([inside.T - np.eye(len(cycle)), np.ones(len(cycle))])
    target = np.append(np.zeros(len(cycle)), 1.0)
    share_of_time = np.linalg.lstsq(system, target, rcond=None)[0]
    mean = float(share_of_time @ gains)
    if abs(mean) <= 1e-12 * float(np.abs(gains).max()):
        return np.nan
    return np.inf if mean > 0 else -np.inf


def _reachability(chain: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which states each state can come to, itself included: bool, shape (S, S)."""
    reaches = (chain > 0) | np.eye(len(chain), dtype=bool)
    for via in range(len(chain)):
        reaches |= reaches[:, via, None] & reaches[via]
    return reaches


def _action_values(
    mdp: TabularMDP, state_values: NDArray[np.float64], gamma: float
) -> NDArray[np.float64]:
    future = gamma * np.where(mdp.terminated, 0.0, state_values[mdp.next_state])
    possible = mdp.probability > 0
    terms = np.zeros(mdp.probability.shape)  # stays 0 where 0 * inf would be nan
    np.multiply(mdp.probability, mdp.reward + future, out=terms, where=possible)
    return terms.sum(axis=-1)


def _policy_iteration(mdp: TabularMDP, gamma: float) -> NDArray[np.float64]:
    actions = _action_values(mdp, np.zeros(mdp.num_states), gamma).argmax(axis=1)
    while True:
        state_values = policy_values(mdp, actions, gamma)
        q = _action_values(mdp, state_values, gamma)
        # Rounding alone must not count as an improvement, or it could go on for ever.
        margin = 1e-12 * (1.0 + np.abs(state_values))
        better = q.max(axis=1) > state_values + margin
        if not better.any():
            return state_values
        actions = np.where(better, q.argmax(axis=1), actions)


def _optimal_total(mdp: TabularMDP) -> NDArray[np.float64]:
    possible = mdp.probability > 0
    if (possible & ~mdp.terminated & (mdp.reward > 0)).any():
        raise ValueError(
            "gamma 1 with a positive reward on a step that does not end the episode: "
            "the total reward may grow without bound; use gamma below 1"
        )
    state_values = np.where(_can_settle(mdp), 0.0, -np.inf)
    finite = np.isfinite(state_values)
    for _ in range(_MAX_SWEEPS):
        before = state_values
        state_values = _action_values(mdp, before, 1.0).max(axis=1)
        change = np.abs(state_values[finite] - before[finite]).max(initial=0.0)
        scale = np.abs(state_values[finite]).max(initial=1.0)
        if change <= _RELATIVE_TOLERANCE * scale:
            break
    return state_values


def _can_settle(mdp: TabularMDP) -> NDArray[np.bool_]:
    """States from which some policy surely ends or comes to rest without rewards."""
    possible = mdp.probability > 0
    costly = (possible & (mdp.reward != 0) & ~mdp.terminated).any(axis=2)

    def surely(states: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(S, A): every outcome ends the episode or leads into ``states``."""
        good = ~possible | mdp.terminated | states[mdp.next_state]
        return np.asarray(good.all(axis=2))

    resting = np.ones(mdp.num_states, dtype=bool)
    while not np.array_equal(
        resting, smaller := resting & (surely(resting) & ~costly).any(axis=1)
    ):
        resting = smaller
    inside = np.ones(mdp.num_states, dtype=bool)
    while True:  # almost-sure reachability: shrink until what is left can settle
        safe = surely(inside)
        reached = resting
        while not np.array_equal(
            reached, larger := reached | (safe & _may(mdp, reached)).any(axis=1)
        ):
            reached = larger
        if np.array_equal(reached, inside):
            return inside
        inside = reached


def _may(mdp: TabularMDP, states: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(S, A): some outcome ends the episode or leads into ``states``."""
    good = mdp.terminated | states[mdp.next_state]
    return np.asarray(((mdp.probability > 0) & good).any(axis=2))


def _probabilities(mdp: TabularMDP, policy: ArrayLike) -> NDArray[np.float64]:
    """A policy as probabilities of shape (..., S, A)."""
    array = np.asarray(policy)
    if np.issubdtype(array.dtype, np.integer):
        if array.shape[-1:] != (mdp.num_states,):
            raise ValueError(
                f"a policy of actions of shape {array.shape}; give one action for each "
                f"of the {mdp.num_states} states"
            )
        if ((array < 0) | (array >= mdp.num_actions)).any():
            raise ValueError(
                f"a policy with actions from {array.min()} to {array.max()}; actions "
                f"are 0 ... {mdp.num_actions - 1}"
            )
        return np.eye(mdp.num_actions)[array]
    if array.shape[-2:] != (mdp.num_states, mdp.num_actions):
        raise ValueError(
            f"a policy of shape {array.shape}; its last axes must be the "
            f"{mdp.num_states} states and {mdp.num_actions} actions"
        )
    return array.astype(np.float64, copy=False)


def _check_horizon(horizon: int) -> None:
    if horizon < 0:
        raise ValueError(f"horizon {horizon} is negative; give 0 or more steps")


def _check_gamma(gamma: float) -> None:
    if not 0 <= gamma <= 1:
        raise ValueError(f"gamma {gamma} is outside [0, 1]; use 0.9, say")
