"""DAVIA's gradient, predicted gain and learning, against one record at a time."""

import numpy as np
import pytest
from commenv_baselines.davia import DAVIA
from commenv_baselines.tabular import STEP

from commenv.channel import Messages, Received
from commenv.envs import make_batched
from commenv.learning import ExactEvaluator, Problem
from commenv.rng import Draws

GAMMA = 0.9


def random_features(problem):
    return np.random.default_rng(3).normal(size=(25, 5, 7))


def problem(env_id="WindyGrid-v0", trials=2, agents=3):
    world = make_batched(env_id, 1)
    return Problem(
        draws=Draws(0, range(trials), agents),
        observation_space=world.single_observation_space,
        action_space=world.single_action_space,
        gamma=GAMMA,
        num_episodes=10,
        evaluator=ExactEvaluator(world.mdp, GAMMA, 200, trials),
        mdp=world.mdp,
    )


def table_of(features, mdp):
    """phi(s, a) written out, shape (states, actions, d)."""
    if features == "state_action":
        return np.eye(125).reshape(25, 5, 125)
    if features == "afterstate":
        calm = make_batched("SimpleGrid-v0", 1).mdp.next_state[..., 0]
        return np.eye(25)[calm]
    return random_features(None)


def random_steps(random):
    counts = random.integers(0, 12, size=(2, 3))
    steps = np.zeros(counts.sum(), STEP)
    steps["state"] = random.integers(0, 25, len(steps))
    steps["action"] = random.integers(0, 5, len(steps))
    steps["reward"] = random.normal(size=len(steps))
    following = random.integers(0, 25, len(steps))
    ends = random.random(len(steps)) < 0.2
    steps["next_state"] = np.where(ends, ~following, following)
    return Messages(steps, counts)


@pytest.mark.parametrize("features", ["state_action", "afterstate", "own"])
def test_the_gain_is_the_change_of_the_objective(features, monkeypatch):
    import sys
    import types

    module = types.ModuleType("own_features")
    module.make = random_features
    monkeypatch.setitem(sys.modules, "own_features", module)
    name = "own_features:make" if features == "own" else features
    settings = DAVIA(features=name, step_size=0.7, ridge=0.01)
    task = problem()
    agents = settings.agents(task)
    phi = table_of(features, task.mdp)
    random = np.random.default_rng(0)
    weights = random.normal(size=(2, 3, phi.shape[-1]))
    parameters = np.zeros((2, 3), np.dtype([("w", "<f8", (phi.shape[-1],))]))
    parameters["w"] = weights
    agents.receive(parameters)
    steps = random_steps(random)
    gradient, gain = agents.gradient(steps)
    stop = 0
    for row, count in enumerate(steps.counts.ravel()):
        start, stop = stop, stop + count
        w = weights.reshape(6, -1)[row]
        features_of, targets = [], []
        for s, a, r, stored in steps.records[start:stop]:
            ahead = 0.0 if stored < 0 else max(phi[stored] @ w)
            features_of.append(phi[s, a])
            targets.append(r + GAMMA * ahead)
        if not count:
            continue
        x, y = np.array(features_of), np.array(targets)

        def objective(v, x=x, y=y):
            return ((x @ v - y) ** 2).mean() / 2 + 0.01 / 2 * v @ v

        expected = x.T @ (x @ w - y) / count + 0.01 * w
        np.testing.assert_allclose(gradient[row], expected, atol=1e-12)
        change = objective(w - 0.7 * expected) - objective(w)
        assert gain[row] == pytest.approx(change, abs=1e-12)


def test_the_learner_steps_along_the_mean_of_what_it_received():
    learner = DAVIA(step_size=0.5).learner(problem())
    dtype = np.dtype([("gradient", "<f8", (125,))])
    records = np.zeros(3, dtype)
    records["gradient"] = np.arange(3)[:, None] + np.zeros(125)
    sent = Messages(records, np.array([[1, 0, 1], [0, 0, 1]]))
    learner.update(Received(sent.records, sent.counts, np.empty(0), np.empty(0)))
    np.testing.assert_allclose(learner.memory["w"][:, 0], [-0.5 * 0.5, -0.5 * 2.0])
    silent = Messages.silent(dtype, (2, 3))
    before = learner.memory["w"].copy()
    learner.update(Received(silent.records, silent.counts, np.empty(0), np.empty(0)))
    np.testing.assert_array_equal(learner.memory["w"], before)


def test_a_gradient_costs_eight_bytes_a_feature():
    agents = DAVIA(features="afterstate").agents(problem())
    agents.begin(0)
    messages, _ = agents.candidates()
    assert messages.records.dtype.itemsize == 8 * 25
    assert messages.counts.tolist() == [[0, 0, 0], [0, 0, 0]]


def test_exploration_falls_to_its_floor():
    settings = DAVIA(exploration=0.05, initial_exploration=0.8, exploration_decay=0.01)
    explored = [settings.exploration_in(k) for k in (0, 10, 75, 500)]
    np.testing.assert_allclose(explored, [0.8, 0.7, 0.05, 0.05])
    assert DAVIA(exploration=0.2).exploration_in(7) == 0.2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DAVIA(step_size=0.0), "step_size 0.0 is not above 0"),
        (lambda: DAVIA(exploration=-0.1), "exploration -0.1 is outside"),
        (lambda: DAVIA(ridge=-1.0), "ridge -1.0 is negative"),
        (
            lambda: DAVIA(features="state_acton").agents(problem()),
            "did you mean 'state_action'",
        ),
        (
            lambda: DAVIA(features="nowhere:f").agents(problem()),
            "cannot be imported",
        ),
    ],
)
def test_settings_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()
