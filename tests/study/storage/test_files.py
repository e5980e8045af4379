from __future__ import annotations

import os
import stat

import pytest

import commenv
from commenv.study.storage import files
from commenv.study.storage.files import make_folder, write_atomically

pytestmark = pytest.mark.skipif(os.name == "nt", reason="permissions of another kind")


@pytest.fixture(params=[0o022, 0o002, 0o077])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_files_have_the_permissions_that_the_user_wants(tmp_path, umask):
    write_atomically(tmp_path / "file", b"x")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~umask


def test_so_have_all_files_and_folders_of_a_study(tmp_path, umask):
    pytest.importorskip("pyarrow")
    out = tmp_path / "out"
    settings = {"num_agents": 1, "num_trials": 1, "num_episodes": 2, "trace": True}
    commenv.run("SimpleGrid-v0", out=out, progress=False, **settings)
    for path in (out, *out.rglob("*")):
        whole = 0o777 if path.is_dir() else 0o666
        assert stat.S_IMODE(path.stat().st_mode) == whole & ~umask, path


def test_a_file_is_on_disk_before_its_name_and_its_name_before_anything_else(
    tmp_path, monkeypatch
):
    done = []
    sync, replace = os.fsync, os.replace

    def fsync(descriptor):
        mode = os.fstat(descriptor).st_mode
        done.append("folder" if stat.S_ISDIR(mode) else "file")
        sync(descriptor)

    def rename(old, new):
        done.append("name")
        replace(old, new)

    monkeypatch.setattr(files.os, "fsync", fsync)
    monkeypatch.setattr(files.os, "replace", rename)
    write_atomically(tmp_path / "file", b"x")
    assert done == ["file", "name", "folder"]
    (tmp_path / "manifest.json").touch()
    make_folder(tmp_path, tmp_path / "a" / "b")
    assert done[3:] == ["folder", "folder"]


def test_a_link_is_replaced_and_what_it_leads_to_is_left_alone(tmp_path):
    (tmp_path / "there").write_text("mine")
    (tmp_path / "file").symlink_to("there")
    write_atomically(tmp_path / "file", b"x")
    assert (tmp_path / "there").read_text() == "mine"
    assert not (tmp_path / "file").is_symlink()


@pytest.mark.parametrize("name", ["a", "a/b"])
def test_no_folder_is_made_through_a_link(tmp_path, name):
    root, there = tmp_path / "root", tmp_path / "there"
    there.mkdir()
    (root / name).parent.mkdir(parents=True)
    (root / "manifest.json").touch()
    (root / name).symlink_to(there)
    with pytest.raises(OSError, match="is a symbolic link, not a folder"):
        make_folder(root, root / "a" / "b" / "c")
    assert not list(there.iterdir())
