"""Small runs of everything give the numbers that they gave before.

`python -m tests.golden.record` writes those of new cases, and says what has changed of
the others.
"""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import pytest

from tests.golden import library, record
from tests.golden.case import Case, Log, Numbers, differences, path_of, read
from tests.golden.cases import CASES

MOST_BYTES = 1_500_000

kept = cache(read)


def case_of(name: str) -> Case:
    case = CASES[name]
    for module in case.needs:
        pytest.importorskip(module)
    return case


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if case.slow else [])
        for name, case in CASES.items()
    ],
)
def test_the_numbers_are_what_they_were(name):
    case = case_of(name)
    wanted = CASES[case.like] if case.like else case
    if wanted.name not in kept(wanted.group):
        pytest.fail(f"no numbers of it; python -m tests.golden.record {wanted.name}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numbers alone are looked at here
        found = case.run()
    exact = case.exact and wanted.exact
    lines = differences(found, kept(wanted.group)[wanted.name], exact=exact)
    assert not lines, "\n".join(lines)


def test_every_case_has_numbers_and_they_are_not_zeros():
    for name, case in CASES.items():
        if not case.like:
            assert record.tells(kept(case.group)[name]), name


def test_nothing_is_kept_for_nobody():
    for group in {case.group for case in CASES.values()}:
        assert set(kept(group)) <= {n for n, case in CASES.items() if not case.like}


def test_the_files_are_small():
    groups = {case.group for case in CASES.values()}
    assert sum(path_of(group).stat().st_size for group in groups) < MOST_BYTES


def test_nothing_that_is_registered_is_left_out():
    names = library.registered()
    assert names["algorithms"] == set(library.ALGORITHM_SCHEMES)
    schemes = {one for own in library.ALGORITHM_SCHEMES.values() for one in own}
    assert names["schemes"] == schemes | set(library.ANY_SCHEMES)
    worlds = {library.SIMPLE, library.WINDY, library.LAKE, library.POLE}
    assert names["environments"] == worlds | set(library.ROBOTS)


def test_no_codec_and_no_link_is_left_out():
    codecs = {*library.CODECS.values(), *library.CONFIRMED.values()}
    assert library.parts("codec") <= {type(one) for one in codecs}
    links = {type(one) for one in library.LINKS.values()}
    assert library.parts("link") <= links | {type(library.within_range(1.0))}


def test_a_difference_is_seen():
    before: Numbers = {"a": np.array([0.0, 1.0]), "b": np.array([1])}
    last_bit = {**before, "a": np.array([0.0, np.nextafter(1.0, 2.0)])}
    assert differences(before, before, exact=True) == []
    assert differences(last_bit, before, exact=False) == []
    assert len(differences(last_bit, before, exact=True)) == 1
    assert differences({**before, "a": np.array([-0.0, 1.0])}, before, exact=True)
    assert differences({**before, "b": np.array([2])}, before, exact=False)
    assert differences({"a": before["a"]}, before, exact=False)
    assert differences({**before, "c": before["a"]}, before, exact=False)
    further = {**before, "a": np.array([0.0, 1.0 + 1e-8])}
    assert differences(further, before, exact=False)


def test_what_has_other_sizes_is_kept_in_full():
    log = Log()
    log.add("x", [1, 2])
    log.add("x", [3])
    log.add("y", {"z": [{"w": 1.5}, "word"]})
    found = log.numbers()
    assert found["x"].tolist() == [1, 2, 3]
    assert found["x/sizes"].tolist() == [2, 1]
    assert found["y/z/0/w"].tolist() == [1.5]
    assert found["y/z/1"].tolist() == ["word"]


def test_recording_overwrites_only_when_forced(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("tests.golden.case.FOLDER", tmp_path)
    value = [1.0]
    case = Case("some/case", lambda: {"x": np.array(value)})
    monkeypatch.setattr(record, "CASES", {case.name: case})
    assert record.main([]) == 0
    value[0] = 2.0
    assert record.main(["some"]) == 1
    assert "1 of 1 differ; [0]: 2.0, before 1.0" in capsys.readouterr().out
    assert read("some")["some/case"]["x"].tolist() == [1.0]
    assert record.main(["some", "--force"]) == 0
    assert read("some")["some/case"]["x"].tolist() == [2.0]
    value[0] = 0.0
    with pytest.raises(ValueError, match="nothing but zeros"):
        record.main(["some", "--force"])
