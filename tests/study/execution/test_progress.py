from __future__ import annotations

import io
import re
import sys
from functools import partial

import pytest

import commenv
from commenv.study.execution.progress import Progress
from commenv.study.wording import duration, size


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_plain_lines_come_at_most_every_ten_seconds_and_at_the_end():
    clock, stream = Clock(), io.StringIO()
    with Progress(50_000, "trial-episodes", stream, clock=clock) as progress:
        for _ in range(5):
            clock.now += 2.5
            progress.advance(5_000)
        clock.now += 5.0
        progress.advance(25_000)
    assert stream.getvalue().splitlines() == [
        "   40 % · 20,000 of 50,000 trial-episodes · 2,000/s · 15 s left",
        "  100 % · 50,000 of 50,000 trial-episodes · 2,857/s · in 18 s",
    ]


def test_time_stands_still_while_the_clock_goes_backwards():
    clock, stream = Clock(), io.StringIO()
    with Progress(1000, stream=stream, clock=clock) as progress:
        clock.now += 20.0
        progress.advance(200)
        clock.now -= 3600.0
        progress.advance(200)
        assert progress.text() == " 40 % · 400 of 1,000 episodes · 20/s · 30 s left"
        clock.now += 3620.0
        progress.advance(600)
    assert stream.getvalue().splitlines() == [
        "   20 % · 200 of 1,000 episodes · 10/s · 1 min 20 s left",
        "  100 % · 1,000 of 1,000 episodes · 25/s",
        "  100 % · 1,000 of 1,000 episodes · 25/s · in 40 s",
    ]


def test_a_short_run_writes_one_line():
    clock, stream = Clock(), io.StringIO()
    with Progress(4, "episodes", stream, clock=clock) as progress:
        clock.now += 8.0
        progress.advance(4, "dql")
    assert stream.getvalue() == "  100 % · 4 of 4 episodes · 0.5/s · in 8 s\n"


def test_what_an_earlier_run_did_does_not_count_towards_the_rate():
    clock = Clock()
    progress = Progress(100, stream=io.StringIO(), done=60, clock=clock)
    clock.now += 2.0
    progress.advance(20)
    assert progress.text() == " 80 % · 80 of 100 episodes · 10/s · 2 s left"
    assert progress.text("block 3").endswith(" · 2 s left · block 3")


def test_before_any_time_has_passed_no_rate_is_claimed():
    progress = Progress(10, stream=io.StringIO(), clock=Clock())
    progress.advance(1)
    assert progress.text() == " 10 % · 1 of 10 episodes"


def test_unfinished_is_never_a_hundred_per_cent():
    progress = Progress(1000, stream=io.StringIO(), clock=Clock())
    progress.advance(999)
    assert progress.text() == " 99 % · 999 of 1,000 episodes"
    assert Progress(0, clock=Clock()).text() == "100 % · 0 of 0 episodes"


def test_an_interrupted_run_says_how_far_it_came():
    clock, stream = Clock(), io.StringIO()

    def interrupted():
        with Progress(10, stream=stream, clock=clock) as progress:
            clock.now += 4.0
            progress.advance(2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (
        stream.getvalue() == "   20 % · 2 of 10 episodes · 0.5/s · stopped after 4 s\n"
    )


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_it_can_be_silent(stream):
    clock = Clock()
    with Progress(2, stream=stream, enabled=False, clock=clock) as progress:
        clock.now += 60.0
        progress.advance(1)
    assert progress.done == 1
    assert stream.getvalue() == ""


def test_a_terminal_gets_a_bar_with_the_same_words():
    pytest.importorskip("rich")
    clock, stream = Clock(), Terminal()
    with Progress(4, "trials", stream, clock=clock) as progress:
        clock.now += 2.0
        progress.advance(1, "[dql]")
        assert progress._bar.tasks[0].completed == 1
        assert progress._bar.tasks[0].fields["text"] == (
            " 25 % · 1 of 4 trials · 0.5/s · 6 s left · [dql]"
        )
        clock.now += 6.0
        progress.advance(3)
    assert "━" in stream.getvalue()
    assert "100 % · 4 of 4 trials · 0.5/s · in 8 s" in stream.getvalue()


def test_on_a_terminal_prints_still_go_to_stdout(capsys):
    pytest.importorskip("rich")
    stream = Terminal()
    with Progress(1, stream=stream, clock=Clock()):
        print("a result")
    assert capsys.readouterr().out == "a result\n"
    assert "a result" not in stream.getvalue()


def test_a_terminal_without_rich_gets_lines(monkeypatch):
    for name in [one for one in sys.modules if one.startswith("rich")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rich", None)
    stream = Terminal()
    with Progress(1, stream=stream, clock=Clock()) as progress:
        progress.advance(1)
    assert stream.getvalue() == "  100 % · 1 of 1 episodes · in 0 s\n"


def test_a_stream_of_ascii_gets_ascii():
    raw = io.BytesIO()
    with Progress(1, stream=io.TextIOWrapper(raw, "ascii"), clock=Clock()) as progress:
        progress.advance(1)
        progress._stream.flush()
    assert raw.getvalue() == b"  100 % | 1 of 1 episodes | in 0 s\n"


def test_wrong_counts_are_refused():
    with pytest.raises(ValueError, match="done is 3; it must lie in 0 to total, 2"):
        Progress(2, done=3)
    with pytest.raises(ValueError, match="total, -1"):
        Progress(-1)
    with pytest.raises(ValueError, match="advance by -2"):
        Progress(2).advance(-2)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (125.0, "2 min 5 s"),
        (11_460.0, "3 h 11 min"),
        (-1.0, "0 s"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_what_is_foreseen_is_said_where_it_takes_a_while():
    clock, stream = Clock(), io.StringIO()
    with Progress(100, stream=stream, done=20, clock=clock) as progress:
        clock.now += 3.0
        progress.advance(8)  # 80 take 30 s
        progress.foresee("about 12 kB on the disk")
        clock.now += 0.1
        progress.advance(72)  # and now 3 s, which is not worth a line
        progress.foresee("about 12 kB on the disk")
    first, last = stream.getvalue().splitlines()
    assert first == "  about 30 s in all; about 12 kB on the disk"
    assert last.startswith("  100 %")


def test_a_terminal_is_told_above_the_bar():
    pytest.importorskip("rich")
    clock, stream = Clock(), Terminal()
    with Progress(100, stream=stream, clock=clock) as progress:
        clock.now += 3.0
        progress.advance(1)
        progress.foresee("[about] 12 kB")
    assert "about 5 min 0 s in all; [about] 12 kB" in stream.getvalue()


def test_a_study_says_which_arm_it_is_at_and_how_many_are_finished(
    tmp_path, monkeypatch
):
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    noted, foreseen = [], []
    advance = Progress.advance

    def note(self, n, note=""):
        noted.append(note)
        advance(self, n, note)

    monkeypatch.setattr(Progress, "advance", note)
    monkeypatch.setattr(Progress, "foresee", lambda self, words: foreseen.append(words))
    how = {"num_agents": 1, "num_episodes": 1, "block": 1, "progress": False}
    run = partial(commenv.run, "SimpleGrid-v0", ["dql", "ebcdql"], **how)
    run(num_trials=2, out=tmp_path / "new")
    assert noted == [
        "0 of 2 arms finished · dql",
        "0 of 2 arms finished · dql",
        "1 of 2 arms finished · ebcdql",
        "1 of 2 arms finished · ebcdql",
    ]
    (said,) = foreseen
    kept = sum(
        path.stat().st_size
        for path in (tmp_path / "new").rglob("trials-*")
        if path.is_file()
    )
    assert re.fullmatch(r"about [\d.]+ kB on the disk", said)
    assert float(said.split()[1]) == pytest.approx(kept / 1000, rel=0.1)
    noted.clear()
    run(num_trials=3, out=tmp_path / "new")  # goes on; both arms have something to do
    assert noted[0] == "0 of 2 arms finished · dql"
    noted.clear()
    commenv.run("SimpleGrid-v0", "dql", num_trials=1, **how)
    assert noted == [""]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (12_345, "12 kB"),
        (999_700, "1.0 MB"),
        (3.44e9, "3.4 GB"),
        (5e13, "50 TB"),
    ],
)
def test_sizes(count, text):
    assert size(count) == text
