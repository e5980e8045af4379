"""Perceptrons: against a plain loop and torch, for every kind of space, bit by bit."""

import subprocess
import sys

import commenv_baselines
import gymnasium as gym
import numpy as np
import pytest
from commenv_baselines import kernels, policies
from commenv_baselines.policies import MLP, Players
from gymnasium import spaces

from commenv.errors import MissingExtraError

OBSERVATIONS = {
    "box": spaces.Box(-1, 1, (2, 3)),
    "discrete": spaces.Discrete(5, start=2),
    "multi-discrete": spaces.MultiDiscrete([3, 2, 4], start=[0, 1, 0]),
    "multi-binary": spaces.MultiBinary(4),
}
ACTIONS = {
    "discrete": spaces.Discrete(3, start=1),
    "multi-discrete": spaces.MultiDiscrete([3, 2, 2]),
    "box": spaces.Box(np.float32([-1, 0]), np.float32([1, 10])),
}
LINE = spaces.Box(-np.inf, np.inf, (4,))


def thetas(mlp, rows, scale=1.0):
    return np.random.default_rng(rows).normal(size=(rows, mlp.num_parameters)) * scale


def samples(space, rows):
    space.seed(0)
    return np.array([space.sample() for _ in range(rows)])


def plain_outputs(mlp, theta, features):
    """One row, layer by layer, with matrix products."""
    hidden, at = features, 0
    for inputs, outputs in zip(mlp.sizes, mlp.sizes[1:], strict=False):
        end = at + inputs * outputs
        weights = theta[at:end].reshape(inputs, outputs)
        hidden = np.tanh(hidden @ weights + theta[end : end + outputs])
        at = end + outputs
    return hidden


def plain_action(space, outputs):
    if isinstance(space, spaces.Discrete):
        return int(np.argmax(outputs)) + space.start
    if isinstance(space, spaces.MultiDiscrete):
        branches = np.split(outputs, np.cumsum(space.nvec)[:-1])
        return np.array([np.argmax(branch) for branch in branches])
    return space.low + (outputs + 1) / 2 * (space.high - space.low)


@pytest.mark.parametrize("hidden", [(), (8, 8), (3, 5, 2)])
@pytest.mark.parametrize("seen", OBSERVATIONS)
@pytest.mark.parametrize("done", ACTIONS)
def test_every_row_acts_as_a_plain_loop_does(seen, done, hidden):
    space = OBSERVATIONS[seen]
    mlp = MLP(space, ACTIONS[done], hidden)
    theta, observations = thetas(mlp, 6), samples(space, 6)
    outputs = mlp.outputs(theta, observations)
    actions = mlp.act(theta, observations)
    for row in range(6):
        features = np.asarray(spaces.flatten(space, observations[row]), np.float64)
        expected = plain_outputs(mlp, theta[row], features)
        np.testing.assert_allclose(outputs[row], expected, atol=1e-5)
        chosen = plain_action(ACTIONS[done], expected)
        np.testing.assert_allclose(actions[row], chosen, atol=1e-4)
        assert ACTIONS[done].contains(np.asarray(actions[row]).astype(actions.dtype))


def test_the_bounds_of_actions_are_reached_and_not_passed():
    space = spaces.Box(np.float32(-0.1), np.float32(0.7), (2,), np.float32)
    mlp = MLP(LINE, space, ())
    theta = np.array([[0.0] * 8 + [50.0, -50.0]])
    actions = mlp.act(theta, np.zeros((1, 4)))
    assert actions.dtype == np.float32
    assert actions.tolist() == [[space.high[0], space.low[0]]]


@pytest.mark.parametrize(
    ("inputs", "outputs", "hidden"),
    [(4, 2, (8, 8)), (27, 8, (64, 64)), (105, 8, (64, 64)), (1, 1, ()), (9, 1, (1, 5))],
)
def test_the_bits_of_a_row_do_not_depend_on_the_others(inputs, outputs, hidden):
    observation_space = spaces.Box(-np.inf, np.inf, (inputs,))
    mlp = MLP(observation_space, spaces.Box(-1, 1, (outputs,)), hidden)
    rows = 1000 if mlp.num_parameters < 1000 else 100
    theta = thetas(mlp, rows)
    observations = np.random.default_rng(1).normal(size=(rows, inputs))
    together = mlp.outputs(theta, observations)
    for size in (1, 2, 3, 7, 8, 9, 31, 63, 64, 65):
        some = np.random.default_rng(size).choice(rows, size, replace=False)
        alone = mlp.outputs(theta[some], observations[some])
        np.testing.assert_array_equal(alone, together[some])


def test_outputs_are_those_of_single_operations_in_the_documented_order():
    mlp = MLP(LINE, spaces.Box(-1, 1, (2,)), (7, 9))
    theta = thetas(mlp, 5)
    observations = np.random.default_rng(1).normal(size=(5, 4))
    outputs = mlp.outputs(theta, observations)
    for row in range(5):
        hidden, at = np.float32(observations[row]), 0
        rounded = np.float32(theta[row])
        for inputs, units in zip(mlp.sizes, mlp.sizes[1:], strict=False):
            end = at + inputs * units
            weights = rounded[at:end].reshape(inputs, units)
            total, whole = rounded[end : end + units].copy(), inputs - inputs % 4
            for four in range(0, whole, 4):
                products = weights[four : four + 4] * hidden[four : four + 4, None]
                total += ((products[0] + products[1]) + products[2]) + products[3]
            for one in range(whole, inputs):
                total += weights[one] * hidden[one]
            hidden = np.array([kernels.tanh(x) for x in total], np.float32)
            at = end + units
        np.testing.assert_array_equal(outputs[row], hidden)


def test_the_quick_tanh_is_within_a_millionth_odd_and_level_at_the_ends():
    x = np.concatenate([np.linspace(-12, 12, 20_001), [1e-30, -1e30, np.inf]])
    x = x.astype(np.float32)
    y = np.array([kernels.tanh(one) for one in x])
    np.testing.assert_allclose(y, np.tanh(x.astype(np.float64)), rtol=1e-6)
    np.testing.assert_array_equal(y, [-kernels.tanh(-one) for one in x])
    assert (np.abs(y[np.abs(x) >= 8.1]) == 1).all()
    assert np.abs(y).max() == 1
    assert np.isnan(kernels.tanh(np.float32(np.nan)))


def test_a_number_that_is_none_reaches_the_action():
    mlp = MLP(LINE, spaces.Box(-1, 1, (2,)), (3,))
    theta, observations = thetas(mlp, 2), np.zeros((2, 4))
    observations[1, 2] = np.nan
    outputs = mlp.outputs(theta, observations)
    assert np.isnan(outputs).tolist() == [[False, False], [True, True]]


def test_rows_that_have_ended_are_dropped_and_come_back():
    mlp = MLP(LINE, spaces.Box(-1, 1, (2,)), (8, 8))
    theta = thetas(mlp, 20)
    rng = np.random.default_rng(0)
    players = Players(mlp, theta)
    for share in (1.0, 0.9, 0.5, 0.2, 0.0, 1.0):
        active = rng.random(20) < share
        active[7] = True
        observations = rng.normal(size=(20, 4))
        expected = mlp.act(theta, observations)
        actions = players.act(observations, active)
        assert actions.shape == expected.shape
        np.testing.assert_array_equal(actions[active], expected[active])
    players.act(observations, np.arange(20) == 7)
    assert set(players.rows) == {7}
    both = np.isin(np.arange(20), [3, 7])
    expected = Players(mlp, theta).act(observations)
    np.testing.assert_array_equal(players.act(observations, both)[both], expected[both])


def test_greedy_gives_each_trial_its_own_policy():
    mlp = MLP(LINE, spaces.Discrete(3), (8,))
    theta = thetas(mlp, 2)
    act = mlp.greedy(theta)
    for seed in range(3):
        observations = np.random.default_rng(seed).normal(size=(10, 4))
        expected = mlp.act(theta.repeat(5, axis=0), observations)
        np.testing.assert_array_equal(act(observations), expected)


@pytest.mark.parametrize("done", ACTIONS)
def test_the_torch_module_agrees(done):
    torch = pytest.importorskip("torch")
    mlp = MLP(LINE, ACTIONS[done], (64, 64))
    theta = thetas(mlp, 1, scale=0.3)
    observations = np.random.default_rng(0).normal(size=(50, 4))
    module = mlp.to_torch(theta[0])
    own = list(module)[: 2 * (len(mlp.sizes) - 1)]  # then come the actions' scales
    assert sum(p.numel() for m in own for p in m.parameters()) == mlp.num_parameters
    given = module(torch.tensor(observations, dtype=torch.float32)).detach().numpy()
    rows = theta.repeat(50, axis=0)
    if isinstance(ACTIONS[done], spaces.Box):
        actions = mlp.act(rows, observations).reshape(50, -1)
        np.testing.assert_allclose(given, actions, atol=1e-5)
    else:
        np.testing.assert_allclose(given, mlp.outputs(rows, observations), atol=1e-5)


def test_without_torch_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    mlp = MLP(LINE, spaces.Discrete(2), ())
    with pytest.raises(MissingExtraError, match=r"\[torch\]"):
        mlp.to_torch(np.zeros(mlp.num_parameters))


def test_without_numba_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, "commenv_baselines.kernels")
    monkeypatch.delattr(commenv_baselines, "kernels")
    policies.kernels.cache_clear()
    with pytest.raises(MissingExtraError, match=r"\[baselines\]"):
        MLP(LINE, spaces.Discrete(2), ())


def test_a_second_process_does_not_compile_again():
    code = """
import numpy as np, gymnasium as gym
from commenv_baselines import kernels, policies
box = gym.spaces.Box(-1, 1, (4,))
mlp = policies.MLP(box, gym.spaces.Discrete(2), (8, 8))
mlp.act(np.zeros((1, 130)), np.zeros((1, 4)))
for kernel in (kernels.perceptrons, kernels.choose):
    assert not kernel.stats.cache_misses, kernel.stats
    assert kernel.stats.cache_hits
"""
    mlp = MLP(spaces.Box(-1, 1, (4,)), spaces.Discrete(2), (8, 8))
    mlp.act(np.zeros((1, 130)), np.zeros((1, 4)))
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_the_algorithms_does_not_import_numba():
    code = "import sys, commenv_baselines.es; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("wrong", [[3, 1, 0], [-1, 1, 0], [0, 0, 0], [0, 1, 4]])
def test_choices_outside_their_space_are_refused(wrong):
    mlp = MLP(OBSERVATIONS["multi-discrete"], spaces.Discrete(2), (3,))
    observations = np.array([[0, 1, 0], wrong])
    with pytest.raises(ValueError, match="leave the space"):
        mlp.act(thetas(mlp, 2), observations)


@pytest.mark.parametrize(
    ("seen", "done", "match"),
    [
        (spaces.Box(0, 255, (8, 8, 3), np.uint8), spaces.Discrete(2), "images"),
        (spaces.Box(0, 255, (8, 8), np.uint8), spaces.Discrete(2), "images"),
        (spaces.Box(0, 1, (8, 8, 3)), spaces.Discrete(2), "images"),
        (spaces.Text(3), spaces.Discrete(2), "FlattenObservation"),
        (LINE, spaces.Box(-np.inf, 1, (2,)), "finite bounds"),
        (LINE, spaces.Box(0, 9, (2,), np.int64), "real numbers"),
        (LINE, spaces.MultiBinary(3), "MultiBinary"),
    ],
)
def test_spaces_that_do_not_fit_are_refused(seen, done, match):
    with pytest.raises(ValueError, match=match):
        MLP(seen, done, (8,))


def test_sizes_that_do_not_fit_are_refused():
    mlp = MLP(LINE, spaces.Discrete(2), (8, 8))
    assert mlp.num_parameters == 130
    with pytest.raises(ValueError, match=r"\(3, 129\); MLP\(4-8-8-2\) needs .*130"):
        mlp.act(np.zeros((3, 129)), np.zeros((3, 4)))
    with pytest.raises(ValueError, match="5 numbers for a policy that takes 4"):
        mlp.act(np.zeros((3, 130)), np.zeros((3, 5)))
    with pytest.raises(ValueError, match="4 observations for 3 rows"):
        mlp.act(np.zeros((3, 130)), np.zeros((4, 4)))
    with pytest.raises(ValueError, match=r"\(8, 0\)"):
        MLP(LINE, spaces.Discrete(2), (8, 0))


def test_an_environments_own_observations_fit():
    env = gym.make("CartPole-v1")
    mlp = MLP(env.observation_space, env.action_space, (8, 8))
    observation, _ = env.reset(seed=0)
    action = mlp.act(np.zeros((1, 130)), observation[None])[0]
    assert action == 0  # the first of equal outputs
    assert env.action_space.contains(action)
    env.close()
