from __future__ import annotations

import os
import signal

import pytest

from commenv.study.execution.backends.signals import Deferred


@pytest.fixture
def heard():
    """The signals that this process' handler has handled."""
    numbers = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: numbers.append(number))
    yield numbers
    signal.signal(signal.SIGTERM, before)


def test_signals_are_kept_until_there_is_time(heard):
    with Deferred() as signals:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
        assert signals.waiting
        assert heard == []
        signals.handle()
        assert heard == [signal.SIGTERM] * 2
        os.kill(os.getpid(), signal.SIGTERM)
    assert heard == [signal.SIGTERM] * 3


def test_a_signal_after_the_patience_is_over_is_handled_at_once(heard, monkeypatch):
    times = iter([100.0, 104.0, 105.5])
    monkeypatch.setattr(
        "commenv.study.execution.backends.signals.time.monotonic", times.__next__
    )
    with Deferred(patience=5.0) as signals:
        for expected in (0, 0, 3):
            os.kill(os.getpid(), signal.SIGTERM)
            assert len(heard) == expected
        assert not signals.waiting
