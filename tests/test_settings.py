from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

from commenv.settings import with_settings


@dataclass(frozen=True)
class Thing:
    size: float
    count: int | None = 3
    sizes: tuple[int, ...] = ()
    kind: Literal["a", "b"] = "a"
    loud: bool = False

    def __post_init__(self):
        if self.size > 10:
            raise ValueError(f"size {self.size} is above 10")


def test_plain_settings_become_an_object():
    settings = {"size": 1, "sizes": [1, 2], "count": None}
    assert with_settings(Thing, settings, "it") == Thing(1.0, None, (1, 2))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"size": "big"}, "size of it must be a number, got 'big'"),
        ({"size": None}, "size of it must be a number, got None"),
        ({"count": 1.5}, "count of it must be an integer or None, got 1.5"),
        ({"sizes": 4}, "sizes of it must be a list, got 4"),
        (
            {"sizes": ["x"]},
            r"each entry of sizes of it must be an integer, got \['x'\]",
        ),
        ({"loud": 1}, "loud of it must be True or False, got 1"),
        ({"kind": "c"}, "kind of it must be one of a, b, got 'c'"),
        ({"size": 11.0}, "setting of it: size 11.0 is above 10"),
    ],
)
def test_what_does_not_fit_is_answered_in_words(settings, words):
    with pytest.raises(ValueError, match=f"^{words}$"):
        with_settings(Thing, {"size": 1.0} | settings, "it")


def test_a_setting_that_must_be_given_is_asked_for():
    with pytest.raises(ValueError, match=r"it needs size=.*, which has no default"):
        with_settings(Thing, {}, "it")
