"""Names for values on the command line: what labels are to call them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = ["by_name", "check_apart", "split_name"]

_NOT_IN_NAMES = set('{["')


def split_name(text: str, besides: str = "") -> tuple[str, str]:
    """The name and the value of ``"small: top_k,k=5"``; without a name it is empty.

    A name ends at the first colon with a space behind it, so that neither
    ``module:Class`` nor ``{"a": 1}`` has one.

    Args:
        text: What was given.
        besides: More characters that no name holds.
    """
    name, colon, value = text.partition(": ")
    if not (colon and name.strip()) or _NOT_IN_NAMES.union(besides) & set(name):
        return "", text
    return name.strip(), value.strip()


def by_name(
    texts: Sequence[str], option: str, word: Callable[[str], str] = str
) -> list[str] | dict[str, str]:
    """Values as a list or, where any has a name, by their names.

    Args:
        texts: What was given for an option.
        option: Which one.
        word: What a value without a name is called beside others that have one.

    Raises:
        ValueError: Two have the same name.
    """
    pairs = [split_name(text) for text in texts]
    if not any(name for name, _ in pairs):
        return [value for _, value in pairs]
    names = [name or word(value) for name, value in pairs]
    check_apart(names, option)
    return dict(zip(names, (value for _, value in pairs), strict=True))


def check_apart(names: Sequence[str], option: str) -> None:
    """Raises ValueError where a name stands for two values of an option."""
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"{option} gives the name {name!r} twice; give each value its own"
            )
