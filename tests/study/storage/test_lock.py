from __future__ import annotations

import errno
import os
import pickle
import shutil
import threading

import pytest

from commenv.errors import ResultsError
from commenv.study.storage.lock import LOCK, locked


def test_one_run_at_a_time_has_a_folder_and_leaves_no_file_in_it(tmp_path):
    folder = tmp_path / "new" / "folder"
    for _ in range(2):
        with locked(folder):
            with (
                pytest.raises(
                    ResultsError, match=r"another run is writing to .*folder"
                ),
                locked(folder),
            ):
                pass
            assert [path.name for path in folder.iterdir()] == [LOCK]
        assert not list(folder.iterdir())


def test_a_file_without_a_lock_on_it_holds_nobody_up(tmp_path):
    (tmp_path / LOCK).touch()  # as a kill leaves it
    with locked(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_failure_inside_gives_the_folder_back(tmp_path):
    with pytest.raises(KeyError), locked(tmp_path):
        raise KeyError
    with locked(tmp_path):
        pass


def test_a_new_folder_in_the_place_of_a_removed_one_keeps_its_own_lock(tmp_path):
    folder = tmp_path / "folder"
    with locked(folder):
        shutil.rmtree(folder)
        folder.mkdir()
        (folder / LOCK).touch()
    assert (folder / LOCK).exists()


def test_a_folder_removed_meanwhile_is_no_further_error(tmp_path):
    with locked(tmp_path / "folder"):
        shutil.rmtree(tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_never_two_at_once_however_they_come_and_go(tmp_path):
    inside, most, entered = [], [], []

    def come_and_go():
        for _ in range(100):
            try:
                with locked(tmp_path):
                    inside.append(1)
                    most.append(len(inside))
                    entered.append(1)
                    inside.pop()
            except ResultsError:
                continue

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert entered
    assert max(most) == 1


def test_a_file_system_without_locks_is_named_with_its_cure(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def refuse(*args):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    match = r"cannot use .*\(No locks available\); its file system has no locks"
    with pytest.raises(ResultsError, match=match), locked(tmp_path):
        pass


def other_study(folder):
    """Somebody removes the folder, and another run begins in its place."""
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / LOCK).touch()


@pytest.mark.parametrize(
    "change",
    [
        other_study,
        shutil.rmtree,
        lambda folder: folder.rename(folder.with_name("moved")),
        lambda folder: (folder / LOCK).unlink(),
    ],
)
def test_a_run_notices_that_the_folder_is_its_own_no_more(tmp_path, change):
    folder = tmp_path / "folder"
    with locked(folder) as lock:
        lock.check()
        pickle.loads(pickle.dumps(lock)).check()
        change(folder)
        with pytest.raises(ResultsError, match=r"was removed, moved or replaced"):
            lock.check()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_lock_that_is_no_file_is_refused_and_not_followed(tmp_path):
    (tmp_path / "there").write_text("mine")
    for make in (lambda path: path.symlink_to(tmp_path / "there"), os.mkfifo):
        folder = tmp_path / "folder"
        folder.mkdir()
        make(folder / LOCK)
        with pytest.raises(ResultsError, match=r"lock is .* remove it"), locked(folder):
            pass
        assert (tmp_path / "there").read_text() == "mine"
        shutil.rmtree(folder)
