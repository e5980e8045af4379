"""Whether a value is an element of a space, and in what words it is not.

A value is judged by its numbers, not by its dtype: an integer space takes ``2.0`` and
not ``2.5``, a float32 Box takes float64 and compares what is left of it in float32.
Shapes are exact, since a shape of ``(1,)`` broadcasts into every other one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import le
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from commenv.errors import shown

__all__ = ["complaint", "membership", "spelled"]

Contains = Callable[[Any], bool]

_FEW = 16  # numbers that Python compares faster than NumPy
_MOST_SHOWN = 80  # characters of a value


def membership(space: gym.Space[Any], *, bounds: bool = True) -> Contains:
    """A fast test of whether values are elements of a space.

    Args:
        space: The space; of a kind that is not Gymnasium's own, ``contains`` decides.
        bounds: Whether real numbers must keep to the bounds of their Box. Without, only
            NaN is refused, and infinite numbers where the bounds are finite.
    """
    if isinstance(space, spaces.Discrete):
        return _within_discrete(int(space.start), int(space.start + space.n))
    if isinstance(space, spaces.Dict):
        named = {key: membership(part, bounds=bounds) for key, part in space.items()}
        return lambda value: (
            isinstance(value, Mapping)
            and value.keys() == named.keys()
            and all(inside(value[key]) for key, inside in named.items())
        )
    if isinstance(space, spaces.Tuple):
        parts = [membership(part, bounds=bounds) for part in space.spaces]
        return lambda value: (
            isinstance(value, (tuple, list, np.ndarray))
            and len(value) == len(parts)
            and all(inside(one) for inside, one in zip(parts, value, strict=True))
        )
    if limits := _limits(space, bounds=bounds):
        return _within_array(*limits)
    return lambda value: bool(space.contains(value))


def complaint(space: gym.Space[Any], value: Any, what: str) -> str:
    """Why a value is not an element of a space, in words.

    Args:
        space: The space.
        value: What is outside, for a reason other than a float bound.
        what: What to call the value.
    """
    outside = f"outside {shown(space)}"
    if isinstance(space, spaces.Dict):
        if not isinstance(value, Mapping):
            return f"{what} {spelled(value)}, which is not a dictionary, {outside}"
        if value.keys() != space.spaces.keys():
            keys = list(space.spaces)
            return f"{what} with the keys {list(value)}, where {keys} belong"
        for key, part in space.items():
            if not membership(part, bounds=False)(value[key]):
                return complaint(part, value[key], f"{what}[{key!r}]")
    if isinstance(space, spaces.Tuple):
        if not isinstance(value, (tuple, list, np.ndarray)):
            return f"{what} {spelled(value)}, which is not a tuple, {outside}"
        if len(value) != len(space.spaces):
            return f"{what} of {len(value)} parts, where {len(space.spaces)} belong"
        for position, (part, one) in enumerate(zip(space.spaces, value, strict=True)):
            if not membership(part, bounds=False)(one):
                return complaint(part, one, f"{what}[{position}]")
    shape, own = getattr(value, "shape", None), space.shape
    if shape is not None and own is not None and tuple(shape) != own:
        return f"{what} {spelled(value)} of shape {shape}, not {own}, {outside}"
    return f"{what} {spelled(value)}{_worst(space, value)}, {outside}"


def spelled(value: Any) -> str:
    """A value for a message: short, and numbers without their NumPy type."""
    plain = value.item() if isinstance(value, np.generic) else value
    return shown(repr(plain), _MOST_SHOWN)


def _worst(space: gym.Space[Any], value: Any) -> str:
    """Which number of a large array is outside."""
    limits, array = _limits(space, bounds=False), _numbers(value)
    if limits is None or array is None or array.size <= _FEW:
        return ""
    low, high, dtype = limits
    with np.errstate(all="ignore"):
        cast = array.astype(dtype)
        wrong = ~((cast >= low) & (cast <= high))
        if dtype.kind != "f":
            wrong |= cast != array
    if not wrong.any():  # real numbers that overflow the dtype
        return ""
    where = tuple(np.argwhere(wrong)[0].tolist())
    return f" ({array[where]} at {where})"


def _within_discrete(start: int, stop: int) -> Contains:
    def inside(value: Any) -> bool:
        if type(value) is int:
            return start <= value < stop
        if isinstance(value, (int, np.integer)):
            return start <= int(value) < stop
        array = _numbers(value)
        return (
            array is not None
            and array.shape == ()
            and bool(start <= array < stop)
            and array.item() == int(array)
        )

    return inside


def _limits(
    space: gym.Space[Any], *, bounds: bool
) -> tuple[NDArray[Any], NDArray[Any], np.dtype[Any]] | None:
    """The least and the largest array of a space, and its dtype; None for others."""
    if isinstance(space, spaces.MultiDiscrete):
        start = np.asarray(space.start)
        return start, start + space.nvec - 1, np.dtype(space.dtype)
    if isinstance(space, spaces.MultiBinary):
        zeros = np.zeros(space.shape, space.dtype)
        return zeros, zeros + 1, zeros.dtype
    if not isinstance(space, spaces.Box):
        return None
    low, high, dtype = space.low, space.high, np.dtype(space.dtype)
    if dtype.kind == "f" and not bounds:
        least, most = np.finfo(dtype).min, np.finfo(dtype).max
        low = np.where(np.isfinite(low), least, low)
        high = np.where(np.isfinite(high), most, high)
    return low, high, dtype


def _within_array(
    low: NDArray[Any], high: NDArray[Any], dtype: np.dtype[Any]
) -> Contains:
    shape, between = low.shape, _between(low, high, dtype)
    is_flat = len(shape) == 1

    def inside(value: Any) -> bool:
        if type(value) is not np.ndarray or value.dtype is not dtype:
            value = _exactly(value, dtype)
            if value is None:
                return False
        if value.shape != shape:
            return False
        return between(value if is_flat else value.ravel())

    return inside


def _between(
    low: NDArray[Any], high: NDArray[Any], dtype: np.dtype[Any]
) -> Callable[[NDArray[Any]], bool]:
    """Whether all numbers of a flat array of this dtype are within bounds."""
    low, high = low.ravel(), high.ravel()
    if dtype.kind != "f":
        least, most = (0, 1) if dtype.kind == "b" else _range(dtype)
        if (low <= least).all() and (high >= most).all():
            return lambda numbers: True
    if low.size <= _FEW:
        return _few_between(low.tolist(), high.tolist())
    if (low == low[0]).all() and (high == high[0]).all():
        return _all_between(low[0].item(), high[0].item())
    return lambda numbers: bool((numbers >= low).all() and (numbers <= high).all())


def _few_between(low: list[float], high: list[float]) -> Callable[[NDArray[Any]], bool]:
    endless = all(most == np.inf for most in high)  # but NaN is not above anything

    def inside(numbers: NDArray[Any]) -> bool:
        plain = numbers.tolist()
        above = all(map(le, low, plain))
        return above and (endless or all(map(le, plain, high)))

    return inside


def _all_between(low: float, high: float) -> Callable[[NDArray[Any]], bool]:
    def inside(numbers: NDArray[Any]) -> bool:
        # Either place is that of a NaN, if there is one.
        least, most = numbers[numbers.argmin()], numbers[numbers.argmax()]
        return bool(low <= least and most <= high)

    return inside


def _range(dtype: np.dtype[Any]) -> tuple[int, int]:
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


def _numbers(value: Any) -> NDArray[Any] | None:
    """Real numbers as an array; None for anything else, masked numbers included."""
    if isinstance(value, np.ma.MaskedArray):
        return None
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):  # a ragged list
        return None
    return array if array.dtype.kind in "biuf" else None


def _exactly(value: Any, dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """A value in another dtype, rounded where that is real; None where it changes."""
    array = _numbers(value)
    if array is None:
        return None
    with np.errstate(all="ignore"):
        cast = array.astype(dtype)
        if dtype.kind == "f":
            kept = np.isfinite(cast) | ~np.isfinite(array)
        else:
            kept = cast == array
    return cast if kept.all() else None
