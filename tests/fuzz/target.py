"""What a target is: a reader of outside data, and the inputs to begin with."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from commenv.errors import CommenvError
from tests.fuzz.mutation import Mutate, changed

__all__ = ["Excluded", "Target"]

MEBIBYTE = 2**20


class Excluded(Exception):
    """An input that asks for what a reader may do: a long run, a file elsewhere."""


@dataclass
class Target:
    """A reader of outside data.

    Attributes:
        name: What the command line calls it.
        run: Reads an input; it may raise what is documented, and nothing else.
        seeds: Gives valid inputs, which changes begin with.
        documented: The errors that the reader documents.
        words: Bytes that mean something to the reader.
        changes: Makes new inputs of known ones; any bytes may change by default.
        surroundings: A context in which ``run`` works, such as a folder.
        seconds: How long one input may take.
        room: Bytes that the process may allocate beyond what it has.
        share: How many of a thousand inputs of a whole run go here.
        longest_message: Characters that an error may have.
    """

    name: str
    run: Callable[[bytes], Any]
    seeds: Callable[[], list[bytes]]
    documented: tuple[type[Exception], ...] = (CommenvError,)
    words: tuple[bytes, ...] = ()
    changes: Mutate | None = None
    surroundings: Callable[[], contextlib.AbstractContextManager[Any]] | None = None
    seconds: float = 5.0
    room: int = 256 * MEBIBYTE
    share: int = 10
    longest_message: int = 4000

    def corpus(self) -> list[bytes]:
        """The valid inputs."""
        return self.seeds()

    @property
    def mutate(self) -> Mutate:
        """What makes new inputs."""
        return self.changes or partial(changed, words=self.words)

    @contextlib.contextmanager
    def prepared(self) -> Iterator[None]:
        """What the target needs around it."""
        with self.surroundings() if self.surroundings else contextlib.nullcontext():
            yield
