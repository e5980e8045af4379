"""A parser of command lines that drops nothing without a word."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from commenv.errors import nearest, shown

__all__ = ["USAGE", "Parser", "say"]

USAGE = 2
"""The exit code of a mistake in the usage."""

_MOST_SAID = 4000


def say(text: str) -> None:
    """One line on standard error."""
    with contextlib.suppress(OSError):  # a terminal may be gone, a log's disk full
        print(shown(text, _MOST_SAID), file=sys.stderr)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line.

    Options must be spelt out. One that does not accumulate is given once; one that does
    may be repeated, with another value each time.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)
        self.register("action", None, _Once)
        self.register("action", "store", _Once)
        self.register("action", "store_true", _Switch)
        self.register("action", "append", _Repeated)

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As argparse does, but names an unknown option's command and its neighbours.

        Without this, argparse would report missing options before unknown ones.
        """
        if self._subparsers is not None:  # its commands know their own options
            return super().parse_known_args(args, namespace)
        for word in args or ():
            if word == "--":
                break
            option = word.partition("=")[0]
            if option.startswith("--") and option not in self._option_string_actions:
                self.error(self._unknown(option))
        found, unread = super().parse_known_args(args, namespace)
        if unread:
            self.error(f"unexpected {' '.join(map(repr, unread))}")
        return found, unread

    def error(self, message: str) -> NoReturn:
        """Says what is wrong in one line, and exits."""
        say(f"{self.prog}: {message} (see {self.prog} --help)")
        sys.exit(USAGE)

    def _unknown(self, option: str) -> str:
        known = [name for name in self._option_string_actions if name[:2] == "--"]
        longer = [name for name in known if name.startswith(option)]
        near = longer or nearest(option, known)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        return f"unknown option {option}{hint}"


class _Once(argparse._StoreAction):
    """Stores a value that may be given once; arguments without a name, each once."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        if option_string is None:
            for value in values if isinstance(values, list) else ():
                if values.count(value) > 1:
                    parser.error(f"{value!r} is given twice; give it once")
        else:
            _note(self, parser, namespace, option_string)
        super().__call__(parser, namespace, values, option_string)


class _Switch(argparse._StoreTrueAction):
    """Switches something on, once."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        _note(self, parser, namespace, option_string)
        super().__call__(parser, namespace, values, option_string)


class _Repeated(argparse._AppendAction):
    """Collects values that differ."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        if values in (getattr(namespace, self.dest) or ()):
            parser.error(f"{option_string} {values} is given twice; give it once")
        super().__call__(parser, namespace, values, option_string)


def _note(
    action: argparse.Action,
    parser: argparse.ArgumentParser,
    namespace: argparse.Namespace,
    option: str | None,
) -> None:
    """Remembers that an option was given; refuses it the second time."""
    given: set[str] = vars(namespace).setdefault("given", set())
    if action.dest in given:
        parser.error(f"{option} is given twice; give it once")
    given.add(action.dest)
