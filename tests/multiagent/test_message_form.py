import numpy as np
import pytest
from gymnasium import spaces

from commenv.multiagent.message_form import MessageForm

SPACES = {
    "box": (spaces.Box(-1, 1, (2, 3), np.float32), 24),
    "double": (spaces.Box(-np.inf, np.inf, (), np.float64), 8),
    "pixels": (spaces.Box(0, 255, (4,), np.uint8), 4),
    "lifted": (spaces.Box(2, 5, (3,), np.float32), 12),
    "symbol": (spaces.Discrete(256), 1),
    "shifted": (spaces.Discrete(5, start=-2), 1),
    "many": (spaces.Discrete(257), 2),
    "words": (spaces.MultiDiscrete([3, 70_000]), 8),
    "grid": (spaces.MultiDiscrete([[2, 3], [4, 5]], start=[[1, 1], [0, 0]]), 4),
    "bits": (spaces.MultiBinary(9), 2),
    "table": (spaces.MultiBinary((2, 3)), 1),
}


@pytest.fixture(params=SPACES, name="case")
def _case(request):
    return SPACES[request.param]


def test_messages_weigh_what_their_space_needs_and_survive_the_way(case):
    space, size = case
    space.seed(0)
    form = MessageForm(space)
    messages = [space.sample() for _ in range(5)]
    records = form.pack(messages, list("abcde"))
    assert form.dtype.itemsize == size
    seen = form.unpack(records)
    np.testing.assert_array_equal(seen, np.array(messages))
    assert seen.dtype == space.dtype


def test_what_receivers_see_is_in_the_space_of_the_inbox(case):
    space, _ = case
    form = MessageForm(space)
    inbox = form.inbox(3)
    rows = form.unpack(form.pack([space.sample() for _ in range(3)], list("abc")))
    assert inbox.contains(rows)
    assert inbox.contains(np.repeat(form.blank[None], 3, axis=0))


def test_the_blank_message_is_zero_or_the_element_nearest_to_it():
    assert MessageForm(spaces.Discrete(5, start=-2)).blank == 0
    assert MessageForm(spaces.Discrete(5, start=3)).blank == 3
    assert MessageForm(SPACES["lifted"][0]).blank.tolist() == [2, 2, 2]


def test_numbers_that_left_the_space_on_the_way_return_to_its_nearest_element():
    form = MessageForm(spaces.Box(-1, 1, (2,), np.float32))
    records = np.array([((-3.0, 0.5),)], form.dtype)
    assert form.unpack(records).tolist() == [[-1, 0.5]]
    symbols = MessageForm(spaces.Discrete(5, start=-2))
    assert symbols.unpack(np.array([(200,)], symbols.dtype)).tolist() == [2]


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (spaces.Box(-1, 1, (2,)), [0.0, 1.5]),
        (spaces.Box(-1, 1, (2,)), [0.0, np.nan]),
        (spaces.Box(-1, 1, (2,)), [0.0]),
        (spaces.Box(-1, 1, (2,)), "no"),
        (spaces.Box(-1, 1, (2,)), None),
        (spaces.Discrete(4), 4),
        (spaces.Discrete(4), -1),
        (spaces.Discrete(4), 1.5),
        (spaces.Discrete(4), [1]),
        (spaces.MultiBinary(3), [0, 1, 2]),
        (spaces.MultiDiscrete([3, 3]), [0, 3]),
    ],
)
def test_a_message_outside_its_space_is_named_with_its_sender(space, message):
    form = MessageForm(space)
    good = space.sample()
    with pytest.raises(
        ValueError, match=r"agent 'b' sends .* not in the message space"
    ):
        form.pack([good, message], ["a", "b"])


@pytest.mark.parametrize("space", [spaces.Text(4), spaces.Dict(a=spaces.Discrete(2))])
def test_other_kinds_of_space_are_refused(space):
    with pytest.raises(ValueError, match="no Box, Discrete, MultiDiscrete or Multi"):
        MessageForm(space)
