import numpy as np
import pytest

from commenv.channel import Left
from commenv.learning import Always, SchemeDraws, Signal
from commenv.rng import Draws


def test_always_sends_every_message():
    left = Left(np.full((2, 3), np.inf), np.full((2, 3), np.inf))
    draws = SchemeDraws(Draws(0, range(2), 3), episode=0, num_episodes=9)
    scheme = Always()
    mask, state = scheme.select({}, scheme.start((2, 3)), draws, left)
    assert mask.tolist() == [[True] * 3] * 2
    assert state == {}


def test_a_record_signal_is_padded_agent_by_agent():
    signal = Signal("record", np.array([1.0, 2.0, 3.0]), np.array([[2, 0, 1]]))
    assert signal.padded(-1.0).tolist() == [[[1.0, 2.0], [-1.0, -1.0], [3.0, -1.0]]]


def test_a_message_signal_has_nothing_to_pad():
    signal = Signal("message", np.zeros((1, 2)), np.array([[1, 1]]))
    with pytest.raises(ValueError, match="no records to pad"):
        signal.padded(0.0)


def test_a_schemes_draws_belong_to_the_round():
    draws = Draws(0, range(2), 3)
    first = SchemeDraws(draws, episode=4, num_episodes=9).uniforms(2)
    assert first.shape == (2, 3, 2)
    np.testing.assert_array_equal(
        first, draws.owned_by("scheme").uniforms("scheme", 4, 2)
    )
    assert (first != SchemeDraws(draws, episode=5, num_episodes=9).uniforms(2)).all()
