import numpy as np
import pytest

from commenv.envs import greedy_policy, make_batched
from commenv.learning import ExactEvaluator, MonteCarloEvaluator
from commenv.rng import Draws


def make_windy(num_envs):
    return make_batched("WindyGrid-v0", num_envs)


def played(trials, episodes=2000):
    return MonteCarloEvaluator(make_windy, Draws(3, trials, 2), 0.9, episodes)


def random_policies(count):
    weights = np.random.default_rng(0).random((count, 25, 5))
    return weights / weights.sum(axis=-1, keepdims=True)


def test_the_exact_value_of_the_best_policy_is_the_optimum():
    world = make_batched("SimpleGrid-v0", 1)
    values = world.mdp.optimal_values(0.9)
    ahead = np.where(world.mdp.terminated, 0.0, values[world.mdp.next_state])
    q = (world.mdp.probability * (world.mdp.reward + 0.9 * ahead)).sum(axis=-1)
    evaluator = ExactEvaluator(world.mdp, 0.9, 200, 1)
    value = evaluator.table_values(greedy_policy(np.round(q, 9))[None], episode=0)
    np.testing.assert_allclose(value, [-5.2170310], atol=1e-7)


def test_the_horizon_is_the_time_limit():
    world = make_batched("SimpleGrid-v0", 1, max_episode_steps=3)
    stay = np.zeros((1, 25, 5))
    stay[..., 4] = 1
    value = ExactEvaluator(world.mdp, 0.9, 3, 1).table_values(stay, episode=0)
    np.testing.assert_allclose(value, [-(1 + 0.9 + 0.81)], rtol=1e-15)


def test_play_meets_the_exact_values_within_sampling_error():
    policies = random_policies(3)
    exact = ExactEvaluator(make_windy(1).mdp, 0.9, 200, 3).table_values(policies, 0)
    sample = played([0, 1, 2]).table_values(policies, 0)
    # A return lies in [-10, 0], so its standard deviation is at most 5.
    np.testing.assert_allclose(sample, exact, atol=4 * 5 / np.sqrt(2000))


def test_a_played_value_depends_on_trial_and_round_alone():
    policies = random_policies(3)
    together = played([0, 1, 2], 5).table_values(policies, 7)
    alone = played([1], 5).table_values(policies[1:2], 7)
    assert together[1] == alone[0]
    assert played([1], 5).table_values(policies[1:2], 8)[0] != alone[0]


def test_a_function_is_valued_as_the_table_it_amounts_to():
    """One trial walks right and then down, the other stays."""
    mdp = make_batched("SimpleGrid-v0", 1).mdp

    def act(states):
        walk, stay = states.reshape(2, -1)
        return np.concatenate([np.where(walk % 5 == 4, 3, 1), np.full_like(stay, 4)])

    exact = ExactEvaluator(mdp, 0.9, 200, 2).values(act, 0)
    np.testing.assert_allclose(exact, [-5.2170310, -(1 - 0.9**200) / 0.1], atol=1e-6)
    draws = Draws(0, [0, 1], 1)
    make = lambda n: make_batched("SimpleGrid-v0", n, max_episode_steps=200)  # noqa: E731
    np.testing.assert_allclose(
        MonteCarloEvaluator(make, draws, 0.9, 3).values(act, 0), exact, rtol=1e-12
    )


def test_no_evaluation_episodes_are_too_few():
    with pytest.raises(ValueError, match="0 evaluation episodes; at least 1"):
        played([0], 0)


def test_play_tells_returns_totals_and_lengths_of_every_episode():
    """One trial walks right and then down, the other stays."""

    def act(states):
        walk, stay = states.reshape(2, -1)
        return np.concatenate([np.where(walk % 5 == 4, 3, 1), np.full_like(stay, 4)])

    make = lambda n: make_batched("SimpleGrid-v0", n, max_episode_steps=20)  # noqa: E731
    evaluator = MonteCarloEvaluator(make, Draws(0, [0, 1], 1), 0.9, 3)
    played = evaluator.play(act, 0)
    assert played.lengths.tolist() == [[8] * 3, [20] * 3]
    assert played.totals.tolist() == [[-7.0] * 3, [-20.0] * 3]
    np.testing.assert_allclose(played.returns[0], -(1 - 0.9**7) / 0.1, rtol=1e-12)
    np.testing.assert_array_equal(evaluator.values(act, 0), played.returns.mean(axis=1))


def test_policies_that_stay_are_not_valued_again(monkeypatch):
    mdp = make_windy(1).mdp
    evaluator = ExactEvaluator(mdp, 0.9, 200, 4)
    valued = []
    induce = evaluator._induced
    monkeypatch.setattr(
        evaluator, "_induced", lambda some: valued.append(len(some)) or induce(some)
    )
    rng = np.random.default_rng(0)
    policies = random_policies(4)
    for episode in range(12):
        changes = rng.random(4) < 0.4
        policies = policies.copy()
        policies[changes] = policies[changes][:, rng.permutation(25)]
        values = evaluator.table_values(policies, episode)
        afresh = ExactEvaluator(mdp, 0.9, 200, 4).table_values(policies, episode)
        assert values.tolist() == afresh.tolist()
        values[:] = 7  # the caller's to keep
    assert valued[0] == 4
    assert sum(valued) < 12 * 4
    evaluator.table_values(policies, 12)
    policies[2] = policies[2][rng.permutation(25)]  # in place
    values = evaluator.table_values(policies, 13)
    assert values.tolist() == induce(policies).tolist()
