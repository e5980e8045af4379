"""DQL against a brute-force update, the exact optimum, and its message sizes."""

import numpy as np
import pytest
from commenv_baselines.dql import DQL
from commenv_baselines.tabular import STEP

import commenv
from commenv.channel import Messages, Received
from commenv.envs import make_batched
from commenv.learning import ExactEvaluator, Problem
from commenv.rng import Draws

OPTIMUM = -5.2170310


def problem(env_id="SimpleGrid-v0", trials=3, agents=2, gamma=0.9):
    world = make_batched(env_id, 1)
    return Problem(
        draws=Draws(0, range(trials), agents),
        observation_space=world.single_observation_space,
        action_space=world.single_action_space,
        gamma=gamma,
        num_episodes=10,
        evaluator=ExactEvaluator(world.mdp, gamma, 200, trials),
        mdp=world.mdp,
    )


def random_messages(rng, trials, agents):
    counts = rng.integers(0, 30, size=(trials, agents))
    records = np.zeros(counts.sum(), STEP)
    records["state"] = rng.integers(0, 4, len(records))  # few, so that pairs repeat
    records["action"] = rng.integers(0, 2, len(records))
    records["reward"] = rng.normal(size=len(records))
    following = rng.integers(0, 25, len(records))
    records["next_state"] = np.where(
        rng.random(len(records)) < 0.3, ~following, following
    )
    sent = Messages(records, counts)
    return Received(sent.records, sent.counts, np.empty(0), np.empty(0))


def brute_force_update(q, messages, alpha, gamma):
    """Section by section as the thesis has it, one record at a time."""
    new = q.copy()
    begin = np.concatenate([[0], np.cumsum(messages.counts.sum(axis=1))])
    for trial in range(len(q)):
        errors = {}
        for s, a, r, stored in messages.records[begin[trial] : begin[trial + 1]]:
            terminated = stored < 0
            ahead = 0.0 if terminated else max(q[trial, stored])
            errors.setdefault((s, a), []).append(r + gamma * ahead - q[trial, s, a])
        for (s, a), deltas in errors.items():
            new[trial, s, a] += alpha * sum(deltas) / len(deltas)
    return new


def test_the_update_is_the_brute_force_one():
    rng = np.random.default_rng(0)
    learner = DQL(alpha=0.3).learner(problem())
    for _ in range(5):
        messages = random_messages(rng, 3, 2)
        expected = brute_force_update(learner.memory["q"], messages, 0.3, 0.9)
        learner.update(messages)
        np.testing.assert_allclose(learner.memory["q"], expected, rtol=1e-12)
    assert learner.memory["q"].any()


def test_without_messages_nothing_is_learned():
    learner = DQL().learner(problem())
    before = learner.memory["q"].copy()
    silent = Messages.silent(STEP, (3, 2))
    learner.update(Received(silent.records, silent.counts, np.empty(0), np.empty(0)))
    np.testing.assert_array_equal(learner.memory["q"], before)


def test_the_learning_rate_fits_the_environment_unless_it_is_given():
    assert DQL().learner(problem("SimpleGrid-v0")).alpha == 0.9
    assert DQL().learner(problem("WindyGrid-v0")).alpha == 0.1
    assert DQL(alpha=0.4).learner(problem("WindyGrid-v0")).alpha == 0.4


def test_agents_act_on_the_table_that_they_received():
    agents = DQL(exploration=0.0).agents(problem())
    q = np.zeros((3, 2, 25, 5))
    q[..., 3] = 1
    parameters = np.zeros((3, 2), np.dtype([("q", "<f8", (25, 5))]))
    parameters["q"] = q
    agents.begin(0)
    agents.receive(parameters)
    actions = agents.act(np.zeros(6, dtype=int), np.ones(6, dtype=bool))
    assert actions.tolist() == [3] * 6


def test_parameters_are_one_table_for_each_trial():
    parameters = DQL(initial_value=2.0).learner(problem()).parameters()
    assert parameters.shape == (3,)
    assert parameters.dtype.itemsize == 8 * 25 * 5
    assert (parameters["q"] == 2.0).all()


@pytest.mark.slow
def test_every_trial_ends_at_the_optimum_and_pays_for_every_step():
    results = commenv.run(
        "SimpleGrid-v0",
        "dql",
        num_agents=5,
        num_trials=100,
        num_episodes=1000,
        progress=False,
    )
    frame = results.frame
    last = frame[frame["episode"] == 999]
    assert len(last) == 100
    np.testing.assert_allclose(results.optimum["dql"], OPTIMUM, atol=1e-7)
    np.testing.assert_allclose(last["evaluation"], results.optimum["dql"], atol=1e-9)
    assert (frame["frequency"] == 1).all()
    np.testing.assert_array_equal(frame["size"], 20 * frame["episode_length"])
    np.testing.assert_array_equal(frame["downlink_size"], 8 * 25 * 5)
    np.testing.assert_array_equal(frame["header_size"], 16)
    late = frame[frame["episode"] >= 900]
    # Exploration of 0.1 levels the behaviour policy at about -5.59.
    assert abs(late["reward"].mean() + 5.59) < 0.01


def test_another_gamma_leads_to_its_own_optimum():
    results = commenv.run(
        "SimpleGrid-v0",
        "dql",
        num_trials=4,
        num_episodes=150,
        gamma=1.0,
        progress=False,
    )
    last = results.frame[results.frame["episode"] == 149]
    np.testing.assert_allclose(last["evaluation"], -7.0, atol=1e-9)
    assert results.optimum["dql"] == -7.0


def test_steps_that_cannot_have_been_teach_nothing():
    settings = DQL(alpha=1.0)
    learner = settings.learner(problem(trials=2))
    states, actions = learner.memory["q"].shape[1:]
    steps = np.zeros(8, STEP)
    steps["reward"] = 1.0
    steps["next_state"] = ~1
    steps["state"][1], steps["state"][2] = -1, states
    steps["action"][3] = actions
    steps["next_state"][4] = states
    steps["reward"][5] = np.inf
    counts = np.array([[2, 2], [3, 1]])
    learner.update(Received(steps, counts, np.empty(0), np.empty(0)))
    assert learner.invalid.tolist() == [2, 1]
    assert learner.memory["q"][:, 0, 0].tolist() == [1, 1]
    assert learner.memory["q"].sum() == 2
