"""Reproductions are found by name, and what is wrong with one is said."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from commenv.errors import PluginError, UnknownNameError
from commenv.study import reproduction
from commenv.study.reproduction import Reproduction, find_reproduction

pytest.importorskip("pandas")

THESIS = "commenv_baselines.thesis.reproduction:THESIS"


@pytest.fixture
def install(monkeypatch):
    def install(**values):
        entries = tuple(
            EntryPoint(name, value, reproduction.REPRODUCTIONS)
            for name, value in values.items()
        )
        monkeypatch.setattr(reproduction, "registered", lambda group: entries)

    return install


@pytest.mark.parametrize("reference", [None, "thesis", THESIS])
def test_the_thesis_plugs_in_as_any_other(reference):
    found = find_reproduction(reference)
    assert isinstance(found, Reproduction)
    assert "3.4" in found.figures


def test_a_name_is_needed_where_several_or_none_are_installed(install):
    install(one=THESIS, other=THESIS)
    with pytest.raises(ValueError, match=r"several .*\(one, other\); name one with"):
        find_reproduction()
    assert find_reproduction("other").figures
    install()
    with pytest.raises(ValueError, match="no reproduction is installed"):
        find_reproduction()


def test_an_unknown_name_is_answered_with_those_that_there_are(install):
    install(thesis=THESIS)
    with pytest.raises(UnknownNameError, match=r"'thesi'.*thesis"):
        find_reproduction("thesi")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("no.such:thing", "cannot be imported .*mend that package"),
        ("commenv_baselines.thesis.reproduction:Thesis", "is not an object with"),
        ("json:loads", "is not an object with figures"),
    ],
)
def test_a_broken_package_is_named(install, value, words):
    install(mine=value)
    with pytest.raises(PluginError, match=f"reproduction 'mine'.*{words}"):
        find_reproduction()
