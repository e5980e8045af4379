import re

import numpy as np
import pytest
from gymnasium import spaces

from commenv.envs.membership import complaint, membership

UNIT = spaces.Box(-1, 1, (3,), np.float32)
TENTHS = spaces.Box(-0.1, 0.7, (2,), np.float32)
LINE = spaces.Box(-np.inf, np.inf, (3,), np.float64)
HALF = spaces.Box(np.array([-np.inf, 0]), np.array([1, np.inf]), dtype=np.float64)
LARGE = spaces.Box(-np.inf, np.inf, (5, 20), np.float32)
WALLED = spaces.Box(-1, 1, (5, 20), np.float32)
IMAGE = spaces.Box(0, 255, (4, 5, 3), np.uint8)
LEVELS = spaces.Box(0, 7, (4, 5), np.uint8)
CHOICES = spaces.MultiDiscrete([3, 4], start=[0, -2])
BITS = spaces.MultiBinary(3)
FOUR = spaces.Discrete(4)
FROM_ONE = spaces.Discrete(3, start=1)
PARTS = spaces.Dict({"place": UNIT, "state": FOUR})
PAIR = spaces.Tuple((FOUR, BITS))


def of(space, value, where=0):
    """An element of a space, with one number replaced."""
    array = np.zeros(space.shape, np.result_type(space.dtype, type(value)))
    array.flat[where] = value
    return array


INSIDE = [
    (FOUR, [0, 3, np.int64(2), np.uint8(3), np.array(1), True, np.True_, 2.0]),
    (FROM_ONE, [1, 3]),
    (UNIT, [np.ones(3, np.float32), np.ones(3), [0, 1, -1], np.zeros(3, int)]),
    (TENTHS, [np.array([-0.1, 0.7]), np.array([-0.1, 0.7], np.float32)]),
    (LINE, [of(LINE, np.inf), of(LINE, 1e300)]),
    (HALF, [np.array([-np.inf, np.inf]), np.array([1.0, 0.0])]),
    (LARGE, [of(LARGE, -np.inf), of(LARGE, 3e38), np.zeros((20, 5)).T]),
    (WALLED, [of(WALLED, 1), np.ones((20, 5), np.float32).T]),
    (IMAGE, [of(IMAGE, 255), np.full((4, 5, 3), 255), np.zeros((4, 5, 3))]),
    (LEVELS, [of(LEVELS, 7, 3)]),
    (CHOICES, [np.array([2, 1]), np.array([0, -2]), [1, 0], np.array([1.0, 0.0])]),
    (BITS, [np.ones(3, bool), [0, 1, 1]]),
    (PARTS, [{"place": np.zeros(3), "state": 2}, {"state": 2, "place": np.zeros(3)}]),
    (PAIR, [(1, np.zeros(3)), [1, np.ones(3)]]),
    (spaces.Text(3), ["abc"]),
]
OUTSIDE = [
    (FOUR, [-1, 4, 1.7, np.nan, np.inf, -np.inf, np.array([1]), None, "1", 1j, [1]]),
    (FROM_ONE, [0, 4]),
    (UNIT, [np.zeros(1), np.zeros((3, 1)), 0.5, of(UNIT, np.nan), of(UNIT, np.inf)]),
    (UNIT, [None, "abc", np.zeros(3, complex), np.zeros(3, object), [[0], [1, 2]]]),
    (UNIT, [np.ma.array(np.zeros(3), mask=[0, 1, 0])]),
    (LINE, [of(LINE, np.nan), np.zeros(2)]),
    (HALF, [np.array([np.inf, 1]), np.array([0, -np.inf]), np.array([np.nan, 0])]),
    (LARGE, [of(LARGE, np.nan, 99), of(LARGE, 1e300), np.zeros((20, 5))]),
    (WALLED, [of(WALLED, np.nan, 99), of(WALLED, -np.inf)]),
    (IMAGE, [of(IMAGE, 300), of(IMAGE, -1), of(IMAGE, 0.5), of(IMAGE, np.nan)]),
    (IMAGE, [np.zeros((4, 5), np.uint8)]),
    (LEVELS, [of(LEVELS, 8, 19), np.full((4, 5), -1)]),
    (CHOICES, [np.array([3, 0]), np.array([0, 2]), np.array([0.5, 0]), np.array([0])]),
    (BITS, [np.array([0, 2, 0]), np.array([0, -1, 0]), np.zeros(2)]),
    (PARTS, [{"place": np.zeros(3)}, np.zeros(4), {"place": np.zeros(3), "state": 4}]),
    (PARTS, [{"place": np.zeros(3), "state": 1, "more": 2}, None]),
    (PAIR, [(1,), (1, np.zeros(3), 2), (4, np.zeros(3)), 1]),
    (spaces.Text(3), ["abcd", None]),
]
BEYOND = [
    (UNIT, of(UNIT, 1.5)),
    (TENTHS, np.array([-0.2, 0])),
    (WALLED, of(WALLED, -2, 50)),
    (HALF, np.array([2.0, 1.0])),
    (PARTS, {"place": np.full(3, 9.0), "state": 1}),
]


def each(cases):
    return [(space, value) for space, values in cases for value in values]


@pytest.mark.parametrize(("space", "value"), each(INSIDE), ids=str)
@pytest.mark.parametrize("bounds", [True, False])
def test_what_has_the_right_numbers_is_inside(space, value, bounds):
    assert membership(space, bounds=bounds)(value) is True


@pytest.mark.parametrize(("space", "value"), each(OUTSIDE), ids=str)
@pytest.mark.parametrize("bounds", [True, False])
def test_wrong_shapes_kinds_and_integers_are_outside(space, value, bounds):
    assert membership(space, bounds=bounds)(value) is False
    assert re.search("^x.* (outside|belong)", complaint(space, value, "x"))


@pytest.mark.parametrize(("space", "value"), BEYOND, ids=str)
def test_bounds_of_real_numbers_may_be_left_out(space, value):
    assert membership(space)(value) is False
    assert membership(space, bounds=False)(value) is True


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(
    "space", [UNIT, LINE, HALF, LARGE, WALLED, LEVELS, CHOICES, BITS], ids=str
)
def test_arrays_of_the_spaces_dtype_are_judged_as_gymnasium_judges_them(space, seed):
    rng = np.random.default_rng(seed)
    values = rng.choice([-2, -1, 0, 0, 1, 1, 2, 7, 8], space.shape).astype(space.dtype)
    if space.dtype.kind == "f" and seed % 3 == 0:
        values.flat[rng.integers(values.size)] = rng.choice([np.nan, np.inf, -np.inf])
    assert membership(space)(values) == space.contains(values)


@pytest.mark.parametrize(
    ("space", "value", "words"),
    [
        (FOUR, -1, "x -1, outside Discrete(4)"),
        (UNIT, np.zeros(1), "x array([0.]) of shape (1,), not (3,), outside Box(-1.0,"),
        (LEVELS, of(LEVELS, 9, 7), "(9 at (1, 2)), outside Box(0, 7, (4, 5), uint8)"),
        (PARTS, {"place": 1}, "x with the keys ['place'], where ['place', 'state']"),
        (PARTS, {"place": np.zeros(3), "state": 9}, "x['state'] 9, outside Discrete"),
        (PARTS, 3, "x 3, which is not a dictionary, outside Dict("),
        (PAIR, (1,), "x of 1 parts, where 2 belong"),
        (PAIR, (1, np.full(3, 2)), "x[1] array([2, 2, 2]), outside MultiBinary(3)"),
        (PAIR, 3, "x 3, which is not a tuple, outside Tuple("),
    ],
)
def test_complaints_name_the_part_and_the_value(space, value, words):
    assert words in complaint(space, value, "x")
