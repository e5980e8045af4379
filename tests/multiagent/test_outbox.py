"""Whom a recipient names, where agents are called by strings, numbers or tuples."""

import numpy as np
import pytest
from gymnasium import spaces

from commenv.errors import UnknownNameError
from commenv.multiagent.message_form import MessageForm
from commenv.multiagent.outbox import Outbox
from commenv.multiagent.topology import links_of

FORM = MessageForm(spaces.Discrete(8))


def heard_by(names, sender, to, topology="complete"):
    """The names of those whom a message reaches, in order; None for silence."""
    links = links_of(topology, names)
    outbox = Outbox(names, links, FORM)
    everyone = np.ones(len(links.sources), dtype=np.bool_)
    said = outbox.read({sender: {"message": 1, "to": to}}, names, everyone)
    if not said.speaking.any():
        return None
    return [names[target] for target in links.targets[said.leaving]]


def choices(names, sender, topology="complete"):
    outbox = Outbox(names, links_of(topology, names), FORM)
    return range(outbox.num_choices[names.index(sender)])


def test_names_that_are_strings_leave_the_choices_as_they_are():
    names = ["a", "b", "c"]
    assert [heard_by(names, "b", to) for to in choices(names, "b")] == [
        None,
        ["a", "c"],
        ["a"],
        ["c"],
    ]
    assert heard_by(names, "b", "c") == ["c"]


@pytest.mark.parametrize("kind", [int, np.int64, np.uint8])
def test_an_integer_that_names_a_neighbour_is_that_neighbour(kind):
    names = [kind(name) for name in (0, 1, 2)]
    # By hand: a name keeps its number; all agents, and those left over, take the rest.
    expected = {
        0: [None, [1], [2], [1, 2]],
        1: [None, [0, 2], [2], [0]],
        2: [None, [1], [0, 1], [0]],
    }
    for sender, reached in expected.items():
        own = choices(names, sender)
        assert [heard_by(names, sender, kind(to)) for to in own] == reached


def test_where_agents_are_counted_from_one_their_own_number_is_all_others():
    names = [1, 2, 3, 4]
    for sender in names:
        for to in choices(names, sender)[1:]:
            others = [name for name in names if name != sender]
            assert heard_by(names, sender, to) == (others if to == sender else [to])


@pytest.mark.parametrize("names", [[10, 20, 30], [-1, -2, -3], [3, 0, 7]])
@pytest.mark.parametrize("topology", ["complete", "ring"])
def test_every_choice_is_somebody_else_and_every_neighbour_has_a_choice(
    names, topology
):
    for sender in names:
        others = [name for name in names if name != sender]
        reached = [heard_by(names, sender, to) for to in choices(names, sender)[1:]]
        assert sorted(reached) == sorted([[one] for one in others] + [others])
        for other in others:
            if other != 0:  # which is silence
                assert heard_by(names, sender, other) == [other]


def test_tuples_are_names():
    names = [(0, 1), (0, 2), (1, 2)]
    assert heard_by(names, (0, 1), (1, 2)) == [(1, 2)]
    assert heard_by(names, (0, 1), 1) == [(0, 2), (1, 2)]


def test_a_broadcast_is_for_all_whatever_agents_are_called():
    assert heard_by([0, 1, 2], 0, 1, "broadcast") == [1, 2]


@pytest.mark.parametrize(
    "to", [np.array([2]), np.array(2), np.int8(2), np.array([[2]])]
)
def test_an_array_of_one_integer_is_a_choice(to):
    assert heard_by(["a", "b", "c"], "a", to) == ["b"]


@pytest.mark.parametrize(
    "to",
    [9, -1, 1.0, np.float32(1), np.array([1.0]), np.array([1, 2]), [1], {}, None, "1"],
)
@pytest.mark.parametrize("names", [["a", "b", "c"], [0, 1, 2], [(0,), (1,), (2,)]])
def test_anything_else_is_refused_with_the_sender(names, to):
    with pytest.raises(UnknownNameError, match=r"recipient of agent .*0 \(silence\)"):
        heard_by(names, names[0], to)
