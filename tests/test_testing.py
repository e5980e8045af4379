"""check_scheme passes our schemes, and catches each kind of broken one."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from commenv.learning import Scheme, plugin_names
from commenv.learning.plugins import SCHEMES, find
from commenv.learning.schemes import ProbabilisticUtility, TDError
from commenv.testing import check_scheme


@pytest.mark.parametrize("name", plugin_names(SCHEMES))
def test_every_installed_scheme_conforms(name):
    check_scheme(find(name, SCHEMES)())


@pytest.mark.parametrize("mode", ["literal", "calibrated", "centered"])
def test_every_mode_of_the_probabilistic_scheme_conforms(mode):
    check_scheme(ProbabilisticUtility(m=1, k=3, mode=mode))


def test_the_other_order_of_the_td_error_scheme_conforms():
    check_scheme(TDError(order="update_first", threshold=0.1))


class Base(Scheme):
    name = "broken"
    requires = ("utility",)

    def select(self, signals, state, draws, left):
        return np.ones(self.shape(left), dtype=bool), state

    def shape(self, left):
        return left.messages.shape


class Numbers(Base):
    def select(self, signals, state, draws, left):
        return np.ones(self.shape(left)), state


class WrongShape(Base):
    def select(self, signals, state, draws, left):
        return np.ones(7, dtype=bool), state


class Forgetful(Base):
    def start(self, shape):
        return {"seen": np.zeros(shape)}

    def select(self, signals, state, draws, left):
        return np.ones(self.shape(left), dtype=bool), {}


class FlatState(Base):
    def start(self, shape):
        return {"seen": np.zeros(3)}

    def select(self, signals, state, draws, left):
        return np.ones(self.shape(left), dtype=bool), state


class HalfOfThem(Base):
    """Sends with a probability that depends on how many it is asked about."""

    separable = True

    def select(self, signals, state, draws, left):
        return draws.uniforms()[..., 0] < 1.5 / self.shape(left)[1], state


class Growing(Base):
    def start(self, shape):
        return {"seen": np.zeros((*shape, 0))}

    def select(self, signals, state, draws, left):
        newest = np.ones((*self.shape(left), 1))
        seen = np.concatenate([state["seen"], newest], axis=-1)
        return np.ones(self.shape(left), dtype=bool), {"seen": seen}


class GlobalDraws(Base):
    def select(self, signals, state, draws, left):
        return np.random.random(self.shape(left)) < 0.5, state  # noqa: NPY002


class Stateful(Base):
    def __init__(self):
        self.rounds = 0

    def select(self, signals, state, draws, left):
        self.rounds += 1
        return np.full(self.shape(left), self.rounds % 5 == 0), state


class Hidden(Base):
    rounds: ClassVar[list[int]] = []

    def select(self, signals, state, draws, left):
        self.rounds.append(1)
        return np.full(self.shape(left), len(self.rounds) % 2 == 0), state


class BareTrue(Base):
    def select(self, signals, state, draws, left):
        return True, state


class NoState(Base):
    def select(self, signals, state, draws, left):
        return np.ones(self.shape(left), dtype=bool)


class Plain(Base):
    def select(self, signals, state, draws, left):
        return np.ones(self.shape(left), dtype=bool), {"n": 1}


class Undeclared(Base):
    def select(self, signals, state, draws, left):
        return signals["return"].values > 0, state


class OneName(Base):
    requires = "utility"


class TakesAName(Base):
    name = "always"


class BatchMean(Base):
    needs_global = True

    def select(self, signals, state, draws, left):
        values = signals["utility"].values
        return values > values.mean(), state


class PeeksAtOthers(Base):
    def select(self, signals, state, draws, left):
        values = signals["utility"].values
        return values > values.mean(axis=1, keepdims=True), state


class CopiesTheFirst(Base):
    def select(self, signals, state, draws, left):
        first = signals["utility"].values[:, :1] > 0
        return np.broadcast_to(first, self.shape(left)).copy(), state


class EditsItsState(Base):
    def start(self, shape):
        return {"rounds": np.zeros(shape)}

    def select(self, signals, state, draws, left):
        state["rounds"] += 1
        return state["rounds"] > 2, state


class EditsWhatIsLeft(Base):
    def select(self, signals, state, draws, left):
        left.messages[:] = 0
        return np.ones(self.shape(left), dtype=bool), state


class EditsSignals(Base):
    def select(self, signals, state, draws, left):
        signals["utility"].values[:] = 0
        return np.ones(self.shape(left), dtype=bool), state


@dataclass(frozen=True)
class IgnoresM(Base):
    m: int = 2

    def select(self, signals, state, draws, left):
        return np.ones(self.shape(left), dtype=bool), state


@pytest.mark.parametrize(
    ("scheme", "message"),
    [
        (Numbers(), "mask of dtype float64"),
        (WrongShape(), r"mask of shape \(7,\)"),
        (Forgetful(), r"state has \[\] after a round"),
        (HalfOfThem(), "some agents apart"),
        (FlatState(), r"state 'seen' has shape \(3,\)"),
        (Growing(), r"state 'seen' has shape \(.*, 1\) after a round"),
        (GlobalDraws(), "global generator"),
        (Stateful(), "would not be kept with the results; make it a dataclass"),
        (Hidden(), "when asked again"),
        (BareTrue(), "mask True, not an array"),
        (NoState(), "return mask, state"),
        (Plain(), "state 'n' is 1, no array"),
        (Undeclared(), r"select failed \(KeyError: 'return'; declare signals"),
        (OneName(), "requires is 'utility'; give a tuple"),
        (TakesAName(), "has the name 'always', which"),
        (Base, "Base is a class; pass an instance, Base"),
        (object(), "is not a scheme"),
        (BatchMean(), "for trial 0 alone"),
        (PeeksAtOthers(), "other agents' signals"),
        (CopiesTheFirst(), "other agents' signals"),
        (EditsSignals(), "in place; return new arrays"),
        (EditsItsState(), "in place; return new arrays"),
        (EditsWhatIsLeft(), "in place; return new arrays"),
        (IgnoresM(), "although m is 0"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_broken_scheme_is_caught(scheme, message):
    with pytest.raises(AssertionError, match=message):
        check_scheme(scheme)


@dataclass(frozen=True)
class FirstRecords(Scheme):
    """The records of the first m agents, as a mask of records."""

    name = "first"
    requires = ("td_error",)
    needs_global = True
    m: int = 2

    def select(self, signals, state, draws, left):
        counts = signals["td_error"].counts
        chosen = np.broadcast_to(np.arange(counts.shape[1]) < self.m, counts.shape)
        return np.repeat(chosen.ravel(), counts.ravel()), state


def test_a_mask_of_records_may_have_a_setting_m():
    check_scheme(FirstRecords())
