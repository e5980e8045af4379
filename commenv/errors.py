"""The errors that commenv raises, and the hint that a misspelt name gets."""

from __future__ import annotations

import contextlib
import difflib
import json
import traceback
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any
from urllib.parse import urlsplit

__all__ = [
    "BlocksFailedError",
    "BudgetExceededError",
    "CannotRerunError",
    "CommenvError",
    "ContractError",
    "EncodingError",
    "EnvironmentFaultError",
    "MalformedMessage",
    "MissingExtraError",
    "NotResetError",
    "PluginError",
    "ResultsError",
    "ShardsLostError",
    "UnknownNameError",
    "WrongThreadError",
    "nearest",
    "shown",
]


class CommenvError(Exception):
    """The root of every error that a caller of commenv can cause and cure."""


class MalformedMessage(CommenvError, ValueError):  # noqa: N818 - a public name
    """Bytes that do not decode to a message of the expected form."""


class BudgetExceededError(CommenvError, RuntimeError):
    """A message that does not fit a budget whose policy is ``exceed="raise"``.

    Attributes:
        sender: The position of the sender among those of the channel.
    """

    sender: int | None = None


class EncodingError(CommenvError, ValueError):
    """A message that a codec cannot encode.

    Attributes:
        sender: The position of the sender among those of the channel.
    """

    sender: int | None = None


class NotResetError(CommenvError, RuntimeError):
    """A step, a message or a metric asked of an environment before its reset."""


class PluginError(CommenvError, ImportError):
    """What another installed package has registered with commenv cannot be used."""


class ResultsError(CommenvError, RuntimeError):
    """A results folder that is not ours, is damaged, or holds another study."""


class CannotRerunError(ResultsError):
    """A stored study that cannot be run again here, for no fault of its own."""


class ShardsLostError(CommenvError, RuntimeError):
    """Agents on another machine, or in another process, that do not answer any more."""


class WrongThreadError(CommenvError, RuntimeError):
    """A channel used by another thread than the one that has reset it."""


class MissingExtraError(CommenvError, ImportError):
    """A feature whose optional dependencies are not installed.

    Args:
        feature: What was asked for, in words.
        extra: The optional dependency group that provides it.
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs the extra {extra!r}: "
            f"install it with `pip install {_requirement(extra)}`"
        )
        self.feature = feature
        self.extra = extra

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.feature, self.extra)


def _requirement(extra: str) -> str:
    """What pip installs an extra by: from where this commenv was installed."""
    from urllib.request import url2pathname  # slow to import, and seldom needed

    source: dict[str, Any] = {}
    with contextlib.suppress(PackageNotFoundError, ValueError):
        text = distribution("commenv").read_text("direct_url.json")
        source = json.loads(text or "{}")
    url = source.get("url", "")
    if url.startswith("file:"):
        editable = source.get("dir_info", {}).get("editable", False)
        path = url2pathname(urlsplit(url).path)
        return f'{"--editable " if editable else ""}"{path}[{extra}]"'
    if "vcs_info" in source:
        url = f"{source['vcs_info']['vcs']}+{url}"
    return f'"commenv[{extra}] @ {url}"' if url else f'"commenv[{extra}]"'


class ContractError(CommenvError, TypeError):
    """A foreign environment that does not keep PettingZoo's contract.

    Args:
        env: The environment.
        how: What it does instead, and the cure.
    """

    def __init__(self, env: object, how: str) -> None:
        super().__init__(f"{type(env).__name__} breaks PettingZoo's contract: it {how}")


class EnvironmentFaultError(CommenvError, RuntimeError):
    """An environment that raised an error, or returned what cannot be used.

    Whoever passes it on adds what it knows of the place, so that the message names the
    one instance among many. What the environment itself raised is the ``__cause__``; an
    error that comes from another process quotes that traceback in a note.

    Args:
        environment: Its id, or its class.
        problem: What it did, such as ``"returned the reward nan"``.
        cure: What to do about it.
        place: Where: ``label``, ``trial``, ``agent``, ``episode``, ``step``.

    Attributes:
        environment: As given.
        problem: As given.
        place: As given, and what was added by :meth:`locate`.
        row: The instance's position in its batch, for whoever knows what that means.
    """

    row: int | None = None

    def __init__(
        self,
        environment: str,
        problem: str,
        cure: str = "",
        place: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(environment, problem, cure)
        self.environment, self.problem, self._cure = environment, problem, cure
        self.place: dict[str, Any] = dict(place or {})

    def locate(self, **place: Any) -> None:
        """Adds to the place; what is known already stays."""
        self.place = {**place, **self.place}

    def locate_row(
        self, trials: Sequence[int], numbers: Sequence[int], what: str, **when: Any
    ) -> None:
        """Adds whose instance it was, in a batch of trials times numbers.

        Args:
            trials: The trials of the batch, whose rows are trial-major.
            numbers: What the rows of a trial are numbered by.
            what: What these numbers count, such as ``"agent"``.
            **when: What else is known of the place.
        """
        if self.row is not None:
            trial, number = divmod(self.row, len(numbers))
            when = {"trial": trials[trial], what: numbers[number], **when}
        self.locate(**when)

    def __str__(self) -> str:
        place = ", ".join(f"{name} {where!r}" for name, where in self.place.items())
        text = f"{self.environment} {self.problem}"
        return "; ".join(filter(None, [text + f" ({place})" * bool(place), self._cure]))

    def __reduce__(self) -> tuple[Any, ...]:
        # The cause's class may not be picklable: its traceback goes as text.
        notes = list(getattr(self, "__notes__", ()))
        if self.__cause__ is not None:
            notes.append("".join(traceback.format_exception(self.__cause__)).rstrip())
        arguments = (self.environment, self.problem, self._cure, self.place)
        return type(self), arguments, {"row": self.row, "__notes__": notes}


class BlocksFailedError(CommenvError, RuntimeError):
    """A study some of whose blocks failed, for the fault of an environment.

    Args:
        summary: How many, and what became of the others.
        errors: What happened in each.

    Attributes:
        errors: As given.
    """

    def __init__(self, summary: str, errors: Sequence[EnvironmentFaultError]) -> None:
        super().__init__(summary, errors)
        self.errors = tuple(errors)

    def __str__(self) -> str:
        more = len(self.errors) - _MOST_LISTED
        rest = [f"and {more} more"] if more > 0 else []
        listed = [str(error) for error in self.errors[:_MOST_LISTED]]
        return "\n  ".join([f"{self.args[0]}:", *listed, *rest])


class UnknownNameError(CommenvError, ValueError):
    """A name that nothing is registered under; the message lists the nearest ones.

    Args:
        kind: What was looked for, such as ``"algorithm"``.
        name: The name that was not found.
        known: The names that exist. Names of agents may be numbers, say.
        cure: What to do instead, if no near name is meant.
    """

    def __init__(
        self, kind: str, name: Any, known: Iterable[Any], cure: str = ""
    ) -> None:
        known = tuple(known)
        names = [one if isinstance(one, str) else repr(one) for one in known]
        parts = [f"unknown {kind} {name!r}"]
        # Numbers that look alike are not slips of the pen.
        near = nearest(name, names) if isinstance(name, str) else []
        if near:
            parts.append("did you mean " + " or ".join(map(repr, near)) + "?")
        elif known:
            parts.append("known: " + _listed(sorted(names)))
        if cure:
            parts.append(cure)
        super().__init__("; ".join(parts).replace("?; ", "? "))
        self._arguments = (kind, name, known, cure)

    def __reduce__(self) -> tuple[type, tuple[str, Any, tuple[Any, ...], str]]:
        return type(self), self._arguments


_AS_NEAR = 0.22  # of difflib's ratio, less than the best candidate's
_MOST_LISTED = 30


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The known names most like ``name``, best first; letter case is ignored."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    asked = str(name).casefold()
    folded = difflib.get_close_matches(asked, by_folded, n=count, cutoff=0.6)
    ratios = [difflib.SequenceMatcher(None, asked, match).ratio() for match in folded]
    least = max(ratios, default=0.0) - _AS_NEAR
    return [
        by_folded[match]
        for match, ratio in zip(folded, ratios, strict=True)
        if ratio >= least
    ]


def shown(foreign: object, most: int = 300) -> str:
    """What came from outside, for a message: no control characters, and cut.

    Args:
        foreign: A text, or an error that may quote what it found.
        most: Characters that are kept.
    """
    text = " ".join(str(foreign).split())
    kept = "".join(filter(str.isprintable, text))
    return kept if len(kept) <= most else f"{kept[:most]} ..."


def _listed(names: list[str]) -> str:
    """Names in one line, quoted where they hold commas, and not too many."""
    quote = any("," in name for name in names)
    shown = [repr(name) if quote else name for name in names[:_MOST_LISTED]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
