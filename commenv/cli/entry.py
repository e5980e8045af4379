"""The command line: ``list``, ``run``, ``show``, ``verify`` and so on."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from commenv.cli.commands import COMMANDS
from commenv.cli.options import make_parser
from commenv.cli.parser import USAGE, say
from commenv.cli.stops import Stopped, stops_heard
from commenv.errors import CommenvError
from commenv.importing import search

__all__ = ["main"]

_FAILURE = 1
_logger = logging.getLogger("commenv")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code.

    0 is success, 1 a failure or a stop by Ctrl-C, SIGTERM or SIGHUP, 2 a mistake in
    the usage, 3 that ``verify`` found nothing wrong but could not run the study again.
    What a user can cause is said in one line on standard error.

    Args:
        arguments: Instead of the process' own. Without them this is the process'
            command line, and a second Ctrl-C does not disturb its end.
    """
    options = make_parser(COMMANDS).parse_args(arguments)
    try:
        words = sys.argv[1:] if arguments is None else arguments
        if any(":" in word for word in words):
            search(str(Path.cwd()))  # so that module:Class finds one's own
        with stops_heard(for_good=arguments is None), _log_shown():
            code = options.command(options)
        sys.stdout.flush()
    except KeyboardInterrupt as stop:
        cause = stop.cause if isinstance(stop, Stopped) else "Ctrl-C"
        say(f"commenv: stopped by {cause}; {options.interrupted}")
        return _FAILURE
    except BrokenPipeError:  # who reads our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILURE
    except (CommenvError, ValueError, OSError, ImportError, MemoryError) as error:
        if options.traceback:
            raise
        say(f"commenv: {_explained_error(error)}")
        return USAGE if isinstance(error, ValueError) else _FAILURE
    return code or 0


def _explained_error(error: BaseException) -> str:
    """An error in words; with the cure, if the operating system refused something."""
    from commenv.study.storage.files import cure_of, reason_of

    if not isinstance(error, OSError) or isinstance(error, CommenvError):
        return str(error)
    if (cure := cure_of(error)) is None or not error.filename:
        return str(error)
    return f"cannot use {error.filename} ({reason_of(error)}); {cure}"


@contextlib.contextmanager
def _log_shown() -> Iterator[None]:
    """Shows what commenv logs, each line once, and no other package's log."""
    handler = logging.StreamHandler()
    before, said = _logger.level, set[str]()

    def is_new(record: logging.LogRecord) -> bool:
        known = record.getMessage() in said
        said.add(record.getMessage())
        return not known

    handler.addFilter(is_new)
    _logger.setLevel(logging.INFO)
    _logger.addHandler(handler)
    try:
        yield
    finally:
        _logger.removeHandler(handler)
        _logger.setLevel(before)
