"""The errors that commenv raises, and the hint that a misspelt name gets."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

__all__ = [
    "BudgetExceededError",
    "CommenvError",
    "ContractError",
    "EncodingError",
    "MalformedMessage",
    "MissingExtraError",
    "NotResetError",
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


class ResultsError(CommenvError, RuntimeError):
    """A results folder that is not ours, is damaged, or holds another study."""


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
            f'install it with `pip install "commenv[{extra}]"`'
        )
        self.feature = feature
        self.extra = extra

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.feature, self.extra)


class ContractError(CommenvError, TypeError):
    """A foreign environment that does not keep PettingZoo's contract.

    Args:
        env: The environment.
        how: What it does instead, and the cure.
    """

    def __init__(self, env: object, how: str) -> None:
        super().__init__(f"{type(env).__name__} breaks PettingZoo's contract: it {how}")


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
