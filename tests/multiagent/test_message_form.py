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


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_limits_are_met_in_the_dtype_in_which_messages_travel(dtype):
    form = MessageForm(spaces.Box(-0.7, 0.7, (2,), dtype))
    records = form.pack([[-0.7, 0.7]], ["a"])
    assert form.unpack(records).tolist() == [[-dtype(0.7), dtype(0.7)]]
    above = np.nextafter(dtype(0.7), dtype(1))
    with pytest.raises(ValueError, match="not in the message space"):
        form.pack([[0, above]], ["a"])


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (spaces.Box(-np.inf, np.inf, (1,), np.float32), [1e300]),
        (spaces.Box(0, np.inf, (1,), np.float16), [70_000]),
        (spaces.Box(0, 255, (1,), np.uint8), [256]),
        (spaces.Box(0, 255, (1,), np.uint8), [-1]),
        (spaces.Box(-128, 127, (1,), np.int8), np.array([2**63], np.uint64)),
        (spaces.Discrete(8), np.uint64(2**63)),
        (spaces.Discrete(8), 2**70),
    ],
)
def test_numbers_that_the_dtype_cannot_hold_do_not_come_round(space, message):
    with pytest.raises(ValueError, match=r"agent 'a' sends .* not in the message"):
        MessageForm(space).pack([message], ["a"])


def test_infinity_is_in_a_box_without_limits():
    form = MessageForm(spaces.Box(-np.inf, np.inf, (1,), np.float32))
    assert form.unpack(form.pack([[np.inf]], ["a"])).tolist() == [[np.inf]]


@pytest.mark.parametrize(
    ("space", "messages", "seen"),
    [
        (spaces.Discrete(8), [np.uint64(5), 7], [5, 7]),
        (spaces.Discrete(8), [np.uint64(5), np.int8(7), True], [5, 7, 1]),
        (spaces.MultiDiscrete([9, 9]), [np.array([1, 2], np.uint64), [3, 4]], None),
        (
            spaces.Box(0, 2**64 - 1, (1,), np.uint64),
            [np.array([2**64 - 1], np.uint64), [7]],
            [[2**64 - 1], [7]],
        ),
    ],
)
def test_messages_without_a_common_type_pass_as_each_would_alone(space, messages, seen):
    form = MessageForm(space)
    got = form.unpack(form.pack(messages, list("abc")[: len(messages)]))
    assert got.tolist() == (seen or [[1, 2], [3, 4]])
    assert got.dtype == space.dtype
    with pytest.raises(ValueError, match="agent 'b' sends"):
        form.pack([messages[0], "no"], ["a", "b"])


@pytest.mark.parametrize(
    "message", [np.ma.array([0.0, 1.0], mask=[0, 1]), np.ones((1, 2)).view(np.matrix)]
)
def test_an_array_that_means_more_than_its_numbers_is_refused_with_its_sender(message):
    form = MessageForm(spaces.Box(-1, 1, message.shape))
    with pytest.raises(TypeError, match="message of agent 'b' is a numpy"):
        form.pack([np.zeros(message.shape), message], ["a", "b"])


@pytest.mark.parametrize("space", [spaces.Box(0, 1, (0,)), spaces.Box(0, 1, (2, 0))])
def test_a_space_of_empty_messages_is_refused(space):
    with pytest.raises(ValueError, match=r"message_space .* hold nothing"):
        MessageForm(space)
