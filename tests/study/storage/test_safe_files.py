from __future__ import annotations

import os
import socket

import pytest

from commenv.errors import ResultsError
from commenv.study.storage.safe_files import (
    check_depth,
    listed,
    open_regular,
    read_file,
)

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")


def test_a_regular_file_is_read_as_it_is(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 1000)
    assert read_file(path) == bytes(range(256)) * 1000
    assert read_file(path, 256_000, within=tmp_path) == path.read_bytes()
    with open_regular(path) as file:
        assert file.read(3) == b"\0\1\2"


def pipe(path):
    os.mkfifo(path)


def link(path):
    path.with_name("there").write_text("x")
    path.symlink_to("there")


def endless(path):
    path.symlink_to("/dev/zero")


def listener(path):
    with socket.socket(socket.AF_UNIX) as one:
        before = os.getcwd()
        os.chdir(path.parent)  # such addresses must be short
        try:
            one.bind(path.name)
        finally:
            os.chdir(before)


def folder(path):
    path.mkdir()


def sparse(path):
    with path.open("wb") as file:
        file.write(b"x" * 1000)
        file.truncate(60 * 10**9)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (pipe, "odd is not a regular file"),
        (link, "odd is a symbolic link, not a regular file"),
        (endless, "odd is a symbolic link, not a regular file"),
        (listener, "odd is not a regular file"),
        (folder, "odd is not a regular file"),
        (sparse, "odd has 60,000,000,000 bytes, more than the 17,179,869,184"),
    ],
)
def test_whatever_else_there_is_is_refused_at_once(tmp_path, make, words):
    make(tmp_path / "odd")
    with pytest.raises(OSError, match=words):
        read_file(tmp_path / "odd")


def test_what_only_seems_large_is_refused(tmp_path):
    sparse(tmp_path / "odd")
    with pytest.raises(
        OSError, match=r"60,000,000,000 bytes, of which only [\d,]+ are"
    ):
        read_file(tmp_path / "odd", most=10**12)


def test_more_bytes_than_wanted_and_no_file(tmp_path):
    (tmp_path / "file").write_bytes(bytes(11))
    with pytest.raises(OSError, match="file has 11 bytes, more than the 10 that"):
        read_file(tmp_path / "file", 10)
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "nothing")


def test_no_folder_on_the_way_may_be_a_link(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("x")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a").symlink_to("../there")
    path = tmp_path / "root" / "a" / "file"
    assert read_file(path) == b"x"
    with pytest.raises(OSError, match="a is a symbolic link, not a folder"):
        read_file(path, within=tmp_path / "root")


def test_the_folder_itself_may_be_a_link(tmp_path):
    (tmp_path / "there" / "kind" / "00-a").mkdir(parents=True)
    (tmp_path / "there" / "kind" / "00-a" / "x").touch()
    (tmp_path / "root").symlink_to("there")
    (path,) = listed(tmp_path / "root", "kind")
    assert read_file(path, within=tmp_path / "root") == b""


def test_what_is_listed(tmp_path):
    assert listed(tmp_path, "kind") == []
    for name in ("01-b/y", "00-a/z", "00-a/x", "10-c/w"):
        (tmp_path / "kind" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "kind" / name).touch()
    (tmp_path / "kind" / "note.txt").touch()
    names = [path.parent.name + "/" + path.name for path in listed(tmp_path, "kind")]
    assert names == ["00-a/x", "00-a/z", "01-b/y", "10-c/w"]
    assert [path.name for path in listed(tmp_path, "kind", "00-")] == ["x", "z"]


@pytest.mark.parametrize("name", ["kind", "kind/00-a"])
def test_a_link_is_not_listed_through(tmp_path, name):
    (tmp_path / "there" / "00-a").mkdir(parents=True)
    (tmp_path / "kind").mkdir()
    path = tmp_path / name
    if name == "kind":
        path.rmdir()
    path.symlink_to(tmp_path / "there")
    with pytest.raises(ResultsError, match="is a symbolic link, not a folder"):
        listed(tmp_path, "kind")


@pytest.mark.parametrize("wrap", [lambda one: [one], lambda one: {"a": 1, "b": one}])
def test_how_deep_things_may_be_nested(wrap):
    value = 3
    for _ in range(64):
        value = wrap(value)
    check_depth(value)
    with pytest.raises(RecursionError, match="nested more than 64 times"):
        check_depth(wrap(value))
