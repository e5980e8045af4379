import numpy as np
import pytest

from commenv.channel import Left
from commenv.learning import SchemeDraws
from commenv.learning.schemes import Always, Bernoulli, Never, Periodic, RandomChoice
from commenv.rng import Draws


def decide(scheme, shape=(2, 10), episode=0):
    draws = SchemeDraws(Draws(0, range(shape[0]), shape[1]), episode, 100)
    left = Left(np.full(shape, np.inf), np.full(shape, np.inf))
    return scheme.select({}, scheme.start(shape), draws, left)[0]


def test_always_and_never():
    assert decide(Always()).all()
    assert not decide(Never()).any()


def test_bernoulli_sends_with_its_probability():
    sent = np.mean([decide(Bernoulli(p=0.3), (20, 50), k) for k in range(20)])
    assert abs(sent - 0.3) < 4 * np.sqrt(0.21 / 20_000)


def test_periodic_sends_in_every_kth_round():
    turns = [bool(decide(Periodic(k=3), episode=k).all()) for k in range(7)]
    assert turns == [True, False, False, True, False, False, True]


def test_random_choice_sends_exactly_m_of_each_trial_and_each_agent_alike():
    masks = np.array([decide(RandomChoice(m=3), episode=k) for k in range(2000)])
    assert (masks.sum(axis=2) == 3).all()
    share = masks.mean(axis=0)
    assert np.abs(share - 0.3).max() < 5 * np.sqrt(0.21 / 2000)


def test_half_of_the_agents_are_chosen_unless_told():
    assert decide(RandomChoice(), (1, 5)).sum() == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Bernoulli(p=1.2), r"p 1.2 is outside \[0, 1\]"),
        (lambda: Periodic(k=0), "k 0 is below 1"),
        (lambda: Periodic(k=1.5), "k 1.5 is no whole number"),
        (lambda: RandomChoice(m=2.5), "m 2.5 is no whole number"),
        (lambda: RandomChoice(m=-1), "m -1 is negative"),
        (lambda: RandomChoice(m=11).start((2, 10)), "m 11 senders of 10 agents"),
    ],
)
def test_settings_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()
