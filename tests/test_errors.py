from __future__ import annotations

import json
import pickle

import pytest

from commenv import errors
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


@pytest.mark.parametrize(
    ("source", "requirement"),
    [
        (None, '"commenv[sb3]"'),
        (
            {"url": "file:///home/me/my%20code", "dir_info": {"editable": True}},
            '--editable "/home/me/my code[sb3]"',
        ),
        ({"url": "file:///home/me/code", "dir_info": {}}, '"/home/me/code[sb3]"'),
        (
            {"url": "file:///tmp/commenv-0.1.0.whl", "archive_info": {}},
            '"/tmp/commenv-0.1.0.whl[sb3]"',
        ),
        (
            {"url": "https://host/commenv", "vcs_info": {"vcs": "git"}},
            '"commenv[sb3] @ git+https://host/commenv"',
        ),
    ],
)
def test_an_extra_is_installed_from_where_commenv_came(
    monkeypatch, source, requirement
):
    class Installed:
        def read_text(self, name):
            assert name == "direct_url.json"
            return None if source is None else json.dumps(source)

    monkeypatch.setattr(errors, "distribution", lambda name: Installed())
    told = str(MissingExtraError("federated PPO", "sb3"))
    assert told.endswith(f"`pip install {requirement}`")
