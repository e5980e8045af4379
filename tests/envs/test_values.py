import gymnasium as gym
import numpy as np
import pytest

import commenv  # noqa: F401 - registers the ids
from commenv.envs import TabularMDP, greedy_policy, make_batched

CODES_WIND = {"down": 0.3, "left": 0.3}


def mdp_of(env_id, **arguments):
    return TabularMDP.from_env(gym.make(env_id, **arguments))


def loop(*rewards, end=None):
    """States 0, 1, ... visited in turn for ever, with a reward each.

    With ``end``, a second action ends the episode with that reward.
    """
    size = len(rewards)
    table = {}
    for state, reward in enumerate(rewards):
        table[state] = {0: [(1.0, (state + 1) % size, reward, False)]}
        if end is not None:
            table[state][1] = [(1.0, state, end, True)]
    return TabularMDP.from_transitions(table, np.eye(size)[0])


@pytest.mark.parametrize(
    ("env_id", "arguments", "gamma", "value"),
    [
        ("commenv/SimpleGrid-v0", {}, 1, -7),
        ("commenv/SimpleGrid-v0", {}, 0.9, -5.21703),
        ("commenv/WindyGrid-v0", {}, 1, -14.47349),
        ("commenv/WindyGrid-v0", {}, 0.9, -7.56607),
        ("commenv/WindyGrid-v0", {"wind": CODES_WIND}, 1, -7.09179),
        ("commenv/WindyGrid-v0", {"wind": CODES_WIND}, 0.9, -5.18838),
        ("commenv/FrozenLake-v0", {"map_name": "4x4"}, 1, 1),
        ("commenv/FrozenLake-v0", {"map_name": "4x4"}, 0.9, 0.59049),
        ("commenv/FrozenLake-v0", {}, 1, 1),
        ("commenv/FrozenLake-v0", {}, 0.9, 0.4782969),
        ("FrozenLake-v1", {"is_slippery": False}, 0.9, 0.59049),
        ("CliffWalking-v1", {}, 1, -13),
        ("Taxi-v4", {}, 1, 7.93),
    ],
)
def test_optimal_value_of_the_start(env_id, arguments, gamma, value):
    mdp = mdp_of(env_id, **arguments)
    assert mdp.start_value(mdp.optimal_values(gamma)) == pytest.approx(value, abs=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.9, 0.999, 1.0])
def test_optimal_values_solve_bellmans_equation(gamma):
    mdp = mdp_of("commenv/WindyGrid-v0", size=(3, 4))
    values = mdp.optimal_values(gamma)
    future = np.where(mdp.terminated, 0, values[mdp.next_state])
    q = (mdp.probability * (mdp.reward + gamma * future)).sum(axis=2)
    np.testing.assert_allclose(q.max(axis=1), values, rtol=1e-12, atol=1e-12)


def test_optimal_total_is_minus_infinity_where_every_policy_pays_for_ever():
    # 0 pays and reaches 1 or, by action 1, the end; 1 and 2 cannot leave each other.
    mdp = TabularMDP.from_transitions(
        {
            0: {0: [(1.0, 1, -1.0, False)], 1: [(1.0, 0, -5.0, True)]},
            1: {0: [(1.0, 2, -1.0, False)], 1: [(1.0, 2, 0.0, False)]},
            2: {0: [(1.0, 1, -1.0, False)], 1: [(1.0, 1, -2.0, False)]},
            # A draw of 3 leads to the trap, however rarely.
            3: {
                0: [(0.001, 1, 0.0, False), (0.999, 3, 0.0, True)],
                1: [(0.5, 3, -1.0, False), (0.5, 3, -1.0, True)],
            },
            # Staying costs for ever, and the only way out may lead into the trap.
            4: {
                0: [(0.5, 1, 0.0, False), (0.5, 4, 0.0, True)],
                1: [(1.0, 4, -1.0, False)],
            },
        },
        [0, 0, 0, 1, 0],
    )
    never = -np.inf
    assert mdp.optimal_values(1) == pytest.approx([-5, never, never, -2, never])


def test_optimal_total_prefers_to_rest_without_rewards_to_ending_at_a_cost():
    mdp = loop(0.0, 0.0, end=-1.0)
    assert mdp.optimal_values(1).tolist() == [0, 0]


def test_optimal_total_refuses_rewards_that_may_add_up_without_bound():
    with pytest.raises(ValueError, match="use gamma below 1"):
        loop(1.0, -1.0).optimal_values(1)
    assert loop(1.0).optimal_values(0.5) == pytest.approx([2])


def test_policy_values_by_hand():
    mdp = TabularMDP.from_transitions(
        {
            0: {
                0: [(0.5, 0, -1.0, False), (0.5, 1, -1.0, False)],
                1: [(1.0, 0, 4.0, True)],
            },
            1: {0: [(1.0, 1, 2.0, True)], 1: [(1.0, 0, 0.0, False)]},
        },
        [1, 0],
    )
    # v0 = -1 + v0 / 2 + v1 / 2, v1 = 2
    assert mdp.policy_values([0, 0], 1) == pytest.approx([0, 2])
    # v0 = -1 + 0.25 v0 + 0.25 v1, v1 = 2
    assert mdp.policy_values([0, 0], 0.5) == pytest.approx([-2 / 3, 2])
    # Half of each action: v0 = (-1 + v0/2 + v1/2)/2 + 2, v1 = 1 + v0/2
    mixed = np.full((2, 2), 0.5)
    assert mdp.policy_values(mixed, 1) == pytest.approx([2.8, 2.4])


@pytest.mark.parametrize(
    ("rewards", "total"),
    [
        ((0.0, 0.0), 0.0),
        ((-1.0, 0.0), -np.inf),
        ((2.0, -1.0), np.inf),
        ((1.0, -1.0), np.nan),
    ],
)
def test_total_reward_of_going_round_for_ever(rewards, total):
    values = loop(*rewards).policy_values([0, 0], 1)
    np.testing.assert_array_equal(values, [total, total])


def test_a_policy_that_may_enter_an_endless_cycle_is_worth_minus_infinity():
    mdp = mdp_of("commenv/SimpleGrid-v0")
    stay = mdp.policy_values(np.full(25, 4), 1)
    assert stay.tolist() == [-np.inf] * 24 + [0]
    # Right everywhere: the last row ends, the others run against the wall for ever.
    right = mdp.policy_values(np.full(25, 1), 1)
    assert right.tolist() == [-np.inf] * 20 + [-3, -2, -1, 0, 0]
    # Half right, half down comes to the corner sooner or later.
    half = np.zeros((25, 5))
    half[:, [1, 3]] = 0.5
    assert np.isfinite(mdp.policy_values(half, 1)).all()


def test_a_transient_state_may_reach_cycles_of_both_signs_or_of_no_reward():
    mdp = TabularMDP.from_transitions(
        {
            0: {0: [(0.5, 1, 0.0, False), (0.5, 2, 0.0, False)]},
            1: {0: [(1.0, 1, 1.0, False)]},
            2: {0: [(1.0, 2, -1.0, False)]},
            3: {0: [(0.5, 4, 6.0, False), (0.5, 3, 0.0, False)]},
            4: {0: [(1.0, 4, 0.0, False)]},
        },
        [1, 0, 0, 0, 0],
    )
    values = mdp.policy_values(np.zeros(5, dtype=int), 1)
    np.testing.assert_allclose(values, [np.nan, np.inf, -np.inf, 6, 0])


def test_optimal_values_are_those_of_the_greedy_policy():
    mdp = mdp_of("commenv/WindyGrid-v0")
    values = mdp.optimal_values(0.9)
    future = np.where(mdp.terminated, 0, values[mdp.next_state])
    q = (mdp.probability * (mdp.reward + 0.9 * future)).sum(axis=2)
    greedy = mdp.policy_values(q.argmax(axis=1), 0.9)
    np.testing.assert_allclose(greedy, values, rtol=1e-12)


def test_finite_horizon_values_by_hand():
    mdp = mdp_of("commenv/SimpleGrid-v0")
    right = np.full(25, 1)
    assert mdp.finite_horizon_values(right, 1, 0).tolist() == [0] * 25
    assert mdp.finite_horizon_values(right, 1, 1).tolist() == [-1] * 23 + [0, 0]
    third = mdp.finite_horizon_values(right, 0.5, 3)
    assert third.tolist() == [-1.75] * 21 + [-1.5, -1, 0, 0]
    stay = mdp.finite_horizon_values(np.full(25, 4), 1, 200)
    assert stay.tolist() == [-200] * 24 + [0]


def test_finite_horizon_values_agree_with_powers_of_the_transition_matrix():
    mdp = mdp_of("commenv/WindyGrid-v0", size=(3, 3))
    rng = np.random.default_rng(1)
    policy = rng.dirichlet(np.ones(5), size=9)
    chain = np.zeros((9, 9))
    reward = np.zeros(9)
    for state, action, k in np.ndindex(mdp.probability.shape):
        chance = policy[state, action] * mdp.probability[state, action, k]
        reward[state] += chance * mdp.reward[state, action, k]
        if not mdp.terminated[state, action, k]:
            chain[state, mdp.next_state[state, action, k]] += chance
    expected = np.zeros(9)
    for _ in range(37):
        expected = reward + 0.9 * chain @ expected
    values = mdp.finite_horizon_values(policy, 0.9, 37)
    np.testing.assert_allclose(values, expected, rtol=1e-12)


@pytest.mark.parametrize("env_id", ["commenv/SimpleGrid-v0", "commenv/WindyGrid-v0"])
@pytest.mark.parametrize("horizon", [0, 1, 7, 8, 9, 200])
def test_a_policys_finite_horizon_values_do_not_depend_on_its_batch(env_id, horizon):
    mdp = mdp_of(env_id)
    rng = np.random.default_rng(0)
    q = rng.integers(0, 3, (6, 25, 5)).astype(float)
    policies = np.concatenate([greedy_policy(q), rng.dirichlet(np.ones(5), (6, 25))])
    together = mdp.finite_horizon_values(policies.reshape(3, 4, 25, 5), 0.9, horizon)
    alone = [mdp.finite_horizon_values(policy, 0.9, horizon) for policy in policies]
    assert together.shape == (3, 4, 25)
    assert together.reshape(12, 25).tobytes() == np.array(alone).tobytes()


def test_stopping_early_changes_no_bit():
    # The first policy settles after 8 sweeps, the second never; discounting would hide
    # an error made when the first one leaves the batch.
    mdp = mdp_of("commenv/SimpleGrid-v0")
    policies = np.stack([np.where(np.arange(25) % 5 < 4, 1, 3), np.full(25, 4)])
    short = mdp.finite_horizon_values(policies, 1, 200)
    by_hand = np.zeros((2, 25))
    states = np.arange(25)
    for _ in range(200):
        for row, policy in enumerate(policies):
            outcome = mdp.next_state[states, policy, 0]
            weight = np.where(mdp.terminated[states, policy, 0], 0.0, 1.0)
            reward = mdp.reward[states, policy, 0]
            by_hand[row] = reward + weight * by_hand[row][outcome]
    assert (short == by_hand).all()


def test_integer_actions_and_probabilities_are_the_same_policy():
    mdp = mdp_of("commenv/WindyGrid-v0")
    actions = np.random.default_rng(0).integers(0, 5, (4, 25))
    as_chances = np.eye(5)[actions]
    one = mdp.finite_horizon_values(actions, 0.9, 50)
    assert (one == mdp.finite_horizon_values(as_chances, 0.9, 50)).all()


def test_greedy_policy_shares_exact_ties_alone():
    q = [[1.0, 2.0, 2.0], [0.0, -1e-300, 0.0], [3.0, 3.0 - 1e-15, 1.0]]
    assert greedy_policy(q).tolist() == [[0, 0.5, 0.5], [0.5, 0, 0.5], [1, 0, 0]]
    assert (
        greedy_policy(np.zeros((2, 3, 4))).tolist() == np.full((2, 3, 4), 0.25).tolist()
    )


@pytest.mark.parametrize("gamma", [-0.1, 1.1, float("nan")])
def test_a_discount_outside_0_to_1_is_refused(gamma):
    mdp = loop(0.0)
    for ask in (
        lambda: mdp.optimal_values(gamma),
        lambda: mdp.policy_values([0], gamma),
        lambda: mdp.finite_horizon_values([0], gamma, 3),
    ):
        with pytest.raises(ValueError, match=rf"gamma {gamma} is outside \[0, 1\]"):
            ask()


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ([0, 0, 0], r"shape \(3,\); give one action for each of the 2 states"),
        ([0, 2], "actions from 0 to 2; actions are 0 ... 1"),
        ([-1, 0], "actions from -1 to 0"),
        (np.ones((2, 3)), r"shape \(2, 3\); .* 2 states and 2 actions"),
    ],
)
def test_a_policy_of_another_size_is_refused(policy, message):
    with pytest.raises(ValueError, match=message):
        loop(0.0, 0.0, end=0.0).finite_horizon_values(policy, 1, 5)


def test_policy_values_takes_one_policy_and_a_horizon_is_not_negative():
    mdp = loop(0.0, 0.0)
    with pytest.raises(ValueError, match="takes one"):
        mdp.policy_values(np.zeros((3, 2), dtype=int), 1)
    with pytest.raises(ValueError, match="horizon -1 is negative"):
        mdp.finite_horizon_values([0, 0], 1, -1)


@pytest.mark.parametrize("gamma", [0.9, 1.0])
def test_the_best_of_few_steps_is_the_best_of_all_policies_for_them(gamma):
    """Brute force over every sequence of actions, on a grid without wind."""
    mdp = make_batched("SimpleGrid-v0", 1, env_kwargs={"size": 2}).mdp

    def best(state, steps):
        if steps == 0:
            return 0.0
        totals = []
        for action in range(5):
            following = mdp.next_state[state, action, 0]
            reward = mdp.reward[state, action, 0]
            ends = mdp.terminated[state, action, 0]
            ahead = 0.0 if ends else best(following, steps - 1)
            totals.append(reward + gamma * ahead)
        return max(totals)

    for horizon in range(5):
        expected = [best(state, horizon) for state in range(4)]
        found = mdp.finite_horizon_optimum(gamma, horizon)
        np.testing.assert_allclose(found, expected, rtol=1e-15)


def test_a_long_horizon_is_as_good_as_none():
    mdp = make_batched("WindyGrid-v0", 1).mdp
    np.testing.assert_allclose(
        mdp.finite_horizon_optimum(0.9, 400), mdp.optimal_values(0.9), atol=1e-12
    )
