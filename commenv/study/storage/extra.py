"""What keeping a study takes beyond the core."""

from __future__ import annotations

from importlib.util import find_spec

from commenv.errors import MissingExtraError

__all__ = ["check_extra"]


_EXTRA = ("pandas", "pyarrow", "safetensors")


def check_extra(feature: str) -> None:
    """Raises MissingExtraError for a feature where ``study`` is not installed."""
    if not all(find_spec(module) for module in _EXTRA):
        raise MissingExtraError(feature, "study")
