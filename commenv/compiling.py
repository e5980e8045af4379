"""Plain functions of numbers and arrays, compiled where Numba is installed.

Nothing here is imported with the package but these lines: Numba is, by the first
function that is to be compiled. Compiled code gives the bits that NumPy gives: Numba
neither reorders nor fuses operations.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

__all__ = ["compiled"]


def compiled(function: Callable[..., Any], **calls: Callable[..., Any]) -> Any:
    """A function, compiled by Numba, which calls other compiled ones.

    The machine code is kept on disk where a folder can be written to. Numba compares
    its age with that of the function's own file, so what is called should be there too.

    Args:
        function: A plain function.
        **calls: Name -> what it calls by that name.

    Raises:
        ImportError: Numba is not installed.
    """
    from numba import njit

    names = {**function.__globals__, **calls}
    plain = FunctionType(function.__code__, names, function.__name__)
    plain.__qualname__, plain.__module__ = function.__qualname__, function.__module__
    try:
        return njit(cache=True, error_model="numpy")(plain)
    except RuntimeError:  # no such folder
        return njit(error_model="numpy")(plain)
