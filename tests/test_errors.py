from __future__ import annotations

import pickle

from commenv.errors import MissingExtraError, UnknownNameError, nearest


def test_only_names_about_as_near_as_the_best_are_named():
    known = ["SimpleGrid-v0", "commenv/SimpleGrid-v0", "Swimmer-v5", "WindyGrid-v0"]
    assert nearest("SimpleGird-v0", known) == ["SimpleGrid-v0", "commenv/SimpleGrid-v0"]
    assert nearest("Taxi-v3", ["Taxi-v4", "Ant-v3"]) == ["Taxi-v4"]
    assert nearest("DQL", ["dql", "ebcdql"]) == ["dql"]
    assert nearest("x", known) == []


def test_known_names_are_quoted_where_they_hold_commas_and_are_not_too_many():
    error = UnknownNameError("label", "x", ["dql, SimpleGrid-v0", "es"])
    assert "known: 'dql, SimpleGrid-v0', 'es'" in str(error)
    many = UnknownNameError("environment", "??", [f"World{i}" for i in range(50)])
    assert str(many).endswith("and 20 more")
    assert "unknown label 1; known: a" in str(UnknownNameError("label", 1, ["a"]))


def test_errors_survive_pickling_between_processes():
    for error in (UnknownNameError("x", "y", ["z"]), MissingExtraError("it", "study")):
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
