"""A study that kills its own process in a round, if it is told to; for `studies`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from tests.golden import library

KILLED_IN = 3


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(which: str, folder: str, *options: str) -> None:
    from tests.golden.cases_studies import WAYS

    listening = [library.Interruption(KILLED_IN, kill)] if "--kill" in options else []
    library.run_study(
        **WAYS[which],
        out=Path(folder, "out"),
        checkpoint_episodes=1,
        callbacks=listening,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
