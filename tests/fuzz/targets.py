"""The table of all targets.

A new reader of outside data gets a
:class:`~tests.fuzz.target.Target` in the module of its kind, in that module's
``TARGETS``: a function from bytes that raises nothing but the errors which the reader
documents, and a few valid inputs. The driver and the ordinary tests take every target
from here.
"""

from __future__ import annotations

from tests.fuzz import commands, files, messages, pages, states, words
from tests.fuzz.target import Target

__all__ = ["TARGETS"]

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        *messages.TARGETS,
        *files.TARGETS,
        *pages.TARGETS,
        *states.TARGETS,
        *words.TARGETS,
        *commands.TARGETS,
    )
}
