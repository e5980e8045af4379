"""Optimizers against torch's, and rows that do not depend on each other."""

import numpy as np
import pytest
from commenv_baselines.optimizers import Adam, Momentum, Normalized

TRIALS, SIZE, STEPS = 3, 7, 40


def gradients():
    rng = np.random.default_rng(0)
    return rng.normal(size=(STEPS, TRIALS, SIZE)) * 10.0 ** rng.integers(-3, 3, SIZE)


def climb(optimizer, each):
    theta = np.zeros(each[0].shape)
    state = optimizer.start(theta.shape)
    for gradient in each:
        step, state = optimizer.step(gradient, state)
        theta = theta + step
    return theta


def climb_with_torch(make):
    torch = pytest.importorskip("torch")
    theta = torch.zeros((TRIALS, SIZE), dtype=torch.float64, requires_grad=True)
    optimizer = make(torch.optim, [theta])
    for gradient in gradients():
        theta.grad = torch.from_numpy(-gradient)  # torch descends
        optimizer.step()
    return theta.detach().numpy()


def test_adam_is_torchs():
    expected = climb_with_torch(lambda optim, theta: optim.Adam(theta, lr=0.03))
    np.testing.assert_allclose(climb(Adam(0.03), gradients()), expected, rtol=1e-12)


@pytest.mark.parametrize("momentum", [0.0, 0.01, 0.9])
def test_momentum_is_torchs(momentum):
    expected = climb_with_torch(
        lambda optim, theta: optim.SGD(theta, lr=0.03, momentum=momentum)
    )
    actual = climb(Momentum(0.03, momentum), gradients())
    np.testing.assert_allclose(actual, expected, rtol=1e-12)


def test_normalized_steps_have_one_length_and_none_without_a_gradient():
    gradient = np.array([[3.0, 4.0], [0.0, 0.0], [0.0, -1e-9]])
    step, _ = Normalized(0.5).step(gradient, {})
    np.testing.assert_allclose(step, [[0.3, 0.4], [0, 0], [0, -0.5]], rtol=1e-15)


@pytest.mark.parametrize("optimizer", [Adam(0.03), Momentum(0.03), Normalized(0.03)])
def test_a_row_has_the_same_bits_alone(optimizer):
    together = climb(optimizer, gradients())
    for row in range(TRIALS):
        alone = climb(optimizer, gradients()[:, row : row + 1])
        np.testing.assert_array_equal(alone[0], together[row])
